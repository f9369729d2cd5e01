use serde_json::Value;

/// A primary key: a string, a number or a boolean.
///
/// Calls that take a key accept anything that becomes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Key(Value);

impl Key {
    /// The key as a JSON value.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The key as a JSON value.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0
    }
}

impl From<&Value> for Key {
    fn from(key: &Value) -> Self {
        Self(key.clone())
    }
}

impl From<&String> for Key {
    fn from(key: &String) -> Self {
        Self(Value::from(key.as_str()))
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

macro_rules! keys_from {
    ($($type:ty),*) => {
        $(impl From<$type> for Key {
            fn from(key: $type) -> Self {
                Self(Value::from(key))
            }
        })*
    };
}

keys_from!(Value, &str, String, bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, f64);
