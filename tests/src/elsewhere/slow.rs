use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Entries, KeyRange, Snapshot};

use super::weather::Weather;

/// A snapshot that is far away: every read takes time.
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
        self.near.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.weather.pause();
        let entries = self.near.scan(range, direction);
        Box::new(entries.inspect(|_| self.weather.pause()))
    }
}
