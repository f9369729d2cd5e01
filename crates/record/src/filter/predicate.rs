use std::cmp::Ordering;

use serde_json::Value;

use crate::filter::Node;
use crate::pattern::Pattern;
use crate::value::{TypeName, ValueRef, compare, compare_refs};

/// What a condition asks of the candidates of its path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Predicate {
    /// `$eq`
    Equal(Value),
    /// `$in`
    In(ValueSet),
    /// `$gt`, `$gte`, `$lt`, `$lte`, `$between`
    Range(Range),
    /// `$contains`
    Contains(Substring),
    /// `$startsWith`
    StartsWith(String),
    /// `$endsWith`
    EndsWith(String),
    /// `$regex`
    Regex(RegexMatch),
    /// `$exists`: neither missing nor null.
    Exists,
    /// `$size`
    Size(u64),
    /// `$type`: one of these.
    Type(Vec<TypeName>),
    /// `$mod`
    Modulo {
        /// By what the number is divided.
        divisor: i64,
        /// What that must leave.
        remainder: i64,
    },
    /// `$all`: each holds.
    All(Vec<Predicate>),
    /// Each holds: several operators in one `$not`.
    Every(Vec<Predicate>),
    /// `$elemMatch` of operators: one element satisfies all.
    Element(Vec<Predicate>),
    /// `$elemMatch` of a filter: one element is an object that matches.
    ElementObject(ElementFilter),
    /// `$not`, and the negative operators.
    Not(Box<Predicate>),
}

/// The filter within `$elemMatch`.
#[derive(Clone, Debug)]
pub struct ElementFilter(pub(crate) Box<Node>);

/// A sorted list of distinct values.
#[derive(Clone, Debug)]
pub struct ValueSet {
    values: Vec<Value>,
}

impl ValueSet {
    pub(crate) fn new(mut values: Vec<Value>) -> Self {
        values.sort_by(compare);
        values.dedup_by(|a, b| compare(a, b).is_eq());
        Self { values }
    }

    /// The values in their order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether `value` is one of them.
    #[must_use]
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        self.values.binary_search_by(|known| compare_refs(known.into(), value)).is_ok()
    }
}

/// One end of a range.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Where it is.
    pub value: Value,
    /// Whether that value is within the range.
    pub inclusive: bool,
}

/// A range of values of one type: values of another type than a bound's are
/// outside.
#[derive(Clone, Debug)]
pub struct Range {
    /// The lower end; `None` = from the least value of the type.
    pub lower: Option<Bound>,
    /// The upper end; `None` = to the largest value of the type.
    pub upper: Option<Bound>,
}

impl Range {
    /// Whether `value` is within the range.
    #[must_use]
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        let within = |bound: &Option<Bound>, inside: Ordering| {
            bound.as_ref().is_none_or(|bound| {
                let edge = ValueRef::from(&bound.value);
                edge.kind() == value.kind() && {
                    let order = compare_refs(value, edge);
                    order == inside || (bound.inclusive && order.is_eq())
                }
            })
        };
        within(&self.lower, Ordering::Greater) && within(&self.upper, Ordering::Less)
    }
}

/// A text to be found whatever the case of its letters.
#[derive(Clone, Debug)]
pub struct Substring {
    text: String,
    lowercase: String,
}

impl Substring {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), lowercase: text.to_lowercase() }
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lowercase)
    }
}

/// A pattern with its options.
#[derive(Clone, Debug)]
pub struct RegexMatch {
    pub(crate) pattern: Pattern,
    pub(crate) options: String,
}

impl Predicate {
    /// Whether an array satisfies it by one of its elements.
    pub(crate) fn spreads(&self) -> bool {
        match self {
            Self::Equal(_)
            | Self::In(_)
            | Self::Range(_)
            | Self::Contains(_)
            | Self::StartsWith(_)
            | Self::EndsWith(_)
            | Self::Regex(_)
            | Self::Type(_)
            | Self::Modulo { .. } => true,
            Self::Exists
            | Self::Size(_)
            | Self::All(_)
            | Self::Every(_)
            | Self::Element(_)
            | Self::ElementObject(_)
            | Self::Not(_) => false,
        }
    }
}

/// The part of [`Predicate`] that looks at one value.
impl Predicate {
    /// Whether one value, taken as a whole, satisfies a predicate that
    /// [`spreads`](Self::spreads), or `$exists` and `$size`.
    pub(crate) fn holds_for(&self, value: Option<ValueRef<'_>>) -> bool {
        let value_or_null = value.unwrap_or(ValueRef::Null);
        let text = |test: &dyn Fn(&str) -> bool| match value {
            Some(ValueRef::String(text)) => test(text),
            _ => false,
        };
        match self {
            Self::Equal(expected) => compare_refs(value_or_null, expected.into()).is_eq(),
            Self::In(set) => set.contains(value_or_null),
            Self::Range(range) => range.contains(value_or_null),
            Self::Contains(part) => text(&|text| part.is_in(text)),
            Self::StartsWith(prefix) => text(&|text| text.starts_with(prefix.as_str())),
            Self::EndsWith(suffix) => text(&|text| text.ends_with(suffix.as_str())),
            Self::Regex(regex) => text(&|text| regex.pattern.is_match(text)),
            Self::Exists => !matches!(value_or_null, ValueRef::Null),
            Self::Size(size) => {
                matches!(value, Some(ValueRef::Array(elements)) if elements.len() as u64 == *size)
            }
            Self::Type(types) => {
                value.is_some_and(|value| types.iter().any(|type_name| type_name.holds(value)))
            }
            Self::Modulo { divisor, remainder } => match value {
                Some(ValueRef::Number(number)) => truncated(number)
                    .is_some_and(|number| number % i128::from(*divisor) == i128::from(*remainder)),
                _ => false,
            },
            Self::All(_)
            | Self::Every(_)
            | Self::Element(_)
            | Self::ElementObject(_)
            | Self::Not(_) => false,
        }
    }
}

/// The number without its fraction, if it has 64 bits.
pub(crate) fn truncated(number: &serde_json::Number) -> Option<i128> {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is to go")]
    integer.or_else(|| {
        number
            .as_f64()
            .filter(|float| float.abs() < 18_446_744_073_709_551_616.0)
            .map(|f| f as i128)
    })
}
