use serde_json::{Value, json};
use tandem_base::Error;

/// One way in which a record breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The field: `name`, `address.city`, `tags[1]`.
    pub field: String,
    /// What is wrong, for a person.
    pub message: String,
    /// The rule that is broken: `required`, `type`, `enum`, `minLength`,
    /// `maxLength`, `pattern`, `format`, `min`, `max`.
    pub code: &'static str,
}

impl Issue {
    pub(super) fn new(field: &str, code: &'static str, message: String) -> Self {
        Self { field: field.to_owned(), message, code }
    }

    /// `{field, message, code}`
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "field": self.field, "message": self.message, "code": self.code })
    }
}

/// The `VALIDATION_ERROR` of a record: the message names the bucket and each
/// issue, the details are the issues.
#[must_use]
pub fn validation_error(bucket: &str, issues: &[Issue]) -> Error {
    let list: Vec<_> =
        issues.iter().map(|issue| format!("{}: {}", issue.field, issue.message)).collect();
    Error::validation(format!("Validation failed for bucket \"{bucket}\": {}", list.join("; ")))
        .with_details(issues.iter().map(Issue::to_json).collect())
}
