//! The newest committed entries of key ranges that are read often.
//!
//! To go from one entry to the next costs an engine of many tables a search among all of
//! them; a heap, versions and deletes are looked at for each. What was found is kept as a
//! *run*: *these are all entries of this range, in every view from number `since` up to the
//! newest one*. A scan goes through runs where there are some and through the engine in
//! the gaps between them, and what it meets there becomes a run:
//!
//! ```text
//! scan     ├───────────────────────────────────────►
//! runs        ├── since 7 ──┤         ├─ since 9 ──┤
//! read     ├──┤             ├─────────┤                 from the engine, and kept
//! ```
//! Two rules keep what a run says true, as in the [cache of points](super::points):
//!
//! 1. a commit removes the runs around the keys that it wrote **before** its view is
//!    published, so no view of it can meet an older state;
//! 2. a reader that met entries in the engine may leave them here only if nobody wrote in
//!    their range after the reader's view. For that the keys of the last groups are
//!    remembered, and of those before them the number.
//!
//! Runs of rows and of index entries are kept, each within one bucket or index. Reads by
//! users go through here; what a commit is decided on, derived from and checked by is read
//! from the engine. What is rarely read goes first: a hand moves over the runs in key
//! order and removes those that were not used since it last came by (the *clock* of
//! F. J. Corbató, "A Paging Experiment with the Multics System", 1968).
//!
//! An entry of an index took 1,800 instructions from a table of the disk engine and 1,100
//! from its write buffer (`docs/benchmarks.md`).

mod run;
mod scan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;
use tandem_base::sync::RwLock;
use tandem_base::sync::atomic::{AtomicU64, Ordering};
use tandem_storage::{Direction, KeyRange, WriteBatch};

use crate::derive::Derive;
use crate::keyspace;
use run::Run;
pub(crate) use scan::CachedScan;

/// The space and the number of a bucket or an index.
const PREFIX: usize = 5;

/// A range with longer bounds is read from the engine.
const LONGEST_BOUND: usize = 1 << 10;

/// Written keys that are remembered take so many bytes at most, [`NOTE`] more for each.
const REMEMBERED: usize = 128 << 10;
const NOTE: usize = 64;

/// A scan that comes out of one run goes on in the next one only if that is worth it: so
/// many entries are as cheap to pass in the engine as it is to begin there anew.
const WORTH_ENTERING: usize = 8;

/// How many runs are looked at for one that is.
const LOOKED_AT: usize = 4;

/// Runs that the hand spares in one go, so that no reader has to wait for all of them.
const SPARED: usize = 64;

/// Of the scans that would have to displace something, one in so many leaves behind what it
/// met: what is read again and again gets its turn soon, and what is read once costs a
/// fraction of a copy.
const TURNS: u64 = 4;

/// The start of a run, within the node of the map if it is short.
type Start = SmallVec<[u8; 32]>;

/// See the [module](self).
pub(crate) struct RangeCache {
    capacity: usize,
    derive: Arc<dyn Derive>,
    state: RwLock<State>,
    /// How many scans would have had to displace something.
    turn: AtomicU64,
}

struct State {
    /// Which do not overlap.
    runs: BTreeMap<Start, Arc<Run>>,
    weight: usize,
    hand: Start,
    /// The keys that each of the last groups wrote, which was published as that view.
    written: VecDeque<(u64, Vec<Bytes>)>,
    /// What those take.
    remembered: usize,
    /// What was written up to this view is not remembered.
    floor: u64,
}

/// What a group wrote, or `None`: there was no run when that was to be noted.
pub(crate) type Written = Option<Vec<Bytes>>;

/// All that is at some keys that follow each other, as a view may see it.
pub struct Neighbours {
    run: Arc<Run>,
    /// What is probably asked for next.
    next: usize,
}

impl Neighbours {
    /// What is at `key`, if that lies among them. They are searched for the key, except
    /// for one that is asked for right after the one before it.
    pub fn get(&mut self, key: &[u8]) -> Option<Option<Bytes>> {
        self.run.covers(key).then(|| self.run.get(key, &mut self.next))
    }
}

/// Where a scan can go on.
enum Next {
    /// In this run.
    Run(Arc<Run>),
    /// In the engine, up (or down) to `end`. What is found there may be kept if the view
    /// is fresh: what was written since is remembered.
    Gap { end: Bytes, is_fresh: bool },
}

impl RangeCache {
    /// A cache of at most `bytes` (0 = none).
    pub(crate) fn new(bytes: usize, derive: Arc<dyn Derive>) -> Option<Self> {
        let state = State {
            runs: BTreeMap::new(),
            weight: 0,
            hand: Start::new(),
            written: VecDeque::new(),
            remembered: 0,
            floor: 0,
        };
        let (state, turn) = (RwLock::new(state), AtomicU64::new(0));
        (bytes > 0).then_some(Self { capacity: bytes, derive, state, turn })
    }

