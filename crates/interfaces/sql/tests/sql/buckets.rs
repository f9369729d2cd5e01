//! What a bucket has that no statement of SQL defines: a time to live, a bound of its
//! size, indexes over elements and over nested paths, generated fields. SQL reads and
//! writes such a bucket as the record API does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tandem::{BucketConfig, Code, Field, IndexConfig, Store};
use tandem::{Environment, Limits, SimulatedClock};
use tandem_sql::Session;

use crate::support::{clean, memory, plan, refused, rows};

fn timed() -> (Store, Session, Arc<SimulatedClock>) {
    let (environment, clock) = Environment::simulated(7);
    let builder = Store::builder().memory().background(false).environment(environment);
    let store = builder.open().unwrap();
    let session = Session::new(&store).unwrap();
    (store, session, clock)
}

fn run(session: &Session, sql: &str) -> u64 {
    session.execute(sql, ()).unwrap_or_else(|error| panic!("{sql}: {error}")).changes
}

#[test]
fn a_record_whose_time_is_over_is_gone_for_sql_too() {
    let (store, session, clock) = timed();
    let config = BucketConfig::new("id")
        .field("id", Field::number().generated_autoincrement())
        .field("user", Field::string())
        .ttl(Duration::from_secs(60))
        .index("user");
    store.define_bucket("visits", config).unwrap();
    run(&session, "INSERT INTO visits (user) VALUES ('a'), ('b'), ('c'), ('d')");
    clock.advance(Duration::from_secs(59));
    store.maintain().unwrap();
    // What stays, what is written anew, and what is said to live for longer.
    run(&session, "UPDATE visits SET user = 'b2' WHERE user = 'b'");
    run(&session, "UPDATE visits SET id = 30 WHERE user = 'c'");
    run(
        &session,
        "UPDATE visits SET _record = json_set(_record, '$._expiresAt', 9e15) WHERE id = 4",
    );
    run(&session, "INSERT INTO visits (user) VALUES ('e')");
    run(&session, "INSERT OR REPLACE INTO visits (id, user) VALUES (1, 'a2')");
    session.execute("BEGIN", ()).unwrap();
    let all = "SELECT id, user FROM visits ORDER BY id";
    let before = json!([[1, "a2"], [2, "b2"], [4, "d"], [5, "e"], [30, "c"]]);
    assert_eq!(rows(&session, all), before);
    clock.advance(Duration::from_secs(1));
    store.maintain().unwrap();
    assert_eq!(rows(&session, all), before, "a transaction reads as of its beginning");
    run(&session, "ROLLBACK");
    assert_eq!(rows(&session, all), json!([[1, "a2"], [4, "d"], [5, "e"]]));
    for user in ["b", "b2", "c"] {
        assert_eq!(
            rows(&session, &format!("SELECT * FROM visits WHERE user = '{user}'")),
            json!([])
        );
    }
    assert_eq!(run(&session, "UPDATE visits SET user = 'x' WHERE id = 2"), 0);
    // A transaction that has written a record that expires meanwhile.
    run(&session, "BEGIN");
    run(&session, "UPDATE visits SET user = 'late' WHERE id = 5");
    clock.advance(Duration::from_secs(5));
    run(&session, "SELECT 1");
    clock.advance(Duration::from_secs(5));
    run(&session, "COMMIT");
    clock.advance(Duration::from_secs(60));
    store.maintain().unwrap();
    assert_eq!(rows(&session, all), json!([[4, "d"]]));
    clean(&store);
}

#[test]
fn a_bucket_of_bounded_size_gives_up_its_oldest_records() {
    let (store, session) = memory();
    let config = BucketConfig::new("id")
        .field("id", Field::number())
        .field("v", Field::string().unique())
        .max_size(3);
    store.define_bucket("last", config).unwrap();
    let all = "SELECT id, v FROM last ORDER BY id";
    let inserted = "INSERT INTO last VALUES (5, 'a'), (4, 'b'), (3, 'c'), (2, 'd') RETURNING id";
    assert_eq!(rows(&session, inserted), json!([[5], [4], [3], [2]]));
    assert_eq!(rows(&session, all), json!([[2, "d"], [3, "c"], [4, "b"]]));
    // What is refused or ignored makes no room, and neither does what takes a place.
    assert_eq!(refused(&session, "INSERT INTO last VALUES (9, 'd')").code(), Code::AlreadyExists);
    assert_eq!(run(&session, "INSERT OR IGNORE INTO last VALUES (9, 'd')"), 0);
    let upsert = "INSERT INTO last VALUES (9, 'd') ON CONFLICT (v) DO UPDATE SET id = 1";
    assert_eq!(run(&session, upsert), 1);
    assert_eq!(rows(&session, all), json!([[1, "d"], [3, "c"], [4, "b"]]));
    run(&session, "REPLACE INTO last VALUES (7, 'c')");
    assert_eq!(rows(&session, all), json!([[1, "d"], [4, "b"], [7, "c"]]));
    assert_eq!(run(&session, "UPDATE last SET id = id + 10"), 3);
    assert_eq!(rows(&session, all), json!([[11, "d"], [14, "b"], [17, "c"]]));
    // A record of a value that the oldest had, and one that the statement itself read.
    run(&session, "INSERT INTO last SELECT id + 100, v || '2' FROM last");
    assert_eq!(rows(&session, "SELECT v FROM last ORDER BY v"), json!([["b2"], ["c2"], ["d2"]]));
    run(&session, "BEGIN");
    run(&session, "SAVEPOINT s");
    run(&session, "INSERT INTO last VALUES (1, 'x'), (2, 'y')");
    assert_eq!(rows(&session, "SELECT count(*) FROM last"), json!([[3]]));
    run(&session, "ROLLBACK TO s");
    run(&session, "INSERT INTO last VALUES (1, 'x')");
    run(&session, "COMMIT");
    assert_eq!(rows(&session, "SELECT count(*), max(v) FROM last"), json!([[3, "x"]]));
    clean(&store);
}

