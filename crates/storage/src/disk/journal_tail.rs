//! Mending a journal whose last batch a power cut tore in its middle.
//!
//! The library drops an incomplete last batch by itself when the cut left a
//! prefix of it. A disk may also have written a later page of the batch before
//! an earlier one. Then the batch looks complete, its checksum is wrong, and
//! the library refuses to open at all, although nobody was ever told that the
//! batch is there. This module finds out whether that is the case:
//!
//! ```text
//! whole  whole  whole  BROKEN  (zeros)         torn tail: cut it off, open again
//! whole  whole  BROKEN whole   whole  (zeros)  damage:    leave it, CORRUPTED
//! ```
//!
//! A write waits for its sync, so after a batch that was synced nothing broken
//! can lie before it unless the disk lost what it had promised to keep. (With
//! `Buffered` writes several batches may be on their way; if the disk kept a
//! later one and tore an earlier, that is reported as damage too, since the
//! file does not say which batches were synced.)
//!
//! The layout is that of the library's format 3, little-endian:
//!
//! ```text
//! batch = 01 count:u32 seqno:u64, items, 03 checksum:u64 "FJL" 03
//! item  = 02 kind:u8 compression:u8 keyspace:u64 key:u16 value:u32 stored:u32, key, value
//!       | 04 keyspace:u64
//! ```
//!
//! The checksum is xxh3-64 over the items' bytes.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const TRAILER: &[u8] = b"FJL\x03";

/// Cuts a torn last batch off the newest journal below `data`. Returns whether
/// there was one.
pub(super) fn mend(data: &Path) -> std::io::Result<bool> {
    let Some((_, journal)) = newest_journal(data)? else {
        return Ok(false);
    };
    match find_tear(&read(&journal)?) {
        Some(length) => truncate(&journal, length as u64).map(|()| true),
        None => Ok(false),
    }
}

/// The journal that is written, with its number. Older ones were synced whole
/// before it was begun.
pub(super) fn newest_journal(data: &Path) -> std::io::Result<Option<(u64, PathBuf)>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "jnl")
        {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest)
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn truncate(path: &Path, length: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

/// Where the torn tail begins; `None` if there is none or it is not the tail.
fn find_tear(journal: &[u8]) -> Option<usize> {
    let mut rest = Reader(journal);
    let mut tear = None;
    loop {
        let start = journal.len() - rest.0.len();
        match rest.batch() {
            Some(true) if tear.is_some() => return None,
            Some(true) => {}
            Some(false) => tear = tear.or(Some(start)),
            // Not a batch up to its end. Zeros are room for later batches; for
            // anything else a cut is what the library would do itself.
            None if journal[start..].iter().all(|byte| *byte == 0) => return tear,
            None => return tear.or(Some(start)),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from a start marker to an end marker and tells whether what lies
    /// between is what was written. `None` if there is no end marker.
    fn batch(&mut self) -> Option<bool> {
        if self.number(1)? != 1 {
            return None;
        }
        let count = self.number(4)?;
        let _sequence_number = self.number(8)?;
        let items = self.0;
        let mut found = 0;
        loop {
            let before = items.len() - self.0.len();
            match self.number(1)? {
                2 => self.item()?,
                3 => {
                    let checksum = self.number(8)?;
                    let whole = self.take(TRAILER.len())? == TRAILER
                        && found == count
                        && checksum == xxh3_64(&items[..before]);
                    return Some(whole);
                }
                4 => _ = self.number(8)?,
                _ => return None,
            }
            found += 1;
        }
    }

    fn item(&mut self) -> Option<()> {
        let _kind_compression_keyspace = self.take(10)?;
        let key = self.number(2)?;
        let _value = self.number(4)?;
        let stored = self.number(4)?;
        self.take(usize::try_from(key + stored).ok()?)?;
        Some(())
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}
