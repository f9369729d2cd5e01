//! CREATE, DROP and ALTER: what they define, that they are part of the
//! transaction, and that what is refused changes nothing.

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, Code, Store};
use tandem_sql::Session;

use crate::support::{clean, definitions, insert, memory, plan, refused, rows, run};

#[test]
fn columns_become_fields_and_what_sql_alone_knows_is_kept_beside_them() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE parts (
           id INTEGER PRIMARY KEY AUTOINCREMENT,
           name VARCHAR(20) NOT NULL UNIQUE,
           price DECIMAL(10, 2) DEFAULT 1.5 CONSTRAINT positive CHECK (price > 0),
           live BOOLEAN DEFAULT TRUE,
           kind TEXT DEFAULT plain,
           made TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
           size INT DEFAULT (2 * 3),
           low INTEGER DEFAULT -5,
           data JSON DEFAULT '[1]',
           anything,
           UNIQUE (kind, size),
           CHECK (size < 10 OR live)
         )",
    );
    assert_eq!(
        store.bucket_config("parts").unwrap(),
        json!({
            "key": "id",
            "schema": {
                "id": { "type": "number", "required": true, "generated": "autoincrement" },
                "name": { "type": "string", "required": true, "unique": true },
                "price": { "type": "number", "default": 1.5 },
                "live": { "type": "boolean", "default": true },
                "kind": { "type": "string", "default": "plain" },
                "made": { "type": "date" },
                "size": { "type": "number" },
                "low": { "type": "number", "default": -5 },
                "data": { "default": [1] },
                "anything": {},
            },
            "etsType": "ordered_set",
            "indexes": [{ "name": "parts_kind_size", "fields": ["kind", "size"], "unique": true }],
            "sql": {
                "columns": {
                    "id": { "type": "INTEGER" },
                    "name": { "type": "VARCHAR(20)" },
                    "price": { "type": "DECIMAL(10,2)" },
                    "live": { "type": "BOOLEAN" },
                    "kind": { "type": "TEXT" },
                    "made": { "type": "TIMESTAMP", "default": "CURRENT_TIMESTAMP" },
                    "size": { "type": "INT", "default": "(2 * 3)" },
                    "low": { "type": "INTEGER" },
                    "data": { "type": "JSON" },
                    "anything": { "type": "" },
                },
                "checks": [
                    { "name": "positive", "expression": "price > 0", "column": "price" },
                    { "expression": "size < 10 OR live" },
                ],
                "constraints": ["parts_kind_size"],
            },
        })
    );
    insert(&store, "parts", json!({ "name": "a" }));
    assert_eq!(
        rows(&session, "SELECT id, name, price, live, kind, low, data FROM parts"),
        json!([[1, "a", 1.5, 1, "plain", -5, "[1]"]])
    );
    clean(&store);
}

#[test]
fn a_table_without_a_key_of_one_column_has_a_hidden_one() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE log (line TEXT);
         CREATE TABLE odd (ROWID TEXT, _rowid_ TEXT);
         CREATE TABLE pairs (a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID;
         CREATE TABLE names (name TEXT PRIMARY KEY, n INT) STRICT",
    );
    insert(&store, "log", json!({ "line": "one" }));
    insert(&store, "log", json!({ "line": "two" }));
    assert_eq!(rows(&session, "SELECT * FROM log WHERE rowid = 2"), json!([["two"]]));
    assert_eq!(rows(&session, "SELECT rowid, line FROM log"), json!([[1, "one"], [2, "two"]]));
    insert(&store, "odd", json!({ "ROWID": "mine" }));
    assert_eq!(rows(&session, "SELECT oid, rowid FROM odd"), json!([[1, "mine"]]));

    insert(&store, "pairs", json!({ "a": "x", "b": 1 }));
    let twice = store.bucket("pairs").insert(json!({ "a": "x", "b": 1 })).unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    let missing = store.bucket("pairs").insert(json!({ "a": "x" })).unwrap_err();
    assert_eq!(missing.code(), Code::ValidationError);
    let config = store.bucket_config("pairs").unwrap();
    assert_eq!(config["sql"]["primaryKey"], json!(["a", "b"]));
    let shown = plan(&session, "SELECT c FROM pairs WHERE a = 'x' AND b = 1");
    assert!(shown.contains("pairs_primary_key (a=? AND b=?)"), "{shown}");

    insert(&store, "names", json!({ "name": "z" }));
    assert!(store.bucket("names").insert(json!({ "n": 1 })).is_err(), "a key is required");
    assert_eq!(store.bucket_config("names").unwrap()["key"], "name");
    clean(&store);
}

