//! Key order, ranges and directions.

use tandem_storage::{Bytes, Direction, Durability, KeyRange, MAX_KEY_BYTES};

use super::failure::{ensure, ensure_eq};
use super::support::{everything, keys, open, puts, scan, time};
use super::{EngineFactory, Outcome};

/// Keys that a wrong comparison (signed, by length, as text) puts out of order.
const KEYS: &[&[u8]] = &[
    &[0x00],
    &[0x00, 0x00],
    &[0x00, 0x01],
    &[0x01],
    &[0x01, 0xFF],
    &[0x02, 0x00, 0xFF],
    b"A",
    b"a",
    b"aa",
    b"ab",
    b"b",
    &[0x7F],
    &[0x7F, 0xFF],
    &[0x80],
    &[0x80, 0x00],
    &[0xFF],
    &[0xFF, 0x00],
    &[0xFF, 0xFF],
    &[0xFF, 0xFF, 0xFF],
];

/// Writes [`KEYS`] in an order that is not theirs.
fn scattered() -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    (0..KEYS.len()).map(|step| KEYS[step * 7 % KEYS.len()]).map(|key| (key, key))
}

pub(super) fn keys_order_as_unsigned_bytes_shorter_first(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts(scattered()), Durability::Buffered)?;
    ensure_eq!(keys(&*storage, &KeyRange::all())?, KEYS, "a scan yields the keys in byte order");
    Ok(())
}

pub(super) fn reverse_is_forward_backwards(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    for entry in scattered() {
        storage.write(puts([entry]), Durability::Buffered)?;
    }
    let snapshot = storage.snapshot()?;
    for start in KEYS {
        for end in KEYS {
            let range = KeyRange::new(*start, *end);
            let expected: Vec<_> = KEYS.iter().filter(|key| range.contains(key)).collect();
            let mut found = scan(&*snapshot, &range, Direction::Reverse)?;
            found.reverse();
            let forward = scan(&*snapshot, &range, Direction::Forward)?;
            ensure_eq!(found, forward, "both directions hold the same entries of {range:?}");
            let found: Vec<_> = found.iter().map(|(key, _)| key).collect();
            ensure_eq!(found, expected, "start is included and end is not in {range:?}");
        }
    }
    Ok(())
}

pub(super) fn a_prefix_range_holds_the_keys_with_that_prefix(
    factory: &dyn EngineFactory,
) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts(scattered()), Durability::Buffered)?;
    for prefix in [&b""[..], b"a", &[0x00], &[0x7F], &[0xFF], &[0xFF, 0xFF], b"nothing"] {
        let expected: Vec<_> = KEYS.iter().filter(|key| key.starts_with(prefix)).collect();
        let found = keys(&*storage, &KeyRange::prefix(prefix))?;
        ensure_eq!(found.iter().collect::<Vec<_>>(), expected, "keys with the prefix {prefix:?}");
    }
    Ok(())
}

pub(super) fn a_point_range_holds_one_key(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts(scattered()), Durability::Buffered)?;
    for key in KEYS {
        let found = keys(&*storage, &KeyRange::point(key))?;
        ensure_eq!(found, [*key], "the range of one key holds that key");
    }
    let absent = keys(&*storage, &KeyRange::point(b"absent"))?;
    ensure!(absent.is_empty(), "the range of an absent key is empty, not {absent:?}");
    Ok(())
}

pub(super) fn empty_and_inverted_ranges_hold_nothing(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    ensure_eq!(everything(&*storage)?, [], "a new store is empty");
    storage.write(puts(scattered()), Durability::Buffered)?;
    let snapshot = storage.snapshot()?;
    for range in [
        KeyRange::new("a", "a"),
        KeyRange::new("b", "a"),
        KeyRange::new(vec![0xFF], vec![0x00]),
        KeyRange::new("", ""),
        KeyRange::new("c", "d"),
    ] {
        for direction in [Direction::Forward, Direction::Reverse] {
            let found = scan(&*snapshot, &range, direction)?;
            ensure_eq!(found, [], "nothing lies in {range:?}, {direction:?}");
        }
    }
    Ok(())
}

