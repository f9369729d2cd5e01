//! The script language.
//!
//! A script is a short story about a few connections, one step per line. Every
//! step may say what it answers, at each isolation level, exactly; a step that
//! says nothing must succeed.
//!
//! ```text
//! title: G2-item, write skew
//! case: 13
//! t1: begin
//! t2: begin
//! t1: get 1                => 10
//! t1: update 1 value=11
//! t2: update 2 value=21
//! t1: commit
//! t2: commit               => rc, si: ok | ser: CONFLICT      !! ok
//! after: all               => rc, si: {1:11,2:21} | ser: {1:11,2:20}
//! verdict: rc, si: allowed | ser: prevented
//! ```
//!
//! **Lines of the head**
//!
//! | line | meaning |
//! |---|---|
//! | `title:` `case:` `about:` | the name, its place in the matrix, a sentence for the document (`about:` may repeat) |
//! | `show: value` | which field of a record is shown; several are joined with `/` |
//! | `index: {fields: [value]}` | an index of the bucket `test` (may repeat) |
//! | `setup: {id:1,value:10} …` | the records at the start; without it `{1:10,2:20}` |
//! | `path: name [count] [index={…}] P={…} Q={…}` | a way to serve the predicates that `read` names; the script runs once for each, and `explain` must say that the index is used (or none); the bucket is then filled up with records that answers leave out |
//! | `doors: embedded` | run through these doors only |
//! | `verdict:` | what the `!!` marks of the script come to at each level |
//!
//! **Steps.** `name:` is a connection, opened when it first appears. Without a
//! `begin` each step commits by itself. `after:` is a fresh connection.
//!
//! ```text
//! begin [readonly]            commit [key K] [and disconnect]     rollback
//! savepoint S                 rollbackTo S                        release S
//! get K                       lock K [wait MS]                    disconnect
//! all   where F   findOne F   count [F]   sum FIELD [F]   read P
//! insert {…} …                upsert {…}                          replace K {…}
//! update K f=v … | {…} [expect N]                                 delete K [expect N]
//! updateMany F f=v … | {…}    deleteMany F
//! watch [from start]          changes
//! wait                        the answer of the step that was started with `&`
//! ```
//! A step that ends with `&` waits for a lock: it is started in the background, and
//! the next step is taken once it does wait.
//!
//! **Answers** are `ok`, `none`, a number, a shown record (`10`), shown records
//! by key (`{1:10,2:20}`, in the order of their keys) or an error code. `!! x`
//! marks the answer that would be the anomaly (`or` between several): a level
//! *allows* the anomaly if every mark of the script is met. The verdict is
//! computed from what happened and compared with the script's.

mod parse;
mod step;
pub(crate) mod value;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tandem_transaction::Isolation;

pub use step::{Action, Step};

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its file name without the extension.
    pub name: String,
    /// One line that names the case.
    pub title: String,
    /// The case's place in the matrix: `13`, or `E4` in the list of extras.
    pub case: Option<String>,
    /// What a reader should know.
    pub about: Vec<String>,
    /// The fields of a record that its answers show.
    pub show: Vec<String>,
    /// Index definitions of the bucket `test`.
    pub indexes: Vec<Value>,
    /// The records at the start.
    pub setup: Vec<Map<String, Value>>,
    /// The access paths; one without predicates when the script names none.
    pub paths: Vec<Path>,
    /// The doors it is for; empty = all.
    pub doors: Vec<String>,
    /// The story.
    pub steps: Vec<Step>,
    /// What the marks come to at each level.
    pub verdict: Option<BTreeMap<Isolation, Verdict>>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// A sentence with the line number for the first line that makes no sense.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        parse::script(name, text)
    }

    /// Whether it is meant for the door of that name.
    #[must_use]
    pub fn is_for(&self, door: &str) -> bool {
        self.doors.is_empty() || self.doors.iter().any(|name| name == door)
    }
}

/// One way to serve the predicates of a script.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// What the documents call it.
    pub name: String,
    /// Whether `read` counts instead of fetching.
    pub counts: bool,
    /// The index that has to serve the predicates; `None` = a scan.
    pub index: Option<Value>,
    /// Filters by name.
    pub predicates: BTreeMap<String, Value>,
}

/// Whether a level kept an anomaly out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It happened.
    Allowed,
    /// It did not.
    Prevented,
}

impl Verdict {
    /// The word for documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Prevented => "prevented",
        }
    }
}

/// The short names of the levels in scripts, weakest first.
pub const LEVELS: [(&str, Isolation); 3] = [
    ("rc", Isolation::ReadCommitted),
    ("si", Isolation::Snapshot),
    ("ser", Isolation::Serializable),
];