#[test]
fn rows_come_in_the_order_of_the_row_number() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    for id in [5, -3, 9, 0] {
        insert(&store, "t", json!({ "id": id }));
    }
    assert_eq!(rows(&session, "SELECT id FROM t"), json!([[-3], [0], [5], [9]]));
    clean(&store);
}

#[test]
fn a_reference_is_tandems() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE Users (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES users ON DELETE SET NULL);
         CREATE TABLE posts (id INTEGER PRIMARY KEY,
                             user INTEGER NOT NULL REFERENCES users (ID) ON DELETE CASCADE);
         CREATE TABLE bans (user INTEGER, FOREIGN KEY (user) REFERENCES users)",
    );
    let schema = |name: &str| store.bucket_config(name).unwrap()["schema"].clone();
    assert_eq!(
        schema("Users")["boss"],
        json!({ "type": "number", "ref": "Users", "onDelete": "set_null" })
    );
    assert_eq!(schema("posts")["user"]["onDelete"], "cascade");
    assert_eq!(schema("bans")["user"]["onDelete"], "restrict");

    insert(&store, "Users", json!({ "id": 1 }));
    insert(&store, "Users", json!({ "id": 2, "boss": 1 }));
    insert(&store, "posts", json!({ "user": 1 }));
    let dangling = store.bucket("posts").insert(json!({ "user": 9 })).unwrap_err();
    assert_eq!(dangling.code(), Code::ReferenceViolation);
    store.bucket("Users").delete(1).unwrap();
    assert_eq!(rows(&session, "SELECT count(*) FROM posts"), json!([[0]]));
    assert_eq!(rows(&session, "SELECT boss FROM users"), json!([[null]]));

    let before = definitions(&store);
    let refused = refused(&session, "DROP TABLE users");
    assert_eq!(refused.code(), Code::ReferenceViolation);
    assert_eq!(definitions(&store), before);
    run(&session, "DROP TABLE posts; DROP TABLE bans; DROP TABLE users");
    assert_eq!(definitions(&store), json!([]));
    clean(&store);
}

