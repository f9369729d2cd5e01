//! The doors: ways in which a program can hold a transaction open.
//!
//! A script knows connections and steps; a door turns them into calls. All
//! doors must give the same answers.

mod elsewhere;
mod embedded;
mod sql;
mod websocket;

use serde_json::Value;
use tandem_transaction::Isolation;

pub use elsewhere::{Elsewhere, server};
pub use embedded::Embedded;
pub use sql::SqlSessions;
pub use websocket::WebSocket;

use crate::answer::Answer;
use crate::script::{Action, Path};

/// The bucket that scripts work on.
pub const BUCKET: &str = "test";

/// One way in.
pub trait Door {
    /// Its name in scripts and documents.
    fn name(&self) -> &'static str;

    /// A new, empty store with the bucket [`BUCKET`] of that definition.
    fn open(&self, bucket: &Value) -> Box<dyn World>;

    /// Whether predicates can be served along that path behind this door.
    fn takes(&self, _path: &Path) -> bool {
        true
    }
}

/// One store behind a door.
pub trait World {
    /// A new connection, whose transactions run at `level`.
    fn connect(&mut self, level: Isolation) -> Box<dyn Connection>;

    /// How many transactions wait for a lock now.
    fn lock_waiters(&mut self) -> usize;

    /// What is wrong when the story is over and every connection is gone:
    /// index entries that do not match their rows, transactions left open.
    fn problems(&mut self) -> Vec<String>;
}

/// One connection; rolls back when it is dropped.
pub trait Connection: Send {
    /// Takes a step. `read` and `wait` are the runner's and do not arrive here.
    fn take(&mut self, action: &Action) -> Answer;

    /// The index that would serve this filter now, if any.
    fn index_for(&mut self, filter: &Value, counts: bool) -> Option<String>;
}

/// Every door.
#[must_use]
pub fn doors() -> Vec<Box<dyn Door>> {
    vec![Box::new(Embedded), Box::new(Elsewhere), Box::new(WebSocket), Box::new(SqlSessions)]
}
