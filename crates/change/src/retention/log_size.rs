use tandem_base::Result;
use tandem_storage::Direction;
use tandem_transaction::{Read, View};

use crate::hub::ChangeHub;
use crate::log::{entry_revision, range_after};
use crate::options::ChangeLogOptions;

/// How many bytes the log takes, without a stored counter and without a scan
/// at opening.
///
/// Commits since the opening are counted by the hub as they pass. What the log
/// held before is measured from its oldest entry on, a bounded slice in each
/// step, until the two meet:
///
/// ```text
///  trimmed │ measured ──>        │ counted by the hub ──>
///          └────────── cursor ───┴ first commit since opening
/// ```
///
/// Until they meet the sum is too low, so the size limit acts late; the age
/// limit does not depend on it. A stored counter would be exact
/// at once, but every commit would have to write it.
#[derive(Debug, Default)]
pub(super) struct LogSize {
    /// Entries up to here are measured, or gone.
    cursor: u64,
    measured: u64,
    /// Bytes of entries that were measured or counted and then removed.
    removed: u64,
    /// The first revision that the hub counts, as far as it is known.
    counted_from: Option<u64>,
}

impl LogSize {
    pub(super) fn bytes(&self, hub: &ChangeHub) -> u64 {
        let (_, counted) = hub.logged();
        (self.measured + counted).saturating_sub(self.removed)
    }

    /// Measures the next slice; returns whether some of the log is left.
    pub(super) fn measure(
        &mut self,
        view: &View,
        trimmed_to: u64,
        hub: &ChangeHub,
        options: &ChangeLogOptions,
    ) -> Result<bool> {
        self.counted_from = hub.logged().0;
        let last = self.counted_from.map_or(view.revision(), |first| first.saturating_sub(1));
        self.cursor = self.cursor.max(trimmed_to);
        if self.cursor >= last {
            return Ok(false);
        }
        let (mut entries, mut read) = (0, 0);
        for entry in view.scan(&range_after(self.cursor), Direction::Forward) {
            let (key, value) = entry?;
            let revision = entry_revision(&key)?;
            if revision > last {
                break;
            }
            let bytes = (key.len() + value.len()) as u64;
            self.measured += bytes;
            self.cursor = revision;
            entries += 1;
            read += bytes;
            if entries >= options.step_entries || read >= options.step_bytes {
                return Ok(revision < last);
            }
        }
        self.cursor = last;
        Ok(false)
    }

    /// Notes that an entry is gone.
    pub(super) fn removed(&mut self, revision: u64, bytes: u64) {
        let counted = self.counted_from.is_some_and(|first| revision >= first);
        if revision <= self.cursor || counted {
            self.removed += bytes;
        } else {
            self.cursor = revision;
        }
    }
}