#[test]
fn what_is_refused_has_a_code_and_changes_nothing() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c INT, d, UNIQUE (b, c), CHECK (c > 0));
         CREATE TABLE two (x, y, PRIMARY KEY (x, y));
         CREATE TABLE bare (x);
         CREATE INDEX c ON t (c)",
    );
    store.define_bucket("docs", BucketConfig::new("id").index("c").index("e")).unwrap();
    store.define_bucket("more", BucketConfig::new("id").index("e")).unwrap();
    insert(&store, "t", json!({ "b": "x", "c": 1 }));
    let before = definitions(&store);
    for (sql, code, message) in [
        ("CREATE TABLE T (x)", Code::AlreadyExists, "table T already exists"),
        ("CREATE TABLE docs (x)", Code::AlreadyExists, "table docs already exists"),
        ("CREATE TABLE n (x, X)", Code::SqlError, "duplicate column name: X"),
        ("CREATE TABLE n (x, UNIQUE (y))", Code::SqlError, "no such column: y"),
        ("CREATE TABLE n (x, CHECK (y > 0))", Code::SqlError, "no such column: y"),
        ("CREATE TABLE n (x CHECK (x IN (SELECT 1)))", Code::SqlError, "subqueries prohibited"),
        ("CREATE TABLE n (x CHECK (x > ?))", Code::SqlError, "parameters prohibited"),
        (
            "CREATE TABLE n (x PRIMARY KEY, y PRIMARY KEY)",
            Code::SqlError,
            "more than one primary key",
        ),
        (
            "CREATE TABLE n (x TEXT PRIMARY KEY AUTOINCREMENT)",
            Code::SqlError,
            "AUTOINCREMENT is only",
        ),
        (
            "CREATE TABLE n (x DEFAULT (y))",
            Code::SqlError,
            "default value of column [x] is not constant",
        ),
        ("CREATE TABLE n (x DEFAULT ((SELECT 1)))", Code::SqlError, "not constant"),
        ("CREATE TABLE n (x INTEGER DEFAULT 'many')", Code::SqlError, "not of type INTEGER"),
        ("CREATE TABLE n (x) WITHOUT ROWID", Code::SqlError, "PRIMARY KEY missing"),
        ("CREATE TABLE n (x BLOB)", Code::SqlError, "Type BLOB is not supported"),
        ("CREATE TABLE n (x DEFAULT X'00')", Code::SqlError, "default value of column [x]"),
        (
            "CREATE TABLE n (x TEXT COLLATE NOCASE)",
            Code::SqlError,
            "COLLATE NOCASE is not supported",
        ),
        ("CREATE TABLE n (x, y AS (x + 1))", Code::SqlError, "generated column is not supported"),
        ("CREATE TABLE n (x UNIQUE ON CONFLICT REPLACE)", Code::SqlError, "ON CONFLICT REPLACE"),
        ("CREATE TEMP TABLE n (x)", Code::SqlError, "TEMP TABLE is not supported"),
        ("CREATE TABLE other.n (x)", Code::SqlError, "unknown database other"),
        ("CREATE TABLE sqlite_n (x)", Code::SqlError, "reserved for internal use"),
        ("CREATE TABLE _n (x)", Code::ValidationError, "reserved"),
        ("CREATE TABLE n (\"$x\")", Code::SqlError, "Invalid column name"),
        ("CREATE TABLE n (\"x.y\")", Code::SqlError, "Invalid column name"),
        ("CREATE TABLE n (\"-x\")", Code::SqlError, "Invalid column name"),
        ("CREATE TABLE n (_version)", Code::SqlError, "Invalid column name"),
        ("CREATE TABLE n (_RECORD)", Code::SqlError, "Invalid column name"),
        ("CREATE TABLE n (rowid, _rowid_, oid)", Code::SqlError, "names of the row number"),
        ("CREATE TABLE n (x REFERENCES nobody)", Code::BucketNotDefined, "no such table: nobody"),
        ("CREATE TABLE n (x REFERENCES t (b))", Code::SqlError, "foreign key mismatch"),
        ("CREATE TABLE n (x REFERENCES two)", Code::SqlError, "foreign key mismatch"),
        ("CREATE TABLE n (x REFERENCES bare)", Code::SqlError, "foreign key mismatch"),
        ("CREATE TABLE n (x REFERENCES n)", Code::SqlError, "foreign key mismatch"),
        (
            "CREATE TABLE n (x REFERENCES t ON UPDATE CASCADE)",
            Code::SqlError,
            "ON UPDATE CASCADE is not",
        ),
        (
            "CREATE TABLE n (x REFERENCES t ON DELETE SET DEFAULT)",
            Code::SqlError,
            "SET DEFAULT is not",
        ),
        (
            "CREATE TABLE n (x REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
            Code::SqlError,
            "DEFERRABLE is not",
        ),
        (
            "CREATE TABLE n (x, y, FOREIGN KEY (x, y) REFERENCES two)",
            Code::SqlError,
            "several columns",
        ),
        (
            "CREATE TABLE n (x NOT NULL REFERENCES t ON DELETE SET NULL)",
            Code::ValidationError,
            "set_null",
        ),
        ("CREATE TABLE n (x,)", Code::SqlError, ""),
        ("CREATE VIEW v AS SELECT 1", Code::SqlError, "CREATE VIEW is not supported"),
        (
            "CREATE VIRTUAL TABLE v USING fts5(x)",
            Code::SqlError,
            "CREATE VIRTUAL TABLE is not supported",
        ),
        ("DROP VIEW v", Code::SqlError, "DROP VIEW is not supported"),
        ("DROP TABLE nobody", Code::BucketNotDefined, "no such table: nobody"),
        ("DROP TABLE t CASCADE", Code::SqlError, "syntax error"),
        ("DROP INDEX nothing", Code::NotFound, "no such index: nothing"),
        ("DROP INDEX b", Code::SqlError, "cannot be dropped"),
        ("DROP INDEX t_b_c", Code::SqlError, "cannot be dropped"),
        ("DROP INDEX two_primary_key", Code::SqlError, "cannot be dropped"),
        ("DROP INDEX e", Code::SqlError, "Several tables have an index e: docs, more"),
        ("CREATE INDEX i ON nobody (a)", Code::BucketNotDefined, "no such table: nobody"),
        ("CREATE INDEX i ON t (z)", Code::SqlError, "table t has no column named z"),
        ("CREATE INDEX C ON two (x)", Code::AlreadyExists, "index C already exists"),
        ("CREATE INDEX b ON t (c)", Code::AlreadyExists, "index b already exists"),
        ("CREATE INDEX two ON t (c)", Code::AlreadyExists, "there is already a table named two"),
        (
            "CREATE INDEX i ON t (lower(b))",
            Code::SqlError,
            "expression in an index is not supported",
        ),
        ("CREATE INDEX i ON t (b COLLATE NOCASE)", Code::SqlError, "COLLATE NOCASE is not"),
        ("CREATE INDEX i ON t (c) WHERE b LIKE 'x%'", Code::SqlError, "cannot have the condition"),
        ("CREATE INDEX i ON t (c) WHERE b = c", Code::SqlError, "cannot have the condition"),
        ("CREATE INDEX i ON t (c) WHERE d = 1", Code::SqlError, "cannot have the condition"),
        ("CREATE INDEX i ON t (c) WHERE b > 5", Code::SqlError, "cannot have the condition"),
        ("CREATE INDEX i ON t (c) WHERE c = NULL", Code::SqlError, "cannot have the condition"),
        ("CREATE INDEX i ON t (c) WHERE z IS NULL", Code::SqlError, "no such column: z"),
    ] {
        let error = refused(&session, sql);
        assert_eq!(error.code(), code, "{sql}: {error}");
        assert!(error.message().contains(message), "{sql}: {error}");
        assert_eq!(definitions(&store), before, "{sql}");
    }
    run(
        &session,
        "CREATE TABLE IF NOT EXISTS T (other);
         CREATE INDEX IF NOT EXISTS C ON two (x);
         DROP TABLE IF EXISTS nobody;
         DROP INDEX IF EXISTS nothing",
    );
    assert_eq!(definitions(&store), before);
    clean(&store);
}

