//! ALTER TABLE: rows, indexes, constraints and references follow, within the
//! transaction, and what is refused changes nothing.

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, Code, Store};
use tandem_sql::Session;

use crate::support::{clean, definitions, insert, memory, refused, rows, run};

/// Everything that is defined, and the rows of `t`.
fn state(store: &Store, session: &Session) -> Json {
    json!([definitions(store), rows(session, "SELECT _record FROM t")])
}

fn schema(store: &Store, table: &str) -> Json {
    store.bucket_config(table).unwrap()["schema"].clone()
}

#[test]
fn an_added_column_has_its_default_in_the_rows_that_are_there() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY)");
    insert(&store, "t", json!({ "a": 1 }));
    insert(&store, "t", json!({ "a": 2, "e": "own" }));
    run(
        &session,
        "ALTER TABLE t ADD COLUMN b INTEGER;
         ALTER TABLE t ADD c TEXT NOT NULL DEFAULT 'new' CONSTRAINT filled CHECK (t.c <> '');
         ALTER TABLE t ADD COLUMN d INTEGER REFERENCES t (a) ON DELETE SET NULL;
         ALTER TABLE t ADD COLUMN e TEXT DEFAULT 'none'",
    );
    assert_eq!(
        rows(&session, "SELECT a, b, c, d, e, _version FROM t"),
        json!([[1, null, "new", null, "none", 3], [2, null, "new", null, "own", 2]])
    );
    insert(&store, "t", json!({ "d": 1 }));
    assert_eq!(
        rows(&session, "SELECT a, c, d, e FROM t WHERE a = 3"),
        json!([[3, "new", 1, "none"]])
    );
    let dangling = store.bucket("t").insert(json!({ "d": 9 })).unwrap_err();
    assert_eq!(dangling.code(), Code::ReferenceViolation);
    let sql = store.bucket_config("t").unwrap()["sql"].clone();
    assert_eq!(
        sql["checks"],
        json!([{ "name": "filled", "expression": "c <> ''", "column": "c" }])
    );
    assert_eq!(sql["columns"]["c"], json!({ "type": "TEXT" }));
    // Every row was looked at, so an index on the column serves its conditions.
    for b in 0..200 {
        insert(&store, "t", json!({ "b": b }));
    }
    run(&session, "CREATE INDEX by_b ON t (b) WHERE b > 5");
    let shown = rows(&session, "EXPLAIN QUERY PLAN SELECT * FROM t WHERE b = 7").to_string();
    assert!(shown.contains("by_b (b=?)"), "{shown}");
    clean(&store);
}

#[test]
fn an_added_column_without_rows_may_be_anything() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a);
         ALTER TABLE t ADD COLUMN b TEXT NOT NULL;
         ALTER TABLE t ADD COLUMN c TEXT DEFAULT CURRENT_TIMESTAMP CHECK (c > '2')",
    );
    assert_eq!(schema(&store, "t")["b"], json!({ "type": "string", "required": true }));
    assert_eq!(
        store.bucket_config("t").unwrap()["sql"]["columns"]["c"]["default"],
        "CURRENT_TIMESTAMP"
    );
    clean(&store);
}

