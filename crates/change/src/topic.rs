//! Topics: `bucket.<name>.inserted`, `.updated` or `.deleted`.
//!
//! A topic has three segments. The first ends at the first dot and the last
//! begins after the last dot, so the name between them is *one* segment even if
//! it contains dots itself: `bucket.a.b.updated` is about the bucket `a.b`. In a
//! pattern `*` stands for any one segment, and `bucket.*.updated` therefore
//! covers `a.b` too. There is no partial wildcard: `us*` is a bucket of that
//! name, and the bucket `*` can only be followed together with all others.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tandem_base::{Error, Result};
use tandem_transaction::Change;

const DOMAIN: &str = "bucket";
const ANY: &str = "*";

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was not there before.
    Inserted,
    /// It was there before and after.
    Updated,
    /// It is not there any more.
    Deleted,
}

impl ChangeKind {
    /// What a change did.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        match (&change.before, &change.after) {
            (_, None) => Self::Deleted,
            (None, Some(_)) => Self::Inserted,
            (Some(_), Some(_)) => Self::Updated,
        }
    }

    /// The last segment of a topic: `inserted`, `updated` or `deleted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    fn parse(segment: &str) -> Option<Self> {
        [Self::Inserted, Self::Updated, Self::Deleted]
            .into_iter()
            .find(|kind| kind.as_str() == segment)
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// What happened to the record.
    pub kind: ChangeKind,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DOMAIN}.{}.{}", self.bucket, self.kind.as_str())
    }
}

impl FromStr for Topic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let pattern: TopicPattern = text.parse()?;
        match (pattern.bucket, pattern.kind) {
            (Some(bucket), Some(kind)) => Ok(Self { bucket, kind }),
            _ => Err(invalid(text, "a topic has no wildcards")),
        }
    }
}

/// A set of topics; parse it from text such as `bucket.*.inserted`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicPattern {
    bucket: Option<Arc<str>>,
    kind: Option<ChangeKind>,
}

impl TopicPattern {
    /// The one bucket that is meant; `None` = any.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Whether changes of this kind in this bucket are meant.
    #[must_use]
    pub fn matches(&self, bucket: &str, kind: ChangeKind) -> bool {
        self.bucket.as_deref().is_none_or(|name| name == bucket)
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

impl FromStr for TopicPattern {
    type Err = Error;

    /// # Errors
    /// `VALIDATION_ERROR` naming the topic and what is wrong with it.
    fn from_str(text: &str) -> Result<Self> {
        let segments = text.split_once('.').and_then(|(domain, rest)| {
            let (name, kind) = rest.rsplit_once('.')?;
            Some((domain, name, kind))
        });
        let Some((domain, name, kind)) = segments else {
            return Err(invalid(text, "expected bucket.<name>.<inserted|updated|deleted>"));
        };
        if domain != DOMAIN && domain != ANY {
            return Err(invalid(text, "expected \"bucket\" as the first segment"));
        }
        if name.is_empty() {
            return Err(invalid(text, "the bucket's name is empty"));
        }
        let kind = match kind {
            ANY => None,
            kind => Some(ChangeKind::parse(kind).ok_or_else(|| {
                invalid(text, "expected inserted, updated, deleted or * as the last segment")
            })?),
        };
        Ok(Self { bucket: (name != ANY).then(|| name.into()), kind })
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.bucket.as_deref().unwrap_or(ANY);
        write!(f, "{DOMAIN}.{bucket}.{}", self.kind.map_or(ANY, ChangeKind::as_str))
    }
}

fn invalid(topic: &str, problem: &'static str) -> Error {
    Error::validation(format!("Invalid topic \"{topic}\": {problem}")).with("topic", topic)
}

#[cfg(test)]
mod tests {
    use tandem_base::Code;

    use super::*;

    fn matches(pattern: &str, bucket: &str, kind: ChangeKind) -> bool {
        pattern.parse::<TopicPattern>().unwrap().matches(bucket, kind)
    }

    #[test]
    fn a_star_stands_for_one_whole_segment() {
        use ChangeKind::{Deleted, Inserted, Updated};
        assert!(matches("bucket.users.inserted", "users", Inserted));
        assert!(!matches("bucket.users.inserted", "users", Updated));
        assert!(!matches("bucket.users.inserted", "orders", Inserted));
        assert!(matches("bucket.users.*", "users", Deleted));
        assert!(!matches("bucket.users.*", "user", Deleted));
        assert!(matches("bucket.*.updated", "orders", Updated));
        assert!(!matches("bucket.*.updated", "orders", Deleted));
        assert!(matches("bucket.*.*", "orders", Deleted));
        assert!(matches("*.*.*", "orders", Inserted));
        assert!(!matches("bucket.us*.inserted", "users", Inserted));
    }

    #[test]
    fn a_name_with_dots_is_one_segment() {
        assert!(matches("bucket.eu.users.inserted", "eu.users", ChangeKind::Inserted));
        assert!(matches("bucket.*.inserted", "eu.users", ChangeKind::Inserted));
        assert!(!matches("bucket.eu.*.inserted", "eu.users", ChangeKind::Inserted));
    }

    #[test]
    fn topics_and_patterns_read_back_as_they_were_written() {
        for text in ["bucket.users.inserted", "bucket.a.b.deleted"] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for text in ["bucket.*.*", "bucket.users.*", "bucket.a.b.updated"] {
            assert_eq!(text.parse::<TopicPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn g9_a_malformed_topic_is_refused_by_name() {
        let bad = ["", "*", "bucket", "bucket.users", "bucket..inserted", "bucket.users.removed"];
        for text in bad.into_iter().chain(["users.inserted", "rule.users.inserted"]) {
            let error = text.parse::<TopicPattern>().expect_err(text);
            assert_eq!(error.code(), Code::ValidationError, "{text}");
            assert_eq!(error.detail("topic").and_then(|topic| topic.as_str()), Some(text));
        }
        assert!("bucket.*.inserted".parse::<Topic>().is_err());
    }
}
