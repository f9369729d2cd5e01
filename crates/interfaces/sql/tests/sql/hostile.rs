//! What a client may send on purpose: it gets a coded error, and nothing is changed,
//! neither a record nor a setting of the session or the process.

use serde_json::json;
use tandem::{BucketConfig, Code, CommitOptions, Field, Store};
use tandem_sql::{Session, Value};

fn session() -> Session {
    Session::new(&Store::memory().unwrap()).unwrap()
}

fn code(session: &Session, sql: &str) -> Code {
    let answer = session.execute(sql, ());
    answer.expect_err(&format!("{sql} is refused")).code()
}

fn first(session: &Session, sql: &str) -> Value {
    session.query(sql, ()).unwrap().rows[0].values()[0].clone()
}

/// SQLite carries out a PRAGMA while it compiles it, so EXPLAIN did too: one client
/// could give the process a limit of its heap.
#[test]
fn g9_explaining_a_pragma_does_not_run_it() {
    let session = session();
    for sql in [
        "EXPLAIN PRAGMA case_sensitive_like = 1",
        "EXPLAIN QUERY PLAN PRAGMA case_sensitive_like = 1",
        "EXPLAIN /* SELECT */ PRAGMA case_sensitive_like = 1",
        "EXPLAIN PRAGMA soft_heap_limit = 1000000000",
        "EXPLAIN PRAGMA writable_schema = 1",
        "EXPLAIN PRAGMA table_info = 1",
        "EXPLAIN ATTACH 'a file' AS other",
        "EXPLAIN VACUUM INTO 'a file'",
        "EXPLAIN REINDEX",
        "EXPLAIN BEGIN",
        "EXPLAIN INSERT INTO sqlite_schema DEFAULT VALUES",
        "EXPLAIN WITH a AS (SELECT 1) DELETE FROM sqlite_schema",
        "EXPLAIN",
        "EXPLAIN QUERY PLAN",
        "EXPLAIN EXPLAIN SELECT 1",
        "SELECT * FROM pragma_soft_heap_limit",
        "SELECT * FROM pragma_optimize",
    ] {
        assert_eq!(code(&session, sql), Code::SqlError, "{sql}");
    }
    assert_eq!(first(&session, "SELECT 'a' LIKE 'A'"), Value::Integer(1));
    for sql in [
        "EXPLAIN SELECT 1",
        "explain query plan VALUES (1)",
        "EXPLAIN QUERY PLAN WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT * FROM pragma_table_info('t')",
        "SELECT * FROM pragma_function_list LIMIT 1",
    ] {
        session.query(sql, ()).unwrap();
    }
}

#[test]
fn g9_files_modules_and_the_schema_are_out_of_reach() {
    let session = session();
    session.execute("CREATE TABLE t (a TEXT)", ()).unwrap();
    for sql in [
        "SELECT load_extension('a file')",
        "ATTACH 'a file' AS other",
        "DETACH main",
        "VACUUM INTO 'a file'",
        "PRAGMA writable_schema = 1",
        "PRAGMA main.table_info(t)",
        "PRAGMA table_info(t); PRAGMA writable_schema = 1",
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "CREATE VIRTUAL TABLE f USING rtree(a, b, c)",
        "CREATE TABLE sqlite_t (a)",
        "INSERT INTO temp.sqlite_master VALUES (1, 2, 3, 4, 5)",
        "SELECT fts3_tokenizer('a', x'0011223344556677')",
        "WITH a AS (SELECT 1) VACUUM",
        "SELECT ?0",
        "SELECT ?99999",
        "SELECT ?32766",
        "SELECT :a",
        "SELECT 'a\0b'",
        "DELETE FROM t WHERE a = 'a\0b'",
        "DELETE FROM t \0 WHERE 0",
        "INSERT INTO t VALUES RETURNING (9) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (9) RETURNING a ON CONFLICT DO NOTHING",
        "CREATE TABLE \"a\0b\" (c TEXT)",
        "CREATE TABLE a (\"c\0d\" TEXT)",
    ] {
        assert_eq!(code(&session, sql), Code::SqlError, "{sql}");
    }
    for sql in ["DELETE FROM sqlite_schema", "DROP TABLE sqlite_schema"] {
        assert_eq!(code(&session, sql), Code::BucketNotDefined, "{sql}");
    }
    let tables = session.query("SELECT name FROM sqlite_schema", ()).unwrap();
    assert_eq!(tables.rows.len(), 1);
}

