//! Another name for a column, everywhere in the config of its bucket.

use std::ops::ControlFlow;

use serde_json::{Map, Value as Json, json};
use sqlparser::ast::{Expr, Ident, visit_expressions_mut};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;
use tandem_base::Result;

use crate::output::sql_error;

/// The config with the field `from` called `to`. Indexes keep their names, unless
/// they are named for the field because it is unique.
pub(super) fn column(config: &Json, from: &str, to: &str) -> Result<Json> {
    let mut config = config.clone();
    let is_unique = config["schema"][from]["unique"] == json!(true);
    if config["key"] == from {
        config["key"] = json!(to);
    }
    for pointer in ["/schema", "/sql/columns"] {
        if let Some(Json::Object(columns)) = config.pointer_mut(pointer) {
            *columns = renamed_keys(std::mem::take(columns), |name| {
                if name == from { to.to_owned() } else { name }
            });
        }
    }
    if let Some(Json::Array(columns)) = config.pointer_mut("/sql/primaryKey") {
        for column in columns.iter_mut().filter(|column| **column == from) {
            *column = json!(to);
        }
    }
    if let Some(Json::Array(indexes)) = config.pointer_mut("/indexes") {
        for index in indexes {
            rename_in_index(index, from, to, is_unique);
        }
    }
    if let Some(Json::Array(checks)) = config.pointer_mut("/sql/checks") {
        for check in checks {
            let expression = check["expression"].as_str().unwrap_or_default();
            check["expression"] = json!(in_expression(expression, from, to)?);
        }
    }
    Ok(config)
}

fn rename_in_index(index: &mut Json, from: &str, to: &str, is_unique: bool) {
    match index {
        Json::String(field) if field == from && is_unique => *field = to.to_owned(),
        Json::String(field) if first(field) == from => {
            *index = json!({ "name": field, "fields": [in_path(field, from, to)] });
        }
        Json::Object(config) => {
            let Some(Json::Array(fields)) = config.get("fields") else { return };
            let fields: Vec<&str> = fields.iter().filter_map(Json::as_str).collect();
            let new: Vec<String> = fields.iter().map(|field| in_path(field, from, to)).collect();
            if new != fields {
                let name = json!(fields.join("_"));
                config.entry("name").or_insert(name);
                config.insert("fields".to_owned(), json!(new));
            }
            if let Some(filter) = config.get_mut("filter") {
                *filter = in_filter(filter.take(), from, to);
            }
        }
        _ => {}
    }
}

/// The field in which a path, with or without a `-` before it, begins.
fn first(path: &str) -> &str {
    path.trim_start_matches('-').split('.').next().unwrap_or_default()
}

fn in_path(path: &str, from: &str, to: &str) -> String {
    if first(path) != from {
        return path.to_owned();
    }
    let sign = if path.starts_with('-') { "-" } else { "" };
    format!("{sign}{to}{}", &path[sign.len() + from.len()..])
}

fn in_filter(filter: Json, from: &str, to: &str) -> Json {
    match filter {
        Json::Object(conditions) => {
            let inner = conditions.into_iter().map(|(name, condition)| match condition {
                // $and, $or, $nor: filters; anything else is about one path.
                Json::Array(parts) if name.starts_with('$') => {
                    let parts = parts.into_iter().map(|part| in_filter(part, from, to));
                    (name, parts.collect())
                }
                condition => (name, condition),
            });
            Json::Object(renamed_keys(inner.collect(), |name| in_path(&name, from, to)))
        }
        other => other,
    }
}

/// Whether a filter is about the field.
pub(super) fn mentions(filter: &Json, field: &str) -> bool {
    in_filter(filter.clone(), field, "") != *filter
}

fn renamed_keys(map: Map<String, Json>, name: impl Fn(String) -> String) -> Map<String, Json> {
    map.into_iter().map(|(key, value)| (name(key), value)).collect()
}

fn in_expression(text: &str, from: &str, to: &str) -> Result<String> {
    let mut expression = Parser::new(&SQLiteDialect {})
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| sql_error(error.to_string()))?;
    let _ = visit_expressions_mut(&mut expression, |part: &mut Expr| {
        if let Expr::Identifier(name) = part
            && name.value.eq_ignore_ascii_case(from)
        {
            *name = Ident::with_quote('"', to);
        }
        ControlFlow::<()>::Continue(())
    });
    Ok(expression.to_string())
}

/// An expression over the columns of one table, without the table's name.
pub(super) fn unqualified(expression: &Expr, table: &str) -> Expr {
    let mut expression = expression.clone();
    let _ = visit_expressions_mut(&mut expression, |part: &mut Expr| {
        if let Expr::CompoundIdentifier(names) = part
            && let [of, name] = names.as_slice()
            && of.value.eq_ignore_ascii_case(table)
        {
            *part = Expr::Identifier(name.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    expression
}
