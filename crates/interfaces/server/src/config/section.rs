use std::time::Duration;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

/// One object of the config file, read key by key. [`finish`](Self::finish)
/// refuses what nobody asked for.
pub(super) struct Section<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(json: &'a Value) -> Result<Self> {
        let fields = json
            .as_object()
            .ok_or_else(|| Error::validation("Config: expected one JSON object"))?;
        Ok(Self { path: String::new(), fields, known: Vec::new() })
    }

    /// A nested object; absent and null are the same.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Option<Section<'a>>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let fields = value.as_object().ok_or_else(|| self.wrong(key, "an object"))?;
        let path = format!("{}{key}.", self.path);
        Ok(Some(Section { path, fields, known: Vec::new() }))
    }

    /// The raw value; absent and null are the same.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, null included.
    pub(super) fn is_null(&mut self, key: &'static str) -> bool {
        self.known.push(key);
        self.fields.get(key).is_some_and(Value::is_null)
    }

    pub(super) fn string(&mut self, key: &'static str, default: &str) -> Result<String> {
        match self.take(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(_) => Err(self.wrong(key, "a non-empty string")),
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> Result<bool> {
        match self.take(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    pub(super) fn positive(&mut self, key: &'static str) -> Result<Option<usize>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_u64().filter(|number| *number >= 1);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(key, "a positive integer"))
    }

    pub(super) fn milliseconds(
        &mut self,
        key: &'static str,
        default: Duration,
        zero_allowed: bool,
    ) -> Result<Duration> {
        let Some(value) = self.take(key) else { return Ok(default) };
        let number = value.as_u64().filter(|number| zero_allowed || *number >= 1);
        let what =
            if zero_allowed { "a number of milliseconds" } else { "a positive integer (ms)" };
        number.map(Duration::from_millis).ok_or_else(|| self.wrong(key, what))
    }

    pub(super) fn object(&mut self, key: &'static str) -> Result<Map<String, Value>> {
        match self.take(key) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// A key that is missing where one is needed.
    pub(super) fn missing(&self, key: &str) -> Error {
        Error::validation(format!("Config: \"{}{key}\" is required", self.path))
    }

    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::validation(format!("Config: \"{}{key}\" must be {expected}", self.path))
    }

    /// Names every key that was not asked for.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.fields
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
            .map(|key| format!("{}{key}", self.path))
            .collect()
    }
}
