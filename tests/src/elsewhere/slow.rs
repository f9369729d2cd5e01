use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Entries, KeyRange, Snapshot};

use super::weather::Weather;

/// How many bytes of a stored value say which write it is from.
const STAMP: usize = 8;

/// The value as the cluster stores it: which write it is from, at the end.
pub(super) fn stamped(value: &Bytes, write: u64) -> Bytes {
    let mut stored = Vec::with_capacity(value.len() + STAMP);
    stored.extend_from_slice(value);
    stored.extend_from_slice(&write.to_be_bytes());
    stored.into()
}

/// The value that was stamped.
pub(super) fn plain(stored: &Bytes) -> Bytes {
    stored.slice(..stored.len().saturating_sub(STAMP))
}

/// What servers see of a snapshot: it is far away, so every read takes time,
/// and values come without their stamps.
pub(super) struct SlowSnapshot {
    near: Arc<dyn Snapshot>,
    weather: Arc<Weather>,
}

impl SlowSnapshot {
    pub(super) fn new(near: Arc<dyn Snapshot>, weather: Arc<Weather>) -> Self {
        Self { near, weather }
    }
}

impl Snapshot for SlowSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.weather.pause();
        Ok(self.near.get(key)?.as_ref().map(plain))
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.weather.pause();
        let entries = self.near.scan(range, direction);
        Box::new(entries.map(|entry| {
            self.weather.pause();
            entry.map(|(key, stored)| (key, plain(&stored)))
        }))
    }
}
