//! What a filter says about single paths, as far as an access can use it.

use std::ops::Bound as End;

use serde_json::{Map, Value, json};
use tandem_record::filter::{Bound, Constraint as Condition, Filter};
use tandem_record::key;
use tandem_record::value::{Path, compare};

use crate::plan::estimate;

/// One condition of a filter on one path: some value there, an element of an
/// array included, meets it.
#[derive(Clone, Debug)]
enum Fact {
    OneOf(Vec<Value>),
    /// Numbers or strings; an end is a value and whether it is included.
    Between(Option<(Value, bool)>, Option<(Value, bool)>),
    StartsWith(String),
}

/// What an access looks for on one path.
#[derive(Clone, Debug)]
pub(crate) enum Constraint {
    /// One of these values.
    AnyOf(Vec<Value>),
    /// Something in the interval.
    Within(Interval),
}

/// An interval of numbers or of strings.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(crate) lower: End<Value>,
    pub(crate) upper: End<Value>,
    /// Strings that begin so; then there are no other bounds.
    pub(crate) starts_with: Option<String>,
}

impl Interval {
    /// The type tag that all encodings in the interval begin with.
    pub(crate) fn tag(&self) -> u8 {
        let (End::Included(value) | End::Excluded(value)) = (match &self.lower {
            End::Unbounded => &self.upper,
            lower => lower,
        }) else {
            return key::first_byte(&json!(""));
        };
        key::first_byte(value)
    }
}

impl Constraint {
    /// The part of a bucket that it selects, as a guess.
    pub(crate) fn selectivity(&self) -> f64 {
        estimate::selectivity(self)
    }

    /// As a filter writes it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::AnyOf(values) if values.len() == 1 => values[0].clone(),
            Self::AnyOf(values) => json!({ "$in": values }),
            Self::Within(Interval { starts_with: Some(text), .. }) => {
                json!({ "$startsWith": text })
            }
            Self::Within(interval) => {
                let mut operators = Map::new();
                let mut add = |included: &str, excluded: &str, end: &End<Value>| match end {
                    End::Included(value) => operators.insert(included.to_owned(), value.clone()),
                    End::Excluded(value) => operators.insert(excluded.to_owned(), value.clone()),
                    End::Unbounded => None,
                };
                add("$gte", "$gt", &interval.lower);
                add("$lte", "$lt", &interval.upper);
                Value::Object(operators)
            }
        }
    }
}

/// The facts of a filter, and how many of its conditions are none.
#[derive(Debug)]
pub(crate) struct Constraints {
    facts: Vec<(Path, Fact)>,
    unknown_conditions: u32,
    /// Whether the filter holds exactly where all its conjuncts do.
    conjuncts_are_all: bool,
    /// The part of a bucket that all facts together select, as a guess.
    selectivity: f64,
}

impl Constraints {
    /// What can be learnt from `filter`.
    pub(crate) fn of(filter: Option<&Filter>) -> Self {
        let mut constraints = Self {
            facts: Vec::new(),
            unknown_conditions: 0,
            conjuncts_are_all: false,
            selectivity: 1.0,
        };
        let Some(filter) = filter else { return constraints };
        let conjuncts = filter.conjuncts();
        if conjuncts.is_empty() && !filter.is_all() {
            constraints.unknown_conditions += 1;
        }
        for conjunct in conjuncts {
            match Fact::of(&conjunct.constraint) {
                Some(fact) => constraints.facts.push((conjunct.path.clone(), fact)),
                None => constraints.unknown_conditions += 1,
            }
        }
        constraints.conjuncts_are_all = filter.is_conjunction();
        constraints.selectivity = constraints.guess_selectivity();
        constraints
    }

    /// Whether something is known about `path`.
    pub(crate) fn mention(&self, path: &Path) -> bool {
        self.paths().any(|other| other == path)
    }

    /// How many facts hold for a value exactly if it meets `best`, which is the best that an
    /// access can use for `path`, and if it is no array, which may meet a condition by an
    /// element of it. 0 where that cannot be told.
    ///
    /// Of a path with several names nothing is told: on the way it may cross an array.
    pub(crate) fn decided_by(&self, path: &Path, best: &Constraint) -> usize {
        let mut facts = self.facts.iter().filter(|(other, _)| other == path);
        match (path.is_single(), facts.next(), facts.next(), best) {
            (true, Some((_, Fact::OneOf(values))), None, Constraint::AnyOf(_))
                if matches!(
                    &values[..],
                    [Value::Bool(_) | Value::Number(_) | Value::String(_)]
                ) =>
            {
                1
            }
            (true, Some((_, Fact::Between(lower, upper))), None, Constraint::Within(_)) => {
                let tags =
                    |end: &Option<(Value, bool)>| end.as_ref().map(|end| key::first_byte(&end.0));
                // Ends of two types: no value is within, but only one of them narrows.
                let one_type = match (tags(lower), tags(upper)) {
                    (Some(lower), Some(upper)) => lower == upper,
                    _ => true,
                };
                usize::from(one_type)
            }
            _ => 0,
        }
    }

