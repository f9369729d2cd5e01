//! Values of several keys from the engine, in ascending order of the keys.
//!
//! An index leads to rows in the order of its own values. Often that is nearly the
//! order of the keys, too (what came at one time, what belongs to one customer), and
//! the rows are neighbours: going on from one to the next costs a fraction of looking
//! each up. Whether they are, nobody knows before. So it is tried, and given up when
//! more is passed over than is found:
//!
//! ```text
//! wanted    b c   e              q       x
//! engine  a b c d e f g h i … p  q … w   x
//!           └ scan ┴─────┘ given up      look-ups from here on
//! ```
//! A page of 50 neighbours out of 300,000 took 189 µs by look-ups and takes 122
//! (`docs/benchmarks.md`, "What was won"). Where keys lie far apart, what is tried in
//! vain is one scan begun and [`PASSED_FREE`] entries.

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Entries, KeyRange, Snapshot};

/// Fewer keys are looked up: to begin a scan is taken to cost a few look-ups.
const FEWEST: usize = 6;

/// How many unwanted entries a scan may pass over before anything was found by it, and
/// further ones for each that was: a guess, a step being taken to cost a third of a look-up.
const PASSED_FREE: usize = 4;
const PASSED_FOR_EACH: usize = 2;

/// How a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    LookUp,
    /// In passing, at a fraction of the cost.
    Scan,
}

/// Calls `found` with the place of each key in `keys` and its value, in order, until it
/// says `false`. The keys ascend and are distinct; `scan` gives what `snapshot` has.
pub(crate) fn read<'a>(
    snapshot: &dyn Snapshot,
    scan: impl FnOnce(&KeyRange) -> Entries<'a>,
    keys: &[Bytes],
    found: &mut dyn FnMut(usize, Option<Bytes>, By) -> bool,
) -> Result<()> {
    debug_assert!(keys.is_sorted_by(|a, b| a < b), "keys ascend");
    let mut done = 0;
    if let [first, .., last] = keys
        && keys.len() >= FEWEST
    {
        let range = KeyRange { start: first.clone(), end: KeyRange::point(last).end };
        let mut entries = scan(&range);
        let mut may_pass = PASSED_FREE;
        let mut ahead = entries.next().transpose()?;
        'scan: while done < keys.len() {
            while let Some((key, _)) = &ahead
                && *key < keys[done]
            {
                if may_pass == 0 {
                    break 'scan;
                }
                may_pass -= 1;
                ahead = entries.next().transpose()?;
            }
            let value = match ahead.take_if(|(key, _)| *key == keys[done]) {
                Some((_, value)) => {
                    may_pass += PASSED_FOR_EACH;
                    if done + 1 < keys.len() {
                        ahead = entries.next().transpose()?;
                    }
                    Some(value)
                }
                None => None,
            };
            done += 1;
            if !found(done - 1, value, By::Scan) {
                return Ok(());
            }
        }
    }
    for (at, key) in keys.iter().enumerate().skip(done) {
        if !found(at, snapshot.get(key)?, By::LookUp) {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_storage::{Direction, Durability, MemoryStorage, Storage, WriteBatch};

    use super::*;

    fn key(n: u32) -> Bytes {
        Bytes::copy_from_slice(&n.to_be_bytes())
    }

    /// Every even number below 2,000.
    fn even() -> Arc<dyn Snapshot> {
        let mut batch = WriteBatch::new();
        (0..1_000).for_each(|n| batch.put(key(2 * n), key(n)));
        let storage = MemoryStorage::new();
        storage.write(batch, Durability::Buffered).expect("in memory");
        storage.snapshot().expect("in memory")
    }

    /// What was found, and how many by a scan.
    fn found(numbers: &[u32], most: usize) -> (Vec<Option<Bytes>>, usize) {
        let keys: Vec<Bytes> = numbers.iter().copied().map(key).collect();
        let (mut all, mut scanned) = (Vec::new(), 0);
        let even = even();
        let scan = |range: &KeyRange| even.scan(range, Direction::Forward);
        read(&*even, scan, &keys, &mut |at, value, by| {
            assert_eq!(at, all.len());
            all.push(value);
            scanned += usize::from(by == By::Scan);
            all.len() < most
        })
        .expect("in memory");
        (all, scanned)
    }

    fn check(numbers: &[u32]) -> usize {
        let (values, scanned) = found(numbers, usize::MAX);
        let expected: Vec<_> =
            numbers.iter().map(|n| (n % 2 == 0 && *n < 2_000).then(|| key(n / 2))).collect();
        assert_eq!(values, expected, "{numbers:?}");
        scanned
    }

    #[test]
    fn neighbours_are_scanned_and_keys_far_apart_looked_up_with_the_same_answer() {
        let numbers = |step: usize| (100..160).step_by(step).collect::<Vec<u32>>();
        assert_eq!(check(&numbers(1)), 60, "half of them are not there");
        assert_eq!(check(&numbers(2)), 30);
        assert_eq!(check(&numbers(6)), 10, "two passed over for each that is found");
        assert_eq!(check(&[0, 400, 800, 1_200, 1_600, 1_998]), 1, "given up after the first");
        assert_eq!(check(&[1_990, 1_994, 1_998, 2_000, 2_002, 2_004]), 6, "beyond the last");
        assert_eq!(check(&[100, 102, 104]), 0, "too few");
        assert_eq!(check(&[]), 0);
    }

    #[test]
    fn whatever_the_gaps_the_answer_is_that_of_look_ups() {
        let mut state = 7_u32;
        for gap in [1, 2, 5, 9, 30, 300] {
            for _ in 0..50 {
                let mut next = 0;
                let numbers = std::iter::from_fn(|| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    next += 1 + (state >> 16) % gap;
                    (next < 2_100).then_some(next)
                });
                check(&numbers.take(64).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn g10_reading_ends_when_it_is_told_to() {
        for (step, most) in [(2, 1), (2, 7), (100, 1), (100, 7)] {
            let numbers: Vec<u32> = (0..10).map(|n| n * step).collect();
            assert_eq!(found(&numbers, most).0.len(), most);
        }
    }
}
