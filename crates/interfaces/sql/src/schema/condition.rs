//! A filter as a condition of SQL, where it can be one.

use serde_json::Value as Json;

use crate::schema::{literal, name};

/// The condition that is true for the records that the filter matches. `None` for
/// what is said otherwise in SQL, or not at all.
pub(super) fn condition(filter: &Json) -> Option<String> {
    let parts = parts(filter)?;
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

fn parts(filter: &Json) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for (key, value) in filter.as_object()? {
        match key.as_str() {
            "$and" => {
                for filter in value.as_array()? {
                    parts.extend(self::parts(filter)?);
                }
            }
            "$or" => parts.push(format!("({})", any(value)?)),
            "$nor" => parts.push(format!("({}) IS NOT TRUE", any(value)?)),
            operator if operator.starts_with('$') => return None,
            // A path is no column.
            field if field.contains('.') => return None,
            field => of_field(field, value, &mut parts)?,
        }
    }
    Some(parts)
}

fn any(filters: &Json) -> Option<String> {
    let sides: Option<Vec<String>> = filters
        .as_array()?
        .iter()
        .map(|filter| {
            let parts = parts(filter)?;
            let several = parts.len() > 1;
            let all = parts.join(" AND ");
            (!all.is_empty()).then(|| if several { format!("({all})") } else { all })
        })
        .collect();
    sides.filter(|sides| !sides.is_empty()).map(|sides| sides.join(" OR "))
}

fn of_field(field: &str, value: &Json, parts: &mut Vec<String>) -> Option<()> {
    let column = name(field);
    let Json::Object(operators) = value else {
        parts.push(compared(&column, "=", value)?);
        return Some(());
    };
    let not_null = operators.get("$exists") == Some(&Json::Bool(true));
    let mut needs_value = not_null;
    for (operator, operand) in operators {
        let sign = match operator.as_str() {
            "$exists" if operand == false => {
                parts.push(format!("{column} IS NULL"));
                continue;
            }
            "$exists" if operand == true => continue,
            "$in" | "$nin" => {
                let values: Option<Vec<String>> = operand.as_array()?.iter().map(scalar).collect();
                let not = match (operator.as_str(), not_null) {
                    ("$in", _) => "",
                    ("$nin", true) => "NOT ",
                    _ => return None,
                };
                parts.push(format!("{column} {not}IN ({})", values?.join(", ")));
                needs_value = false;
                continue;
            }
            "$eq" => "=",
            "$ne" | "$neq" if not_null => "<>",
            "$ne" | "$neq" => "IS NOT",
            "$gt" => ">",
            "$gte" => ">=",
            "$lt" => "<",
            "$lte" => "<=",
            _ => return None,
        };
        parts.push(compared(&column, sign, operand)?);
        needs_value = false;
    }
    if needs_value {
        parts.push(format!("{column} IS NOT NULL"));
    }
    Some(())
}

fn compared(column: &str, sign: &str, value: &Json) -> Option<String> {
    if value.is_null() {
        return match sign {
            "=" => Some(format!("{column} IS NULL")),
            "IS NOT" | "<>" => Some(format!("{column} IS NOT NULL")),
            _ => None,
        };
    }
    Some(format!("{column} {sign} {}", scalar(value)?))
}

fn scalar(value: &Json) -> Option<String> {
    (!value.is_array() && !value.is_object() && !value.is_null()).then(|| literal(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_of_the_usual_operators_are_conditions() {
        for (filter, expected) in [
            (json!({ "a": 1, "b": null }), "a = 1 AND b IS NULL"),
            (json!({ "a": { "$ne": "x", "$exists": true } }), "a <> 'x'"),
            (json!({ "a": { "$ne": "x" } }), "a IS NOT 'x'"),
            (json!({ "a": { "$nin": [1, 2], "$exists": true } }), "a NOT IN (1, 2)"),
            (json!({ "a": { "$gte": 1, "$lt": 2.5 } }), "a >= 1 AND a < 2.5"),
            (
                json!({ "$or": [{ "a": true }, { "a": 1, "b": { "$in": ["x"] } }] }),
                "(a = TRUE OR (a = 1 AND b IN ('x')))",
            ),
            (json!({ "$nor": [{ "a": { "$eq": 1 } }] }), "(a = 1) IS NOT TRUE"),
        ] {
            assert_eq!(condition(&filter).as_deref(), Some(expected), "{filter}");
        }
    }

    #[test]
    fn what_means_something_else_in_sql_is_left() {
        for filter in [
            json!({}),
            json!({ "a.b": 1 }),
            json!({ "a": [1] }),
            json!({ "a": { "$nin": [1] } }),
            json!({ "a": { "$gt": null } }),
            json!({ "$or": [] }),
            json!({ "$expr": { "$gt": ["$a", 1] } }),
        ] {
            assert_eq!(condition(&filter), None, "{filter}");
        }
    }
}
