//! A scan shows committed rows and own writes as one, and what it has passed is
//! what was read.
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use support::{Store, commit, key, put};
use tandem_base::{Code, Result};
use tandem_storage::{
    Direction, Durability, Entries, KeyRange, MemoryStorage, Snapshot, Storage, WriteBatch,
};
use tandem_transaction::{Isolation, Transaction, TransactionLimits};

/// Committed: 2, 4, 6, 8. Own: 1 new, 4 changed, 5 new, 6 deleted, 9 new.
fn overlaid(store: &Store) -> Transaction {
    store.put(&[(2, Some("c")), (4, Some("c")), (6, Some("c")), (8, Some("c"))]);
    let mut tx = store.begin(Isolation::Serializable);
    for (n, after) in [(1, Some("o")), (4, Some("o")), (5, Some("o")), (6, None), (9, Some("o"))] {
        put(&mut tx, n, after).unwrap();
    }
    tx
}

fn range(start: u8, end: u8) -> KeyRange {
    KeyRange::new(key(start), key(end))
}

fn found(tx: &Transaction, range: &KeyRange, direction: Direction) -> Vec<(u8, bool)> {
    let entries = tx.scan(range, direction).map(Result::unwrap);
    entries
        .map(|entry| {
            let value: &[u8] = if entry.own { b"o" } else { b"c" };
            assert_eq!(entry.value, value);
            (entry.key[5], entry.own)
        })
        .collect()
}

#[test]
fn own_writes_are_merged_in_key_order_in_both_directions() {
    let store = Store::new();
    let tx = overlaid(&store);
    let all = vec![(1, true), (2, false), (4, true), (5, true), (8, false), (9, true)];
    for (start, end) in [(0, 10), (1, 9), (2, 6), (4, 5), (6, 7), (7, 8), (9, 3)] {
        let mut expected = all.clone();
        expected.retain(|(n, _)| (start..end).contains(n));
        assert_eq!(found(&tx, &range(start, end), Direction::Forward), expected);
        expected.reverse();
        assert_eq!(found(&tx, &range(start, end), Direction::Reverse), expected);
    }
    assert!(tx.is_own(&key(6)) && tx.is_own(&key(1)) && !tx.is_own(&key(2)));
    assert!(tx.own_write(&key(4)).is_some() && tx.own_write(&key(2)).is_none());
}

/// Whether a serializable transaction that has done `read` conflicts with a
/// commit of key `n`.
fn conflicts(n: u8, read: impl FnOnce(&mut Transaction)) -> bool {
    let store = Store::new();
    let mut tx = overlaid(&store);
    read(&mut tx);
    store.put(&[(n, Some("other"))]);
    match commit(&mut tx) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.code(), Code::Conflict);
            true
        }
    }
}

#[test]
fn g4_what_a_scan_has_passed_is_read_and_what_it_has_not_reached_is_not() {
    let first = |count: usize, direction| {
        move |tx: &mut Transaction| {
            assert_eq!(tx.scan(&range(0, 20), direction).take(count).count(), count);
        }
    };
    let (forward, reverse) = (Direction::Forward, Direction::Reverse);
    // Forward, two entries end at 2, three at the own row 4.
    for (n, read) in [(0, true), (2, true), (3, false), (8, false)] {
        assert_eq!(conflicts(n, first(2, forward)), read, "{n}");
    }
    assert!(conflicts(3, first(3, forward)) && !conflicts(7, first(3, forward)));
    // In reverse, two end at 8, and five at 2, behind the deleted 6.
    for (n, read) in [(19, true), (8, true), (7, false), (2, false)] {
        assert_eq!(conflicts(n, first(2, reverse)), read, "{n}");
    }
    assert!(conflicts(2, first(5, reverse)) && !conflicts(0, first(5, reverse)));
    // To the end: the whole range, found or not, and nothing beside it.
    let whole = |direction| move |tx: &mut Transaction| _ = found(tx, &range(10, 15), direction);
    for direction in [forward, reverse] {
        for (n, read) in [(10, true), (14, true), (15, false), (8, false)] {
            assert_eq!(conflicts(n, whole(direction)), read, "{n}");
        }
    }
    // Begun, and nothing taken from it.
    assert!(!conflicts(2, |tx| drop(tx.scan(&range(0, 20), forward))));
}

#[test]
fn g4_what_is_read_untracked_is_not_validated() {
    for read in [true, false] {
        let tracked = conflicts(2, |tx| {
            let scan = if read { Transaction::scan } else { Transaction::scan_untracked };
            assert_eq!(scan(tx, &range(0, 20), Direction::Forward).count(), 6);
        });
        assert_eq!(tracked, read);
        let tracked = conflicts(2, |tx| {
            let get = if read { Transaction::get } else { Transaction::get_untracked };
            assert!(get(tx, &key(2)).unwrap().is_some());
        });
        assert_eq!(tracked, read);
    }
}

/// An engine whose entries are parts of larger memory; each holds the token.
struct Blocks {
    engine: MemoryStorage,
    token: Arc<()>,
}

struct State {
    state: Arc<dyn Snapshot>,
    token: Arc<()>,
}

struct Part(Bytes, #[expect(dead_code, reason = "it is counted")] Arc<()>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Storage for Blocks {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(State { state: self.engine.snapshot()?, token: self.token.clone() }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.engine.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "blocks"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.engine.approximate_size()
    }
}

impl Snapshot for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.state.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let part = |bytes| Bytes::from_owner(Part(bytes, self.token.clone()));
        let entries = self.state.scan(range, direction);
        Box::new(entries.map(move |entry| entry.map(|(key, value)| (part(key), part(value)))))
    }
}

#[test]
fn g10_what_is_remembered_of_a_scan_keeps_no_entry_in_memory() {
    let token = Arc::new(());
    let engine = Blocks { engine: MemoryStorage::new(), token: token.clone() };
    let store = Store::over(Arc::new(engine), TransactionLimits::default());
    store.put(&[(2, Some("c")), (4, Some("c")), (6, Some("c"))]);
    let tx = store.begin(Isolation::Serializable);
    let held = Arc::strong_count(&token);
    for direction in [Direction::Forward, Direction::Reverse] {
        assert!(tx.scan(&range(0, 9), direction).next().unwrap().is_ok());
        assert_eq!(Arc::strong_count(&token), held, "{direction:?}");
    }
}
