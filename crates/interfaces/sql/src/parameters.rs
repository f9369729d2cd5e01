use tandem_base::{Code, Error, Result};

use crate::value::Value;

/// The values of a statement's parameters.
///
/// `?` and `?N` are found by position, `:name`, `@name` and `$name` by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Parameters {
    /// The statement has none.
    #[default]
    None,
    /// The first is `?1`.
    Positional(Vec<Value>),
    /// By name; the sign before it (`:`, `@`, `$`) may be left out.
    Named(Vec<(String, Value)>),
}

impl Parameters {
    /// Parameters by name.
    pub fn named<N: Into<String>, V: Into<Value>>(
        values: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// From JSON, as programs send it: an array (by position), an object (by
    /// name), or null.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for anything else.
    pub fn from_json(json: &serde_json::Value) -> Result<Self> {
        match json {
            serde_json::Value::Null => Ok(Self::None),
            serde_json::Value::Array(values) => {
                Ok(Self::Positional(values.iter().map(Value::from_json).collect()))
            }
            serde_json::Value::Object(values) => Ok(Self::named(
                values.iter().map(|(name, value)| (name.as_str(), Value::from_json(value))),
            )),
            _ => Err(Error::validation("Invalid \"params\": expected array or object")),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Positional(values) => values.is_empty(),
            Self::Named(values) => values.is_empty(),
        }
    }

    /// The value of the parameter at `index`, from 1, which the statement writes
    /// as `name`, if it names it.
    pub(crate) fn value(&self, index: usize, name: Option<&str>) -> Result<&Value> {
        let found = match (self, name) {
            (Self::Positional(values), _) => values.get(index - 1),
            (Self::Named(values), Some(name)) => values
                .iter()
                .find(|(known, _)| {
                    known == name || known == name.trim_start_matches([':', '@', '$'])
                })
                .map(|(_, value)| value),
            _ => None,
        };
        found.ok_or_else(|| {
            let shown = name.map_or_else(|| format!("?{index}"), str::to_owned);
            Error::new(Code::SqlError, format!("No value for parameter {shown}"))
                .with("parameter", shown)
        })
    }
}

impl From<()> for Parameters {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<Vec<Value>> for Parameters {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values)
    }
}

impl From<&[Value]> for Parameters {
    fn from(values: &[Value]) -> Self {
        Self::Positional(values.to_vec())
    }
}

impl<V: Into<Value>, const N: usize> From<[V; N]> for Parameters {
    fn from(values: [V; N]) -> Self {
        Self::Positional(values.into_iter().map(Into::into).collect())
    }
}

/// Parameters by position, of different types: `params![1, "a", 2.5]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        $crate::Parameters::Positional(vec![$($crate::Value::from($value)),*])
    };
}
