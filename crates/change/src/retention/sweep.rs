use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Read, View};

use crate::options::ChangeLogOptions;

/// A repeated walk over one space, a bounded slice at a time.
#[derive(Debug)]
pub(super) struct Sweep {
    space: u8,
    /// Where the next slice begins; `None` = between two walks.
    next: Option<Bytes>,
    /// When the last walk began.
    begun_ms: Option<u64>,
}

/// What one slice found.
#[derive(Debug, Default)]
pub(super) struct Slice {
    /// Keys that are to go, with the values that were seen.
    pub(super) expired: Vec<(Bytes, Bytes)>,
    /// Where to go on; `None` = the walk is over.
    next: Option<Bytes>,
}

impl Slice {
    pub(super) fn is_last(&self) -> bool {
        self.next.is_none()
    }
}

impl Sweep {
    pub(super) fn new(space: u8) -> Self {
        Self { space, next: None, begun_ms: None }
    }

    /// Whether it is time for a walk: none is under way, and the last began at
    /// least `interval` milliseconds ago.
    pub(super) fn is_due(&self, now_ms: u64, interval: u64) -> bool {
        self.next.is_none() && self.begun_ms.is_none_or(|begun| now_ms.abs_diff(begun) >= interval)
    }

    /// Begins a walk.
    pub(super) fn begin(&mut self, now_ms: u64) {
        self.next = Some(Bytes::copy_from_slice(&[self.space]));
        self.begun_ms = Some(now_ms);
    }

    /// Looks at the next entries. Does not move: see
    /// [`advance`](Self::advance).
    pub(super) fn slice(
        &self,
        view: &View,
        options: &ChangeLogOptions,
        is_expired: impl Fn(&[u8]) -> bool,
    ) -> Result<Slice> {
        let Some(start) = self.next.clone() else { return Ok(Slice::default()) };
        let range = KeyRange { start, ..KeyRange::prefix(&[self.space]) };
        let (mut expired, mut seen, mut read) = (Vec::new(), 0, 0);
        for entry in view.scan(&range, Direction::Forward) {
            let (key, value) = entry?;
            if seen >= options.step_entries || read >= options.step_bytes {
                return Ok(Slice { expired, next: Some(key) });
            }
            seen += 1;
            read += (key.len() + value.len()) as u64;
            if is_expired(&value) {
                expired.push((key, value));
            }
        }
        Ok(Slice { expired, next: None })
    }

    /// Moves behind a slice whose entries were dealt with.
    pub(super) fn advance(&mut self, slice: Slice) {
        self.next = slice.next;
    }
}
