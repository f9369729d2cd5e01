//! What the tests share: a store in memory with a session, and words for what they do.

use serde_json::{Value as Json, json};
use tandem::{CheckOptions, Error, Store};
use tandem_sql::{Output, Session, Value};

pub fn memory() -> (Store, Session) {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    (store, session)
}

/// Carries out the statements.
pub fn run(session: &Session, sql: &str) {
    session.execute_all(sql).map(drop).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Carries out the statement.
pub fn done(session: &Session, sql: &str) -> Output {
    session.execute(sql, ()).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// Why the statement is not carried out.
pub fn refused(session: &Session, sql: &str) -> Error {
    session.execute(sql, ()).expect_err(sql)
}

pub fn insert(store: &Store, table: &str, record: Json) {
    store.bucket(table).insert(record).unwrap();
}

pub fn values(session: &Session, sql: &str) -> Vec<Vec<Value>> {
    let answer = session.query(sql, ()).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    answer.rows.iter().map(|row| row.values().to_vec()).collect()
}

/// As JSON.
pub fn rows(session: &Session, sql: &str) -> Json {
    values(session, sql)
        .iter()
        .map(|row| row.iter().map(Value::to_json).collect::<Json>())
        .collect()
}

pub fn plan(session: &Session, sql: &str) -> String {
    rows(session, &format!("EXPLAIN QUERY PLAN {sql}")).to_string()
}

/// No transaction is left open, and every entry of every index is right.
pub fn clean(store: &Store) {
    assert_eq!(store.statistics().unwrap().open_transactions, 0);
    let report = store.check(&CheckOptions::new()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Everything that is defined.
pub fn definitions(store: &Store) -> Json {
    let names = store.bucket_names().unwrap();
    let of = |name: &String| {
        let indexes: Vec<_> =
            store.indexes(name).unwrap().into_iter().map(|index| index.name).collect();
        json!([name, store.bucket_config(name).unwrap(), indexes])
    };
    names.iter().map(of).collect()
}
