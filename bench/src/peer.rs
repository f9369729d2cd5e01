//! What is measured: a peer that is open, and clients that use it.
//!
//! A peer offers logical operations, not statements: each does the same work in
//! the way that suits it best, and says so at the top of its file. A peer that
//! cannot do an operation leaves it out, and no group asks it for it.

use std::path::Path;
use std::time::Duration;

use crate::data::{Account, Transfer};
use crate::measure::Part;
use crate::process;
use crate::workload::Requests;

/// Errors end a run; nobody handles them.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// An opened and loaded store.
pub trait Peer: Send + Sync {
    /// What an acknowledged write has survived, for the table.
    fn durability(&self) -> &str;

    /// A client of its own for one thread.
    fn connect(&self) -> Result<Box<dyn Client>>;

    /// The records it holds, if it can count them: a run ends with comparing
    /// them to the transfers that were acknowledged.
    fn count(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Where its files are, if it has any.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// The memory that it holds, if it is a process of its own; all others share
    /// this one.
    fn resident_bytes(&self) -> Option<u64> {
        None
    }

    /// The processor time that it has used so far: this process's, unless the
    /// peer is a process of its own.
    fn processor_time(&self) -> Duration {
        process::own_processor_time()
    }
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A record by its key.
    Get,
    /// A new record.
    Insert,
    /// A record by its key, an update of another, and a new record, in one
    /// transaction.
    Batch,
}

/// How a record is handed to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As JSON text in the caller's buffer.
    Text,
    /// Decoded into a `serde_json::Value`.
    Value,
}

/// One thread's access to a [`Peer`].
pub trait Client: Send {
    /// Commits one transfer. Returns how many further attempts it took.
    fn transfer(&mut self, _transfer: &Transfer) -> Result<u64> {
        Err("this peer does no transfers".into())
    }

    /// Reads a record by key. Returns the bytes of its JSON text, or 1 when it
    /// was decoded; 0 if it is not there.
    fn read(&mut self, _id: &str, _form: Form) -> Result<usize> {
        Err("this peer reads nothing by key".into())
    }

    /// Reads at most `limit` records of a city through its index. Returns how
    /// many there were.
    fn read_city(&mut self, _city: &str, _limit: usize, _form: Form) -> Result<usize> {
        Err("this peer reads nothing by an index".into())
    }

    /// Reads at most `limit` records in the order of their balances, from this one
    /// on. Returns how many there were.
    fn read_balances(&mut self, _from: i64, _limit: usize, _form: Form) -> Result<usize> {
        Err("this peer reads nothing in an index's order".into())
    }

    /// Reads at most `limit` records in the order of their keys, from this one on,
    /// as text. Returns how many there were.
    fn scan(&mut self, _id: &str, _limit: usize) -> Result<usize> {
        Err("this peer reads nothing in order".into())
    }

    /// Commits a new record. Returns how many further attempts it took.
    fn insert(&mut self, _account: &Account) -> Result<u64> {
        Err("this peer inserts nothing by itself".into())
    }

    /// Gives a record another balance. Returns as above.
    fn update(&mut self, _id: &str, _balance: i64) -> Result<u64> {
        Err("this peer updates nothing by itself".into())
    }

    /// Reads a record and moves its balance, in one transaction. Returns as above.
    fn modify(&mut self, _id: &str, _amount: i64) -> Result<u64> {
        Err("this peer modifies nothing".into())
    }

    /// Gives many records other balances, in one transaction.
    fn update_all(&mut self, _updates: &[(String, i64)]) -> Result<()> {
        Err("this peer updates nothing by itself".into())
    }

    /// Makes requests until the round is over, several at once.
    fn requests(&mut self, _requests: &Requests, _part: &mut Part<'_>) -> Result<()> {
        Err("this peer is no server".into())
    }
}
