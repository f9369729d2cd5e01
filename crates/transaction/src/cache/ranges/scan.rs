use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Entries, Entry, KeyRange, Snapshot};

use super::run::{LARGEST_ENTRY, Recording, Run, bound_behind};
use super::{Next, RangeCache};
use crate::keyspace;

/// Runs that one scan leaves behind where others would have to go for them: what reads a
/// whole bucket once displaces little.
const MOST_RUNS: usize = 4;

/// Rows that a scan came by before it was broken off are kept from so many on: fewer were
/// only looked for.
const FEWEST_ROWS: usize = 8;

/// The entries of a range in a view, by way of a [`RangeCache`].
pub(crate) struct CachedScan<'a> {
    cache: &'a RangeCache,
    snapshot: &'a dyn Snapshot,
    number: u64,
    /// What lies before the current place is cut off.
    range: KeyRange,
    direction: Direction,
    place: Place<'a>,
    /// Whether what its view shows may be the newest state.
    is_fresh: bool,
    /// Whether it may displace something; `None` until that matters.
    displaces: Option<bool>,
    /// How many runs it has left behind.
    recorded: usize,
}

enum Place<'a> {
    /// At the beginning of what is left of the range.
    Between,
    /// In a run, with so many of its entries still to come, from `from` to `to`.
    Run { run: Arc<Run>, from: usize, to: usize },
    /// In the engine, up (or down) to `end`.
    Gap { entries: Entries<'a>, end: Bytes, recording: Option<Recording> },
    /// Behind the last entry, or an error.
    End,
}

impl<'a> CachedScan<'a> {
    /// The entries of `range`, which is [cacheable](RangeCache::is_cacheable), in the
    /// view of that `number`, which shows `snapshot`.
    pub(crate) fn new(
        cache: &'a RangeCache,
        snapshot: &'a dyn Snapshot,
        number: u64,
        range: KeyRange,
        direction: Direction,
    ) -> Self {
        let place = Place::Between;
        Self {
            cache,
            snapshot,
            number,
            range,
            direction,
            place,
            is_fresh: true,
            displaces: None,
            recorded: 0,
        }
    }

    /// Whether nothing is left of the range.
    fn is_over(&self) -> bool {
        self.range.is_empty()
    }

    /// All up (or down) to `bound` has been read.
    fn passed(&mut self, bound: Bytes) {
        match self.direction {
            Direction::Forward => self.range.start = bound,
            Direction::Reverse => self.range.end = Some(bound),
        }
    }

    fn enter(&mut self) -> Place<'a> {
        if self.is_over() {
            return Place::End;
        }
        match self.cache.next(&self.range, self.direction, self.number) {
            Next::Run(run) => {
                let end = self.range.end.as_deref().unwrap_or_default();
                let from = if run.start < self.range.start {
                    run.first_from(&self.range.start)
                } else {
                    0
                };
                let to = if *run.end > *end { run.first_from(end) } else { run.len() };
                Place::Run { run, from, to }
            }
            Next::Gap { end, is_fresh } => {
                self.is_fresh = is_fresh;
                let gap = match self.direction {
                    Direction::Forward => {
                        KeyRange { start: self.range.start.clone(), end: Some(end.clone()) }
                    }
                    Direction::Reverse => {
                        KeyRange { start: end.clone(), end: self.range.end.clone() }
                    }
                };
                let entries = self.snapshot.scan(&gap, self.direction);
                Place::Gap { entries, end, recording: self.recording() }
            }
        }
    }

    /// A recording that begins where the scan is, if there is to be one.
    fn recording(&mut self) -> Option<Recording> {
        let cache = self.cache;
        let may_displace =
            |displaces: &mut Option<bool>| *displaces.get_or_insert_with(|| cache.takes_turn());
        let begins = self.is_fresh
            && (cache.has_room() || self.recorded < MOST_RUNS && may_displace(&mut self.displaces));
        let from = match self.direction {
            Direction::Forward => self.range.start.clone(),
            Direction::Reverse => self.range.end.clone()?,
        };
        begins.then(|| Recording::new(self.number, self.direction, from))
    }

    /// Leaves a recording behind that ends at `to`.
    fn keep(&mut self, recording: Option<Recording>, to: Bytes) {
        if let Some(recording) = recording {
            self.recorded += 1;
            self.cache.offer(recording.close(to));
        }
    }

    /// Leaves behind what was recorded so far; goes on behind it.
    fn keep_passed(&mut self, recording: Option<Recording>) {
        if let Some(passed) = recording.as_ref().and_then(Recording::passed) {
            self.keep(recording, passed.clone());
            self.passed(passed);
        }
    }

    /// Takes an entry that was met in the engine.
    fn record(&mut self, recording: Option<Recording>, (key, value): &Entry) -> Option<Recording> {
        let mut recording = recording?;
        let is_kept = key.len() + value.len() <= LARGEST_ENTRY;
        if !is_kept || !self.cache.derive.is_whole(key, value) {
            self.keep_passed(Some(recording));
            self.passed(bound_behind(key, self.direction)?);
            return self.recording();
        }
        recording.push(key, value);
        if !recording.is_full() {
            return Some(recording);
        }
        self.keep_passed(Some(recording));
        self.recording()
    }
}

impl Iterator for CachedScan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.place {
                Place::Between => self.place = self.enter(),
                Place::Run { run, from, to } => {
                    if from < to {
                        let at = match self.direction {
                            Direction::Forward => {
                                *from += 1;
                                *from - 1
                            }
                            Direction::Reverse => {
                                *to -= 1;
                                *to
                            }
                        };
                        return Some(Ok(run.entry(at)));
                    }
                    let bound = match self.direction {
                        Direction::Forward => run.end.clone(),
                        Direction::Reverse => run.start.clone(),
                    };
                    self.passed(bound);
                    self.place = Place::Between;
                }
                Place::Gap { entries, end, recording } => match entries.next() {
                    Some(Ok(entry)) => {
                        let so_far = recording.take();
                        let further = self.record(so_far, &entry);
                        if let Place::Gap { recording, .. } = &mut self.place {
                            *recording = further;
                        }
                        return Some(Ok(entry));
                    }
                    Some(Err(error)) => {
                        let recording = recording.take();
                        self.keep_passed(recording);
                        self.place = Place::End;
                        return Some(Err(error));
                    }
                    None => {
                        let (recording, end) = (recording.take(), end.clone());
                        self.keep(recording, end.clone());
                        self.passed(end);
                        self.place = Place::Between;
                    }
                },
                Place::End => return None,
            }
        }
    }
}

impl Drop for CachedScan<'_> {
    fn drop(&mut self) {
        let Place::Gap { recording, .. } = &mut self.place else { return };
        let recording = recording.take();
        let is_of_rows = self.range.start.first() == Some(&keyspace::ROW);
        let fewest = if is_of_rows { FEWEST_ROWS } else { 1 };
        if recording.as_ref().is_some_and(|recording| recording.len() >= fewest) {
            self.keep_passed(recording);
        }
    }
}