    /// Whether runs of that range may be kept.
    pub(crate) fn is_cacheable(range: &KeyRange) -> bool {
        let KeyRange { start, end: Some(end) } = range else { return false };
        if !is_kept(start) || start.len().max(end.len()) > LONGEST_BOUND {
            return false;
        }
        let prefix = &start[..PREFIX];
        end.starts_with(prefix) || KeyRange::prefix(prefix).end.as_ref() == Some(end)
    }

    /// The keys of `batch` that have to be [known](Self::commit) when it is published.
    pub(crate) fn note(&self, batch: &WriteBatch) -> Written {
        if self.read(|state| state.runs.is_empty()) {
            return None;
        }
        let keys = batch.operations().iter().map(|operation| operation.key());
        Some(keys.filter(|key| is_kept(key)).cloned().collect())
    }

    /// Takes what a group wrote, before view `number` is published.
    pub(crate) fn commit(&self, number: u64, written: Written) {
        let removed = self.write(|state| match written {
            Some(keys) if weight_of(&keys) <= REMEMBERED => {
                keys.iter().for_each(|key| state.remove_around(key));
                state.remember(number, keys);
                Vec::new()
            }
            written => {
                state.forget(number);
                // So much that to look for each would take long, or unknown.
                match written {
                    Some(keys) => state.remove_buckets(&keys),
                    None => state.clear(),
                }
            }
        });
        // No reader waits while their memory is given back.
        drop(removed);
    }

    /// What view `number` may read around `key`.
    pub(crate) fn neighbours(&self, key: &[u8], number: u64) -> Option<Neighbours> {
        let run = self.read(|state| state.around(key).filter(|run| run.since <= number).cloned());
        let run = run.inspect(|run| run.note_use())?;
        Some(Neighbours { run, next: 0 })
    }

    /// Where a scan by view `number` finds the entries at the beginning of `range`.
    fn next(&self, range: &KeyRange, direction: Direction, number: u64) -> Next {
        let end = range.end.as_deref().unwrap_or_default();
        let gap = |state: &State, end| Next::Gap { end, is_fresh: state.floor <= number };
        let next = self.read(|state| match direction {
            Direction::Forward => {
                let first = state.around(&range.start).filter(|run| run.since <= number);
                first.map_or_else(
                    || gap(state, state.gap_from(range, number)),
                    |run| Next::Run(run.clone()),
                )
            }
            Direction::Reverse => {
                let last = state.before(end).filter(|run| *run.end >= *end);
                last.filter(|run| run.since <= number).map_or_else(
                    || gap(state, state.gap_to(range, number)),
                    |run| Next::Run(run.clone()),
                )
            }
        });
        if let Next::Run(run) = &next {
            run.note_use();
        }
        next
    }

    /// Takes what view `run.since` met in the engine, if it is still so.
    fn offer(&self, run: Run) {
        if run.start >= run.end || run.weight() > self.capacity / 8 {
            return;
        }
        self.write(|state| {
            if state.is_unchanged(&run) {
                state.insert(run);
                state.shrink_to(self.capacity);
            }
        });
    }

    /// Whether something can be taken in without displacing anything.
    fn has_room(&self) -> bool {
        self.read(|state| state.weight < self.capacity / 8 * 7)
    }