#[test]
fn views_triggers_and_other_databases_are_refused_by_name() {
    let (_store, session) = memory();
    for (sql, message) in [
        ("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1", "CREATE TRIGGER is not supported"),
        (
            "CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN SELECT 1",
            "CREATE TRIGGER is not supported",
        ),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", "CREATE VIEW is not supported"),
        ("DROP TRIGGER r", "DROP TRIGGER is not supported"),
        ("ATTACH 'x' AS y", "ATTACH is not supported"),
    ] {
        let error = refused(&session, sql);
        assert_eq!(error.code(), Code::SqlError, "{sql}: {error}");
        assert!(error.message().contains(message), "{sql}: {error}");
    }
}

#[test]
fn definitions_are_rolled_back_with_the_transaction_and_to_savepoints() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE kept (a INTEGER PRIMARY KEY, b INT); CREATE INDEX by_b ON kept (b)",
    );
    for b in 1..=200 {
        insert(&store, "kept", json!({ "b": b }));
    }
    let before = definitions(&store);
    let planned = plan(&session, "SELECT * FROM kept WHERE b = 1");
    assert!(planned.contains("by_b (b=?)"), "{planned}");
    run(
        &session,
        "BEGIN;
         CREATE TABLE n (x INTEGER PRIMARY KEY, y TEXT);
         CREATE INDEX by_y ON n (y);
         DROP INDEX by_b;
         SAVEPOINT s;
         DROP TABLE kept;
         CREATE TABLE kept (z)",
    );
    session.transaction().unwrap().bucket("n").insert(json!({ "y": "own" })).unwrap();
    // The transaction sees its own definitions, nobody else does.
    assert_eq!(rows(&session, "SELECT y FROM n WHERE y = 'own'"), json!([["own"]]));
    let shown = plan(&session, "SELECT * FROM n WHERE y = 'own'");
    assert!(shown.contains("by_y (y=?)"), "{shown}");
    assert_eq!(rows(&session, "SELECT z FROM kept"), json!([]));
    let other = Session::new(&store).unwrap();
    assert_eq!(refused(&other, "SELECT * FROM n").code(), Code::SqlError);
    assert_eq!(rows(&other, "SELECT a, b FROM kept LIMIT 1"), json!([[1, 1]]));

    run(&session, "ROLLBACK TO s");
    assert_eq!(rows(&session, "SELECT a, b FROM kept LIMIT 1"), json!([[1, 1]]));
    assert_eq!(rows(&session, "SELECT count(*) FROM n"), json!([[0]]), "inserted after s");
    run(&session, "ROLLBACK");
    assert_eq!(refused(&session, "SELECT * FROM n").code(), Code::SqlError);
    assert_eq!(definitions(&store), before);
    let shown = plan(&session, "SELECT * FROM kept WHERE b = 1");
    assert!(shown.contains("by_b (b=?)"), "{shown}");
    clean(&store);
}

