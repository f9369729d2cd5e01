//! However a statement ends that did not end by itself, by a panic or because the
//! store was closed, nothing of it is seen and the session goes on.

use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tandem::layers::storage::{
    Bytes, Direction, Durability, Entries, KeyRange, MemoryStorage, Snapshot, Storage, WriteBatch,
};
use tandem::{Code, Result, Store};
use tandem_sql::{Parameters, Session};

use crate::support::{clean, rows, run};

fn memory() -> (Store, Session) {
    let store = Store::memory().unwrap();
    let session = Session::new(&store).unwrap();
    session.execute_all(TABLE).unwrap();
    (store, session)
}

const TABLE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, n INTEGER DEFAULT (1 + 1) CHECK (n > 0));
    CREATE INDEX by_n ON t (n);
    INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)";

#[test]
fn a_closed_store_answers_closed_to_every_statement() {
    let (store, session) = memory();
    let other = Session::new(&store).unwrap();
    let prepared = session.prepare("SELECT * FROM t").unwrap();
    let transaction = Arc::new(store.begin().unwrap());
    run(&session, "BEGIN");
    run(&session, "SAVEPOINT s");
    run(&session, "INSERT INTO t (v) VALUES ('x')");
    store.close();
    let closed = |answer: Result<()>, what: &str| {
        assert_eq!(answer.map_err(|error| error.code()), Err(Code::Closed), "{what}");
    };
    let statements = [
        "SELECT 1",
        "VALUES (1)",
        "SELECT * FROM t",
        "EXPLAIN SELECT * FROM t",
        "EXPLAIN QUERY PLAN SELECT * FROM t",
        "PRAGMA table_list",
        "INSERT INTO t (v) VALUES ('y')",
        "UPDATE t SET v = 'y' WHERE 0",
        "DELETE FROM t",
        "CREATE TABLE u (a)",
        "DROP TABLE t",
        "SAVEPOINT n",
    ];
    for sql in statements {
        closed(session.execute(sql, ()).map(drop), sql);
        closed(other.execute(sql, ()).map(drop), sql);
        if !sql.starts_with("SAVEPOINT") {
            closed(session.execute_in(&transaction, sql, ()).map(drop), sql);
            closed(session.execute_alone(sql, ()).map(drop), sql);
        }
    }
    for sql in ["ROLLBACK TO s", "RELEASE s", "COMMIT"] {
        closed(session.execute(sql, ()).map(drop), sql);
    }
    for sql in ["BEGIN", "BEGIN READ ONLY"] {
        closed(other.execute(sql, ()).map(drop), sql);
    }
    closed(session.run_prepared(&prepared, ()).map(drop), "prepared");
    closed(session.query_each("SELECT 1", (), |_| Ok(true)).map(drop), "row by row");
    // What is left is let go in every state.
    run(&session, "ROLLBACK");
    assert!(!session.is_in_transaction() && !other.is_in_transaction());
    closed(session.execute("BEGIN", ()).map(drop), "BEGIN");
}

#[test]
fn g9_who_panics_over_a_row_ends_that_statement_and_no_more() {
    let (store, session) = memory();
    let panicking = |sql: &str| {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            session.query_each(sql, (), |row| match row.get::<i64>(0)? {
                2 => panic!("over a row"),
                _ => Ok(true),
            })
        }));
        assert!(panicked.is_err(), "{sql}");
    };
    for sql in ["SELECT id FROM t ORDER BY id", "SELECT n FROM t WHERE n > 0 ORDER BY n"] {
        panicking(sql);
        assert_eq!(store.statistics().unwrap().open_transactions, 0);
        run(&session, "BEGIN");
        run(&session, "INSERT INTO t VALUES (4, 'd', 4)");
        run(&session, "SAVEPOINT s");
        panicking(sql);
        assert_eq!(rows(&session, "SELECT count(*) FROM t"), json!([[4]]));
        run(&session, "DELETE FROM t");
        run(&session, "ROLLBACK TO s");
        run(&session, "COMMIT");
        run(&session, "DELETE FROM t WHERE id = 4");
    }
    // The time of the statement before is not that of the next.
    run(&session, "CREATE TABLE u AS SELECT * FROM t");
    run(&session, "DROP TABLE u");
    assert_eq!(rows(&session, "SELECT group_concat(v) FROM t"), json!([["a,b,c"]]));
    clean(&store);
}