    /// Whether it is a scan's turn to displace something.
    fn takes_turn(&self) -> bool {
        self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(TURNS)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a key is one of a row or of an index entry.
fn is_kept(key: &[u8]) -> bool {
    key.len() >= PREFIX && matches!(key[0], keyspace::ROW | keyspace::INDEX)
}

fn weight_of(keys: &[Bytes]) -> usize {
    keys.iter().map(|key| key.len() + NOTE).sum()
}

impl State {
    /// The last run that begins before `end`.
    fn before(&self, end: &[u8]) -> Option<&Arc<Run>> {
        let before = (Bound::Unbounded, Bound::Excluded(end));
        self.runs.range::<[u8], _>(before).next_back().map(|(_, run)| run)
    }

    /// The run that covers `key`.
    fn around(&self, key: &[u8]) -> Option<&Arc<Run>> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let run = self.runs.range::<[u8], _>(up_to).next_back().map(|(_, run)| run);
        run.filter(|run| key < &run.end[..])
    }

    /// Where the gap at the start of `range` ends for view `number`.
    fn gap_from(&self, range: &KeyRange, number: u64) -> Bytes {
        let end = range.end.clone().unwrap_or_default();
        let within = (Bound::Excluded(&range.start[..]), Bound::Excluded(&end[..]));
        let runs = self.runs.range::<[u8], _>(within).map(|(_, run)| run).take(LOOKED_AT);
        let worth = |run: &&Arc<Run>| {
            run.since <= number && (run.len() >= WORTH_ENTERING || run.end >= end)
        };
        runs.filter(worth).map(|run| run.start.clone()).next().unwrap_or(end)
    }

    /// Where the gap at the end of `range` begins for view `number`.
    fn gap_to(&self, range: &KeyRange, number: u64) -> Bytes {
        let start = &range.start;
        let end = range.end.as_deref().unwrap_or_default();
        let before = (Bound::Unbounded, Bound::Excluded(end));
        let runs = self.runs.range::<[u8], _>(before).rev().map(|(_, run)| run).take(LOOKED_AT);
        let worth = |run: &&Arc<Run>| {
            run.since <= number && (run.len() >= WORTH_ENTERING || run.start <= *start)
        };
        // One that reaches beyond the end is of a newer state.
        let found =
            runs.take_while(|run| run.end > *start).filter(|run| *run.end < *end).find(worth);
        found.map_or_else(|| start.clone(), |run| run.end.clone())
    }

    fn remove(&mut self, start: &[u8]) -> Option<Arc<Run>> {
        self.runs.remove(start).inspect(|run| self.weight -= run.weight())
    }

    fn remove_around(&mut self, key: &[u8]) {
        if let Some(run) = self.around(key) {
            let start = run.start.clone();
            self.remove(&start);
        }
    }

    /// Removes the runs of all buckets and indexes that these keys are of.
    fn remove_buckets(&mut self, keys: &[Bytes]) -> Vec<Arc<Run>> {
        let prefixes: BTreeSet<&[u8]> = keys.iter().map(|key| &key[..PREFIX]).collect();
        let ranges = prefixes.into_iter().map(KeyRange::prefix);
        ranges.flat_map(|range| self.remove_within(&range.start, range.end.as_deref())).collect()
    }

    /// Removes the runs that begin from `start` on and before `end`.
    fn remove_within(&mut self, start: &[u8], end: Option<&[u8]>) -> Vec<Arc<Run>> {
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let within = self.runs.range::<[u8], _>((Bound::Included(start), end));
        let starts: Vec<Start> = within.map(|(start, _)| start.clone()).collect();
        starts.iter().filter_map(|start| self.remove(start)).collect()
    }

    fn clear(&mut self) -> Vec<Arc<Run>> {
        self.weight = 0;
        std::mem::take(&mut self.runs).into_values().collect()
    }

    fn remember(&mut self, number: u64, keys: Vec<Bytes>) {
        if keys.is_empty() {
            return;
        }
        self.remembered += weight_of(&keys);
        self.written.push_back((number, keys));
        while self.remembered > REMEMBERED
            && let Some((number, keys)) = self.written.pop_front()
        {
            self.floor = number;
            self.remembered -= weight_of(&keys);
        }
    }

    fn forget(&mut self, number: u64) {
        self.floor = number;
        self.written.clear();
        self.remembered = 0;
    }

    /// Whether what a view saw is surely so in the newest one, too.
    fn is_unchanged(&self, run: &Run) -> bool {
        let later = self.written.iter().rev().take_while(|(number, _)| *number > run.since);
        self.floor <= run.since && !later.flat_map(|(_, keys)| keys).any(|key| run.covers(key))
    }

    fn insert(&mut self, mut run: Run) {
        if let Some(before) = self.before(&run.start).filter(|before| before.may_join(&run)) {
            run = before.joined(&run);
        }
        if let Some(after) = self.runs.get(&run.end[..]).filter(|after| run.may_join(after)) {
            run = run.joined(after);
        }
        // Whatever it overlaps says the same.
        if let Some(before) = self.before(&run.start).filter(|before| before.end > run.start) {
            let start = before.start.clone();
            self.remove(&start);
        }
        self.remove_within(&run.start, Some(&run.end));
        self.weight += run.weight();
        self.runs.insert(Start::from_slice(&run.start), Arc::new(run));
    }

    /// Moves the hand on until no more than `capacity` is left.
    fn shrink_to(&mut self, capacity: usize) {
        let mut spared = 0;
        while self.weight > capacity {
            let behind = (Bound::Excluded(&self.hand[..]), Bound::Unbounded);
            let Some((start, run)) = self.runs.range::<[u8], _>(behind).next() else {
                self.hand.clear();
                continue;
            };
            self.hand = start.clone();
            if run.take_use() && spared < SPARED {
                spared += 1;
            } else {
                let start = self.hand.clone();
                self.remove(&start);
            }
        }
    }
}

#[cfg(test)]
mod tests;
