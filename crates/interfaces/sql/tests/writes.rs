//! INSERT, UPDATE and DELETE, mostly beside SQLite itself: the same statements have
//! to leave the same rows, answer the same, and fail with the same words.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

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

fn is_unique(message: &str) -> bool {
    message.starts_with("UNIQUE constraint failed: t.")
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

const CLAUSES: [&str; 6] = ["", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE", "OR ROLLBACK"];

#[test]
fn conflict_clauses_of_insert_do_what_sqlite_does() {
    for clause in CLAUSES {
        for rows in [
            // The key, each unique index, both, several records at once.
            "(id, a, d) VALUES (7, 70, 7), (1, 11, 7), (8, 80, 7)",
            "(id, a, d) VALUES (7, 70, 7), (9, 20, 7), (8, 80, 7)",
            "(id, b, c, d) VALUES (7, 'one', 1.5, 7), (8, 'q', 1, 7)",
            "(id, a, b, c, d) VALUES (7, 10, 'two', 2.5, 7), (8, 30, 'q', 1, 7)",
            "(id, a, b, c, d) VALUES (1, 20, 'three', 3.5, 7), (8, 81, 'q', 1, 7)",
            // Within the statement.
            "(id, a) VALUES (7, 70), (7, 71), (8, 72)",
            "(id, a) VALUES (7, 70), (8, 70), (9, 72)",
            "(id, a) SELECT id + 5, 40 FROM t ORDER BY id",
            // NOT NULL, with a default and an expression as default.
            "(id, b) VALUES (7, 'p'), (8, NULL), (9, 'q')",
            "(id, d) VALUES (7, 1), (8, NULL), (9, 2)",
            // CHECK: before what is unique.
            "(id, d) VALUES (7, 1), (8, 0), (9, 2)",
            "(id, a, d) VALUES (7, 71, 1), (1, 10, -1), (9, 72, 2)",
            // Of another type: no clause is about it.
            "(id, a) VALUES (7, 1), (8, 'x'), (9, 2)",
            "(id, a) VALUES (7, 1), (8, 1.5), (9, 2)",
            // NULLs never collide.
            "(id, a, b, c) VALUES (7, NULL, 'one', NULL), (8, NULL, 'one', NULL)",
        ] {
            Both::filled().run(&format!("INSERT {clause} INTO t {rows}"));
        }
    }
    let both = Both::filled();
    both.run("REPLACE INTO t (id, a) VALUES (1, 20), (5, 30)");
    both.run("REPLACE INTO t SELECT id, 99, b, c, d FROM t ORDER BY id");
    both.is_clean();
}

#[test]
fn conflict_clauses_of_update_do_what_sqlite_does() {
    for clause in CLAUSES {
        for set in [
            "a = 20 WHERE id = 1",
            "a = 20",
            "a = a + 10",
            "a = a - 10",
            "id = id + 1",
            "id = id - 1",
            "id = 3, a = 20 WHERE id = 1",
            "b = 'two', c = 2.5 WHERE id <> 2",
            "b = NULL, c = id",
            "d = NULL",
            "d = d - 2",
            "a = 'x'",
            "d = CASE id WHEN 2 THEN 0 ELSE 9 END",
            "id = CASE id WHEN 2 THEN 1 ELSE id + 10 END, d = d + 1",
        ] {
            let both = Both::filled();
            both.run(&format!("UPDATE {clause} t SET {set}"));
            both.is_clean();
        }
    }
}

#[test]
fn or_rollback_ends_the_transaction_and_or_fail_keeps_what_was_before() {
    let both = Both::filled();
    both.run("BEGIN");
    both.run("INSERT INTO t (id) VALUES (50)");
    both.run("INSERT OR FAIL INTO t (id) VALUES (51), (1), (52)");
    assert!(both.session.is_in_transaction());
    both.run("SAVEPOINT s");
    both.run("UPDATE OR FAIL t SET d = d - 2");
    both.run("ROLLBACK TO s");
    both.run("INSERT OR ROLLBACK INTO t (id) VALUES (60), (1)");
    assert!(!both.session.is_in_transaction() && both.sqlite.is_autocommit());
    both.is_clean();
}

#[test]
fn a_statement_that_fails_leaves_nothing() {
    let both = Both::filled();
    let fails = [
        "INSERT INTO t (id, a) VALUES (50, 1), (51, 2), (52, 10)",
        "INSERT INTO t (id, a) SELECT id + 50, 10 FROM t",
        "INSERT INTO t (id, d) VALUES (50, 1), (51, 0)",
        "UPDATE t SET a = 5, d = d + 1",
        "UPDATE t SET id = 9",
        "REPLACE INTO t (id, a, d) VALUES (60, 10, 1), (61, 20, 0)",
    ];
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("BEGIN");
    both.run("INSERT INTO t (id, a) VALUES (4, 40)");
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("SAVEPOINT s");
    both.run("UPDATE t SET a = a + 1000");
    for sql in fails {
        both.run(sql);
    }
    both.run("ROLLBACK TO s");
    for sql in fails {
        assert!(matches!(both.run(sql), Answer::Error(_)), "{sql}");
    }
    both.run("RELEASE s");
    both.run("COMMIT");
    both.is_clean();
}

#[test]
fn upserts_do_what_sqlite_does() {
    for sql in [
        "INSERT INTO t (id, a) VALUES (1, 99), (5, 50) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, a) VALUES (1, 99), (5, 50) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t (id, a) VALUES (5, 10), (6, 60) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (a) DO NOTHING",
        "INSERT INTO t (id, d) VALUES (1, 0) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, b) VALUES (1, NULL) ON CONFLICT DO NOTHING",
        "INSERT INTO t (id, d) VALUES (1, 8), (5, 9) ON CONFLICT (id) DO UPDATE SET d = d + excluded.d",
        "INSERT INTO t (id, d) VALUES (1, 8) ON CONFLICT (rowid) DO UPDATE SET d = t.d * excluded.d",
        "INSERT INTO t AS u (id, d) VALUES (1, 8) ON CONFLICT (id) DO UPDATE SET d = u.d * excluded.d RETURNING d, *",
        "INSERT INTO t (id, a, c) VALUES (8, 20, 7), (9, 21, 8) ON CONFLICT (a) DO UPDATE SET (c, b) = (excluded.c, excluded.b || t.b)
           WHERE excluded.c < 8 RETURNING a, b, c",
        "INSERT INTO t (a, c) VALUES (20, 7), (10, 8) ON CONFLICT (a) DO UPDATE SET c = excluded.c WHERE excluded.c > 7
           RETURNING id, c",
        "INSERT INTO t (id, b, c) VALUES (9, 'two', '2.5') ON CONFLICT (c, b) DO UPDATE SET d = 100 + id",
        "INSERT INTO t (id, a) VALUES (9, 10) ON CONFLICT (a) DO UPDATE SET id = excluded.id, d = rowid",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, a) VALUES (1, 20) ON CONFLICT (a) DO UPDATE SET d = 55",
        "INSERT INTO t (id, a, b, c) VALUES (1, 20, 'three', 3.5)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO UPDATE SET d = 1002 ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT INTO t (id, a, b, c) VALUES (1, 20, 'q', 3.5)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO UPDATE SET d = 1002 ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT INTO t (id) VALUES (1)
           ON CONFLICT (b, c) DO UPDATE SET d = 1001 ON CONFLICT (a) DO NOTHING ON CONFLICT DO UPDATE SET d = 1003",
        "INSERT OR REPLACE INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR REPLACE INTO t (id, a) VALUES (7, 20) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR IGNORE INTO t (id, a) VALUES (7, 20), (1, 1) ON CONFLICT (id) DO UPDATE SET d = 66",
        "INSERT OR IGNORE INTO t (id, a) VALUES (1, 20) ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, a) VALUES (1, 5), (1, 6), (1, 7) ON CONFLICT (id) DO UPDATE SET a = excluded.a + t.a",
        "INSERT INTO t (id, a) SELECT id, a + 1 FROM t WHERE true ON CONFLICT (id) DO UPDATE SET a = excluded.a",
        "INSERT INTO t (id, d) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET d = (SELECT sum(d) FROM t) + excluded.d",
        "INSERT INTO t (id, d) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET d = (SELECT excluded.d + max(o.d) FROM t AS o)",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (d) DO NOTHING",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (b) DO UPDATE SET d = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (a, id) DO UPDATE SET d = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET e = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET d = excluded.e",
    ] {
        let both = Both::filled();
        both.run("DELETE FROM t WHERE id > 3");
        both.run(sql);
        both.is_clean();
    }
}

#[test]
fn returning_answers_what_sqlite_does() {
    let both = Both::filled();
    for sql in [
        "INSERT INTO t (id, a) VALUES (7, 70), (8, 80) RETURNING *",
        "INSERT INTO t (id, a) VALUES (9, 90) RETURNING id, A, a AS called, c+1, upper(b), 'x', a*2 AS twice",
        "INSERT INTO t (id, a) VALUES (10, 100) RETURNING rowid",
        "INSERT INTO t (id, a) VALUES (11, 110) RETURNING t.a, t.a + rowid, (SELECT count(*) FROM t)",
        "INSERT INTO t (id, a) SELECT id + 100, a + 1000 FROM t ORDER BY id RETURNING id -- the end",
        "INSERT OR IGNORE INTO t (id) VALUES (1), (12) RETURNING id",
        "INSERT OR REPLACE INTO t (id, a) VALUES (13, 10) RETURNING id, a",
        "UPDATE t SET a = a + 1 WHERE id < 3 RETURNING id, a, b || '-' || c",
        "UPDATE t SET id = 77 WHERE id = 2 RETURNING id, a",
        "UPDATE t SET a = 1 WHERE false RETURNING *",
        "DELETE FROM t WHERE id IN (77, 7) RETURNING *, a IS NULL",
        "DELETE FROM t WHERE id = 8 RETURNING count(*) FILTER (WHERE true)",
        "DELETE FROM t WHERE id = 8 RETURNING max(a)",
        "UPDATE t SET a = row_number() OVER ()",
        "UPDATE t SET a = count(*)",
        "UPDATE t SET a = max(a, 1) WHERE id = 1",
        "DELETE FROM t WHERE id = 8 RETURNING e",
        "DELETE FROM t WHERE id = 8 RETURNING t.*",
        "DELETE FROM t WHERE id < 0 RETURNING *",
    ] {
        both.run(sql);
    }
    let answer = both.run_with(
        "UPDATE t SET b = ? WHERE id = ? RETURNING b, id + ?",
        &["p".into(), 8_i64.into(), 1000_i64.into()],
    );
    assert!(matches!(answer, Answer::Rows(_, rows, 1) if rows == [["p".into(), 1008_i64.into()]]));
    both.is_clean();
}