/// On the stack that a thread of the server has.
#[test]
fn g9_what_is_nested_too_deeply_is_refused_in_every_place() {
    const STACK_BYTES: usize = 2 << 20;
    let nested = || {
        let session = session();
        session.execute("CREATE TABLE t (a TEXT, b INTEGER)", ()).unwrap();
        for depth in [8, 20, 45, 90, 3_000] {
            for sql in [
                format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)),
                format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth)),
                format!(
                    "SELECT * FROM {}SELECT 1{}",
                    "(SELECT * FROM (".repeat(depth),
                    "))".repeat(depth)
                ),
                format!(
                    "{}SELECT 1{}",
                    "WITH a AS (".repeat(depth),
                    ") SELECT * FROM a".repeat(depth)
                ),
                format!("SELECT {}1", "NOT ".repeat(depth)),
                format!("SELECT {}1", "- ".repeat(depth)),
                format!("SELECT {}1{}", "CASE WHEN 1 THEN ".repeat(depth), " END".repeat(depth)),
                format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(depth)),
            ] {
                for around in [
                    sql.clone(),
                    format!("DELETE FROM t WHERE a = ({sql})"),
                    format!("UPDATE t SET a = ({sql})"),
                    format!("INSERT INTO t (a) {sql}"),
                    format!("INSERT INTO t (b) VALUES (({sql})) RETURNING ({sql})"),
                    format!("WITH q AS ({sql}) DELETE FROM t"),
                    format!("CREATE TABLE z{depth} (a TEXT CHECK (a = ({sql})))"),
                ] {
                    if let Err(error) = session.execute(&around, ()) {
                        let known = [Code::SqlError, Code::AlreadyExists, Code::ValidationError];
                        let start = &around[..30];
                        assert!(known.contains(&error.code()), "{start} {depth}: {error}");
                    }
                }
            }
        }
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(nested).unwrap().join().unwrap();
}

/// No statement that was meant for the transaction may commit on its own.
#[test]
fn g9_a_transaction_that_the_record_api_has_ended_takes_no_statement_until_rollback() {
    let session = session();
    session.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)", ()).unwrap();
    for is_committed in [true, false] {
        session.execute("BEGIN", ()).unwrap();
        session.execute("SAVEPOINT s", ()).unwrap();
        let key = Value::Integer(i64::from(is_committed));
        session.execute("INSERT INTO t VALUES (?)", [key]).unwrap();
        let transaction = session.transaction().unwrap();
        if is_committed {
            transaction.finish(CommitOptions::new()).unwrap();
        } else {
            transaction.cancel();
        }
        for sql in ["SELECT 1", "INSERT INTO t VALUES (9)", "SAVEPOINT n", "RELEASE s", "COMMIT"] {
            assert_eq!(code(&session, sql), Code::TransactionNotFound, "{sql}");
        }
        assert_eq!(code(&session, "BEGIN"), Code::SqlError);
        session.execute("ROLLBACK", ()).unwrap();
        assert_eq!(first(&session, "SELECT group_concat(a) FROM t"), Value::from("1"));
    }
}

