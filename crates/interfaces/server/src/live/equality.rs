use serde_json::Value;
use tandem_record::filter::{Constraint, Filter};
use tandem_record::key::encode_part;
use tandem_record::row::Row;
use tandem_record::value::ValueRef;

/// A query that asks for more values than this in one list is tested like any
/// other.
const MOST_VALUES: usize = 64;

/// What every match of a filter has in one field: one of these values, or an
/// array with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equality {
    pub(crate) field: String,
    /// As an index has them, so that `1` and `1.0` are one.
    pub(crate) values: Vec<Vec<u8>>,
}

impl Equality {
    /// The equality that a filter is looked up by, if it has one: rather one
    /// value than a list.
    pub(crate) fn of(filter: Option<&Filter>) -> Option<Self> {
        let mut best: Option<Self> = None;
        for conjunct in filter?.conjuncts() {
            if !conjunct.path.is_single() {
                continue;
            }
            let values: &[Value] = match conjunct.constraint {
                Constraint::Equal(value) => std::slice::from_ref(value),
                Constraint::In(values) if values.len() <= MOST_VALUES => values,
                _ => continue,
            };
            // Null also matches what is missing.
            if values.iter().any(Value::is_null) {
                continue;
            }
            if best.as_ref().is_none_or(|best| values.len() < best.values.len()) {
                let values = values.iter().map(encoded).collect();
                best = Some(Self { field: conjunct.path.first().to_owned(), values });
            }
        }
        best
    }
}

/// Hands every value that an equality may find in a row's field to `each`.
pub(crate) fn candidates(row: &Row, field: &str, each: &mut dyn FnMut(Vec<u8>)) {
    row.with_field(field, |value| {
        let Some(value) = value else { return };
        if let ValueRef::Array(elements) = &value {
            elements.iter().map(encoded).for_each(&mut *each);
        }
        each(encoded(&value.to_value()));
    });
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_part(value, false, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_record::{Metadata, Position};

    use super::*;

    fn field_of(filter: Value) -> Option<(String, usize)> {
        let filter = Filter::parse(&filter).expect("a filter");
        Equality::of(Some(&filter)).map(|equality| (equality.field, equality.values.len()))
    }

    #[test]
    fn a_filter_is_looked_up_by_what_every_match_must_equal() {
        assert_eq!(field_of(json!({ "a": 1 })), Some(("a".into(), 1)));
        let both = json!({ "n": { "$gte": 1 }, "a": { "$in": [1, 2] }, "$and": [{ "b": true }] });
        assert_eq!(field_of(both), Some(("b".into(), 1)));
        assert_eq!(field_of(json!({ "a": { "$in": [1, 2] } })), Some(("a".into(), 2)));
        for other in [
            json!({}),
            json!({ "a": null }),
            json!({ "a": { "$in": [1, null] } }),
            json!({ "a.b": 1 }),
            json!({ "a": { "$ne": 1 } }),
            json!({ "$or": [{ "a": 1 }, { "b": 1 }] }),
            json!({ "a": { "$in": (0..65).collect::<Vec<_>>() } }),
        ] {
            assert_eq!(field_of(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn whatever_matches_is_found_by_one_of_its_candidates() {
        let wanted = [json!(1), json!("x"), json!([1, 2]), json!({ "k": 1 }), json!(true)];
        let fields = [
            json!({ "a": 1 }),
            json!({ "a": 1.0 }),
            json!({ "a": [1, 2] }),
            json!({ "a": [[1, 2]] }),
            json!({ "a": ["x", { "k": 1 }] }),
            json!({ "a": { "k": 1 } }),
            json!({ "a": true }),
            json!({ "b": 1 }),
        ];
        let mut matched = 0;
        for wanted in &wanted {
            let filter = Filter::parse(&json!({ "a": { "$eq": wanted } })).expect("a filter");
            let equality = Equality::of(Some(&filter)).expect("an equality");
            for fields in &fields {
                let position = Position { revision: 1, ordinal: 0 };
                let metadata = Metadata { version: 1, created_at: 1, updated_at: 1, position };
                let object = fields.as_object().expect("an object");
                let row = Row::encode(object, metadata).expect("a row");
                let mut found = false;
                candidates(&row, &equality.field, &mut |value| {
                    found |= equality.values.contains(&value);
                });
                assert!(found || !filter.matches(&row), "{wanted} in {fields}");
                matched += usize::from(filter.matches(&row));
            }
        }
        assert!(matched > 5);
    }
}
