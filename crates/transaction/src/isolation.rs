use std::fmt;
use std::str::FromStr;

use tandem_base::Error;

/// Which anomalies a transaction may meet; chosen at begin.
///
/// `docs/isolation.md` shows, case by case, what each level admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum Isolation {
    /// Each operation reads the newest revision; the last writer of a record
    /// wins at commit.
    ReadCommitted,
    /// All reads are of the begin revision; the first committer of a record
    /// wins.
    Snapshot,
    /// As `Snapshot`, and nothing that was read may have changed by commit.
    #[default]
    Serializable,
}

impl Isolation {
    /// All levels, weakest first.
    pub const ALL: [Self; 3] = [Self::ReadCommitted, Self::Snapshot, Self::Serializable];

    /// The level's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read committed",
            Self::Snapshot => "snapshot",
            Self::Serializable => "serializable",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
            Error::validation(format!(
                "Invalid \"isolation\": expected one of: read committed, snapshot, serializable, \
                 got \"{text}\""
            ))
        })
    }
}
