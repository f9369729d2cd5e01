//! What would make a bucket: CREATE TABLE and CREATE INDEX, from its config.
//!
//! For buckets of SQL this is what they were made with, put in order. For those of
//! the record API it is as near as SQL comes: what it has no words for (generated
//! values, `format`, `ttl`, indexes on nested paths) is in comments.

mod condition;

use serde_json::{Map, Value as Json};

use crate::schema::condition::condition;
use crate::table::quoted;

/// The statements for the bucket `name`, whose config is that of the record API
/// (`Store::bucket_config`), each with its semicolon, one below the other.
///
/// ```
/// use serde_json::json;
///
/// let config = json!({
///     "key": "id",
///     "schema": { "id": { "type": "number", "generated": "autoincrement" },
///                 "email": { "type": "string", "required": true, "unique": true } },
///     "indexes": [{ "name": "newest", "fields": ["-_createdAt"] }],
/// });
/// assert_eq!(tandem_sql::schema_of("users", &config), "\
/// CREATE TABLE users (
///   id INTEGER PRIMARY KEY,
///   email TEXT NOT NULL UNIQUE
/// );
/// CREATE INDEX newest ON users (_createdAt DESC);");
/// ```
#[must_use]
pub fn schema_of(name: &str, config: &Json) -> String {
    Schema { name, config, sql: &config["sql"] }.write()
}

struct Schema<'a> {
    name: &'a str,
    config: &'a Json,
    /// What SQL alone knows of the table.
    sql: &'a Json,
}

/// An index of the config.
struct Index<'a> {
    name: String,
    fields: Vec<&'a str>,
    unique: bool,
    multi: bool,
    filter: Option<&'a Json>,
}

impl<'a> Schema<'a> {
    fn write(&self) -> String {
        let mut lines = self.columns();
        lines.extend(self.constraints());
        let mut text = format!("CREATE TABLE {} (\n  ", name(self.name));
        text.push_str(&lines.join(",\n  "));
        text.push_str("\n)");
        text.push_str(&remark(self.config.as_object(), &["ttl", "maxSize"]));
        text.push(';');
        let indexes = self.indexes();
        for index in indexes.iter().filter(|index| !self.is_constraint(&index.name)) {
            text.push('\n');
            text.push_str(&self.create_index(index));
        }
        text
    }

