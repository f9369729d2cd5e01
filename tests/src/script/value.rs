//! JSON as a person likes to type it: field names and words need no quotes.
//!
//! ```text
//! {id: 1, email: x, tags: [a, b], value: {$mod: [3, 0]}}
//! ```
//! `true`, `false`, `null` and numbers keep their meaning; any other word is a
//! string.

use serde_json::{Map, Number, Value};

/// Reads a line from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    /// What has not been read yet, without leading blanks.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    /// Takes `token` if it comes next.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        if found {
            self.skip(token.len());
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("expected `{token}` before `{}`", self.rest))
    }

    /// Takes `word` if it comes next as a whole word.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        if found {
            self.skip(word.len());
        }
        found
    }

    /// The next run of letters, digits, `_`, `$`, `.`, `-` and `@`.
    pub(crate) fn peek_word(&self) -> &'a str {
        let is_part = |c: char| c.is_alphanumeric() || "_$.-@".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        &self.rest[..end]
    }

    pub(crate) fn word(&mut self) -> Result<&'a str, String> {
        let word = self.peek_word();
        if word.is_empty() {
            return Err(format!("expected a word before `{}`", self.rest));
        }
        self.skip(word.len());
        Ok(word)
    }

    pub(crate) fn number(&mut self) -> Result<u64, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("expected a number, got `{word}`"))
    }

    /// One value: object, array, quoted string, number or word.
    pub(crate) fn value(&mut self) -> Result<Value, String> {
        match self.rest.chars().next() {
            Some('{') => self.object().map(Value::Object),
            Some('[') => self.array(),
            Some('"') => self.quoted(),
            _ => Ok(word_value(self.word()?)),
        }
    }

    pub(crate) fn object(&mut self) -> Result<Map<String, Value>, String> {
        self.expect("{")?;
        let mut object = Map::new();
        while !self.take("}") {
            if !object.is_empty() {
                self.expect(",")?;
            }
            let name = self.name()?;
            self.expect(":")?;
            object.insert(name, self.value()?);
        }
        Ok(object)
    }

    /// A field name; quoted when it is not a plain word.
    pub(crate) fn name(&mut self) -> Result<String, String> {
        if self.rest.starts_with('"') {
            return match self.quoted()? {
                Value::String(name) => Ok(name),
                other => Err(format!("expected a name, got {other}")),
            };
        }
        self.word().map(str::to_owned)
    }

    fn array(&mut self) -> Result<Value, String> {
        self.expect("[")?;
        let mut items = Vec::new();
        while !self.take("]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(self.value()?);
        }
        Ok(Value::Array(items))
    }

    fn quoted(&mut self) -> Result<Value, String> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let value = values.next().ok_or("expected a string")?;
        let value = value.map_err(|error| error.to_string())?;
        let end = values.byte_offset();
        self.skip(end);
        Ok(value)
    }
}

fn word_value(word: &str) -> Value {
    match word {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => word.parse::<Number>().map_or_else(|_| Value::String(word.to_owned()), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_words_need_no_quotes() {
        let mut cursor = Cursor::new("{id: 1, email: x@y.z, ok: true, a.b: {$mod: [3, 0]}} tail");
        let value = cursor.value().unwrap();
        assert_eq!(value, json!({"id": 1, "email": "x@y.z", "ok": true, "a.b": {"$mod": [3, 0]}}));
        assert_eq!(cursor.rest(), "tail");
    }

    #[test]
    fn quotes_are_for_strings_with_blanks_or_digits() {
        assert_eq!(Cursor::new(r#"["1", "a b", -2]"#).value().unwrap(), json!(["1", "a b", -2]));
    }

    #[test]
    fn a_missing_brace_is_an_error() {
        assert!(Cursor::new("{id: 1").value().is_err());
        assert!(Cursor::new("{id 1}").value().is_err());
    }
}