#[test]
fn an_index_built_in_a_transaction_serves_reads_after_its_commit() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT, c TEXT)");
    for n in 0..100 {
        insert(&store, "t", json!({ "b": n % 10, "c": format!("c{n:02}") }));
    }
    let query = "SELECT c FROM t WHERE b = 3 ORDER BY c DESC LIMIT 2";
    assert_eq!(rows(&session, query), json!([["c93"], ["c83"]]));
    run(&session, "BEGIN; CREATE UNIQUE INDEX b_c ON t (b, c DESC)");
    session.transaction().unwrap().bucket("t").insert(json!({ "b": 3, "c": "c99x" })).unwrap();
    assert_eq!(rows(&session, query), json!([["c99x"], ["c93"]]));
    run(&session, "COMMIT");
    assert_eq!(rows(&session, query), json!([["c99x"], ["c93"]]));
    let shown = plan(&session, query);
    assert!(shown.contains("b_c (b=?)") && !shown.contains("TEMP B-TREE"), "{shown}");
    run(&session, "DROP INDEX B_C");
    assert!(plan(&session, query).contains("scan"), "{}", plan(&session, query));
    assert_eq!(rows(&session, query), json!([["c99x"], ["c93"]]));
    clean(&store);
}

#[test]
fn g5_a_unique_index_over_duplicates_leaves_nothing() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT)");
    for b in [json!(1), json!(2), json!(1), Json::Null, Json::Null] {
        insert(&store, "t", json!({ "b": b }));
    }
    let before = definitions(&store);
    assert_eq!(refused(&session, "CREATE UNIQUE INDEX u ON t (b)").code(), Code::AlreadyExists);
    assert_eq!(definitions(&store), before);
    run(&session, "BEGIN");
    assert_eq!(refused(&session, "CREATE UNIQUE INDEX u ON t (b)").code(), Code::AlreadyExists);
    session.transaction().unwrap().bucket("t").delete(3).unwrap();
    // NULLs are not equal to each other.
    run(&session, "CREATE UNIQUE INDEX u ON t (b); COMMIT");
    let twice = store.bucket("t").insert(json!({ "b": 1 })).unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    clean(&store);
}