fn tagged(store: &Store) {
    let config = BucketConfig::new("id")
        .field("id", Field::number())
        .field("tags", Field::array(Field::any()))
        .field("any", Field::any())
        .field("at", Field::object())
        .index(IndexConfig::on("tags").named("by_tag").multi())
        .index(IndexConfig::on("any").named("by_any").multi())
        .index(IndexConfig::on("at.city").named("by_city"))
        .index(IndexConfig::on("at.street").named("by_street").unique());
    store.define_bucket("t", config).unwrap();
}

/// SQL has no words for an element: what it says of the column is of the array.
#[test]
fn g3_an_index_over_elements_shows_no_row_twice_and_hides_none() {
    let (store, session) = memory();
    tagged(&store);
    for (id, tags, any) in [
        (1, json!(["a", "b", "a"]), json!(["x", "y", 1])),
        (2, json!([]), json!([])),
        (3, json!(null), json!("x")),
        (4, json!(["b", null, 2]), json!(null)),
        (5, json!(["c"]), json!(["x"])),
        (6, json!([["b"]]), json!(1)),
    ] {
        store.bucket("t").insert(json!({ "id": id, "tags": tags, "any": any })).unwrap();
    }
    let with = |sql: &str, expected: Json| assert_eq!(rows(&session, sql), expected, "{sql}");
    with("SELECT id FROM t ORDER BY tags, id", json!([[3], [1], [4], [5], [6], [2]]));
    with("SELECT count(*), count(tags), count(DISTINCT tags) FROM t", json!([[6, 5, 5]]));
    with("SELECT id FROM t WHERE tags = '[\"a\",\"b\",\"a\"]'", json!([[1]]));
    with("SELECT id FROM t WHERE tags IN ('[]', '[\"c\"]') ORDER BY id", json!([[2], [5]]));
    with("SELECT id FROM t WHERE tags IS NULL", json!([[3]]));
    with("SELECT id FROM t WHERE tags = 'b'", json!([]));
    with("SELECT id FROM t WHERE any = 'x'", json!([[3]]));
    with("SELECT id FROM t WHERE any = 1", json!([[6]]));
    with("SELECT id FROM t WHERE any = '[\"x\"]'", json!([[5]]));
    with("SELECT id FROM t WHERE any IN ('x', 'y', 1) ORDER BY id", json!([[3], [6]]));
    with("SELECT id FROM t WHERE any IS NULL", json!([[4]]));
    with("SELECT id FROM t WHERE any IS NULL OR any = 'x' ORDER BY id", json!([[3], [4]]));
    with("SELECT t.id FROM t, json_each(t.tags) WHERE value = 'b' ORDER BY 1", json!([[1], [4]]));
    with("SELECT a.id, b.id FROM t a JOIN t b ON a.any = b.any WHERE a.id <> b.id", json!([]));
    clean(&store);
}

/// Reading by such an index was sorted by the array, all of it at once.
#[test]
fn what_an_index_over_elements_narrows_need_not_be_sorted() {
    let mut limits = Limits::default();
    limits.query.sort_rows = 50;
    let store = Store::builder().memory().limits(limits).open().unwrap();
    tagged(&store);
    let session = Session::new(&store).unwrap();
    let records = (0..200).map(
        |id| json!({ "id": id, "any": if id % 2 == 0 { json!("x") } else { json!(["x", id]) } }),
    );
    store.bucket("t").insert_many(records).unwrap();
    let found = "SELECT count(*), min(id), max(id) FROM t WHERE any = 'x'";
    assert!(plan(&session, found).contains("by_any"), "{}", plan(&session, found));
    assert_eq!(rows(&session, found), json!([[100, 0, 198]]));
    clean(&store);
}