#[test]
fn g7_a_callback_that_panics_is_no_part_of_the_statement() {
    let (store, session) = memory();
    let seen = Arc::new(AtomicU64::new(0));
    let counted = seen.clone();
    let _panics = store.on("bucket.t.*", |_| panic!("over an event")).unwrap();
    let counts = move |_: &tandem::Event| {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let _counts = store.on("bucket.t.*", counts).unwrap();
    run(&session, "INSERT INTO t VALUES (4, 'd', 4)");
    run(&session, "BEGIN");
    run(&session, "UPDATE t SET n = n + 1");
    run(&session, "COMMIT");
    store.settle_events(Duration::from_secs(60)).unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 5);
    assert_eq!(rows(&session, "SELECT sum(n) FROM t"), json!([[14]]));
    clean(&store);
}

/// An engine of the user's that panics at the n-th read.
#[derive(Default)]
struct Breaking {
    inner: MemoryStorage,
    /// Reads until then; 0 = none.
    left: Arc<AtomicU64>,
}

struct BreakingSnapshot(Arc<dyn Snapshot>, Arc<AtomicU64>);

fn pass(left: &AtomicU64) {
    let passed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if passed == Ok(1) {
        // Hundreds of them are not worth a message each.
        resume_unwind(Box::new("in the engine"));
    }
}

impl Storage for Breaking {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        pass(&self.left);
        self.inner.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(BreakingSnapshot(self.inner.snapshot()?, self.left.clone())))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "breaking"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.inner.approximate_size()
    }
}

impl Snapshot for BreakingSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        pass(&self.1);
        self.0.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        Box::new(self.0.scan(range, direction).inspect(|_| pass(&self.1)))
    }
}

/// Wherever the engine panics, in what SQLite reads, in what Tandem writes or while
/// a commit is validated.
#[test]
fn g1_g9_a_panic_below_a_statement_leaves_nothing_of_it() {
    const ALL: &str = "SELECT id, v, n FROM t ORDER BY id";
    let mut broken = 0;
    for sql in [
        "SELECT * FROM t WHERE n > 0 ORDER BY n",
        "SELECT * FROM t WHERE id = 2",
        "INSERT INTO t (v) VALUES ('x'), ('y')",
        "INSERT INTO t SELECT id + 10, v || 'x', n FROM t",
        "REPLACE INTO t VALUES (4, 'b', 4)",
        "INSERT INTO t VALUES (5, 'b', 1) ON CONFLICT (v) DO UPDATE SET n = n + 7 RETURNING *",
        "UPDATE t SET id = id + 10, n = n + 1 WHERE n >= 2",
        "DELETE FROM t WHERE n >= 2 RETURNING v",
        "CREATE TABLE u AS SELECT * FROM t",
        "CREATE INDEX by_vn ON t (v, n)",
        "ALTER TABLE t ADD COLUMN w TEXT DEFAULT 'w'",
    ] {
        for in_transaction in [false, true] {
            for nth in successors(Some(1_u64), |nth| Some(nth + 1 + nth / 8)) {
                let engine = Breaking::default();
                let left = engine.left.clone();
                let builder = Store::builder().storage(Arc::new(engine)).background(false);
                let store = builder.open().unwrap();
                let session = Session::new(&store).unwrap();
                session.execute_all(TABLE).unwrap();
                let before = rows(&session, ALL);
                if in_transaction {
                    run(&session, "BEGIN");
                    run(&session, "UPDATE t SET v = v || '!' WHERE id = 1");
                }
                left.store(nth, Ordering::SeqCst);
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    session.execute(sql, Parameters::None)?;
                    if in_transaction { session.commit() } else { Ok(()) }
                }));
                let has_panicked = left.swap(0, Ordering::SeqCst) == 0;
                if !has_panicked {
                    ended.unwrap().unwrap_or_else(|error| panic!("{sql}: {error}"));
                    clean(&store);
                    break;
                }
                broken += 1;
                assert!(!matches!(ended, Ok(Ok(()))), "{sql} is not done, at read {nth}");
                if session.is_in_transaction() {
                    let error = session.execute("COMMIT", ()).expect_err(sql);
                    assert_eq!(error.code(), Code::TransactionAborted, "{sql} at read {nth}");
                    run(&session, "ROLLBACK");
                }
                assert_eq!(rows(&session, ALL), before, "{sql} at read {nth}");
                assert_eq!(rows(&session, "SELECT name FROM sqlite_schema"), json!([["t"]]));
                session.execute(sql, ()).unwrap();
                clean(&store);
            }
        }
    }
    assert!(broken > 100, "{broken}");
}
