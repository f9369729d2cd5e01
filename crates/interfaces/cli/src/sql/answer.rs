//! What a statement answers, at either door.

use serde_json::{Map, Value, json};
use tandem_sql::Output;

/// See the [module](self). Values are JSON: what both doors have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) changes: u64,
    pub(super) last_key: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) declared_type: Option<String>,
}

impl Answer {
    /// As `sql.execute` answers it.
    pub(super) fn to_json(&self) -> Value {
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|column| json!({ "name": column.name, "type": column.declared_type }))
            .collect();
        let mut answer = Map::new();
        answer.insert("columns".to_owned(), columns.into());
        answer.insert("rows".to_owned(), json!(self.rows));
        answer.insert("changes".to_owned(), self.changes.into());
        if let Some(key) = &self.last_key {
            answer.insert("lastKey".to_owned(), key.clone());
        }
        Value::Object(answer)
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let columns = output.columns.iter().map(|column| Column {
            name: column.name.clone(),
            declared_type: column.declared_type.clone(),
        });
        let rows = output.rows.iter();
        Self {
            columns: columns.collect(),
            rows: rows
                .map(|row| row.values().iter().map(tandem_sql::Value::to_json).collect())
                .collect(),
            changes: output.changes,
            last_key: output.last_key,
        }
    }
}

impl From<tandem_client::Answer> for Answer {
    fn from(answer: tandem_client::Answer) -> Self {
        let columns = answer.columns.into_iter();
        Self {
            columns: columns
                .map(|column| Column { name: column.name, declared_type: column.declared_type })
                .collect(),
            rows: answer.rows,
            changes: answer.changes,
            last_key: answer.last_key,
        }
    }
}
