use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Result;

use crate::{Direction, KeyRange, WriteBatch};

/// What has to be true before [`Storage::write`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Durability {
    /// The batch survives the death of the process, not a power cut.
    Buffered,
    /// The batch survives a power cut.
    #[default]
    Sync,
}

/// A key with its value.
pub type Entry = (Bytes, Bytes);

/// An ordered scan. The first error ends it.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + Send + 'a>;

/// An ordered map from bytes to bytes with atomic batches and snapshots.
///
/// Contract, checked by the conformance suite:
/// * keys order as unsigned bytes, shorter first;
/// * a batch that breaks [`check_limits`](WriteBatch::check_limits) is refused
///   whole and leaves the engine as it was;
/// * a batch is visible whole or not at all, to snapshots taken after it only;
///   within one batch the last operation on a key wins;
/// * a returned [`write`](Storage::write) is as durable as asked;
/// * [`Durability::Sync`] makes every earlier `Buffered` batch durable too, even
///   when its own batch is empty;
/// * after a failed write or sync the engine is *poisoned*: that and every
///   later write returns `STORE_FAILED` until the engine is opened again. A
///   failed sync is never retried, because the operating system may have
///   dropped the data that it could not write.
pub trait Storage: Send + Sync {
    /// The newest value of `key`: that of a snapshot taken now.
    ///
    /// # Errors
    /// `STORAGE_ERROR` or `CORRUPTED` when the bytes cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The whole state as it is now; later writes do not show in it. Cheap
    /// (no copying), but an engine keeps what a snapshot may still read, so
    /// hold one no longer than needed.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when the engine cannot take a snapshot.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>>;

    /// Applies the batch atomically and makes it durable.
    ///
    /// Concurrent callers are safe and are put in some order. The usual case is one that
    /// writes groups of commits, all of them `Buffered`, and one that makes them durable
    /// with an empty `Sync` batch; to let both go on at once is what makes many durable
    /// clients fast. What a group wrote shows in snapshots before its sync. It is on the
    /// caller not to hand those out.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when a key or value is too large, `VALIDATION_ERROR`
    /// when a key is empty: nothing was written.
    /// `STORE_FAILED` otherwise; the batch may or may not be there after
    /// reopening, but never in part.
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()>;

    /// Does one step of giving back the room that is taken by what was overwritten
    /// or deleted, at a cost that what was written since pays for; whether there
    /// is nothing left to do. To be called now and then by one caller, who
    /// between two steps writes something and lets go of older snapshots: what
    /// they can read stays. Reads and writes go on meanwhile. Does nothing
    /// unless an engine says otherwise.
    ///
    /// # Errors
    /// `STORE_FAILED` when the engine is poisoned; `STORAGE_ERROR` and
    /// `CORRUPTED` when files cannot be read or written: nothing is lost, a
    /// later step tries again.
    fn reclaim(&self) -> Result<bool> {
        Ok(true)
    }

    /// A short name for logs and metrics: `memory`, `disk`.
    fn name(&self) -> &'static str;

    /// Roughly how many bytes the data takes where it is stored.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when the engine cannot tell.
    fn approximate_size(&self) -> Result<u64>;
}

/// A consistent state of a [`Storage`].
pub trait Snapshot: Send + Sync {
    /// The value of `key` in this state.
    ///
    /// # Errors
    /// `STORAGE_ERROR` or `CORRUPTED` when the bytes cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The entries of `range` in key order, or in the opposite order for
    /// [`Direction::Reverse`]. Lazy: cost follows consumption.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_>;

    /// Whether [`get`](Self::get) never waits for a disk or for anything else, so
    /// that it may be called where nothing may block.
    fn in_memory(&self) -> bool {
        false
    }
}
