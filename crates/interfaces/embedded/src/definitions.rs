//! Defining buckets, indexes and queries, on a store or in a transaction.
//!
//! The catalog is data: a definition is isolated, rolled back and made durable
//! like a record, so `Store` and `Transaction` offer the same calls, written
//! here once. Only indexes differ: in a transaction an index is built within
//! it, on a store it is built online (`indexes.rs`).

use serde_json::Value;
use tandem_base::Result;

use crate::definition::BucketConfig;
use crate::queries::check_config;
use crate::session::Session;
use crate::store::Store;
use crate::transaction::Transaction;

macro_rules! definition_calls {
    ($type:ident, $session:expr) => {
        impl $type {
            /// Defines a bucket.
            ///
            /// # Errors
            /// `ALREADY_EXISTS`; `VALIDATION_ERROR` naming the wrong setting.
            /// Nothing is half defined.
            pub fn define_bucket(&self, name: &str, config: BucketConfig) -> Result<()> {
                let config = config.to_json();
                $session(self).write((), |records, tx, ()| records.define_bucket(tx, name, &config))
            }

            /// Drops a bucket with its records and indexes. Their bytes are
            /// removed in the background.
            ///
            /// # Errors
            /// `BUCKET_NOT_DEFINED`; `REFERENCE_VIOLATION` when another bucket
            /// refers to it.
            pub fn drop_bucket(&self, name: &str) -> Result<()> {
                $session(self).write((), |records, tx, ()| records.drop_bucket(tx, name))
            }

            /// The bucket's config in the wire's JSON form, later changes
            /// merged in.
            ///
            /// # Errors
            /// `BUCKET_NOT_DEFINED`.
            pub fn bucket_config(&self, name: &str) -> Result<Value> {
                $session(self).read(|records, tx| records.bucket_config(tx, name))
            }

            /// The names of all buckets in the order of their definition.
            ///
            /// # Errors
            /// `STORAGE_ERROR`.
            pub fn bucket_names(&self) -> Result<Vec<String>> {
                $session(self).read(|records, tx| records.bucket_names(tx))
            }

            /// Stores a declarative query (`{bucket, filter?, sort?, limit?,
            /// offset?, fields?, aggregate?}`) under a name.
            ///
            /// # Errors
            /// `ALREADY_EXISTS`; `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`.
            pub fn define_query(&self, name: &str, config: &Value) -> Result<()> {
                $session(self).write((), |records, tx, ()| {
                    records.define_query(tx, name, config, check_config)
                })
            }

            /// Removes a stored query.
            ///
            /// # Errors
            /// `QUERY_NOT_DEFINED`.
            pub fn undefine_query(&self, name: &str) -> Result<()> {
                $session(self).write((), |records, tx, ()| records.undefine_query(tx, name))
            }

            /// All stored queries by name, with their configs.
            ///
            /// # Errors
            /// `STORAGE_ERROR`.
            pub fn queries(&self) -> Result<Vec<(String, Value)>> {
                $session(self).read(|records, tx| records.queries(tx))
            }
        }
    };
}

definition_calls!(Store, Session::Autocommit);
definition_calls!(Transaction, Session::Open);
