//! Config files: any JSON, read as the server's config and put into effect.

use serde_json::Value;
use tandem::{BucketConfig, CheckOptions, Store};
use tandem_server::{Config, Conversation};

use crate::verdict::coded;

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    coded(BucketConfig::from_json(json.clone()));
    let Some(config) = coded(Config::from_json(&json)) else { return };
    let again = coded(Config::from_json(&json));
    assert_eq!(again.as_ref(), Some(&config), "one file is one config");
    assert!(config.backpressure.mark_bytes() <= config.backpressure.max_buffered_bytes);
    let store = Store::builder().memory().background(false).open().expect("memory opens");
    let begun = coded(Conversation::begin(config.clone(), &store));
    if begun.is_some() {
        // What was made is what the config says: a second start changes nothing.
        let revision = store.revision().expect("the store is open");
        assert!(coded(Conversation::begin(config, &store)).is_some(), "it starts again");
        assert_eq!(store.revision().expect("the store is open"), revision);
    }
    let report = store.check(&CheckOptions::new()).expect("the store can be read");
    assert!(report.is_clean(), "{report:?}");
}
