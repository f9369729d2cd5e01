//! The same table in Tandem and in SQLite, and what statements do to it.

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_sql::{Output, Session, Value};

use crate::support::clean;

/// A bucket, with what SQL knows of it beside.
pub fn with_sql(config: BucketConfig, sql: Json) -> BucketConfig {
    let mut config = config.to_json();
    config["sql"] = sql;
    BucketConfig::from_json(config).unwrap()
}

const ITEMS: &str = "CREATE TABLE t (
    id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT NOT NULL DEFAULT 'x', c REAL,
    d INTEGER NOT NULL DEFAULT (2 + 3), CONSTRAINT positive CHECK (d > 0), UNIQUE (b, c)) STRICT";

pub fn define_items(store: &Store) {
    let config = BucketConfig::new("id")
        .field("id", Field::number().generated_autoincrement())
        .field("a", Field::number().unique())
        .field("b", Field::string().required().default("x"))
        .field("c", Field::number())
        .field("d", Field::number().required())
        .index(IndexConfig::on("b").then("c").named("bc").unique());
    let sql = json!({
        "columns": { "id": { "type": "INTEGER" }, "a": { "type": "INTEGER" },
                     "b": { "type": "TEXT" }, "c": { "type": "REAL" },
                     "d": { "type": "INTEGER", "default": "2 + 3" } },
        "checks": [{ "name": "positive", "expression": "d > 0" }],
    });
    store.define_bucket("t", with_sql(config, sql)).unwrap();
}

/// The same table in Tandem and in SQLite.
pub struct Both {
    pub store: Store,
    pub session: Session,
    pub sqlite: rusqlite::Connection,
}

/// What a statement answers: names of columns, rows, changes, or its error.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Rows(Vec<String>, Vec<Vec<Value>>, u64),
    Error(String),
}

impl Both {
    pub fn new() -> Self {
        let store = Store::memory().unwrap();
        define_items(&store);
        let session = Session::new(&store).unwrap();
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        sqlite.execute_batch(ITEMS).unwrap();
        Self { store, session, sqlite }
    }

    /// With rows that the statements of the tests collide with.
    pub fn filled() -> Self {
        let both = Self::new();
        both.run(
            "INSERT INTO t (id, a, b, c, d) VALUES
             (1, 10, 'one', 1.5, 1), (2, 20, 'two', 2.5, 2), (3, 30, 'three', 3.5, 3)",
        );
        both
    }

    /// Runs the statement in both and compares what they answer and what is left.
    pub fn run(&self, sql: &str) -> Answer {
        self.run_with(sql, &[])
    }

    pub fn run_with(&self, sql: &str, parameters: &[Value]) -> Answer {
        let tandem = match self.session.execute(sql, parameters) {
            Ok(output) => answer(output),
            Err(error) => Answer::Error(error.message().to_owned()),
        };
        let sqlite = self.in_sqlite(sql, parameters).unwrap_or_else(|error| {
            let text = match error {
                rusqlite::Error::SqlInputError { msg, .. } => msg,
                other => other.to_string(),
            };
            Answer::Error(text)
        });
        match (&tandem, &sqlite) {
            // Of several unique constraints that a row breaks each names another.
            (Answer::Error(one), Answer::Error(other)) if is_unique(one) && is_unique(other) => {}
            _ => assert_eq!(tandem, sqlite, "{sql}"),
        }
        self.compare(sql);
        tandem
    }

    fn in_sqlite(&self, sql: &str, parameters: &[Value]) -> rusqlite::Result<Answer> {
        let before = self.sqlite.total_changes();
        let mut statement = self.sqlite.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let row = (0..names.len()).map(|at| match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Null => Value::Null,
                rusqlite::types::ValueRef::Integer(integer) => Value::Integer(integer),
                rusqlite::types::ValueRef::Real(real) => Value::Real(real),
                rusqlite::types::ValueRef::Text(text) => {
                    Value::Text(String::from_utf8(text.to_vec()).unwrap())
                }
                rusqlite::types::ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            });
            all.push(row.collect());
        }
        drop(rows);
        let writes = self.sqlite.total_changes() - before > 0;
        let changes = if writes { self.sqlite.changes() } else { 0 };
        Ok(Answer::Rows(names, all, changes))
    }

    /// Both have the same rows.
    pub fn compare(&self, sql: &str) {
        let all = "SELECT * FROM t ORDER BY id";
        let tandem = answer(self.session.query(all, ()).unwrap());
        let sqlite = self.in_sqlite(all, &[]).unwrap();
        let (Answer::Rows(_, one, _), Answer::Rows(_, other, _)) = (tandem, sqlite) else {
            panic!("a SELECT has rows")
        };
        assert_eq!(one, other, "after {sql}");
    }

    pub fn is_clean(&self) {
        clean(&self.store);
    }
}

fn is_unique(message: &str) -> bool {
    message.starts_with("UNIQUE constraint failed: t.")
}

fn answer(output: Output) -> Answer {
    let names = output.columns.iter().map(|column| column.name.clone()).collect();
    let rows = output.rows.iter().map(|row| row.values().to_vec()).collect();
    Answer::Rows(names, rows, output.changes)
}