#[test]
fn a_renamed_column_is_renamed_wherever_it_is_named() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE CHECK (length(B) < 9), c INT DEFAULT 5, d INT,
                         UNIQUE (c, b), CHECK (c > 0 OR t.b IS NULL));
         CREATE INDEX i ON t (b DESC, c) WHERE b > 'a' AND NOT (c = 1 OR d IN (7, 8));
         CREATE TABLE p (x TEXT, y TEXT, PRIMARY KEY (x, y));
         CREATE TABLE r (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (a) ON DELETE CASCADE)",
    );
    for n in 1..=200 {
        insert(&store, "t", json!({ "b": format!("b{n}"), "c": n }));
    }
    insert(&store, "r", json!({ "t": 3 }));
    run(
        &session,
        "ALTER TABLE t RENAME COLUMN b TO \"the name\";
         ALTER TABLE t RENAME c TO C2;
         ALTER TABLE t RENAME COLUMN A TO id;
         ALTER TABLE p RENAME COLUMN y TO z",
    );
    assert_eq!(
        rows(&session, "SELECT id, \"the name\", c2, _version FROM t WHERE id = 3"),
        json!([[3, "b3", 3, 4]])
    );
    let config = store.bucket_config("t").unwrap();
    assert_eq!(config["key"], "id");
    assert_eq!(
        config["indexes"],
        json!([
            { "name": "t_c_b", "fields": ["C2", "the name"], "unique": true },
            { "name": "i", "fields": ["-the name", "C2"], "filter": { "$and": [
                { "the name": { "$gt": "a" } },
                { "$and": [
                    { "C2": { "$ne": 1, "$exists": true } },
                    { "d": { "$nin": [7, 8], "$exists": true } },
                ] },
            ] } },
        ])
    );
    assert_eq!(
        config["sql"]["checks"],
        json!([
            { "expression": "length(\"the name\") < 9", "column": "the name" },
            { "expression": "\"C2\" > 0 OR \"the name\" IS NULL" },
        ])
    );
    let columns: Vec<_> = config["sql"]["columns"].as_object().unwrap().keys().collect();
    assert_eq!(columns, ["id", "the name", "C2", "d"]);
    assert_eq!(store.bucket_config("p").unwrap()["sql"]["primaryKey"], json!(["x", "z"]));
    let shown =
        rows(&session, "EXPLAIN QUERY PLAN SELECT * FROM t WHERE \"the name\" = 'b7'").to_string();
    assert!(shown.contains("the name (the name=?)"), "{shown}");
    let twice = store.bucket("t").insert(json!({ "the name": "b7" })).unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    store.bucket("t").delete(3).unwrap();
    assert_eq!(rows(&session, "SELECT count(*) FROM r"), json!([[0]]));
    insert(&store, "t", json!({ "the name": "last" }));
    assert_eq!(rows(&session, "SELECT c2 FROM t WHERE \"the name\" = 'last'"), json!([[5]]));
    clean(&store);
}

#[test]
fn a_dropped_column_is_gone_from_rows_too() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INT REFERENCES p)",
    );
    insert(&store, "p", json!({ "id": 1 }));
    insert(&store, "t", json!({ "b": "x", "c": 1 }));
    insert(&store, "t", json!({}));
    run(&session, "ALTER TABLE t DROP COLUMN b; ALTER TABLE t DROP c");
    assert_eq!(
        rows(&session, "SELECT *, _record ->> 'b', _version FROM t"),
        json!([[1, null, 3], [2, null, 1]])
    );
    assert_eq!(
        store.bucket_config("t").unwrap()["sql"],
        json!({ "columns": { "a": { "type": "INTEGER" } } })
    );
    // Nothing refers to it any more.
    run(&session, "DROP TABLE p");
    clean(&store);
}

#[test]
fn a_renamed_table_keeps_its_rows_and_references_follow() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, up INTEGER REFERENCES t, b TEXT CHECK (t.b <> 'no'));
         CREATE INDEX by_b ON t (b);
         CREATE TABLE r (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t)",
    );
    insert(&store, "t", json!({ "b": "x" }));
    insert(&store, "r", json!({ "t": 1 }));
    run(&session, "ALTER TABLE t RENAME TO things");
    assert_eq!(refused(&session, "SELECT * FROM t").code(), Code::SqlError);
    assert_eq!(rows(&session, "SELECT a, b, _version FROM things"), json!([[1, "x", 1]]));
    assert_eq!(schema(&store, "r")["t"]["ref"], "things");
    assert_eq!(schema(&store, "things")["up"]["ref"], "things");
    assert_eq!(refused(&session, "DROP TABLE things").code(), Code::ReferenceViolation);
    let restricted = store.bucket("things").delete(1).unwrap_err();
    assert_eq!(restricted.code(), Code::ReferenceViolation);
    insert(&store, "things", json!({ "up": 1 }));
    run(
        &session,
        "DROP INDEX by_b; DROP TABLE r; ALTER TABLE things RENAME TO t;
         ALTER TABLE t RENAME COLUMN b TO c",
    );
    assert_eq!(rows(&session, "SELECT a, up, c FROM t"), json!([[1, null, "x"], [2, 1, null]]));
    clean(&store);
}

