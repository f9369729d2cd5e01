//! INSERT, UPDATE and DELETE, mostly beside SQLite itself: the same statements have
//! to leave the same rows, answer the same, and fail with the same words.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, CheckOptions, Code, Field, IndexConfig, Store};
use tandem_sql::{Output, Parameters, Session, SessionOptions, Value, params};

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
        "INSERT INTO t (id, a, b, a) VALUES (22, 901, 'twice', 902)",
        "INSERT INTO t (id, a) VALUES ((SELECT max(id) FROM t) + 1, 81), ((SELECT max(id) FROM t) + 2, 82)",
        "INSERT INTO t (id, c) SELECT 30, 30 FROM t JOIN (SELECT 1 AS conflict) ON conflict = id",
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
        "INSERT INTO t (id, c) SELECT 411, 1 UNION ALL SELECT 412, 2 UNION SELECT 412, 2 ORDER BY 1 DESC LIMIT 2",
        "INSERT INTO t (id, c) SELECT l.id + 500, r.id + 500 FROM t AS l JOIN t AS r ON r.id = l.id + 1 LEFT JOIN t USING (id) WHERE l.id < 10",
        "INSERT INTO t (id, c) SELECT id + 600, 600 + row_number() OVER (PARTITION BY b ORDER BY id) + id FROM t WHERE id < 10",
        "INSERT INTO t (id, c) SELECT max(id) + 700, d + 700.25 FROM t GROUP BY d HAVING count(*) > 1 ORDER BY d",
        "INSERT INTO t (id, c) SELECT DISTINCT 800, 800 FROM t NATURAL JOIN (SELECT 1 AS one) CROSS JOIN (VALUES (1))",
        "INSERT INTO t (id, c) SELECT value + 900, 900 + key FROM json_each('[1, 2]')",
        "INSERT INTO main.t (id, c) SELECT * FROM (WITH n(i) AS (SELECT 950) SELECT i, i FROM n)",
        "INSERT INTO \"t\" (\"id\", [c]) VALUES ((SELECT 960), (SELECT 961))",
        "UPDATE t NOT INDEXED SET d = d + 1 WHERE id = 960",
        "UPDATE t SET c = l.i + r.i FROM (SELECT 960 AS i) AS l JOIN (SELECT 1 AS i) AS r ON l.i > r.i WHERE t.id = l.i",
        "UPDATE t SET c = i FROM (SELECT 950 AS i), (SELECT 2 AS k) WHERE t.id = i AND k = 2",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) UPDATE t SET d = 3 + i FROM n WHERE t.id = n.i",
        "DELETE FROM main.t WHERE id IN (SELECT id FROM t ORDER BY id DESC LIMIT 3)",
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

// ---------------------------------------------------------------- Tandem's own side

fn rows(session: &Session, sql: &str) -> Vec<Vec<Value>> {
    session.query(sql, ()).unwrap().rows.iter().map(|row| row.values().to_vec()).collect()
}

