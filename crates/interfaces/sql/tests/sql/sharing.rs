//! Several at once: SQL beside the record API, sessions beside each other.

use serde_json::json;
use tandem::{Code, Store};
use tandem_sql::{Session, Value, params};

use crate::both::{Both, define_items};
use crate::support::{clean, done, refused, values};

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
    assert_eq!(
        values(session, "SELECT id, a FROM t WHERE id > 3"),
        [[4_i64.into(), 41_i64.into()]]
    );
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
        values(&session, "SELECT count(*), sum(d) FROM t WHERE b = 'n'"),
        [[Value::Integer(5), Value::Integer(200)]]
    );
    assert_eq!(
        values(&session, "SELECT count(*) FROM t WHERE id >= 1000 AND b = 'x'"),
        [[7_i64.into()]]
    );
    assert_eq!(values(&session, "SELECT count(*) FROM t WHERE b = 'r'"), [[1_i64.into()]]);
    clean(&store);
}
