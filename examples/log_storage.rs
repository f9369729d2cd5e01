//! A complete storage engine in one file, written against the public trait as
//! anybody outside of Tandem would write it.
//!
//! The data is one append-only log file; the whole map is kept in memory and
//! rebuilt from the log on opening:
//!
//! ```text
//! file:    header  record  record  record  (torn)
//! record:  length u32 | crc32 u32 | operations         one record = one batch
//! operation: 1 | key length u32 | key | value length u32 | value      a put
//!            0 | key length u32 | key                                 a delete
//! ```
//!
//! Numbers are little-endian. A record whose length or checksum does not fit
//! was cut off by a crash while it was being written; recovery drops it and
//! everything after it. A snapshot is a shared reference to the map: a write
//! copies the map if some snapshot still holds it (copy on write), so writing
//! under long reads is O(entries). The log is never compacted. Both are what a
//! real engine would improve; the contract they keep is the same.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tandem_base::{Code, Error, Result};
use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, Operation, Poison, Snapshot, Storage,
    WriteBatch,
};

const HEADER: &[u8; 8] = b"LOGKV 1\n";

type Map = BTreeMap<Bytes, Bytes>;

/// The engine: a locked log file and the map that it spells.
pub struct LogStorage {
    map: RwLock<Arc<Map>>,
    log: Mutex<Log>,
    poison: Poison,
}

/// The open log file, at its end.
struct Log {
    file: File,
    length: u64,
}

impl LogStorage {
    /// Opens the log at `path`, creating it if it does not exist.
    ///
    /// # Errors
    /// `STORE_LOCKED`, `FORMAT_UNSUPPORTED` for a file that is no such log, or
    /// `STORAGE_ERROR`.
    #[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(file_failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(Code::StoreLocked, "The log is open elsewhere"));
            }
            Err(TryLockError::Error(cause)) => return Err(file_failed(cause)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(file_failed)?;
        if bytes.len() < HEADER.len() && HEADER.starts_with(&bytes) {
            // New, or its creation was cut short: nothing was ever in it.
            bytes = HEADER.to_vec();
            create(&mut file, path).map_err(file_failed)?;
        }
        let (map, whole) = replay(&bytes)?;
        // Cut the torn tail off, so that the next record follows a whole one.
        file.set_len(whole).map_err(file_failed)?;
        file.sync_all().map_err(file_failed)?;
        file.seek(SeekFrom::Start(whole)).map_err(file_failed)?;
        Ok(Self {
            map: RwLock::new(Arc::new(map)),
            log: Mutex::new(Log { file, length: whole }),
            poison: Poison::new(),
        })
    }

    fn map(&self) -> Arc<Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Storage for LogStorage {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.map().get(key).cloned())
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(LogSnapshot { map: self.map() }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        batch.check_limits()?;
        let record = encode(&batch)?;
        // One writer at a time from here: the order of records is the order in
        // which readers see the batches.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        self.poison.check()?;
        log.append(&record, durability).map_err(|cause| {
            self.poison.set(
                Error::new(Code::StoreFailed, "Writing the log failed")
                    .with("cause", cause.to_string()),
            )
        })?;
        // Readers wait for this, but not for the file. `make_mut` copies the map
        // if a snapshot still holds it.
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        apply(Arc::make_mut(&mut map), batch.into_operations());
        Ok(())
    }

    fn name(&self) -> &'static str {
        "log"
    }

    fn approximate_size(&self) -> Result<u64> {
        Ok(self.log.lock().unwrap_or_else(PoisonError::into_inner).length)
    }
}

impl Log {
    /// `write_all` hands the record to the operating system, which is enough to
    /// survive a kill; `sync_data` waits for the medium.
    fn append(&mut self, record: &[u8], durability: Durability) -> std::io::Result<()> {
        self.file.write_all(record)?;
        self.length += record.len() as u64;
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Sync => self.file.sync_data(),
        }
    }
}

struct LogSnapshot {
    map: Arc<Map>,
}

impl Snapshot for LogSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.map.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        if range.is_empty() {
            return Box::new(std::iter::empty()); // The standard map panics here.
        }
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self
            .map
            .range::<[u8], _>((Bound::Included(&range.start[..]), end))
            .map(|(key, value)| Ok((key.clone(), value.clone())));
        match direction {
            Direction::Forward => Box::new(entries),
            Direction::Reverse => Box::new(entries.rev()),
        }
    }
}

fn apply(map: &mut Map, operations: Vec<Operation>) {
    for operation in operations {
        match operation {
            Operation::Put { key, value } => _ = map.insert(key, value),
            Operation::Delete { key } => _ = map.remove(&key),
        }
    }
}

/// The batch as a record; nothing for an empty batch.
fn encode(batch: &WriteBatch) -> Result<Vec<u8>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut record = vec![0; 8];
    for operation in batch.operations() {
        record.push(u8::from(operation.value().is_some()));
        for part in [Some(operation.key()), operation.value()].into_iter().flatten() {
            record.extend(length_of(part)?);
            record.extend_from_slice(part);
        }
    }
    let length = length_of(&record[8..])?;
    let checksum = crc32(&record[8..]).to_le_bytes();
    record[..4].copy_from_slice(&length);
    record[4..8].copy_from_slice(&checksum);
    Ok(record)
}

fn length_of(bytes: &[u8]) -> Result<[u8; 4]> {
    let length = u32::try_from(bytes.len());
    let too_long = |_| Error::limit("batchBytes", u64::from(u32::MAX), bytes.len() as u64);
    Ok(length.map_err(too_long)?.to_le_bytes())
}

/// The map that a log spells and the length of its whole records.
fn replay(bytes: &[u8]) -> Result<(Map, u64)> {
    let Some(mut rest) = bytes.strip_prefix(HEADER) else {
        return Err(Error::new(Code::FormatUnsupported, "The file is not a log of this version"));
    };
    let mut map = Map::new();
    while let Some((operations, after)) = record(rest) {
        apply(&mut map, operations);
        rest = after;
    }
    Ok((map, (bytes.len() - rest.len()) as u64))
}

/// The first record of `bytes` and what follows it; `None` if it is not whole.
fn record(bytes: &[u8]) -> Option<(Vec<Operation>, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (checksum, rest) = number(rest)?;
    let (mut body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    if length == 0 || checksum != crc32(body) {
        return None; // Zeros are what some file systems leave behind a crash.
    }
    let mut operations = Vec::new();
    while let Some((kind, after)) = body.split_first() {
        let (key, after) = part(after)?;
        body = if *kind == 1 {
            let (value, after) = part(after)?;
            operations.push(Operation::Put { key, value });
            after
        } else {
            operations.push(Operation::Delete { key });
            after
        };
    }
    Some((operations, rest))
}

fn part(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (part, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Bytes::copy_from_slice(part), rest))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Writes the header and makes the file and its name durable.
#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn create(file: &mut File, path: &Path) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(HEADER)?;
    file.sync_all()?;
    match path.parent() {
        Some(parent) if cfg!(unix) && !parent.as_os_str().is_empty() => {
            File::open(parent)?.sync_all()
        }
        _ => Ok(()),
    }
}

fn file_failed(cause: std::io::Error) -> Error {
    Error::new(Code::StorageError, "A file operation failed").with("cause", cause.to_string())
}

/// CRC-32 as in zip and PNG (reflected polynomial `EDB88320`), one table
/// lookup per byte.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut remainder = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                let carry = remainder & 1;
                remainder >>= 1;
                if carry == 1 {
                    remainder ^= 0xEDB8_8320;
                }
                bit += 1;
            }
            table[byte] = remainder;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
