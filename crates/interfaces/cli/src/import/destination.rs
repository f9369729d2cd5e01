use serde_json::{Value, json};
use tandem::{BucketConfig, Error, IndexConfig, Result, Store};

/// What the bucket must be like.
#[derive(clap::Args, Debug, Default)]
pub(super) struct Definition {
    /// The key field of a bucket that does not exist yet. Without it, records
    /// get a generated number as `id`.
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// Fields to index: `a`, `-b`, or `a,b` for a compound index. May be
    /// repeated. An index that the bucket lacks is created.
    #[arg(long = "index", value_name = "FIELDS")]
    indexes: Vec<String>,
    /// The same for unique indexes.
    #[arg(long = "unique", value_name = "FIELDS")]
    uniques: Vec<String>,
}

struct Wanted {
    fields: Vec<String>,
    unique: bool,
}

impl Wanted {
    fn to_json(&self) -> Value {
        json!({ "fields": self.fields, "unique": self.unique })
    }
}

impl Definition {
    /// Defines the bucket if it does not exist; adds the indexes that it lacks
    /// if it does.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the bucket has another key or a setting is
    /// wrong; `ALREADY_EXISTS` when records have duplicates in a unique index.
    pub(super) fn provide(&self, store: &Store, bucket: &str) -> Result<()> {
        if store.bucket_names()?.iter().any(|name| name == bucket) {
            self.check_key(store, bucket)?;
            return self.add_indexes(store, bucket);
        }
        let key = self.key.as_deref().unwrap_or("id");
        let key_field = match self.key {
            Some(_) => json!({ "required": true }),
            None => json!({ "type": "number", "generated": "autoincrement" }),
        };
        let indexes: Vec<Value> = self.wanted().map(|index| index.to_json()).collect();
        let config = json!({ "key": key, "schema": { key: key_field }, "indexes": indexes });
        store.define_bucket(bucket, BucketConfig::from_json(config)?)
    }

    fn check_key(&self, store: &Store, bucket: &str) -> Result<()> {
        let config = store.bucket_config(bucket)?;
        match (&self.key, config["key"].as_str()) {
            (Some(asked), Some(key)) if asked != key => Err(Error::validation(format!(
                "Bucket \"{bucket}\" exists and has the key \"{key}\", not \"{asked}\""
            ))),
            _ => Ok(()),
        }
    }

    fn add_indexes(&self, store: &Store, bucket: &str) -> Result<()> {
        let known = store.indexes(bucket)?;
        for Wanted { fields, unique } in self.wanted() {
            let is_there = known.iter().any(|index| {
                index.fields == fields
                    && (index.unique || !unique)
                    && index.filter.is_none()
                    && !index.multi
            });
            if !is_there {
                let index = Wanted { fields, unique }.to_json();
                store.create_index(bucket, IndexConfig::from_json(index)?)?;
            }
        }
        Ok(())
    }

    fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let wanted = |unique: bool| {
            move |fields: &String| Wanted {
                fields: fields.split(',').map(|field| field.trim().to_owned()).collect(),
                unique,
            }
        };
        self.indexes.iter().map(wanted(false)).chain(self.uniques.iter().map(wanted(true)))
    }
}
