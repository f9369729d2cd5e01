use serde_json::Value;
use tandem::{BucketConfig, Store, Transaction};
use tandem_base::{Code, Error, Result};

use super::StoreConfig;
use super::difference::{Difference, differences};

/// Creates the buckets and queries of the config that do not exist yet. One
/// that exists must be as the config says: the config never changes or drops
/// data, so a difference is for a person to resolve. All of it, or nothing.
///
/// # Errors
/// `VALIDATION_ERROR` naming the bucket or query and everything that differs.
pub(crate) fn apply_definitions(store: &Store, config: &StoreConfig) -> Result<()> {
    store.transaction(|tx| apply(tx, config))
}

fn apply(store: &Transaction, config: &StoreConfig) -> Result<()> {
    // References may point to buckets that come later in the file.
    let mut waiting: Vec<(&String, &Value)> = config.buckets.iter().collect();
    loop {
        let mut refused = Vec::new();
        let tried = waiting.len();
        for (name, wanted) in waiting {
            if let Err(error) = apply_bucket(store, name, wanted) {
                refused.push((name, wanted, error));
            }
        }
        let Some((name, _, error)) = refused.first() else { break };
        if refused.len() == tried || error.code() != Code::BucketNotDefined {
            return Err(error.clone().prefixed(&format!("Config: store.buckets.{name}: ")));
        }
        waiting = refused.into_iter().map(|(name, wanted, _)| (name, wanted)).collect();
    }
    for (name, wanted) in &config.queries {
        apply_query(store, name, wanted)
            .map_err(|error| error.prefixed(&format!("Config: store.queries.{name}: ")))?;
    }
    Ok(())
}

fn apply_bucket(store: &Transaction, name: &str, wanted: &Value) -> Result<()> {
    match store.bucket_config(name) {
        Ok(existing) => same("bucket", &existing, wanted),
        Err(error) if error.code() == Code::BucketNotDefined => {
            store.define_bucket(name, BucketConfig::from_json(wanted.clone())?)
        }
        Err(error) => Err(error),
    }
}

fn apply_query(store: &Transaction, name: &str, wanted: &Value) -> Result<()> {
    match store.queries()?.into_iter().find(|(existing, _)| existing == name) {
        Some((_, existing)) => same("query", &existing, wanted),
        None => store.define_query(name, wanted),
    }
}

fn same(what: &str, existing: &Value, wanted: &Value) -> Result<()> {
    let differences = differences(existing, wanted);
    if differences.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let message = format!("the {what} exists with another definition: {}", said.join("; "));
    let listed: Value = differences.iter().map(Difference::to_json).collect();
    Err(Error::validation(message).with("differences", listed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(buckets: Value) -> StoreConfig {
        let Value::Object(buckets) = buckets else { panic!("an object") };
        StoreConfig { buckets, ..StoreConfig::default() }
    }

    #[test]
    fn missing_buckets_are_created_and_equal_ones_are_left_alone() {
        let store = Store::memory().unwrap();
        let config = config(json!({
            "b": { "key": "id", "schema": { "id": {}, "a": { "ref": "a" } } },
            "a": { "key": "id", "schema": { "id": { "type": "string" } }, "indexes": [] },
        }));
        apply_definitions(&store, &config).unwrap();
        let revision = store.revision().unwrap();
        apply_definitions(&store, &config).unwrap();
        assert_eq!(store.revision().unwrap(), revision);
    }

    #[test]
    fn a_difference_is_named_and_nothing_is_changed() {
        let store = Store::memory().unwrap();
        let before = json!({ "a": { "key": "id", "schema": { "id": { "type": "string" } } } });
        apply_definitions(&store, &config(before)).unwrap();
        let after = json!({ "a": { "key": "id", "schema": { "id": { "type": "number" } } } });
        let refused = apply_definitions(&store, &config(after)).unwrap_err();
        assert!(refused.message().contains("store.buckets.a"), "{refused}");
        assert!(refused.message().contains("\"schema.id.type\" is \"string\""), "{refused}");
    }

    #[test]
    fn a_wrong_definition_is_refused_with_its_place() {
        let store = Store::memory().unwrap();
        let wrong = json!({ "a": { "key": "id", "schema": { "id": { "type": "text" } } } });
        let refused = apply_definitions(&store, &config(wrong)).unwrap_err();
        assert_eq!(refused.code(), Code::ValidationError);
        assert!(refused.message().starts_with("Config: store.buckets.a: "), "{refused}");
    }
}
