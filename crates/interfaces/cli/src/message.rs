use serde_json::Value;
use tandem::Error;

/// The details that no message repeats and a person needs.
const SHOWN: [&str; 6] = ["path", "cause", "found", "supported", "max", "actual"];

/// The error as a person reads it: the code, the message, and in brackets what
/// the message leaves out, such as the path of a file.
pub(crate) fn of(error: &Error) -> String {
    with_details(error.to_string(), |name| error.detail(name))
}

/// The same for what was said of an error, and its details.
pub(crate) fn with_details<'a>(said: String, detail: impl Fn(&str) -> Option<&'a Value>) -> String {
    let details: Vec<String> = SHOWN
        .iter()
        .filter_map(|name| Some((name, detail(name)?)))
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}: {text}"),
            None => format!("{name}: {value}"),
        })
        .collect();
    if details.is_empty() { said } else { format!("{said} ({})", details.join(", ")) }
}

#[cfg(test)]
mod tests {
    use tandem::Code;

    use super::*;

    #[test]
    fn details_that_the_message_leaves_out_follow_it() {
        let error = Error::new(Code::StorageError, "A file operation failed")
            .with("cause", "No space left")
            .with("bucket", "users")
            .with("path", "/data");
        let expected = "STORAGE_ERROR: A file operation failed (path: /data, cause: No space left)";
        assert_eq!(of(&error), expected);
        let limit = Error::limit("writeSetBytes", 10, 11);
        assert!(of(&limit).ends_with("(max: 10, actual: 11)"));
        assert_eq!(of(&Error::validation("No")), "VALIDATION_ERROR: No");
    }
}
