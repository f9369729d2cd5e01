//! What a column stores of a value, and a record of its fields.

use serde_json::json;
use tandem::{BucketConfig, Code, Field, Store};
use tandem_sql::{Parameters, Session, Value, params};

use crate::both::{Both, with_sql};
use crate::support::{clean, done, refused, values};

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
        assert_eq!(values(&session, "SELECT * FROM kinds"), Vec::<Vec<Value>>::new());
    }
    clean(&store);
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
    assert_eq!(
        values(session, "SELECT b, c FROM t WHERE id = 30"),
        [["b".into(), Value::Real(7.5)]]
    );
    let prepared = session.prepare("INSERT INTO t (id, b, c) VALUES (?, ?, ?)").unwrap();
    for n in 40..50 {
        let output = session.run_prepared(&prepared, params![n, "many", n]).unwrap();
        assert_eq!((output.changes, output.last_key), (1, Some(json!(n))));
    }
    both.is_clean();
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