#[test]
fn what_is_refused_has_a_code_and_changes_nothing() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c INT, d INT, e INT, f INT, g INT, UNIQUE (c, d), CHECK (e > 0));
         CREATE INDEX i ON t (f);
         CREATE INDEX j ON t (a) WHERE g IS NOT NULL;
         CREATE TABLE bare (x);
         CREATE TABLE pair (x, y, z, PRIMARY KEY (x, y))",
    );
    store.define_bucket("docs", BucketConfig::new("id")).unwrap();
    insert(&store, "t", json!({ "b": "x", "h": [1], "k": 3 }));
    let before = state(&store, &session);
    for (sql, code, message) in [
        ("ALTER TABLE nobody ADD COLUMN x", Code::BucketNotDefined, "no such table: nobody"),
        ("ALTER TABLE t ADD COLUMN B", Code::SqlError, "duplicate column name: B"),
        (
            "ALTER TABLE t ADD COLUMN x PRIMARY KEY",
            Code::SqlError,
            "Cannot add a PRIMARY KEY column",
        ),
        ("ALTER TABLE t ADD COLUMN x UNIQUE", Code::SqlError, "Cannot add a UNIQUE column"),
        (
            "ALTER TABLE t ADD COLUMN x NOT NULL",
            Code::SqlError,
            "NOT NULL column with default value NULL",
        ),
        ("ALTER TABLE t ADD COLUMN x DEFAULT CURRENT_TIME", Code::SqlError, "non-constant default"),
        (
            "ALTER TABLE t ADD COLUMN x DEFAULT 1 REFERENCES t",
            Code::SqlError,
            "REFERENCES column with non-NULL",
        ),
        (
            "ALTER TABLE t ADD COLUMN x INT DEFAULT 1 CHECK (x > 1)",
            Code::ConstraintViolation,
            "CHECK constraint failed: x > 1",
        ),
        (
            "ALTER TABLE t ADD COLUMN k INT CONSTRAINT low CHECK (k < 3)",
            Code::ConstraintViolation,
            "CHECK constraint failed: low",
        ),
        ("ALTER TABLE t ADD COLUMN x CHECK (y > 1)", Code::SqlError, "no such column: y"),
        ("ALTER TABLE t ADD COLUMN h INT", Code::ValidationError, ""),
        ("ALTER TABLE t ADD COLUMN k INT REFERENCES t", Code::ReferenceViolation, ""),
        ("ALTER TABLE t ADD COLUMN x BLOB", Code::SqlError, "Type BLOB is not supported"),
        ("ALTER TABLE t ADD COLUMN x TEXT COLLATE NOCASE", Code::SqlError, "COLLATE NOCASE is not"),
        (
            "ALTER TABLE t ADD COLUMN x AS (a + 1)",
            Code::SqlError,
            "generated column is not supported",
        ),
        ("ALTER TABLE t ADD COLUMN _createdAt", Code::SqlError, "Invalid column name"),
        ("ALTER TABLE bare ADD COLUMN ROWID", Code::SqlError, "ROWID"),
        ("ALTER TABLE bare RENAME x TO rowid", Code::SqlError, "rowid"),
        ("ALTER TABLE t RENAME COLUMN x TO y", Code::SqlError, "no such column: \"x\""),
        ("ALTER TABLE t RENAME COLUMN _record TO y", Code::SqlError, "no such column"),
        ("ALTER TABLE t RENAME COLUMN b TO C", Code::SqlError, "duplicate column name: c"),
        ("ALTER TABLE t RENAME COLUMN b TO \"x.y\"", Code::SqlError, "Invalid column name"),
        ("ALTER TABLE t RENAME COLUMN b TO h", Code::ValidationError, "have a field \"h\" already"),
        ("ALTER TABLE t DROP COLUMN x", Code::SqlError, "no such column: \"x\""),
        ("ALTER TABLE t DROP COLUMN a", Code::SqlError, "cannot drop PRIMARY KEY column"),
        ("ALTER TABLE pair DROP COLUMN y", Code::SqlError, "cannot drop PRIMARY KEY column"),
        ("ALTER TABLE t DROP COLUMN b", Code::SqlError, "b"),
        ("ALTER TABLE t DROP COLUMN c", Code::SqlError, "c"),
        ("ALTER TABLE t DROP COLUMN e", Code::SqlError, "no such column: e"),
        ("ALTER TABLE t DROP COLUMN f", Code::SqlError, "error in index i after drop column"),
        ("ALTER TABLE t DROP COLUMN g", Code::SqlError, "error in index j after drop column"),
        ("ALTER TABLE bare DROP COLUMN x", Code::SqlError, "no other columns exist"),
        ("ALTER TABLE t RENAME TO bare", Code::AlreadyExists, "already another table"),
        ("ALTER TABLE t RENAME TO DOCS", Code::AlreadyExists, "already another table"),
        ("ALTER TABLE t RENAME TO sqlite_t", Code::SqlError, "reserved"),
        ("ALTER TABLE t RENAME TO _t", Code::ValidationError, "reserved"),
        ("ALTER TABLE t ALTER COLUMN b TYPE INT", Code::SqlError, ""),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (e)", Code::SqlError, ""),
    ] {
        let error = refused(&session, sql);
        assert_eq!(error.code(), code, "{sql}: {error}");
        assert!(error.message().contains(message), "{sql}: {error}");
        assert_eq!(state(&store, &session), before, "{sql}");
    }
    run(&session, "ALTER TABLE t RENAME COLUMN b TO b");
    assert_eq!(state(&store, &session), before);
    run(&session, "ALTER TABLE t RENAME COLUMN B TO \"B\"; ALTER TABLE t RENAME b TO b");
    assert_eq!(rows(&session, "SELECT _record ->> 'b', _version FROM t"), json!([["x", 3]]));
    clean(&store);
}

