//! What a row must be: checks, unique values, references, demands of the bucket, and
//! the errors of what is not so.

use serde_json::json;
use tandem::{BucketConfig, Code, Field, IndexConfig, Store};
use tandem_sql::{Session, Value, params};

use crate::both::{Both, with_sql};
use crate::support::{clean, done, refused, values};

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
        values(&session, "SELECT mail, active, n FROM users ORDER BY mail, active, n"),
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
    assert_eq!(values(&session, "SELECT count(*) FROM users"), [[Value::Integer(2)]]);
    clean(&store);
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
    assert_eq!(values(&session, "SELECT DISTINCT made FROM few"), [[Value::Integer(77)]]);
    clean(&store);
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
        assert_eq!(values(&session, "SELECT count(*) FROM kept"), [[Value::Integer(1)]]);
        assert_eq!(values(&session, "SELECT count(*) FROM led"), [[Value::Integer(2)]]);
    }
    done(&session, "UPDATE parents SET id = 30 WHERE id = 3");
    assert_eq!(done(&session, "DELETE FROM parents WHERE id = 2").changes, 1);
    assert_eq!(values(&session, "SELECT count(*) FROM led"), [[Value::Integer(0)]]);
    clean(&store);
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
        values(&session, "SELECT group_concat(id || ':' || n) FROM strict"),
        [["1:1,3:2,4:1,5:1".into()]]
    );
    clean(&store);
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
    assert_eq!(values(&both.session, "SELECT max(id) FROM t"), [[Value::Integer(2)]]);
    both.is_clean();
}