    fn key(&self) -> &'a str {
        self.config["key"].as_str().unwrap_or_default()
    }

    fn fields(&self) -> impl Iterator<Item = (&'a String, &'a Json)> {
        let only_rowid = self.sql["rowid"] == Json::Bool(true);
        let key = self.key();
        let fields = self.config["schema"].as_object().into_iter().flatten();
        fields.filter(move |(field, _)| !(only_rowid && field.as_str() == key))
    }

    fn columns(&self) -> Vec<String> {
        self.fields().map(|(field, rules)| self.column(field, rules)).collect()
    }

    fn column(&self, field: &str, rules: &Json) -> String {
        let known = &self.sql["columns"][field];
        let is_number = rules["generated"] == "autoincrement";
        let declared = known["type"].as_str().unwrap_or(match rules["type"].as_str() {
            _ if is_number => "INTEGER",
            Some("string") => "TEXT",
            Some("number") => "NUMERIC",
            Some("boolean") => "BOOLEAN",
            Some("date") => "DATE",
            Some("object" | "array") => "JSON",
            _ => "ANY",
        });
        let mut text = name(field);
        let mut add = |part: &str| {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(part);
            }
        };
        add(declared);
        let is_key = field == self.key();
        if is_key {
            add("PRIMARY KEY");
        } else if rules["required"] == Json::Bool(true) {
            add("NOT NULL");
        }
        if let Some(expression) = known["default"].as_str() {
            if is_enclosed(expression) {
                add(&format!("DEFAULT {expression}"));
            } else {
                add(&format!("DEFAULT ({expression})"));
            }
        } else if let Some(value) = rules.get("default").filter(|value| !value.is_null()) {
            add(&format!("DEFAULT {}", literal(value)));
        }
        if rules["unique"] == Json::Bool(true) && !is_key {
            add("UNIQUE");
        }
        if let Some(bucket) = rules["ref"].as_str() {
            add(&format!("REFERENCES {}", name(bucket)));
            match rules["onDelete"].as_str() {
                Some("cascade") => add("ON DELETE CASCADE"),
                Some("set_null") => add("ON DELETE SET NULL"),
                _ => {}
            }
        }
        let generated = if is_number { "" } else { "generated" };
        let others = [
            generated,
            "enum",
            "format",
            "min",
            "max",
            "minLength",
            "maxLength",
            "pattern",
            "properties",
            "items",
        ];
        text.push_str(&remark(rules.as_object(), &others));
        text
    }

    fn constraints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let key = names(&self.sql["primaryKey"]);
        if !key.is_empty() {
            lines.push(format!("PRIMARY KEY ({})", list(&key)));
        }
        for index in self.indexes().iter().filter(|index| self.is_constraint(&index.name)) {
            if index.fields != key {
                let (index, fields) = (name(&index.name), list(&index.fields));
                lines.push(format!("CONSTRAINT {index} UNIQUE ({fields})"));
            }
        }
        for check in self.sql["checks"].as_array().into_iter().flatten() {
            let expression = check["expression"].as_str().unwrap_or_default();
            lines.push(match check["name"].as_str() {
                Some(constraint) => {
                    format!("CONSTRAINT {} CHECK ({expression})", name(constraint))
                }
                None => format!("CHECK ({expression})"),
            });
        }
        lines
    }

    fn is_constraint(&self, index: &str) -> bool {
        names(&self.sql["constraints"]).contains(&index)
    }

    fn indexes(&self) -> Vec<Index<'a>> {
        let listed = self.config["indexes"].as_array().into_iter().flatten();
        listed
            .filter_map(|index| match index {
                // A field that is unique has its index already.
                Json::String(field) if self.config["schema"][field]["unique"] == true => None,
                Json::String(field) => Some(Index {
                    name: field.clone(),
                    fields: vec![field],
                    unique: false,
                    multi: false,
                    filter: None,
                }),
                index => {
                    let fields = names(&index["fields"]);
                    let joined = || fields.join("_");
                    Some(Index {
                        name: index["name"].as_str().map_or_else(joined, str::to_owned),
                        unique: index["unique"] == Json::Bool(true),
                        multi: index["multi"] == Json::Bool(true),
                        filter: index.get("filter").filter(|filter| !filter.is_null()),
                        fields,
                    })
                }
            })
            .collect()
    }

    fn create_index(&self, index: &Index<'_>) -> String {
        let mut text = format!(
            "CREATE {}INDEX {} ON {} (",
            if index.unique { "UNIQUE " } else { "" },
            name(&index.name),
            name(self.name),
        );
        text.push_str(&list(&index.fields));
        text.push(')');
        let mut is_sql = !index.multi && index.fields.iter().all(|field| self.is_column(field));
        if let Some(filter) = index.filter {
            let condition = condition(filter);
            is_sql &= condition.is_some();
            text.push_str(" WHERE ");
            text.push_str(&condition.unwrap_or_else(|| filter.to_string()));
        }
        text.push(';');
        if is_sql { text } else { format!("/* of the record API: {} */", harmless(&text)) }
    }

    fn is_column(&self, field: &str) -> bool {
        let field = field.strip_prefix('-').unwrap_or(field);
        let of_record = ["_version", "_createdAt", "_updatedAt"];
        of_record.contains(&field) || self.fields().any(|(known, _)| known == field)
    }
}

/// What a column's DEFAULT says, given its expression or the field's constant: as
/// SQLite tells it, without parentheses around.
pub(crate) fn default_text(expression: Option<&str>, constant: Option<&Json>) -> Option<String> {
    match expression {
        Some(text) if is_enclosed(text) => Some(text[1..text.len() - 1].to_owned()),
        Some(text) => Some(text.to_owned()),
        None => constant.filter(|value| !value.is_null()).map(literal),
    }
}

/// Whether the whole of an expression is in parentheses.
fn is_enclosed(expression: &str) -> bool {
    let Some(inner) = expression.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return false;
    };
    let (mut depth, mut quote) = (0_u32, None);
    for c in inner.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return false,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
    }
    true
}

fn names(list: &Json) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Parts of an index or a key; `-a` is descending.
fn list(fields: &[&str]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|field| match field.strip_prefix('-') {
            Some(field) => format!("{} DESC", name(field)),
            None => name(field),
        })
        .collect();
    parts.join(", ")
}

/// A comment with those of the settings that are there.
fn remark(settings: Option<&Map<String, Json>>, wanted: &[&str]) -> String {
    let there: Map<String, Json> = settings
        .into_iter()
        .flatten()
        .filter(|(setting, value)| wanted.contains(&setting.as_str()) && !value.is_null())
        .map(|(setting, value)| (setting.clone(), value.clone()))
        .collect();
    if there.is_empty() {
        return String::new();
    }
    format!(" /* {} */", harmless(&Json::Object(there).to_string()))
}

