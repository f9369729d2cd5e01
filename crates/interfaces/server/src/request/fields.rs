use std::time::Duration;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

/// The fields of a request, with the checks and messages that all requests
/// share. Values are taken out, not copied.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// A non-empty string.
    pub(crate) fn string(&mut self, field: &str) -> Result<String> {
        match self.0.get_mut(field).map(Value::take) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            _ => Err(missing(field, "non-empty string")),
        }
    }

    /// A string, if the field is there.
    pub(crate) fn optional_string(&mut self, field: &str) -> Result<Option<String>> {
        match self.optional(field) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(invalid(field, "non-empty string")),
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, field: &str) -> Result<Map<String, Value>> {
        match self.0.get_mut(field).map(Value::take) {
            Some(Value::Object(object)) => Ok(object),
            _ => Err(missing(field, "object")),
        }
    }

    /// An object, if the field is there; null counts as absent.
    pub(crate) fn optional_object(&mut self, field: &str) -> Result<Option<Map<String, Value>>> {
        match self.optional(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(invalid(field, "object")),
        }
    }

    /// A filter, if there is one; without one everything matches.
    pub(crate) fn filter(&mut self) -> Result<Value> {
        Ok(Value::Object(self.optional_object("filter")?.unwrap_or_default()))
    }

    /// An array of objects.
    pub(crate) fn objects(&mut self, field: &str) -> Result<Vec<Map<String, Value>>> {
        let Some(Value::Array(items)) = self.0.get_mut(field).map(Value::take) else {
            return Err(missing(field, "array"));
        };
        let object = |(index, item)| match item {
            Value::Object(object) => Ok(object),
            _ => Err(Error::validation(format!("{field}[{index}]: expected object"))),
        };
        items.into_iter().enumerate().map(object).collect()
    }

    /// An integer from 1.
    pub(crate) fn positive(&mut self, field: &str) -> Result<usize> {
        let value = self.0.get(field).and_then(integer).filter(|number| *number >= 1);
        value
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| missing(field, "positive integer"))
    }

    /// An integer from 0, if the field is there.
    pub(crate) fn optional_count(&mut self, field: &str) -> Result<Option<usize>> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        let number = integer(&value).and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| invalid(field, "non-negative integer"))
    }

    /// A record's version, if the field is there.
    pub(crate) fn expected_version(&mut self) -> Result<Option<u64>> {
        self.optional_revision("expectedVersion")
    }

    /// A revision, if the field is there.
    pub(crate) fn optional_revision(&mut self, field: &str) -> Result<Option<u64>> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        integer(&value).map(Some).ok_or_else(|| invalid(field, "non-negative integer"))
    }

    /// A time in milliseconds, if the field is there.
    pub(crate) fn optional_milliseconds(
        &mut self,
        field: &str,
        zero_allowed: bool,
    ) -> Result<Option<Duration>> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        let least = u64::from(!zero_allowed);
        let number = integer(&value).filter(|number| *number >= least);
        let expected = if zero_allowed { "non-negative integer" } else { "positive integer" };
        number.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(|| invalid(field, expected))
    }

    /// True or false; absent is false.
    pub(crate) fn flag(&mut self, field: &str) -> Result<bool> {
        match self.optional(field) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(invalid(field, "boolean")),
        }
    }

    /// Strings, if the field is there.
    pub(crate) fn optional_strings(&mut self, field: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.optional(field) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(invalid(field, "array of strings")) };
        let text = |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        };
        let strings: Option<Vec<String>> = items.into_iter().map(text).collect();
        strings.map(Some).ok_or_else(|| invalid(field, "array of strings"))
    }

    /// A record's key: anything but null. `false`, `0` and `""` are keys.
    pub(crate) fn key(&mut self) -> Result<Value> {
        match self.0.get_mut("key").map(Value::take) {
            None | Some(Value::Null) => {
                Err(Error::validation("Missing \"key\": expected non-null value"))
            }
            Some(key) => Ok(key),
        }
    }

    /// Any value; absent and null are `None`.
    pub(crate) fn optional(&mut self, field: &str) -> Option<Value> {
        self.0.get_mut(field).map(Value::take).filter(|value| !value.is_null())
    }
}

/// A whole number that is not negative, also when it is written `2.0`.
fn integer(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let number = value.as_f64()?;
    // Beyond 2^53 a float is not an exact count.
    let whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and in range"
    )]
    whole.then_some(number as u64)
}

pub(crate) fn missing(field: &str, expected: &str) -> Error {
    Error::validation(format!("Missing or invalid \"{field}\": expected {expected}"))
}

pub(crate) fn invalid(field: &str, expected: &str) -> Error {
    Error::validation(format!("Invalid \"{field}\": expected {expected}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(map) => Fields(map),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn the_messages_are_the_documented_ones() {
        let mut given = fields(json!({ "a": 1, "o": [], "n": 0, "f": "x", "key": null }));
        let messages = [
            given.string("a").unwrap_err(),
            given.object("o").unwrap_err(),
            given.positive("n").unwrap_err(),
            given.optional_object("f").unwrap_err(),
            given.key().unwrap_err(),
        ]
        .map(|error| error.message().to_owned());
        assert_eq!(
            messages,
            [
                "Missing or invalid \"a\": expected non-empty string",
                "Missing or invalid \"o\": expected object",
                "Missing or invalid \"n\": expected positive integer",
                "Invalid \"f\": expected object",
                "Missing \"key\": expected non-null value",
            ]
        );
    }

    #[test]
    fn false_zero_and_the_empty_string_are_keys() {
        for key in [json!(false), json!(0), json!("")] {
            assert_eq!(fields(json!({ "key": key })).key().unwrap(), key);
        }
    }

    #[test]
    fn a_whole_float_is_an_integer_and_a_fraction_is_not() {
        assert_eq!(fields(json!({ "n": 2.0 })).positive("n").unwrap(), 2);
        assert!(fields(json!({ "n": 1.5 })).positive("n").is_err());
        assert!(fields(json!({ "n": -1 })).positive("n").is_err());
    }
}
