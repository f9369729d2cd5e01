use serde_json::{Value, json};

use crate::bucket::number;
use crate::client::{Client, Door};
use crate::error::{Error, Result};
use crate::transaction::Transaction;

/// What a statement of SQL answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its columns; none for a statement that answers no rows.
    pub columns: Vec<Column>,
    /// Its rows, with a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// How many records it inserted, updated or deleted.
    pub changes: u64,
    /// The key of the record that it inserted last.
    pub last_key: Option<Value>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: what `AS` says, or the expression.
    pub name: String,
    /// The type that the column was declared with; `None` for an expression.
    pub declared_type: Option<String>,
}

impl Client {
    /// One statement of SQL, as a transaction of its own. Its parameters are an
    /// array (`?`), an object (`:name`) or null.
    ///
    /// ```no_run
    /// # async fn example(client: tandem_client::Client) -> tandem_client::Result<()> {
    /// use serde_json::json;
    ///
    /// let rich = client.sql("SELECT id FROM accounts WHERE balance > ?", json!([100])).await?;
    /// println!("{:?}", rich.rows);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `SQL_ERROR` with `line` and `column` where they are known, `LIMIT_EXCEEDED`,
    /// `TIMEOUT`, what the requests of a bucket answer to the same, and as
    /// [`request`](Self::request).
    pub async fn sql(&self, sql: &str, parameters: Value) -> Result<Answer> {
        execute(&Door::of(self.clone()), sql, parameters).await
    }
}

impl Transaction {
    /// One statement of SQL, as part of the transaction. `BEGIN`, `COMMIT` and so on
    /// are refused: the transaction has methods for them.
    ///
    /// # Errors
    /// As [`Client::sql`]; [`CONNECTION_LOST`](crate::CONNECTION_LOST), retryable,
    /// when the transaction has ended with its connection.
    pub async fn sql(&self, sql: &str, parameters: Value) -> Result<Answer> {
        execute(self.door(), sql, parameters).await
    }
}

async fn execute(door: &Door, sql: &str, parameters: Value) -> Result<Answer> {
    let fields = json!({ "sql": sql, "params": parameters });
    let mut answer = door.request("sql.execute", fields).await?;
    let (Value::Array(columns), Value::Array(rows)) =
        (answer["columns"].take(), answer["rows"].take())
    else {
        return Err(Error::invalid_answer("The answer to SQL has no columns or rows"));
    };
    let column = |mut column: Value| Column {
        name: match column["name"].take() {
            Value::String(name) => name,
            other => other.to_string(),
        },
        declared_type: column["type"].as_str().map(str::to_owned),
    };
    let row = |row| match row {
        Value::Array(values) => Ok(values),
        _ => Err(Error::invalid_answer("A row of the answer to SQL is no array")),
    };
    Ok(Answer {
        columns: columns.into_iter().map(column).collect(),
        rows: rows.into_iter().map(row).collect::<Result<_>>()?,
        changes: number(&answer["changes"])?,
        last_key: answer.get_mut("lastKey").map(Value::take),
    })
}