#[test]
fn g3_writes_through_sql_keep_every_kind_of_index_exact() {
    let (store, session) = memory();
    tagged(&store);
    let found = |filter: Json| {
        let records = store.bucket("t").find(filter).sort("id").records().unwrap();
        records.iter().map(|record| record.to_json()["id"].clone()).collect::<Json>()
    };
    run(
        &session,
        r#"INSERT INTO t (id, tags, at) VALUES
           (1, '["a", "b"]', '{"city": "Bern", "street": "s1"}'),
           (2, '["b"]', '{"city": "Graz", "street": "s2"}'),
           (3, NULL, NULL)"#,
    );
    assert_eq!(found(json!({ "tags": "b" })), json!([1, 2]));
    run(&session, r#"UPDATE t SET tags = json_insert(tags, '$[#]', 'c') WHERE id = 2"#);
    run(&session, r#"UPDATE t SET id = 10, tags = json_remove(tags, '$[0]') WHERE id = 1"#);
    run(
        &session,
        r#"UPDATE t SET at = json_set(at, '$.city', 'Linz') WHERE at ->> '$.city' = 'Graz'"#,
    );
    assert_eq!(found(json!({ "tags": "a" })), json!([]));
    assert_eq!(found(json!({ "tags": "b" })), json!([2, 10]));
    assert_eq!(found(json!({ "tags": "c" })), json!([2]));
    assert_eq!(found(json!({ "at.city": "Graz" })), json!([]));
    assert_eq!(found(json!({ "at.city": "Linz" })), json!([2]));
    clean(&store);

    let taken = r#"INSERT INTO t (id, at) VALUES (4, '{"street": "s1"}')"#;
    assert_eq!(refused(&session, taken).code(), Code::AlreadyExists);
    assert_eq!(
        refused(&session, r#"UPDATE t SET at = '{"street": "s1"}' WHERE id = 3"#).code(),
        Code::AlreadyExists
    );
    assert_eq!(run(&session, &taken.replace("INSERT", "INSERT OR IGNORE")), 0);
    run(&session, "BEGIN");
    assert_eq!(run(&session, &taken.replace("INSERT", "REPLACE")), 1);
    assert_eq!(rows(&session, "SELECT id FROM t ORDER BY id"), json!([[2], [3], [4]]));
    run(&session, "SAVEPOINT s");
    run(&session, "DELETE FROM t");
    run(&session, "ROLLBACK TO s");
    run(&session, "COMMIT");
    assert_eq!(found(json!({ "at.street": "s1" })), json!([4]));
    assert_eq!(found(json!({ "tags": "b" })), json!([2]));
    assert_eq!(rows(&session, "SELECT id FROM t WHERE at ->> '$.street' = 's1'"), json!([[4]]));
    assert_eq!(run(&session, "DELETE FROM t WHERE at ->> '$.city' = 'Linz'"), 1);
    clean(&store);
}

#[test]
fn what_a_bucket_fills_in_it_fills_in_for_sql() {
    let (store, session, clock) = timed();
    let config = BucketConfig::new("id")
        .field("id", Field::string().generated_uuid())
        .field("number", Field::number().generated_autoincrement())
        .field("made", Field::number().generated_timestamp())
        .field("state", Field::string().required().default("new").one_of(["new", "old"]))
        .field("tags", Field::array(Field::string()).default(json!(["t"])))
        .field("flag", Field::boolean().default(false))
        .field("note", Field::string().max_length(5));
    store.define_bucket("t", config).unwrap();
    clock.advance(Duration::from_secs(7));
    let now = store.environment().clock.now_ms();
    let shown = "number, made, state, tags, flag, note, length(id)";
    let made = json!([1, now, "new", "[\"t\"]", 0, null, 36]);
    assert_eq!(
        rows(&session, &format!("INSERT INTO t DEFAULT VALUES RETURNING {shown}")),
        json!([made])
    );
    let given =
        format!("INSERT INTO t (id, state, note) VALUES ('k', 'old', 'n') RETURNING {shown}");
    assert_eq!(rows(&session, &given), json!([[2, now, "old", "[\"t\"]", 0, "n", 1]]));
    store.bucket("t").insert(json!({ "id": "api" })).unwrap();
    let both =
        "SELECT number, made, state, tags, flag, note FROM t WHERE id <> 'k' ORDER BY number";
    assert_eq!(
        rows(&session, both),
        json!([[1, now, "new", "[\"t\"]", 0, null], [3, now, "new", "[\"t\"]", 0, null]])
    );
    // What the bucket demands it demands here.
    assert_eq!(refused(&session, "UPDATE t SET state = 'odd'").code(), Code::ValidationError);
    assert_eq!(refused(&session, "UPDATE t SET state = NULL").code(), Code::ConstraintViolation);
    assert_eq!(
        refused(&session, "INSERT INTO t (note) VALUES ('longer')").code(),
        Code::ValidationError
    );
    assert_eq!(run(&session, "INSERT OR IGNORE INTO t (note) VALUES ('longer'), ('short')"), 1);
    // A record without the field has no default by an update.
    assert_eq!(run(&session, "UPDATE t SET note = NULL, flag = NULL WHERE id = 'k'"), 1);
    assert_eq!(rows(&session, "SELECT flag, note FROM t WHERE id = 'k'"), json!([[null, null]]));
    clean(&store);
}
