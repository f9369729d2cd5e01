//! Keys that are given, made and found again.

use serde_json::json;
use tandem::{BucketConfig, Code, Field, Store};
use tandem_sql::{Session, Value};

use crate::both::{Both, with_sql};
use crate::support::{clean, done, refused, values};

#[test]
fn keys_are_made_where_they_are_left_out() {
    let both = Both::new();
    let session = &both.session;
    let output = done(session, "INSERT INTO t (a) VALUES (1), (2) RETURNING id");
    assert_eq!(output.last_key, output.rows.last().map(|row| row.values()[0].to_json()));
    done(session, "INSERT INTO t (id, a) VALUES (NULL, 3)");
    done(session, "INSERT INTO t (rowid, a) VALUES (NULL, 4)");
    done(session, "INSERT INTO t DEFAULT VALUES");
    assert_eq!(values(session, "SELECT count(DISTINCT id) FROM t"), [[Value::Integer(5)]]);
    let error = refused(session, "INSERT INTO t (rowid) VALUES ('x')");
    assert_eq!(error.code(), Code::ConstraintViolation);
    clean(&both.store);
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
        values(&session, "SELECT text, n FROM log ORDER BY text"),
        [
            ["a".into(), Value::Integer(1)],
            ["b".into(), Value::Integer(3)],
            ["c".into(), Value::Integer(306)]
        ]
    );
    done(&session, "DELETE FROM log WHERE rowid = 101");
    assert_eq!(values(&session, "SELECT count(*) FROM log"), [[Value::Integer(2)]]);
    clean(&store);
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
    clean(&store);
}
