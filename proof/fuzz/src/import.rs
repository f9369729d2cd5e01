//! Import files: the first byte chooses the format, the second the size of the
//! batches, the third the bucket; the rest is the file.

use std::io::Cursor;

use serde_json::json;
use tandem::{BucketConfig, CheckOptions, Store};
use tandem_cli::{Format, import_rows};

use crate::verdict::coded;

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let [format, size, bucket, file @ ..] = data else { return };
    let format = [Format::Json, Format::Ndjson, Format::Csv][usize::from(*format) % 3];
    let size = usize::from(*size).max(1);
    let bucket = ["keyed", "counted"][usize::from(*bucket) % 2];
    let store = store();
    let import = || {
        let file = Cursor::new(file.to_vec());
        coded(import_rows(&store, bucket, format, file, size))
    };
    let Some(first) = import() else { return };
    let held = store.bucket(bucket).count(json!({})).expect("the bucket can be read");
    assert_eq!(held, first.imported, "{first:?}");
    let again = import().expect("what could be read can be read again");
    // The batches of the first run are known by their rows and places.
    assert_eq!(again.imported_before, first.imported, "{again:?} after {first:?}");
    if bucket == "keyed" {
        assert_eq!(again.imported, 0, "{again:?} after {first:?}");
    }
    // A generated key that a row of its batch had is another one the next time.
    let held = held + again.imported;
    assert_eq!(store.bucket(bucket).count(json!({})).expect("readable"), held);
    let report = store.check(&CheckOptions::new()).expect("the store can be read");
    assert!(report.is_clean(), "{report:?}");
}

fn store() -> Store {
    let store = Store::builder().memory().background(false).open().expect("memory opens");
    let keyed = json!({ "key": "id", "schema": {
        "id": { "required": true }, "a": {}, "n": { "type": "number" }, "d": { "type": "date" },
        "o": { "type": "object" }, "l": { "type": "array" }, "b": { "type": "boolean" },
        "s": { "type": "string", "maxLength": 10 }, "e": { "type": "string", "unique": true } },
        "indexes": ["n", { "fields": ["a.b"] }] });
    let counted = json!({ "key": "id",
        "schema": { "id": { "type": "number", "generated": "autoincrement" } } });
    for (name, config) in [("keyed", keyed), ("counted", counted)] {
        let config = BucketConfig::from_json(config).expect("a definition");
        store.define_bucket(name, config).expect("the bucket is new");
    }
    store
}
