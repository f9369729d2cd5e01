use std::ops::Range;

use bytes::Bytes;
use tandem_base::sync::atomic::{AtomicBool, Ordering};
use tandem_storage::{Direction, Entry, KeyRange};

use super::PREFIX;

/// Entries of a run at most.
pub(super) const MOST_ENTRIES: usize = 128;

/// Bytes of keys and values after which a run is closed.
const ENOUGH_BYTES: usize = 16 << 10;

/// An entry with more is not kept.
pub(super) const LARGEST_ENTRY: usize = 4 << 10;

/// What a run costs beyond its bytes and the places in them: itself, the pieces of memory
/// that it is made of, and its place in the map.
const OVERHEAD: usize = 320;

/// All entries of the range `start` (included) to `end` (excluded), in every view from
/// number `since` up to the newest one. One piece of memory has keys and values as they follow
/// each other, so that to read neighbours is to read on.
pub(super) struct Run {
    pub(super) since: u64,
    pub(super) start: Bytes,
    pub(super) end: Bytes,
    bytes: Bytes,
    /// Where each entry begins, and the last one ends.
    places: Box<[Place]>,
    /// Whether it was read since the hand last came by.
    used: AtomicBool,
}

#[derive(Clone, Copy)]
struct Place {
    key: u32,
    value: u32,
}

impl Run {
    pub(super) fn len(&self) -> usize {
        self.places.len() - 1
    }

    pub(super) fn weight(&self) -> usize {
        // The start is the key in the map, too.
        let bounds = 2 * self.start.len() + self.end.len();
        bounds + self.bytes.len() + self.places.len() * size_of::<Place>() + OVERHEAD
    }

    pub(super) fn key(&self, at: usize) -> &[u8] {
        let Place { key, value } = self.places[at];
        &self.bytes[key as usize..value as usize]
    }

    fn value_place(&self, at: usize) -> Range<usize> {
        self.places[at].value as usize..self.places[at + 1].key as usize
    }

    fn value(&self, at: usize) -> Bytes {
        let place = self.value_place(at);
        // Most index entries have none.
        if place.is_empty() { Bytes::new() } else { self.bytes.slice(place) }
    }

    pub(super) fn entry(&self, at: usize) -> Entry {
        let Place { key, value } = self.places[at];
        (self.bytes.slice(key as usize..value as usize), self.value(at))
    }

    /// The place of the first entry whose key is not less than `key`.
    pub(super) fn first_from(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.start <= *key && *key < self.end
    }

    /// The value of `key`, which the run [covers](Self::covers), looked for at `next`
    /// first, which becomes the place after it.
    pub(super) fn get(&self, key: &[u8], next: &mut usize) -> Option<Bytes> {
        let is_next = *next < self.len() && self.key(*next) == key;
        let at = if is_next { *next } else { self.first_from(key) };
        *next = at;
        if !is_next && (at == self.len() || self.key(at) != key) {
            return None;
        }
        *next += 1;
        Some(self.value(at))
    }

    pub(super) fn note_use(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub(super) fn take_use(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

/// A run that is being made of what a scan comes by.
pub(super) struct Recording {
    since: u64,
    direction: Direction,
    /// Where the scan came from: the first key that may be in it, or the first that may
    /// not, by the direction.
    from: Bytes,
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Recording {
    pub(super) fn new(since: u64, direction: Direction, from: Bytes) -> Self {
        Self { since, direction, from, bytes: Vec::new(), places: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST_ENTRIES || self.bytes.len() >= ENOUGH_BYTES
    }

    /// Takes the next entry in the direction of the scan.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        if self.places.is_empty() {
            self.places.reserve(24);
            self.bytes.reserve(24 * (key.len() + value.len()));
        }
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let at = self.bytes.len();
        self.places.push(Place { key: place(at), value: place(at + key.len()) });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    /// The bound behind the last entry: whatever lies between that and where the scan
    /// came from has been seen. `None` if there was no entry.
    pub(super) fn passed(&self) -> Option<Bytes> {
        let Place { key, value } = *self.places.last()?;
        bound_behind(&self.bytes[key as usize..value as usize], self.direction)
    }

    /// The run from where the scan came from up (or down) to `to`.
    pub(super) fn close(self, to: Bytes) -> Run {
        let Self { since, direction, from, mut bytes, mut places } = self;
        let end = Place { key: u32::try_from(bytes.len()).unwrap_or(u32::MAX), value: 0 };
        places.push(end);
        let (start, end) = match direction {
            Direction::Forward => (from, to),
            Direction::Reverse => {
                (bytes, places) = turned(&bytes, &places);
                (to, from)
            }
        };
        let bytes = Bytes::from_owner(bytes.into_boxed_slice());
        Run { since, start, end, bytes, places: places.into(), used: AtomicBool::new(false) }
    }
}

/// What lies behind `key` for a scan in that direction.
pub(super) fn bound_behind(key: &[u8], direction: Direction) -> Option<Bytes> {
    match direction {
        Direction::Forward => KeyRange::point(key).end,
        Direction::Reverse => Some(Bytes::copy_from_slice(key)),
    }
}

/// The entries in the opposite order.
fn turned(bytes: &[u8], places: &[Place]) -> (Vec<u8>, Vec<Place>) {
    let (mut turned, mut at) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(places.len()));
    for pair in places.windows(2).rev() {
        let key = u32::try_from(turned.len()).unwrap_or(u32::MAX);
        at.push(Place { key, value: key + (pair[0].value - pair[0].key) });
        turned.extend_from_slice(&bytes[pair[0].key as usize..pair[1].key as usize]);
    }
    at.extend(places.last());
    (turned, at)
}

impl Run {
    /// This one and the one after it, which begins where this one ends.
    pub(super) fn joined(&self, after: &Self) -> Self {
        let mut recording =
            Recording::new(self.since.max(after.since), Direction::Forward, self.start.clone());
        recording.bytes.reserve_exact(self.bytes.len() + after.bytes.len());
        recording.places.reserve_exact(self.len() + after.len() + 1);
        for run in [self, after] {
            for at in 0..run.len() {
                recording.push(run.key(at), &run.bytes[run.value_place(at)]);
            }
        }
        recording.close(after.end.clone())
    }

    /// Whether the two are of one bucket or index, and few enough to be one. Where an
    /// index ends, the next one begins; what is forgotten of that is what begins in it.
    pub(super) fn may_join(&self, after: &Self) -> bool {
        self.end == after.start
            && self.start.get(..PREFIX) == after.start.get(..PREFIX)
            && self.len() + after.len() <= MOST_ENTRIES
            && self.bytes.len() + after.bytes.len() <= ENOUGH_BYTES
    }
}