#[test]
fn a_partial_index_has_the_rows_for_which_its_condition_is_true() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, n NUMERIC, s TEXT, f BOOLEAN, d DATE, x)",
    );
    let numbers = [Json::Null, json!(-1), json!(0), json!(1), json!(2), json!(2.5), json!(10)];
    let texts = [Json::Null, json!(""), json!("a"), json!("b"), json!("10"), json!("Ä")];
    for (at, n) in numbers.iter().enumerate() {
        for (and, s) in texts.iter().enumerate() {
            let flag = [Json::Null, json!(true), json!(false)][(at + and) % 3].clone();
            let date = [Json::Null, json!("2024-01-01"), json!(7)][(at + 2 * and) % 3].clone();
            let any = [Json::Null, json!([null, 1]), json!(1), json!({})][(at + and) % 4].clone();
            insert(&store, "t", json!({ "n": n, "s": s, "f": flag, "d": date, "x": any }));
        }
    }
    for condition in [
        "n = 1",
        "n <> 1",
        "NOT n = 1",
        "1 < n",
        "NOT (n > 1)",
        "n >= 2.5 OR s = 'a'",
        "NOT (n >= 2 OR s = 'a')",
        "NOT (n >= 2 AND s = 'a')",
        "n IN (1, 2, '10')",
        "n NOT IN (1, 2)",
        "NOT n IN (1, 2)",
        "n BETWEEN 0 AND 2",
        "n NOT BETWEEN 0 AND 2",
        "NOT (n NOT BETWEEN 0 AND 2)",
        "n IS NULL",
        "n IS NOT NULL AND s IS NOT NULL",
        "NOT (n IS NULL)",
        "n",
        "NOT n",
        "f",
        "NOT f",
        "f = 1",
        "f <> TRUE",
        "f IS TRUE",
        "f IS NOT TRUE",
        "(n > 1) IS FALSE",
        "(n > 1) IS NOT FALSE",
        "NOT ((n > 1 AND f) IS TRUE)",
        "s > 'a'",
        "s <= 'a'",
        "s = '10'",
        "t.s BETWEEN '0' AND 'a'",
        "d = '2024-01-01'",
        "d <> '2024-01-01'",
        "d IS NULL",
        "x IS NULL",
        "x IS NOT NULL",
        "n = '10'",
        "n = 1.0",
        "n > -1",
    ] {
        run(&session, &format!("CREATE INDEX part ON t (s) WHERE {condition}"));
        let entries =
            store.indexes("t").unwrap().iter().find(|index| index.name == "part").unwrap().entries;
        // A condition does not go into what has a LIMIT, so all is read there.
        let scan =
            format!("SELECT count(*) FROM (SELECT * FROM t LIMIT -1) AS t WHERE ({condition})");
        assert_eq!(rows(&session, &scan), json!([[entries]]), "{condition}");
        assert_eq!(
            rows(&session, &format!("SELECT count(*) FROM t WHERE s > '' AND ({condition})")),
            rows(&session, &format!("{scan} AND s > ''")),
            "{condition}"
        );
        clean(&store);
        run(&session, "DROP INDEX part");
    }
}

#[test]
fn a_table_can_be_made_of_a_query() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b BOOLEAN, c JSON)");
    insert(&store, "t", json!({ "b": true, "c": { "x": 1 } }));
    insert(&store, "t", json!({ "b": null }));
    run(&session, "CREATE TABLE n AS SELECT a, b, c, a + 0.5 AS half, b FROM t ORDER BY a");
    assert_eq!(
        rows(&session, "SELECT *, rowid FROM n"),
        json!([[1, 1, "{\"x\":1}", 1.5, 1, 1], [2, null, null, 2.5, null, 2]])
    );
    let before = definitions(&store);
    assert_eq!(refused(&session, "CREATE TABLE m AS SELECT X'00' AS x").code(), Code::SqlError);
    assert_eq!(refused(&session, "CREATE TABLE m AS SELECT * FROM nobody").code(), Code::SqlError);
    assert_eq!(definitions(&store), before);
    clean(&store);
}

#[test]
fn two_sessions_that_define_the_same_are_in_conflict() {
    let (store, session) = memory();
    run(&session, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
    let other = Session::new(&store).unwrap();
    for (one, two) in [
        ("CREATE TABLE n (x)", "CREATE TABLE n (y)"),
        ("CREATE INDEX i ON t (b)", "CREATE INDEX j ON t (a, b)"),
        ("DROP TABLE t", "CREATE INDEX j ON t (b)"),
    ] {
        run(&session, "BEGIN");
        run(&other, "BEGIN");
        run(&session, one);
        run(&other, two);
        run(&session, "COMMIT");
        assert_eq!(refused(&other, "COMMIT").code(), Code::Conflict, "{one}; {two}");
        run(&other, "ROLLBACK");
    }
    clean(&store);
}

#[test]
fn a_reopened_store_has_the_same_tables() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let session = Session::new(&store).unwrap();
    run(
        &session,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT DEFAULT (upper('x')) CHECK (b <> ''));
         CREATE INDEX by_b ON t (b) WHERE a > 1",
    );
    insert(&store, "t", json!({ "b": "y" }));
    let before = definitions(&store);
    drop(session);
    store.close();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let session = Session::new(&store).unwrap();
    assert_eq!(definitions(&store), before);
    assert_eq!(rows(&session, "SELECT a, b FROM t"), json!([[1, "y"]]));
    let shown = plan(&session, "SELECT a FROM t WHERE b = 'y' AND a > 1");
    assert!(shown.contains("by_b") || shown.contains("key"), "{shown}");
    clean(&store);
}