/// Text that does not end the comment that it stands in.
fn harmless(text: &str) -> String {
    text.replace("*/", "* /")
}

/// A constant.
fn literal(value: &Json) -> String {
    match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(true) => "TRUE".to_owned(),
        Json::Bool(false) => "FALSE".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text_literal(text),
        other => text_literal(&other.to_string()),
    }
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name, in quotes where it needs them.
fn name(name: &str) -> String {
    let mut letters = name.chars();
    let is_plain = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name));
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// The words that SQLite takes for no name.
const RESERVED: [&str; 75] = [
    "add",
    "all",
    "alter",
    "and",
    "as",
    "autoincrement",
    "between",
    "case",
    "check",
    "collate",
    "commit",
    "constraint",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "default",
    "deferrable",
    "delete",
    "distinct",
    "drop",
    "else",
    "escape",
    "except",
    "exists",
    "false",
    "foreign",
    "from",
    "full",
    "group",
    "having",
    "in",
    "index",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "left",
    "limit",
    "natural",
    "not",
    "nothing",
    "notnull",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "set",
    "table",
    "then",
    "to",
    "transaction",
    "true",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "when",
    "where",
    "window",
    "with",
    "end",
    "begin",
    "replace",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_of_sql_is_what_it_was_made_with() {
        let config = json!({
            "key": "rowid", "etsType": "ordered_set",
            "schema": {
                "rowid": { "type": "number", "generated": "autoincrement", "required": true },
                "a": { "type": "number", "required": true },
                "b": { "type": "string", "required": true, "default": "it's" },
                "order": { "type": "number", "ref": "orders", "onDelete": "cascade" },
            },
            "indexes": [
                { "name": "t_primary_key", "fields": ["a", "b"], "unique": true },
                { "name": "pair", "fields": ["b", "order"], "unique": true },
                { "name": "some", "fields": ["-a"], "unique": true,
                  "filter": { "$and": [{ "a": { "$gt": 1 } }, { "b": { "$exists": true } }] } },
            ],
            "sql": {
                "rowid": true, "primaryKey": ["a", "b"],
                "columns": { "a": { "type": "INT", "default": "1 + 1" } },
                "constraints": ["t_primary_key", "pair"],
                "checks": [{ "name": "positive", "expression": "a > 0" },
                           { "expression": "length(b) < 9" }],
            },
        });
        assert_eq!(
            schema_of("t", &config),
            "CREATE TABLE t (
  a INT NOT NULL DEFAULT (1 + 1),
  b TEXT NOT NULL DEFAULT 'it''s',
  \"order\" NUMERIC REFERENCES orders ON DELETE CASCADE,
  PRIMARY KEY (a, b),
  CONSTRAINT pair UNIQUE (b, \"order\"),
  CONSTRAINT positive CHECK (a > 0),
  CHECK (length(b) < 9)
);
CREATE UNIQUE INDEX some ON t (a DESC) WHERE a > 1 AND b IS NOT NULL;"
        );
    }

    #[test]
    fn an_expression_is_put_in_parentheses_once() {
        for (expression, expected) in
            [("1 + 1", false), ("(1 + 1)", true), ("(1) + (2)", false), ("(')' || (a))", true)]
        {
            assert_eq!(is_enclosed(expression), expected, "{expression}");
        }
    }

    #[test]
    fn what_only_the_record_api_has_is_in_comments() {
        let config = json!({
            "key": "id", "ttl": 60_000,
            "schema": {
                "id": { "type": "string", "generated": "uuid" },
                "tags": { "type": "array", "pattern": "*/" },
                "any": {},
            },
            "indexes": ["any", { "fields": ["a.b"] }, { "fields": ["tags"], "multi": true },
                        { "name": "odd", "fields": ["any"], "filter": { "any": { "$size": 1 } } }],
        });
        assert_eq!(
            schema_of("my notes", &config),
            "CREATE TABLE \"my notes\" (
  id TEXT PRIMARY KEY /* {\"generated\":\"uuid\"} */,
  tags JSON /* {\"pattern\":\"* /\"} */,
  any ANY
) /* {\"ttl\":60000} */;
CREATE INDEX any ON \"my notes\" (any);
/* of the record API: CREATE INDEX \"a.b\" ON \"my notes\" (\"a.b\"); */
/* of the record API: CREATE INDEX tags ON \"my notes\" (tags); */
/* of the record API: CREATE INDEX odd ON \"my notes\" (any) WHERE {\"any\":{\"$size\":1}}; */"
        );
    }
}