#[test]
fn an_alteration_is_part_of_the_transaction() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX by_b ON t (b)");
    insert(&store, "t", json!({ "b": "x" }));
    let before = state(&store, &session);
    run(&session, "BEGIN; ALTER TABLE t RENAME COLUMN b TO c");
    session.transaction().unwrap().bucket("t").insert(json!({ "c": "own" })).unwrap();
    run(
        &session,
        "SAVEPOINT s; ALTER TABLE t RENAME TO u; ALTER TABLE u ADD COLUMN d INT DEFAULT 4",
    );
    assert_eq!(
        rows(&session, "SELECT c, d FROM u WHERE c > '' ORDER BY c"),
        json!([["own", 4], ["x", 4]])
    );
    let other = Session::new(&store).unwrap();
    assert_eq!(rows(&other, "SELECT b FROM t"), json!([["x"]]));
    run(&session, "ROLLBACK TO s");
    assert_eq!(rows(&session, "SELECT a, c FROM t"), json!([[1, "x"], [2, "own"]]));
    run(&session, "ROLLBACK");
    assert_eq!(state(&store, &session), before);

    run(&session, "BEGIN; ALTER TABLE t RENAME COLUMN b TO c; COMMIT");
    assert_eq!(rows(&other, "SELECT c, _version FROM t WHERE c = 'x'"), json!([["x", 2]]));
    clean(&store);
}