    /// Whether the filter is nothing but so many facts.
    pub(crate) fn are_all(&self, facts: usize) -> bool {
        self.conjuncts_are_all && self.unknown_conditions == 0 && self.facts.len() == facts
    }

    /// The paths that something is known about; one may occur several times.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.facts.iter().map(|(path, _)| path)
    }

    /// How many conditions nothing is known about.
    pub(crate) fn unknown_conditions(&self) -> u32 {
        self.unknown_conditions
    }

    /// The part of a bucket that all facts together select, as a guess.
    pub(crate) fn selectivity(&self) -> f64 {
        self.selectivity
    }

    fn guess_selectivity(&self) -> f64 {
        let mut seen: Vec<&Path> = Vec::new();
        let mut selected = 1.0;
        for path in self.paths() {
            if !seen.contains(&path) {
                seen.push(path);
                selected *= self.best(path, false).map_or(1.0, |best| best.selectivity());
            }
        }
        selected
    }

    /// What an access can best use for `path`. With `of_elements`, where the
    /// elements of an array are looked at one by one, it must be about one
    /// element alone, and not about an array as a whole.
    pub(crate) fn best(&self, path: &Path, of_elements: bool) -> Option<Constraint> {
        let facts: Vec<&Fact> =
            self.facts.iter().filter(|(other, _)| other == path).map(|(_, fact)| fact).collect();
        let lists = || {
            facts.iter().filter_map(|fact| match fact {
                Fact::OneOf(values) => Some(values),
                _ => None,
            })
        };
        let scalars = lists()
            .filter(|values| !values.iter().any(Value::is_array))
            .min_by_key(|values| values.len());
        if let Some(values) = scalars {
            return Some(Constraint::AnyOf(values.clone()));
        }
        if let Some(interval) = best_interval(&facts, of_elements) {
            return Some(Constraint::Within(interval));
        }
        let list = lists().min_by_key(|values| values.len()).filter(|_| !of_elements)?;
        Some(Constraint::AnyOf(list.clone()))
    }
}

impl Fact {
    fn of(constraint: &Condition<'_>) -> Option<Self> {
        let ordered = |value: &Value| value.is_number() || value.is_string();
        match constraint {
            Condition::Equal(value) => Some(Self::OneOf(vec![(*value).clone()])),
            Condition::In(values) => Some(Self::OneOf(values.to_vec())),
            Condition::IsNull => Some(Self::OneOf(vec![Value::Null])),
            Condition::Prefix(text) => Some(Self::StartsWith((*text).to_owned())),
            Condition::Range { lower, upper } => {
                let end = |bound: &Option<&Bound>| {
                    bound.map(|bound| (bound.value.clone(), bound.inclusive))
                };
                let (lower, upper) = (end(lower), end(upper));
                let ends = || lower.iter().chain(&upper);
                (ends().next().is_some() && ends().all(|(value, _)| ordered(value)))
                    .then(|| Self::Between(lower.clone(), upper.clone()))
            }
            Condition::Other => None,
        }
    }
}

/// One interval that a value must lie in: all ranges of one type together, or
/// one of them where two may be met by two elements.
fn best_interval(facts: &[&Fact], of_elements: bool) -> Option<Interval> {
    let starts_with = facts.iter().find_map(|fact| match fact {
        Fact::StartsWith(text) => Some(text.clone()),
        _ => None,
    });
    if starts_with.is_some() {
        return Some(Interval { lower: End::Unbounded, upper: End::Unbounded, starts_with });
    }
    let mut kind = None;
    let mut lower: Option<&(Value, bool)> = None;
    let mut upper: Option<&(Value, bool)> = None;
    for fact in facts {
        let Fact::Between(low, high) = fact else { continue };
        if of_elements && kind.is_some() {
            break;
        }
        if let Some(end) = low
            && *kind.get_or_insert(key::first_byte(&end.0)) == key::first_byte(&end.0)
            && lower.is_none_or(|other| compare(&end.0, &other.0).is_gt())
        {
            lower = Some(end);
        }
        if let Some(end) = high
            && *kind.get_or_insert(key::first_byte(&end.0)) == key::first_byte(&end.0)
            && upper.is_none_or(|other| compare(&end.0, &other.0).is_lt())
        {
            upper = Some(end);
        }
    }
    kind?;
    let end = |bound: Option<&(Value, bool)>| match bound {
        Some((value, true)) => End::Included(value.clone()),
        Some((value, false)) => End::Excluded(value.clone()),
        None => End::Unbounded,
    };
    Some(Interval { lower: end(lower), upper: end(upper), starts_with: None })
}