/// What the record API stores under numbers that SQL shows rounded was left out by
/// UPDATE and DELETE.
#[test]
fn a_record_is_updated_and_deleted_whatever_number_its_key_is() {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    for key in ["INTEGER", "REAL", "NUMERIC"] {
        session.execute(&format!("CREATE TABLE t (k {key} PRIMARY KEY, v INTEGER)"), ()).unwrap();
        let keys = [
            json!(0),
            json!(1.5),
            json!(9_007_199_254_740_993_i64),
            json!(i64::MIN),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1e300),
        ];
        for key in &keys {
            store.bucket("t").insert(json!({ "k": key, "v": 1 })).unwrap();
        }
        let all = keys.len() as u64;
        assert_eq!(session.execute("UPDATE t SET v = v + 1", ()).unwrap().changes, all, "{key}");
        assert_eq!(first(&session, "SELECT count(*) FROM t WHERE v = 2"), Value::Integer(7));
        let found = first(&session, "SELECT count(*) FROM t WHERE k = 18446744073709551615");
        assert_eq!(found, Value::Integer(1), "{key}");
        assert_eq!(session.execute("DELETE FROM t", ()).unwrap().changes, all, "{key}");
        session.execute("DROP TABLE t", ()).unwrap();
    }
}

/// All of them had the row number 0, and an OR over two indexes takes rows of one
/// number for one row; a DELETE by that number deleted another record.
#[test]
fn a_key_that_is_no_row_number_is_not_taken_for_one() {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    session.execute("CREATE TABLE t (v INTEGER, w INTEGER)", ()).unwrap();
    session.execute("CREATE INDEX tv ON t (v)", ()).unwrap();
    session.execute("CREATE INDEX tw ON t (w)", ()).unwrap();
    let key_field = store.bucket_config("t").unwrap()["key"].clone();
    let key_field = key_field.as_str().unwrap();
    for (key, v) in [(json!(0), 0), (json!(1.5), 1), (json!(2.5), 2), (json!(3.0), 3)] {
        store.bucket("t").insert(json!({ key_field: key, "v": v, "w": v })).unwrap();
    }
    assert_eq!(code(&session, "DELETE FROM t WHERE v = 1"), Code::SqlError);
    assert_eq!(code(&session, "SELECT v FROM t WHERE v = 1 OR w = 2"), Code::SqlError);
    assert_eq!(first(&session, "SELECT rowid FROM t WHERE v = 3"), Value::Integer(3));
    assert_eq!(first(&session, "SELECT count(*) FROM t"), Value::Integer(4));
}

/// An array is shown as its text, and was not found by it.
#[test]
fn an_array_in_a_column_of_any_type_is_found_by_the_text_it_is_shown_as() {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    session.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, x)", ()).unwrap();
    session.execute("CREATE INDEX tx ON t (x)", ()).unwrap();
    store.bucket("t").insert(json!({ "k": 1, "x": [1] })).unwrap();
    let found = first(&session, "SELECT count(*) FROM t WHERE x = '[1]'");
    assert_eq!(found, Value::Integer(1));
}

/// A filter takes the name of such a column for a path.
#[test]
fn a_field_whose_name_has_a_dot_is_compared_as_the_column_it_is() {
    let store = Store::memory().unwrap();
    let config = BucketConfig::new("id").field("id", Field::string()).field("a.b", Field::number());
    store.define_bucket("t", config).unwrap();
    let session = Session::new(&store).unwrap();
    session.execute("INSERT INTO t VALUES ('k', 2)", ()).unwrap();
    let updated = session.execute("UPDATE t SET \"a.b\" = 3 WHERE \"a.b\" = 2", ()).unwrap();
    assert_eq!(updated.changes, 1);
    let found = session.query("SELECT id FROM t WHERE \"a.b\" > 2 ORDER BY \"a.b\"", ()).unwrap();
    assert_eq!(found.rows.len(), 1);
}

#[test]
fn g9_a_statement_of_a_transaction_that_hands_out_rows_is_no_place_for_another() {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", ()).unwrap();
    session.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    session.execute("BEGIN", ()).unwrap();
    let mut refused = 0;
    session
        .query_each("SELECT id FROM t", (), |_| {
            let error = session.execute("INSERT INTO t VALUES (9)", ()).unwrap_err();
            assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{error}");
            refused += 1;
            Ok(true)
        })
        .unwrap();
    assert_eq!(refused, 2);
    session.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    session.execute("COMMIT", ()).unwrap();
    let answer = session.query("SELECT count(*) AS n FROM t", ()).unwrap();
    assert_eq!(answer.rows[0].get::<i64>("n").unwrap(), 3);
}
