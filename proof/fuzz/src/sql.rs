//! SQL: each line of the input is a text of statements, given to one of two sessions
//! over one store.
//!
//! ```text
//! BEGIN; INSERT …        the first session
//! !UPDATE …              the second one, so that their transactions meet
//! ```
//! The store is in memory and has tables that SQL made and a bucket that it could
//! not make. A statement is answered, or refused with a code that blames it; refused
//! outside a transaction, it has committed nothing. Afterwards no transaction is left
//! and every index equals its records.

use std::sync::Once;
use std::time::Duration;

use serde_json::json;
use tandem::{BucketConfig, CheckOptions, Store};
use tandem_sql::{Parameters, Session, SessionOptions, Value, bound_memory};

use crate::verdict::{blame, coded};

/// More would make one input too slow to be worth it.
const MOST_STATEMENTS: usize = 64;

/// What a statement may take, as a server would say: less, because an input that
/// uses all of it is no find.
const STATEMENT_TIME: Duration = Duration::from_millis(50);

/// Of a value, of an answer, and of SQLite in all.
const VALUE_BYTES: usize = 64 << 10;
const RESULT_BYTES: usize = 1 << 20;
const HEAP_BYTES: u32 = 128 << 20;

const TABLES: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER DEFAULT (1 + 1) CHECK (b < 99), c);
    CREATE INDEX tb ON t (b DESC, c) WHERE b > 0;
    CREATE TABLE u (k TEXT, n REAL, t INTEGER REFERENCES t(id) ON DELETE CASCADE, PRIMARY KEY (k, n));
    INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 2.5), (3, NULL, NULL, '[1]');
    INSERT INTO u VALUES ('k', 1, 1), ('l', 2, NULL)";

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    static BOUNDED: Once = Once::new();
    BOUNDED.call_once(|| bound_memory(HEAP_BYTES).expect("SQLite starts"));
    let store = store();
    let sessions = [session(&store), session(&store)];
    let mut left = MOST_STATEMENTS;
    for line in data.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let (session, text) = match line.strip_prefix('!') {
            Some(text) => (&sessions[1], text),
            None => (&sessions[0], &*line),
        };
        let Some(statements) = coded(tandem_sql::split(text)) else { continue };
        for (_, statement) in statements {
            if left > 0 {
                left -= 1;
                run(&store, session, statement);
            }
        }
    }
    for session in sessions {
        if session.is_in_transaction() {
            session.rollback().expect("a transaction can be let go");
        }
    }
    let open = store.statistics().expect("the store is open").open_transactions;
    assert_eq!(open, 0, "a transaction outlived its session");
    let report = store.check(&CheckOptions::new()).expect("the store can be read");
    assert!(report.is_clean(), "{report:?}");
}

fn run(store: &Store, session: &Session, statement: &str) {
    let before = store.revision().expect("the store is open");
    let on_its_own = !session.is_in_transaction();
    // What is given and not asked for is left alone.
    let values = ["1", "\"a\"", "null", "2.5", "\"[1]\""];
    let values =
        values.map(|text| Value::from_json(&serde_json::from_str(text).unwrap_or_default()));
    let Err(error) = session.execute(statement, Parameters::Positional(values.to_vec())) else {
        return;
    };
    blame(&error);
    let now = store.revision().expect("the store is open");
    // OR FAIL keeps what was before the row that failed.
    if on_its_own && !statement.to_ascii_lowercase().contains("fail") {
        assert_eq!(now, before, "{statement} failed and has committed: {error:?}");
        assert!(!session.is_in_transaction(), "{statement} failed and began: {error:?}");
    }
}

fn session(store: &Store) -> Session {
    let options = SessionOptions {
        max_rows: 1_000,
        max_result_bytes: RESULT_BYTES,
        max_value_bytes: VALUE_BYTES,
        statement_time: Some(STATEMENT_TIME),
        ..SessionOptions::default()
    };
    Session::with_options(store, options).expect("a session starts")
}

/// Tables of every kind with a few rows.
fn store() -> Store {
    let store = Store::builder().memory().background(false).open().expect("memory opens");
    let unhurried = Session::new(&store).expect("a session starts");
    unhurried.execute_all(TABLES).expect("the tables are new");
    let config = json!({ "key": "id", "ttl": 60_000, "maxSize": 3,
        "schema": { "id": { "type": "string", "generated": "uuid" }, "tags": {},
                    "flag": { "type": "boolean", "default": true },
                    "at": { "type": "object" }, "when": { "type": "date" } },
        "indexes": [{ "fields": ["tags"], "multi": true, "name": "tags" }, { "fields": ["at.x"] },
                    { "fields": ["flag", "-when"], "unique": true, "name": "fw" }] });
    let config = BucketConfig::from_json(config).expect("a definition");
    store.define_bucket("b", config).expect("the bucket is new");
    let records = [
        json!({ "id": "x", "tags": ["p", "q"], "at": { "x": 1 }, "when": "2024-01-02" }),
        json!({ "id": "y", "tags": "p", "when": 5, "extra": { "deep": [null] } }),
    ];
    store.bucket("b").insert_many(records).expect("records");
    store
}
