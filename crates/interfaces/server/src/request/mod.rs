//! The requests, one file per family.
//!
//! Most are *store operations*: they take their fields, do one thing to the
//! store or to an open transaction, and answer data. Those are plain functions
//! of type [`Handler`], listed in [`store_operation`], and run on a blocking
//! thread, unless they have a form of type [`AtHand`] that finds all it needs in
//! memory. Requests that also touch the connection (transactions that stay
//! open, subscriptions) are methods of the peer, in the files of their family.

mod admin;
mod aggregate;
mod batch;
mod fields;
mod index;
mod read;
mod server;
mod sql;
mod stats;
mod subscribe;
mod transaction;
mod write;

use std::sync::Arc;

use tandem::{Bucket, Store, Transaction};
use tandem_base::Result;

use crate::data::Data;
use crate::workers::Class;

pub(crate) use fields::{Fields, invalid, missing};
pub(crate) use server::server_operation;

/// Where an operation runs: on its own, or in an open transaction.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Each operation commits by itself.
    Store(Store),
    /// Part of this transaction.
    Transaction(Arc<Transaction>),
}

impl Scope {
    /// The store that it is about.
    pub(crate) fn store(&self) -> &Store {
        match self {
            Self::Store(store) => store,
            Self::Transaction(transaction) => transaction.store(),
        }
    }

    /// A handle on a bucket.
    pub(crate) fn bucket<'a>(&'a self, name: &'a str) -> Bucket<'a> {
        match self {
            Self::Store(store) => store.bucket(name),
            Self::Transaction(transaction) => transaction.bucket(name),
        }
    }
}

/// A store operation.
pub(crate) type Handler = fn(&Scope, Fields) -> Result<Data>;

/// A store operation, if it can be carried out without waiting for anything.
pub(crate) type AtHand = fn(&Store, &Fields) -> Option<Result<Data>>;

/// How the store operation of that type is first tried, in the connection's own
/// task. Only what reads one record is worth it: it is short, and is asked most.
/// For `store.get`, 8 sockets with 16 requests each, it took 54 µs of the server's
/// processor time with a blocking thread for each, and takes 10 (docs/benchmarks.md).
pub(crate) fn at_hand(kind: &str) -> Option<AtHand> {
    (kind == "store.get").then_some(read::get_at_hand)
}

/// The store operation of that type, and whether it may wait for the disk or
/// for locks.
pub(crate) fn store_operation(kind: &str) -> Option<(Class, Handler)> {
    use Class::{Read, Write};
    let operation: (Class, Handler) = match kind {
        "store.insert" => (Write, write::insert),
        "store.insertMany" => (Write, write::insert_many),
        "store.update" => (Write, write::update),
        "store.updateMany" => (Write, write::update_many),
        "store.replace" => (Write, write::replace),
        "store.upsert" => (Write, write::upsert),
        "store.delete" => (Write, write::delete),
        "store.deleteMany" => (Write, write::delete_many),
        "store.clear" => (Write, write::clear),
        "store.get" => (Read, read::get),
        "store.all" => (Read, read::all),
        "store.where" => (Read, read::where_),
        "store.findOne" => (Read, read::find_one),
        "store.count" => (Read, read::count),
        "store.first" => (Read, read::first),
        "store.last" => (Read, read::last),
        "store.paginate" => (Read, read::paginate),
        "store.explain" => (Read, read::explain),
        "store.sum" => (Read, aggregate::sum),
        "store.avg" => (Read, aggregate::avg),
        "store.min" => (Read, aggregate::min),
        "store.max" => (Read, aggregate::max),
        "store.groupBy" => (Read, aggregate::group_by),
        "store.aggregate" => (Read, aggregate::pipeline),
        "store.buckets" => (Read, admin::buckets),
        "store.defineBucket" => (Write, admin::define_bucket),
        "store.dropBucket" => (Write, admin::drop_bucket),
        "store.updateBucket" => (Write, admin::update_bucket),
        "store.getBucketSchema" => (Read, admin::bucket_schema),
        "store.defineQuery" => (Write, admin::define_query),
        "store.undefineQuery" => (Write, admin::undefine_query),
        "store.createIndex" => (Write, index::create),
        "store.dropIndex" => (Write, index::drop),
        "store.indexes" => (Read, index::list),
        "store.check" => (Write, index::check),
        _ => return None,
    };
    Some(operation)
}