/// It told names and types alone, as SQLite knows no more of a virtual table.
#[test]
fn table_info_tells_what_was_declared() {
    let (store, session) = memory();
    run(
        &session,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'it''s',
                         b REAL DEFAULT (1 + 1), c);
         CREATE TABLE p (x TEXT, y INT, z INT, PRIMARY KEY (y, x))",
    );
    let told = json!([
        [0, "id", "INTEGER", 0, null, 1],
        [1, "a", "TEXT", 1, "'it''s'", 0],
        [2, "b", "REAL", 0, "1 + 1", 0],
        [3, "c", "", 0, null, 0],
    ]);
    for sql in ["PRAGMA table_info(T)", "pragma table_info = 't'", "PRAGMA table_info(\"t\");"] {
        assert_eq!(rows(&session, sql), told, "{sql}");
    }
    assert_eq!(
        rows(&session, "PRAGMA table_info(p)"),
        json!([
            [0, "x", "TEXT", 1, null, 2],
            [1, "y", "INT", 1, null, 1],
            [2, "z", "INT", 0, null, 0]
        ])
    );
    assert_eq!(rows(&session, "PRAGMA table_info(nowhere)"), json!([]));
    assert_eq!(
        rows(&session, "PRAGMA table_xinfo(p)")[3],
        json!([3, "_record", "JSON", 1, null, 0, 1])
    );
    run(&session, "BEGIN; ALTER TABLE p ADD COLUMN w BOOLEAN DEFAULT TRUE");
    let mut seen = Vec::new();
    let columns = session.query_each("PRAGMA table_info(p)", (), |row| {
        seen.push((row.get::<String>("name")?, row.get::<Option<String>>("dflt_value")?));
        Ok(true)
    });
    assert_eq!(columns.unwrap().len(), 6);
    assert_eq!(seen[3], ("w".to_owned(), Some("TRUE".to_owned())));
    run(&session, "ROLLBACK");
    clean(&store);
}

#[test]
fn an_expression_is_kept_as_it_was_meant() {
    let (store, session) = memory();
    let values = "SELECT 5 AS a, 'it''s' AS b, '{\"k\":[1]}' AS c";
    for (at, expression) in [
        "b = 'it''s'",
        "b == 'x' OR a IS NOT NULL",
        "b GLOB 'i*' AND b NOT LIKE 'x\\%' ESCAPE '\\'",
        "c ->> '$.k[0]' = 1",
        "json_extract(c, '$.k') = '[1]'",
        "CASE a WHEN 5 THEN 1 ELSE 0 END",
        "CASE WHEN a > 4 THEN b END IS NOT NULL",
        "a BETWEEN 1 AND 9 AND a NOT IN (1, 2)",
        "(a + 1) * 2 % 5 = 2 AND a << 1 = 10 AND a & 4 | 1 AND ~a < 0",
        "CAST(a AS TEXT) || b = '5it''s'",
        "coalesce(NULL, iif(a > 1, -a, +a)) = -5",
        "typeof(a) = 'integer' AND NOT a IS NULL AND b NOTNULL",
        "a IS 5 AND b IS NOT 'x' AND a IS DISTINCT FROM 6",
        "substr(b, 1, 2) = 'it' AND \"a\" >= 5.0 AND [b] <> '' AND `c` != 0x10",
        "round(a / 2.0, 1) = 2.5 AND max(a, 3) = 5 AND 1e1 > a",
        "strftime('%Y', '2024-02-03') = '2024'",
        "b COLLATE NOCASE = 'IT''S'",
        "(a, b) = (5, 'it''s')",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(
            rows(&session, &format!("SELECT ({expression}) IS TRUE FROM ({values})")),
            json!([[1]]),
            "{expression}"
        );
        let table = format!("t{at}");
        run(&session, &format!("CREATE TABLE {table} (a, b, c, CHECK ({expression}))"));
        // The definition is read again to be altered.
        run(&session, &format!("ALTER TABLE {table} RENAME COLUMN a TO a2"));
        run(&session, &format!("ALTER TABLE {table} RENAME COLUMN a2 TO a"));
        let config = store.bucket_config(&table).unwrap();
        let kept = config["sql"]["checks"][0]["expression"].as_str().unwrap().to_owned();
        assert_eq!(
            rows(&session, &format!("SELECT ({kept}) IS TRUE FROM ({values})")),
            json!([[1]]),
            "{expression} is kept as {kept}"
        );
    }
    clean(&store);
}