fn done(session: &Session, sql: &str) -> Output {
    session.execute(sql, ()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn refused(session: &Session, sql: &str) -> tandem::Error {
    session.execute(sql, ()).expect_err(sql)
}

/// One column of each affinity.
fn kinds() -> (Store, Session) {
    let store = Store::memory().unwrap();
    let mut config = BucketConfig::new("k").field("k", Field::string());
    let mut columns = json!({});
    for (name, declared, field) in [
        ("i", "INTEGER", Field::number()),
        ("r", "REAL", Field::number()),
        ("n", "DECIMAL(10,2)", Field::number()),
        ("t", "TEXT", Field::string()),
        ("f", "BOOLEAN", Field::boolean()),
        ("d", "DATETIME", Field::date()),
        ("j", "JSON", Field::any()),
        ("v", "ANY", Field::any()),
    ] {
        config = config.field(name, field);
        columns[name] = json!({ "type": declared });
    }
    store.define_bucket("kinds", with_sql(config, json!({ "columns": columns }))).unwrap();
    let session = Session::new(&store).unwrap();
    (store, session)
}

#[test]
fn values_are_stored_by_affinity_or_refused() {
    let (store, session) = kinds();
    let stored = [
        ("i", "7", json!(7)),
        ("i", "7.0", json!(7)),
        ("i", "' 12 '", json!(12)),
        ("i", "'1e3'", json!(1000)),
        ("i", "true", json!(1)),
        ("i", "-9223372036854775808", json!(i64::MIN)),
        ("r", "7", json!(7.0)),
        ("r", "'2.5'", json!(2.5)),
        ("n", "2.5", json!(2.5)),
        ("n", "'3.0'", json!(3)),
        ("n", "4", json!(4)),
        ("t", "7", json!("7")),
        ("t", "1e100", json!("1.0e+100")),
        ("t", "2.50", json!("2.5")),
        ("t", "'it''s'", json!("it's")),
        ("f", "1", json!(true)),
        ("f", "false", json!(false)),
        ("f", "'TRUE'", json!(true)),
        ("f", "'0'", json!(false)),
        ("d", "'2026-01-02'", json!("2026-01-02")),
        ("d", "1767312000000", json!(1_767_312_000_000_i64)),
        ("j", "'{\"a\": [1, 2.5, null]}'", json!({ "a": [1, 2.5, null] })),
        ("j", "json_array(1, 'x')", json!([1, "x"])),
        ("j", "5", json!(5)),
        ("v", "'5'", json!("5")),
        ("v", "5", json!(5)),
        ("v", "5.5", json!(5.5)),
        ("v", "NULL", json!(null)),
    ];
    for (column, value, expected) in stored {
        done(&session, &format!("REPLACE INTO kinds (k, {column}) VALUES ('x', {value})"));
        let inserted = store.bucket("kinds").require("x").unwrap();
        assert_eq!(inserted.get(column), Some(expected.clone()), "{column} = {value}");
        done(&session, &format!("UPDATE kinds SET {column} = NULL"));
        done(&session, &format!("UPDATE kinds SET {column} = {value}"));
        let updated = store.bucket("kinds").require("x").unwrap();
        assert_eq!(updated.get(column), Some(expected), "{column} = {value}");
    }
    done(&session, "DELETE FROM kinds");
    for (column, value, words) in [
        ("i", "'seven'", "cannot store TEXT value in INTEGER column kinds.i"),
        ("i", "7.5", "cannot store REAL value in INTEGER column kinds.i"),
        ("i", "'0x10'", "cannot store TEXT value in INTEGER column kinds.i"),
        ("r", "'x'", "cannot store TEXT value in REAL column kinds.r"),
        ("n", "'1 2'", "cannot store TEXT value in DECIMAL(10,2) column kinds.n"),
        ("f", "2", "cannot store INT value in BOOLEAN column kinds.f"),
        ("f", "'yes'", "cannot store TEXT value in BOOLEAN column kinds.f"),
        ("j", "'{a'", "cannot store TEXT value in JSON column kinds.j"),
        ("t", "x'00'", "cannot store BLOB value in TEXT column kinds.t"),
        ("v", "x'00'", "cannot store BLOB value in ANY column kinds.v"),
        ("r", "9e999", "cannot store an infinity in column kinds.r"),
        ("v", "-9e999", "cannot store an infinity in column kinds.v"),
    ] {
        let sql = format!("INSERT INTO kinds (k, {column}) VALUES ('y', NULL), ('x', {value})");
        let error = refused(&session, &sql);
        assert_eq!((error.code(), error.message()), (Code::ConstraintViolation, words), "{sql}");
        assert_eq!(error.detail("field"), Some(&json!(column)));
        assert_eq!(rows(&session, "SELECT * FROM kinds"), Vec::<Vec<Value>>::new());
    }
    is_clean(&store);
}

#[test]
fn errors_have_codes_and_the_details_of_the_record_layer() {
    let both = Both::filled();
    let session = &both.session;
    let error = refused(session, "INSERT INTO t (id) VALUES (1)");
    assert_eq!(
        (error.code(), error.message()),
        (Code::AlreadyExists, "UNIQUE constraint failed: t.id")
    );
    assert_eq!(error.detail("key"), Some(&json!(1)));
    let error = refused(session, "UPDATE t SET b = 'one', c = 1.5 WHERE id = 2");
    assert_eq!(
        (error.code(), error.message()),
        (Code::AlreadyExists, "UNIQUE constraint failed: t.b, t.c")
    );
    assert_eq!(error.detail("index"), Some(&json!("bc")));
    assert_eq!(error.detail("existingKey"), Some(&json!(1)));
    for (sql, code, words) in [
        ("UPDATE t SET b = NULL", Code::ConstraintViolation, "NOT NULL constraint failed: t.b"),
        ("UPDATE t SET d = 0", Code::ConstraintViolation, "CHECK constraint failed: positive"),
        ("INSERT INTO u VALUES (1)", Code::BucketNotDefined, "no such table: u"),
        ("INSERT INTO t (x) VALUES (1)", Code::SqlError, "table t has no column named x"),
        ("UPDATE t SET x = 1", Code::SqlError, "no such column: x"),
        ("UPDATE t SET d = x", Code::SqlError, "no such column: x"),
        ("DELETE FROM t WHERE x", Code::SqlError, "no such column: x"),
        (
            "INSERT INTO t VALUES (1)",
            Code::SqlError,
            "table t has 5 columns but 1 values were supplied",
        ),
        ("INSERT INTO t (id, a) VALUES (1)", Code::SqlError, "1 values for 2 columns"),
        (
            "INSERT INTO t (id) VALUES (9), (8, 7)",
            Code::SqlError,
            "all VALUES must have the same number of terms",
        ),
        ("UPDATE t SET (a, b) = (1, 2, 3)", Code::SqlError, "2 columns assigned 3 values"),
        (
            "INSERT INTO t (_version) VALUES (3)",
            Code::SqlError,
            "column _version cannot be written",
        ),
        ("UPDATE t SET _updatedAt = 3", Code::SqlError, "column _updatedAt cannot be written"),
        ("INSERT INTO t (id) VALUES (?)", Code::SqlError, "No value for parameter ?1"),
        ("UPDATE t SET d = :n", Code::SqlError, "No value for parameter :n"),
    ] {
        let error = refused(session, sql);
        assert_eq!((error.code(), error.message()), (code, words), "{sql}");
    }
    both.compare("refusals");
    both.is_clean();
}

#[test]
fn parameters_keep_their_numbers_wherever_they_stand() {
    let both = Both::filled();
    both.run_with(
        "UPDATE t SET d = ?3 + ?1, b = ? || ?2 WHERE id = ?3",
        &[1_i64.into(), "two".into(), 3_i64.into(), "four".into()],
    );
    both.run_with(
        "INSERT INTO t (id, a, b) SELECT ?, ?, ? FROM t WHERE id = ? ON CONFLICT (id) DO UPDATE
         SET b = excluded.b || ?, d = ?1 WHERE t.d < ?6 RETURNING id + ?7",
        &[
            1_i64.into(),
            5_i64.into(),
            "p".into(),
            2_i64.into(),
            "q".into(),
            100_i64.into(),
            0.5.into(),
        ],
    );
    let session = &both.session;
    let named = Parameters::named([("id", Value::Integer(30)), ("@b", "named".into())]);
    session.execute("INSERT INTO t (id, b, c) VALUES (:id, @b, :id)", named).unwrap();
    // Named ones have numbers too, as SQLite gives them.
    session.execute("UPDATE t SET c = $c, b = :b WHERE id = ?", params![7.5, "b", 30]).unwrap();
    assert_eq!(rows(session, "SELECT b, c FROM t WHERE id = 30"), [["b".into(), Value::Real(7.5)]]);
    let prepared = session.prepare("INSERT INTO t (id, b, c) VALUES (?, ?, ?)").unwrap();
    for n in 40..50 {
        let output = session.run_prepared(&prepared, params![n, "many", n]).unwrap();
        assert_eq!((output.changes, output.last_key), (1, Some(json!(n))));
    }
    both.is_clean();
}

#[test]
fn keys_are_made_where_they_are_left_out() {
    let both = Both::new();
    let session = &both.session;
    let output = done(session, "INSERT INTO t (a) VALUES (1), (2) RETURNING id");
    assert_eq!(output.last_key, output.rows.last().map(|row| row.values()[0].to_json()));
    done(session, "INSERT INTO t (id, a) VALUES (NULL, 3)");
    done(session, "INSERT INTO t (rowid, a) VALUES (NULL, 4)");
    done(session, "INSERT INTO t DEFAULT VALUES");
    assert_eq!(rows(session, "SELECT count(DISTINCT id) FROM t"), [[Value::Integer(5)]]);
    let error = refused(session, "INSERT INTO t (rowid) VALUES ('x')");
    assert_eq!(error.code(), Code::ConstraintViolation);
    is_clean(&both.store);
}

/// A table without a key of its own, as `CREATE TABLE log (text, n)` makes it.
#[test]
fn row_numbers_alone_are_keys() {
    let store = Store::memory().unwrap();
    let config = BucketConfig::new("rowid")
        .field("rowid", Field::number().generated_autoincrement())
        .field("text", Field::string().unique())
        .field("n", Field::number());
    let sql = json!({ "rowid": true, "columns": { "n": { "type": "INTEGER" } } });
    store.define_bucket("log", with_sql(config, sql)).unwrap();
    let session = Session::new(&store).unwrap();
    let output = done(&session, "INSERT INTO log VALUES ('a', 1), ('b', 2) RETURNING *, rowid");
    assert_eq!(output.columns.len(), 3);
    assert_eq!(output.columns[2].name, "rowid");
    done(&session, "INSERT INTO log (rowid, text) VALUES (100, 'c')");
    done(&session, "UPDATE log SET n = rowid * 2 WHERE text = 'c'");
    done(&session, "UPDATE log SET _rowid_ = 101 WHERE oid = 100");
    done(&session, "REPLACE INTO log (text, n) VALUES ('b', 3)");
    done(
        &session,
        "INSERT INTO log (rowid, n) VALUES (101, 5) ON CONFLICT (rowid) DO UPDATE SET n = n + excluded.n + log.rowid",
    );
    let error = refused(&session, "INSERT INTO log (rowid) VALUES (101)");
    assert_eq!(error.message(), "UNIQUE constraint failed: log.rowid");
    assert_eq!(
        rows(&session, "SELECT text, n FROM log ORDER BY text"),
        [
            ["a".into(), Value::Integer(1)],
            ["b".into(), Value::Integer(3)],
            ["c".into(), Value::Integer(306)]
        ]
    );
    done(&session, "DELETE FROM log WHERE rowid = 101");
    assert_eq!(rows(&session, "SELECT count(*) FROM log"), [[Value::Integer(2)]]);
    is_clean(&store);
}

#[test]
fn keys_of_every_kind_are_found_again() {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    for (name, key, keys) in [
        ("any", Field::any(), json!([true, false, 1, 0, 2.5, "1", "true", "x"])),
        ("flags", Field::boolean(), json!([true, false])),
        ("texts", Field::string(), json!(["a", "", "1", "é\u{1F600}"])),
        ("numbers", Field::number(), json!([1, -2.5, 1e300, 9_007_199_254_740_993_i64])),
        ("dates", Field::date(), json!(["2026-01-01", 5])),
    ] {
        store
            .define_bucket(name, BucketConfig::new("k").field("k", key).field("n", Field::number()))
            .unwrap();
        let bucket = store.bucket(name);
        for key in keys.as_array().unwrap() {
            bucket.insert(json!({ "k": key, "n": 0 })).unwrap();
        }
        let count = keys.as_array().unwrap().len() as u64;
        let output = done(&session, &format!("UPDATE {name} SET n = n + 1 RETURNING n"));
        assert_eq!(output.changes, count, "{name}");
        assert!(
            bucket.all().records().unwrap().iter().all(|record| record.get("n") == Some(json!(1)))
        );
        assert_eq!(done(&session, &format!("DELETE FROM {name}")).changes, count, "{name}");
    }
    is_clean(&store);
}

#[test]
fn whole_records_are_written_as_json() {
    let both = Both::filled();
    let session = &both.session;
    let inserted = done(
        session,
        r#"INSERT INTO t (_record, c) VALUES ('{"id": 9, "a": 90, "tags": ["x"], "c": 1, "d": 4}', 2)
           RETURNING id, b, c, _record ->> '$.tags[0]' AS tag, _version"#,
    );
    assert_eq!(
        inserted.rows[0].values(),
        [9_i64.into(), "x".into(), 2.0.into(), "x".into(), 1_i64.into()]
    );
    done(
        session,
        r#"UPDATE t SET _record = '{"a": 91, "d": 5, "b": "w", "more": {"n": 1}}' WHERE id = 9"#,
    );
    let record = both.store.bucket("t").require(9).unwrap();
    assert_eq!(record.get("more"), Some(json!({ "n": 1 })));
    assert_eq!((record.get("tags"), record.get("c")), (None, None));
    assert_eq!(record.version(), 2);
    done(session, "UPDATE t SET _record = json_set(_record, '$.more.n', a) WHERE id = 9");
    assert_eq!(both.store.bucket("t").require(9).unwrap().get("more"), Some(json!({ "n": 91 })));
    for (sql, words) in [
        (
            "UPDATE t SET _record = '[1]' WHERE id = 9",
            "Invalid \"_record\": expected the text of a JSON object",
        ),
        (
            "INSERT INTO t (_record) VALUES ('x')",
            "Invalid \"_record\": expected the text of a JSON object",
        ),
        (r#"UPDATE t SET _record = '{"b": "x"}' WHERE id = 9"#, "NOT NULL constraint failed: t.d"),
        (r#"UPDATE t SET _record = '{"d": 0}' WHERE id = 9"#, "CHECK constraint failed: positive"),
        (
            r#"UPDATE t SET _record = '{"d": 1, "a": 10}' WHERE id = 9"#,
            "UNIQUE constraint failed: t.a",
        ),
        (
            r#"UPDATE t SET _record = '{"d": 1, "id": 1}' WHERE id = 9"#,
            "UNIQUE constraint failed: t.id",
        ),
    ] {
        assert_eq!(refused(session, sql).message(), words, "{sql}");
    }
    done(session, r#"UPDATE t SET _record = '{"d": 1, "id": 19}' WHERE id = 9"#);
    assert!(both.store.bucket("t").get(9).unwrap().is_none());
    both.is_clean();
}

#[test]
fn upserts_know_partial_unique_indexes() {
    let store = Store::memory().unwrap();
    let config = BucketConfig::new("id")
        .field("id", Field::number().generated_autoincrement())
        .field("mail", Field::string())
        .field("active", Field::boolean())
        .field("n", Field::number().default(1))
        .index(IndexConfig::on("mail").named("one").unique().only(json!({ "active": true })));
    store.define_bucket("users", config).unwrap();
    let session = Session::new(&store).unwrap();
    done(
        &session,
        "INSERT INTO users (id, mail, active) VALUES (1, 'a', true), (2, 'b', false), (3, 'b', false)",
    );
    let error = refused(
        &session,
        "INSERT INTO users (mail, active) VALUES ('a', 1) ON CONFLICT (mail) DO NOTHING",
    );
    assert_eq!(
        error.message(),
        "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"
    );
    let upsert = "INSERT INTO users (mail, active, n) VALUES (?, ?, 10)
                  ON CONFLICT (mail) WHERE active DO UPDATE SET n = n + excluded.n";
    session.execute(upsert, params!["a", true]).unwrap();
    session.execute(upsert, params!["a", false]).unwrap();
    session.execute(upsert, params!["b", true]).unwrap();
    session.execute(upsert, params!["b", true]).unwrap();
    assert_eq!(
        rows(&session, "SELECT mail, active, n FROM users ORDER BY mail, active, n"),
        [
            ["a".into(), Value::Integer(0), Value::Integer(10)],
            ["a".into(), Value::Integer(1), Value::Integer(11)],
            ["b".into(), Value::Integer(0), Value::Integer(1)],
            ["b".into(), Value::Integer(0), Value::Integer(1)],
            ["b".into(), Value::Integer(1), Value::Integer(20)],
        ]
    );
    assert_eq!(refused(&session, "UPDATE users SET active = true").code(), Code::AlreadyExists);
    done(&session, "UPDATE OR REPLACE users SET active = true");
    assert_eq!(rows(&session, "SELECT count(*) FROM users"), [[Value::Integer(2)]]);
    is_clean(&store);
}

#[test]
fn checks_see_what_the_bucket_makes() {
    let store = Store::memory().unwrap();
    let config = BucketConfig::new("id")
        .field("id", Field::number().generated_autoincrement())
        .field("made", Field::number().generated_timestamp())
        .field("n", Field::number().default(5));
    let sql = json!({ "columns": { "id": { "type": "INTEGER" } }, "checks": [
        { "expression": "id < 8" }, { "expression": "made > 0 AND n > 1" },
    ] });
    store.define_bucket("few", with_sql(config, sql)).unwrap();
    let session = Session::new(&store).unwrap();
    done(&session, "INSERT INTO few DEFAULT VALUES");
    let error = refused(&session, "INSERT INTO few (n) VALUES (2), (1)");
    assert_eq!(error.message(), "CHECK constraint failed: made > 0 AND n > 1");
    let output = done(&session, "INSERT OR IGNORE INTO few (n) VALUES (2), (1), (2), (2), (2)");
    // Numbers of rows that were refused are not given again.
    assert_eq!(output.changes, 3);
    assert_eq!(
        refused(&session, "UPDATE few SET id = id + 10").message(),
        "CHECK constraint failed: id < 8"
    );
    done(&session, "UPDATE few SET made = 77");
    assert_eq!(rows(&session, "SELECT DISTINCT made FROM few"), [[Value::Integer(77)]]);
    is_clean(&store);
}

#[test]
fn references_are_kept() {
    let store = Store::memory().unwrap();
    store.define_bucket("parents", BucketConfig::new("id").field("id", Field::number())).unwrap();
    for (name, action) in [("kept", tandem::OnDelete::Restrict), ("led", tandem::OnDelete::Cascade)]
    {
        let parent = Field::number().references("parents").on_delete(action);
        let config = BucketConfig::new("id").field("id", Field::number()).field("parent", parent);
        store.define_bucket(name, config).unwrap();
    }
    let session = Session::new(&store).unwrap();
    done(&session, "INSERT INTO parents VALUES (1), (2), (3)");
    done(&session, "INSERT INTO kept VALUES (1, 1)");
    done(&session, "INSERT INTO led VALUES (1, 2), (2, 2)");
    for sql in [
        "INSERT INTO kept VALUES (5, 3), (6, 9)",
        "INSERT OR IGNORE INTO kept VALUES (6, 9)",
        "UPDATE kept SET parent = 9",
        "DELETE FROM parents",
        "REPLACE INTO parents VALUES (1)",
        // A cascade is for what is deleted, not for a key that changes.
        "UPDATE parents SET id = id + 10 WHERE id > 1",
    ] {
        assert_eq!(refused(&session, sql).code(), Code::ReferenceViolation, "{sql}");
        assert_eq!(rows(&session, "SELECT count(*) FROM kept"), [[Value::Integer(1)]]);
        assert_eq!(rows(&session, "SELECT count(*) FROM led"), [[Value::Integer(2)]]);
    }
    done(&session, "UPDATE parents SET id = 30 WHERE id = 3");
    assert_eq!(done(&session, "DELETE FROM parents WHERE id = 2").changes, 1);
    assert_eq!(rows(&session, "SELECT count(*) FROM led"), [[Value::Integer(0)]]);
    is_clean(&store);
}

#[test]
fn one_transaction_serves_sql_and_the_record_api() {
    let both = Both::filled();
    let session = &both.session;
    done(session, "BEGIN");
    let transaction = session.transaction().unwrap();
    transaction.bucket("t").insert(json!({ "id": 4, "a": 40, "d": 4 })).unwrap();
    done(session, "UPDATE t SET a = a + 1 WHERE id = 4");
    assert_eq!(transaction.bucket("t").require(4).unwrap().get("a"), Some(json!(41)));
    done(session, "SAVEPOINT s");
    transaction.bucket("t").delete(1).unwrap();
    done(session, "INSERT INTO t (id, a, d) SELECT 5, 10, count(*) FROM t");
    assert_eq!(refused(session, "INSERT INTO t (a) VALUES (99), (10)").code(), Code::AlreadyExists);
    assert_eq!(transaction.bucket("t").require(5).unwrap().get("d"), Some(json!(3)));
    done(session, "ROLLBACK TO s");
    assert!(transaction.bucket("t").get(5).unwrap().is_none());
    drop(transaction);
    done(session, "COMMIT");
    assert_eq!(rows(session, "SELECT id, a FROM t WHERE id > 3"), [[4_i64.into(), 41_i64.into()]]);
    assert_eq!(both.store.bucket("t").count(json!({})).unwrap(), 4);
    both.is_clean();
}

#[test]
fn an_update_or_delete_by_key_conflicts_with_nothing_else() {
    let both = Both::filled();
    let other = Session::new(&both.store).unwrap();
    done(&both.session, "BEGIN");
    done(&both.session, "UPDATE t SET d = d + 1 WHERE id = 1");
    done(&both.session, "DELETE FROM t WHERE id = 2");
    done(&other, "UPDATE t SET d = 9 WHERE id = 3");
    done(&other, "INSERT INTO t (id) VALUES (4)");
    done(&both.session, "COMMIT");
    // What a statement has read is read: a count of rows conflicts with an insert.
    done(&both.session, "BEGIN ISOLATION LEVEL SERIALIZABLE");
    done(&both.session, "UPDATE t SET d = (SELECT count(*) FROM t) WHERE id = 1");
    done(&other, "INSERT INTO t (id) VALUES (5)");
    assert_eq!(refused(&both.session, "COMMIT").code(), Code::Conflict);
    both.is_clean();
}

#[test]
fn what_sql_has_and_tandem_does_not_is_refused() {
    let both = Both::filled();
    for sql in [
        "UPDATE t SET d = 1 ORDER BY id LIMIT 1",
        "UPDATE t, t AS u SET d = 1",
        "DELETE FROM t USING t AS u",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET d = 1 ON CONFLICT (id) DO NOTHING",
        "INSERT INTO other.t (id) VALUES (1)",
        "UPDATE t SET t.d = 1",
        "UPDATE t SET d = 1 WHERE b ILIKE 'ONE'",
    ] {
        assert_eq!(refused(&both.session, sql).code(), Code::SqlError, "{sql}");
    }
    both.compare("refusals");
    assert_eq!(done(&both.session, "DELETE FROM t ORDER BY id DESC LIMIT 1").changes, 1);
    assert_eq!(rows(&both.session, "SELECT max(id) FROM t"), [[Value::Integer(2)]]);
    both.is_clean();
}

#[test]
fn expressions_reach_sqlite_as_they_were_written() {
    for expression in [
        "a IS NOT DISTINCT FROM 10",
        "a ISNULL",
        "a NOTNULL",
        "a NOT NULL",
        "a IS NULL",
        "a IS NOT NULL",
        "b = 'ONE' COLLATE NOCASE",
        "b GLOB 'o*'",
        "b NOT GLOB 'o*'",
        "b LIKE 'O_e'",
        "b NOT LIKE 'x\\%' ESCAPE '\\'",
        "json_object('x', a) -> '$.x'",
        "json_object('x', a) ->> 'x'",
        "json_array(a, b) ->> 1",
        "CASE WHEN a > 10 THEN 'big' ELSE 'small' END",
        "CASE a WHEN 10 THEN 1 WHEN 20 THEN 2 END",
        "CAST(c AS INTEGER)",
        "CAST(a AS TEXT) || 'x'",
        "CAST('12abc' AS NUMERIC)",
        "CAST(c AS VARCHAR(10))",
        "a BETWEEN 5 AND 15",
        "a NOT BETWEEN 5 AND 15",
        "a IN (10, 30)",
        "a NOT IN (10)",
        "a IN ()",
        "a IN (SELECT a FROM t WHERE d > 1)",
        "EXISTS (SELECT 1 FROM t AS o WHERE o.a > t.a)",
        "NOT EXISTS (SELECT 1)",
        "~a",
        "-a",
        "+a",
        "- -a",
        "NOT a",
        "a % 7",
        "a << 2",
        "a >> 1",
        "a & 8",
        "a | 1",
        "a == 10",
        "a <> 10",
        "a != 10",
        "a / 3",
        "a / 3.0",
        "a * (c + 1) - 2",
        "a - (c - 1)",
        "1 - 2 - 3",
        "2 * 3 % 4",
        "a < 20 = 1",
        "a OR b AND NOT c",
        "x'ab01'",
        "1e3",
        ".5",
        "5.",
        "0x1F",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1_000",
        "'it''s'",
        "'a\"b'",
        "''",
        "\"a\"",
        "[a]",
        "`a`",
        "t.a",
        "\"t\".\"a\"",
        "TRUE",
        "FALSE",
        "NULL",
        "a IS 10",
        "a IS NOT 10",
        "a IS TRUE",
        "a IS NOT FALSE",
        "(a, b) = (10, 'one')",
        "(a, b) IN (VALUES (10, 'one'))",
        "(SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 1)",
        "(SELECT a FROM t ORDER BY a DESC LIMIT 1, 1)",
        "(SELECT count(*) FROM t AS o WHERE o.d <= t.d)",
        "(SELECT group_concat(b, ';') FROM (SELECT b FROM t ORDER BY b))",
        "(SELECT sum(d) FILTER (WHERE a > 10) FROM t)",
        "(SELECT count(DISTINCT d) FROM t)",
        "(SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY a) AS r FROM t))",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n)",
        "(SELECT 1 UNION SELECT 1 EXCEPT SELECT 2)",
        "(SELECT l.a FROM t AS l LEFT JOIN t AS r ON l.a = r.a + 10 WHERE r.a IS NULL)",
        "(SELECT value FROM json_each('[5,6]') WHERE key = 1)",
        "(VALUES (4))",
        "iif(a > 10, 'x', 'y')",
        "printf('%05d', a)",
        "format('%s-%d', b, a)",
        "strftime('%Y', '2026-05-06')",
        "date('2026-01-31', '+1 day')",
        "datetime(0, 'unixepoch')",
        "julianday('2026-01-01')",
        "substr(b, 2, 1)",
        "substring(b, 2)",
        "trim('  x ')",
        "trim('xxaxx', 'x')",
        "ltrim('  x')",
        "replace(b, 'o', '0')",
        "instr(b, 'n')",
        "length(b)",
        "upper(b) || lower(b)",
        "round(c, 1)",
        "round(c)",
        "abs(-a)",
        "max(a, d)",
        "min(a, d)",
        "coalesce(NULL, a)",
        "ifnull(NULL, b)",
        "nullif(a, 10)",
        "typeof(c)",
        "hex(b)",
        "quote(b)",
        "char(65, 66)",
        "unicode('A')",
        "likely(a)",
        "json_extract('{\"a\": [1, 2]}', '$.a[1]')",
        "json_set('{}', '$.x', a)",
        "glob('o*', b)",
        "like('o%', b)",
        "sign(-a)",
        "ceiling(c)",
        "pow(a, 2)",
        "concat(a, b)",
        "concat_ws('-', a, b)",
        "octet_length(b)",
        "/* a comment */ a",
        "CURRENT_DATE > '2000-01-01'",
        "date('now') > '2000-01-01'",
        "a COLLATE BINARY",
        "a LIKE 1 || '%'",
        "a = 10 AND b = 'one' OR d = 2",
        "NOT a = 10",
        "NOT (a = 10 OR a = 20)",
        "a > 5 AND (b = 'x' OR c > 2)",
        "a || b || c",
        "a NOT NULL AND b NOTNULL",
        "b REGEXP 'x'",
        "b IN ('one', 'two') = 1",
        "not_a_function(a)",
        "e",
        "0xFFFFFFFFFFFFFFFF",
        "a NOT GLOB 1 || '*' AND d",
        "a ISNULL OR d",
        "b < 'p' COLLATE NOCASE AND a",
        "CAST(a AS REAL) / 4",
        "CAST(a AS \"TEXT\")",
        "5 BETWEEN 1 AND a",
        "-(-a)",
        "1 IN (a, d)",
    ] {
        let both = Both::filled();
        both.run(&format!("UPDATE t SET d = d + 1 WHERE id = 1 RETURNING {expression}"));
        both.run(&format!("UPDATE t SET d = d + 1 WHERE {expression}"));
        both.run(&format!("DELETE FROM t WHERE ({expression})"));
        both.is_clean();
    }
}

#[test]
fn a_statement_that_runs_for_too_long_is_undone() {
    let both = Both::filled();
    let options =
        SessionOptions { statement_time: Some(std::time::Duration::ZERO), ..Default::default() };
    let hurried = Session::with_options(&both.store, options).unwrap();
    for sql in ["INSERT INTO t (id) VALUES (7), (8)", "UPDATE t SET d = 9", "DELETE FROM t"] {
        let error = refused(&hurried, sql);
        assert_eq!(
            (error.code(), error.detail("limit")),
            (Code::Timeout, Some(&json!("statementTime")))
        );
        both.compare(sql);
    }
    both.is_clean();
}

#[test]
fn statements_that_are_too_deep_are_refused() {
    let both = Both::filled();
    let chain = |term: &str, operator: &str, count: usize| vec![term; count].join(operator);
    for (sql, words) in [
        (
            format!("DELETE FROM t WHERE {}", chain("id = 9", " OR ", 100_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
        (
            format!("UPDATE t SET b = {}", chain("b", " || ", 100_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
        (
            format!("INSERT INTO t (id) {}", chain("SELECT 9", " UNION ALL ", 100_000)),
            "too many terms in compound SELECT",
        ),
        (
            format!("UPDATE t SET d = {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
            "The statement is nested too deeply",
        ),
        (
            format!("UPDATE t SET d = {}1", "- ".repeat(10_000)),
            "Expression tree is too large (maximum depth 1000)",
        ),
    ] {
        let error = refused(&both.session, &sql);
        assert_eq!((error.code(), error.message()), (Code::SqlError, words), "{:.60}", sql);
    }
    both.run(&format!("UPDATE t SET d = {} WHERE id = 1", chain("1", " + ", 900)));
    let mut nested = "1".to_owned();
    for _ in 0..30 {
        nested = format!("({nested} + {})", chain("1", " + ", 30));
    }
    both.run(&format!("UPDATE t SET d = {nested} WHERE id = 1"));
    both.run(&format!("INSERT INTO t (id, c) {}", chain("SELECT 9, 9", " UNION ", 400)));
    both.run(&format!("DELETE FROM t WHERE id IN ({})", chain("9", ", ", 20_000)));
    both.is_clean();
}

#[test]
fn conflict_clauses_hold_among_concurrent_sessions() {
    let store = Store::memory().unwrap();
    define_items(&store);
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            let store = &store;
            scope.spawn(move || {
                let session = Session::new(store).unwrap();
                for n in 0..50_i64 {
                    session
                        .execute(
                            "INSERT INTO t (a, b, c, d) VALUES (?, 'n', ?1, 1) ON CONFLICT (a) DO UPDATE SET d = d + 1",
                            params![n % 5],
                        )
                        .unwrap();
                    session
                        .execute("INSERT OR IGNORE INTO t (id, a) VALUES (?, ?1)", params![1000 + n % 7])
                        .unwrap();
                    session
                        .execute("REPLACE INTO t (a, b, c) VALUES (?, 'r', ?2)", params![2000, thread])
                        .unwrap();
                }
            });
        }
    });
    let session = Session::new(&store).unwrap();
    assert_eq!(
        rows(&session, "SELECT count(*), sum(d) FROM t WHERE b = 'n'"),
        [[Value::Integer(5), Value::Integer(200)]]
    );
    assert_eq!(
        rows(&session, "SELECT count(*) FROM t WHERE id >= 1000 AND b = 'x'"),
        [[7_i64.into()]]
    );
    assert_eq!(rows(&session, "SELECT count(*) FROM t WHERE b = 'r'"), [[1_i64.into()]]);
    is_clean(&store);
}

#[test]
fn what_the_bucket_demands_is_a_kind_of_check() {
    let store = Store::memory().unwrap();
    let config = BucketConfig::new("id")
        .field("id", Field::number())
        .field("n", Field::number().min(1).default(1));
    store.define_bucket("strict", config).unwrap();
    let session = Session::new(&store).unwrap();
    assert_eq!(
        refused(&session, "INSERT INTO strict VALUES (1, 1), (2, 0)").code(),
        Code::ValidationError
    );
    assert_eq!(
        done(&session, "INSERT OR IGNORE INTO strict VALUES (1, 1), (2, 0), (3, 3)").changes,
        2
    );
    assert_eq!(refused(&session, "UPDATE strict SET n = n - 1").code(), Code::ValidationError);
    assert_eq!(done(&session, "UPDATE OR IGNORE strict SET n = n - 1").changes, 1);
    let error = refused(&session, "INSERT OR FAIL INTO strict (id) VALUES (4), (5), (4), (6)");
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(
        rows(&session, "SELECT group_concat(id || ':' || n) FROM strict"),
        [["1:1,3:2,4:1,5:1".into()]]
    );
    is_clean(&store);
}