#[test]
fn a_writer_and_an_alteration_at_the_same_time_are_in_conflict() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)");
    insert(&store, "t", json!({ "b": "x" }));
    let other = Session::new(&store).unwrap();
    for level in ["READ COMMITTED", "SNAPSHOT", "SERIALIZABLE"] {
        for (at, alteration) in
            ["ADD COLUMN c INT DEFAULT 1", "RENAME COLUMN b TO c", "RENAME TO u"].iter().enumerate()
        {
            let begin = format!("BEGIN ISOLATION LEVEL {level}");
            run(&session, &begin);
            run(&other, &format!("{begin}; ALTER TABLE t {alteration}"));
            session.transaction().unwrap().bucket("t").insert(json!({ "b": "y" })).unwrap();
            if at == 0 {
                run(&session, "COMMIT");
                assert_eq!(
                    refused(&other, "COMMIT").code(),
                    Code::Conflict,
                    "{level} {alteration}"
                );
                run(&other, "ROLLBACK");
            } else {
                run(&other, "COMMIT");
                assert_eq!(
                    refused(&session, "COMMIT").code(),
                    Code::Conflict,
                    "{level} {alteration}"
                );
                run(&session, "ROLLBACK");
                let back = ["", "ALTER TABLE t RENAME COLUMN c TO b", "ALTER TABLE u RENAME TO t"];
                run(&session, back[at]);
            }
            clean(&store);
        }
    }
}

#[test]
fn buckets_of_the_record_api_can_be_altered_too() {
    let (store, session) = memory();
    let config = json!({
        "key": "id",
        "schema": { "id": { "type": "string" }, "tags": { "type": "array" }, "n": { "type": "number" } },
        "indexes": ["n", { "fields": ["tags.x"] }, { "fields": ["n", "-tags"], "filter": { "tags.y": { "$gt": 1 } } }],
    });
    store.define_bucket("t", BucketConfig::from_json(config).unwrap()).unwrap();
    insert(&store, "t", json!({ "id": "one", "tags": [{ "x": 1, "y": 2 }], "n": 5 }));
    run(
        &session,
        "ALTER TABLE t RENAME COLUMN tags TO labels; ALTER TABLE t ADD COLUMN more JSON DEFAULT '{}'",
    );
    assert_eq!(
        store.bucket_config("t").unwrap(),
        json!({
            "key": "id",
            "schema": {
                "id": { "type": "string" }, "labels": { "type": "array" }, "n": { "type": "number" },
                "more": { "default": {} },
            },
            "indexes": [
                "n",
                { "fields": ["labels.x"], "name": "tags.x" },
                { "name": "n_-tags", "fields": ["n", "-labels"], "filter": { "labels.y": { "$gt": 1 } } },
            ],
            "sql": { "columns": { "more": { "type": "JSON" } } },
        })
    );
    assert_eq!(
        rows(&session, "SELECT id, labels, n, more FROM t"),
        json!([["one", "[{\"x\":1,\"y\":2}]", 5, "{}"]])
    );
    assert_eq!(refused(&session, "ALTER TABLE t DROP COLUMN labels").code(), Code::SqlError);
    assert_eq!(refused(&session, "ALTER TABLE t DROP COLUMN id").code(), Code::SqlError);
    clean(&store);
}

#[test]
fn a_reopened_store_has_what_was_altered() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let session = Session::new(&store).unwrap();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE)");
    insert(&store, "t", json!({ "b": "x" }));
    run(
        &session,
        "ALTER TABLE t RENAME b TO c; ALTER TABLE t ADD d INT DEFAULT 1; ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t",
    );
    let before = state(&store, &session);
    drop(session);
    store.close();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let session = Session::new(&store).unwrap();
    assert_eq!(state(&store, &session), before);
    assert_eq!(rows(&session, "SELECT a, c, d FROM t WHERE c = 'x'"), json!([[1, "x", 1]]));
    clean(&store);
}
