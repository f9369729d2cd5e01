//! INSERT, UPDATE and DELETE, mostly beside SQLite itself: the same statements have
//! to leave the same rows, answer the same, and fail with the same words.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, CheckOptions, Field, IndexConfig, Store};
use tandem_sql::{Output, Session, Value};

/// A bucket, with what SQL knows of it beside.
fn with_sql(config: BucketConfig, sql: Json) -> BucketConfig {
    let mut config = config.to_json();
    config["sql"] = sql;
    BucketConfig::from_json(config).unwrap()
}

const ITEMS: &str = "CREATE TABLE t (
    id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT NOT NULL DEFAULT 'x', c REAL,
    d INTEGER NOT NULL DEFAULT (2 + 3), CONSTRAINT positive CHECK (d > 0), UNIQUE (b, c)) STRICT";

fn define_items(store: &Store) {
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
struct Both {
    store: Store,
    session: Session,
    sqlite: rusqlite::Connection,
}

/// What a statement answers: names of columns, rows, changes, or its error.
#[derive(Debug, PartialEq)]
enum Answer {
    Rows(Vec<String>, Vec<Vec<Value>>, u64),
    Error(String),
}

impl Both {
    fn new() -> Self {
        let store = Store::memory().unwrap();
        define_items(&store);
        let session = Session::new(&store).unwrap();
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        sqlite.execute_batch(ITEMS).unwrap();
        Self { store, session, sqlite }
    }

    /// With rows that the statements of the tests collide with.
    fn filled() -> Self {
        let both = Self::new();
        both.run(
            "INSERT INTO t (id, a, b, c, d) VALUES
             (1, 10, 'one', 1.5, 1), (2, 20, 'two', 2.5, 2), (3, 30, 'three', 3.5, 3)",
        );
        both
    }

    /// Runs the statement in both and compares what they answer and what is left.
    fn run(&self, sql: &str) -> Answer {
        self.run_with(sql, &[])
    }

    fn run_with(&self, sql: &str, parameters: &[Value]) -> Answer {
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
            // Generated keys have gaps here.
            (Answer::Error(one), Answer::Error(other)) => assert_eq!(one, other, "{sql}"),
            _ => assert_eq!(tandem, sqlite, "{sql}"),
        }
        self.compare(sql);
        tandem
    }

    fn in_sqlite(&self, sql: &str, parameters: &[Value]) -> rusqlite::Result<Answer> {
        let before = self.sqlite.total_changes();
        let mut statement = self.sqlite.prepare(sql)?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
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
    fn compare(&self, sql: &str) {
        let all = "SELECT * FROM t ORDER BY id";
        let tandem = answer(self.session.query(all, ()).unwrap());
        let sqlite = self.in_sqlite(all, &[]).unwrap();
        let (Answer::Rows(_, one, _), Answer::Rows(_, other, _)) = (tandem, sqlite) else {
            panic!("a SELECT has rows")
        };
        assert_eq!(one, other, "after {sql}");
    }

    fn is_clean(&self) {
        is_clean(&self.store);
    }
}

fn answer(output: Output) -> Answer {
    let names = output.columns.iter().map(|column| column.name.clone()).collect();
    let rows = output.rows.iter().map(|row| row.values().to_vec()).collect();
    Answer::Rows(names, rows, output.changes)
}

fn is_clean(store: &Store) {
    let report = store.check(&CheckOptions::default()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn plain_statements_do_what_sqlite_does() {
    let both = Both::filled();
    for sql in [
        "INSERT INTO t VALUES (4, 40, 'four', 4.5, 4)",
        "INSERT INTO t (id, d) VALUES (5, 5), (6, 1 + 5)",
        "INSERT INTO t (id, a) SELECT id + 10, a + 100 FROM t WHERE id < 3 ORDER BY id",
        "INSERT INTO t (b, c, id) VALUES ('y', 1, 20), ('z', 2, 21)",
        "INSERT INTO t (id, c) SELECT max(id) + 1, 77 FROM t",
        "UPDATE t SET c = c * 2, b = b || '!' WHERE id IN (1, 2)",
        "UPDATE t SET d = d + 1",
        "UPDATE t SET a = NULL WHERE a > 100",
        "UPDATE t SET (b, c) = ('row', 9.5) WHERE id = 1",
        "UPDATE t SET (b, c) = (SELECT b || '?', c + 1 FROM t AS o WHERE o.id = t.id + 1) WHERE id < 3",
        "UPDATE t SET a = (SELECT max(a) FROM t) + 1 WHERE id = 2",
        "UPDATE t AS u SET d = (SELECT count(*) FROM t WHERE t.id <= u.id)",
        "UPDATE t SET d = o.d + 100 FROM t AS o WHERE o.id = t.id + 1",
        "UPDATE t SET c = q.n FROM (SELECT id AS k, id * 1.5 AS n FROM t) AS q WHERE q.k = t.id AND t.id > 3",
        "WITH big AS (SELECT id FROM t WHERE d > 100) UPDATE t SET a = NULL WHERE id IN big",
        "UPDATE t SET id = id + 1000 WHERE id = 3",
        "UPDATE t SET id = 2000, d = 7 WHERE id = 1003",
        "UPDATE t SET rowid = 2001 WHERE rowid = 2000",
        "UPDATE t SET d = 1, d = 2 WHERE id = 4",
        "WITH x(v) AS (VALUES (301), (302)) INSERT INTO t (id, c) SELECT v, v FROM x",
        "INSERT INTO t (id, c) WITH x(v) AS (VALUES (303)) SELECT v, v FROM x",
        "DELETE FROM t WHERE d = 2",
        "DELETE FROM t AS u WHERE u.id > 300 AND EXISTS (SELECT 1 FROM t WHERE t.id = u.id + 1)",
        "WITH x AS (SELECT min(id) AS id FROM t) DELETE FROM t WHERE id = (SELECT id FROM x)",
        "DELETE FROM t WHERE id = 999",
        "DELETE FROM t",
    ] {
        let answer = both.run(sql);
        assert!(matches!(answer, Answer::Rows(..)), "{sql}: {answer:?}");
    }
    both.is_clean();
}
