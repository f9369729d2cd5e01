//! Reading the journals before the library does.
//!
//! The library replays batches until it meets something that is none, takes
//! that for the end, cuts the file there and goes on. So a single rotten byte
//! between two batches makes it drop everything behind, without a word. And a
//! batch of which a power cut left the end but not the middle makes it refuse
//! the store altogether, although nobody was ever told that the batch is there.
//! This module looks first, and tells the two apart:
//!
//! ```text
//! whole whole whole (zeros)                       the end of the journal
//! whole whole BROKEN (anything but a batch)       a torn tail: cut off, nobody was promised it
//! whole whole BROKEN later later (zeros)          the same, if all that follow are *later*:
//!                                                 written when the broken one was not synced yet
//! whole whole BROKEN whole later (zeros)          damage: CORRUPTED
//! ```
//!
//! How is a *later* batch known? Each says whether what came before it was synced when
//! it was written, all of it or all but one batch ([`follows`]). "All" contradicts that a
//! broken batch before it was still on its way. "All but one" does too if there is a whole
//! batch between the two, because then that one is the exception at most.
//!
//! What else is noticed: in all journals but the newest that holds anything,
//! nothing may be broken, since each was synced whole before the next was written
//! to; sequence numbers,
//! which no checksum covers, rise from batch to batch; and no journal is shorter
//! than it was when the store was last closed ([`closing`](super::closing)).
//!
//! What cannot be noticed: damage to the last batches of a store that was not
//! closed, if nothing was written behind them after they were synced, or one batch
//! while they were. They look exactly like batches that were on their way when the power
//! went.
//!
//! Cost: one pass over the journals, which opening reads anyway.

mod batch;
mod follows;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::iter::{once, repeat};
use std::path::{Path, PathBuf};

use tandem_base::{Error, Result};

use self::batch::{Batch, Parsed, parse};
pub(super) use self::follows::Follows;
use self::scan::Scan;
pub(super) use self::scan::without_zeros;
use super::closing::Closing;
use super::error::{at, file_failed};

/// A journal file.
pub(super) struct Journal {
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

/// All journals below `data`, oldest first.
pub(super) fn journals(data: &Path) -> std::io::Result<Vec<Journal>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if path.extension().is_some_and(|extension| extension == "jnl")
            && let Some(number) = number
        {
            found.push(Journal { number, path });
        }
    }
    found.sort_by_key(|journal| journal.number);
    Ok(found)
}

/// Whether any batch may be in the journals: anything but zeros.
pub(super) fn is_empty(data: &Path) -> Result<bool> {
    for journal in journals(data).map_err(|cause| file_failed(data, &cause))? {
        let failed = |cause| file_failed(&journal.path, &cause);
        if !Scan::open(&journal.path).and_then(|mut scan| scan.only_zeros()).map_err(failed)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks all journals and cuts a torn tail off the newest.
///
/// # Errors
/// `CORRUPTED` when something that was synced is damaged or missing. The files
/// are left as they were then.
pub(super) fn verify(data: &Path, closing: &Closing) -> Result<()> {
    let journals = journals(data).map_err(|cause| file_failed(data, &cause))?;
    if closing.newest() > journals.last().map(|journal| journal.number) {
        return Err(damaged("The newest journal is missing", data));
    }
    let mut last = None;
    let newest_used = newest_used(&journals).map_err(|cause| file_failed(data, &cause))?;
    for (index, journal) in journals.iter().enumerate() {
        let path = &journal.path;
        let failed = |cause| file_failed(path, &cause);
        let mut scan = Scan::open(path).map_err(failed)?;
        let mut first = None;
        while let Some(batch) = scan.whole().map_err(failed)? {
            if last.is_some_and(|last| batch.sequence_number <= last) {
                return Err(damaged("A sequence number in the journal is damaged", path));
            }
            first = first.or(Some(batch.sequence_number));
            last = Some(batch.sequence_number);
        }
        let sound = scan.position();
        if !closing.agrees(journal.number, sound, first) {
            return Err(damaged("A journal lacks what it held when the store was closed", path));
        }
        if scan.only_zeros().map_err(failed)? {
            continue;
        }
        if Some(index) < newest_used {
            return Err(damaged("A journal that was synced whole is damaged", path));
        }
        let rest = scan.rest().map_err(failed)?;
        let mut later = later_batches(&rest, last)
            .zip(once(Follows::Synced).chain(repeat(Follows::OneUnsynced)));
        if later.any(|(batch, synced)| batch.follows <= synced) {
            return Err(damaged("A batch before a sound one is damaged", path));
        }
        truncate(path, sound).map_err(failed)?;
    }
    Ok(())
}

/// The last journal that holds anything. A write that failed may have left half
/// a batch in a journal that is not the newest: the library had already decided
/// to begin another, and nothing was written to that one.
fn newest_used(journals: &[Journal]) -> std::io::Result<Option<usize>> {
    for (index, journal) in journals.iter().enumerate().rev() {
        if !Scan::open(&journal.path)?.only_zeros()? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The whole batches after the broken one that `rest` begins with.
fn later_batches(rest: &[u8], last: Option<u64>) -> impl Iterator<Item = Batch> {
    let mut from = 1;
    std::iter::from_fn(move || {
        while let Some(bytes) = rest.get(from..) {
            match parse(bytes) {
                // An older number: a value that looks like a batch.
                Parsed::Whole(batch) if Some(batch.sequence_number) > last => {
                    from += batch.length;
                    return Some(batch);
                }
                _ => from += 1,
            }
        }
        None
    })
}

fn damaged(message: &'static str, path: &Path) -> Error {
    at(Error::corrupted(message), path)
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn truncate(path: &Path, length: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}