pub(super) fn unbounded_ranges_reach_both_ends(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts(scattered()), Durability::Buffered)?;
    let from_b = KeyRange { start: Bytes::from_static(b"b"), end: None };
    let upper: Vec<_> = KEYS.iter().filter(|key| **key >= &b"b"[..]).collect();
    let found = keys(&*storage, &from_b)?;
    ensure_eq!(found.iter().collect::<Vec<_>>(), upper, "a range without end reaches the last key");
    let lower: Vec<_> = KEYS.iter().filter(|key| **key < &b"b"[..]).collect();
    let found = keys(&*storage, &KeyRange::new("", "b"))?;
    ensure_eq!(found.iter().collect::<Vec<_>>(), lower, "a range from \"\" holds the first key");
    Ok(())
}

pub(super) fn the_shortest_and_the_longest_key_are_keys(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    let longest = vec![0xFF; MAX_KEY_BYTES];
    let entries = [(&[0x00][..], "shortest"), (b"k", ""), (&longest[..], "longest")];
    storage.write(puts(entries), Durability::Buffered)?;
    for (key, value) in entries {
        let found = storage.get(key)?;
        ensure_eq!(found.as_deref(), Some(value.as_bytes()), "a key of {} bytes", key.len());
        let range = keys(&*storage, &KeyRange::point(key))?;
        ensure_eq!(range.len(), 1, "the range of a key of {} bytes", key.len());
    }
    let all = keys(&*storage, &KeyRange::all())?;
    ensure_eq!(all.iter().map(Bytes::len).collect::<Vec<_>>(), [1, 1, MAX_KEY_BYTES], "order");
    ensure_eq!(storage.get(b"")?, None, "there is no empty key");
    ensure_eq!(storage.snapshot()?.get(b"")?, None, "there is no empty key");
    Ok(())
}

pub(super) fn a_range_bound_may_be_longer_than_any_key(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    let longest = vec![b'm'; MAX_KEY_BYTES];
    let beyond = |extra: u8| [&longest[..], &[extra]].concat();
    storage.write(puts([(&b"a"[..], ""), (&longest, ""), (b"z", "")]), Durability::Buffered)?;
    ensure_eq!(storage.get(&beyond(0))?, None, "a key too long is not there");
    ensure_eq!(storage.snapshot()?.get(&beyond(0))?, None, "a key too long is not there");
    let found = keys(&*storage, &KeyRange::new("", beyond(0)))?;
    ensure_eq!(found.len(), 2, "keys before a bound that is too long");
    let found = keys(&*storage, &KeyRange { start: beyond(0).into(), end: None })?;
    ensure_eq!(found, [&b"z"[..]], "keys after a bound that is too long");
    let found = keys(&*storage, &KeyRange::new(beyond(0), beyond(9)))?;
    ensure!(found.is_empty(), "nothing lies between two bounds that are too long: {found:?}");
    Ok(())
}

/// A scan that gathers all entries first costs about as much for one entry as
/// for all; a lazy one is faster by a factor of thousands, so that a factor of
/// four is safe on any machine. A loaded one stops any of them at any moment for
/// longer than it takes, but one entry no less often than all where both cost
/// the same: then one looks cheap in about a quarter of the pairs at most.
pub(super) fn scans_are_lazy(factory: &dyn EngineFactory) -> Outcome {
    const PAIRS: usize = 32;
    let (_home, storage) = open(factory)?;
    let keys: Vec<_> = (0..30_000u32).map(u32::to_be_bytes).collect();
    storage.write(puts(keys.iter().map(|key| (key, key))), Durability::Buffered)?;
    let snapshot = storage.snapshot()?;
    for direction in [Direction::Forward, Direction::Reverse] {
        let read = |entries: usize| {
            let found = snapshot.scan(&KeyRange::all(), direction).take(entries).count();
            ensure_eq!(found, entries, "entries of a scan, {direction:?}");
            Ok(())
        };
        read(keys.len())?;
        let mut cheap = 0;
        for _ in 0..PAIRS {
            let (all, one) = (time(|| read(keys.len()))?, time(|| read(1))?);
            cheap += usize::from(one < all / 4);
        }
        ensure!(
            cheap > PAIRS * 3 / 4,
            "reading one entry costs less than reading all, {direction:?}: {cheap} times of {PAIRS}"
        );
    }
    Ok(())
}
