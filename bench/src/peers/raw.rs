//! The machine's limit: appending to a file.
//!
//! One file for all clients. A transfer appends as many bytes as Tandem's
//! commit of it puts into its batch, and nothing else: no index, no check, no
//! memory of it. Clients that arrive while a sync is under way share the next
//! one, so that 64 clients show the ceiling of any group commit and one client
//! the rate of append + `fdatasync`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use super::gathering::Gathering;
use crate::data::Transfer;
use crate::peer::{Client, Peer, Result};

/// What happens after the bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Nothing.
    No,
    /// `fdatasync` of a file that grows.
    Growing,
    /// `fdatasync` of a file whose blocks were all written before, which saves
    /// the file system its own journal write.
    Recycled,
}

/// Before it starts over, and what is written beforehand when recycled.
const RECYCLED_BYTES: u64 = 32 << 20;

pub struct Raw {
    shared: Arc<Shared>,
    bytes_per_transfer: usize,
}

struct Shared {
    file: File,
    sync: Sync,
    gathering: Gathering<Arc<[u8]>>,
}

impl Raw {
    pub fn open(directory: &Path, sync: Sync, bytes_per_transfer: usize) -> Result<Self> {
        let mut file = File::create_new(directory.join("raw"))?;
        if sync == Sync::Recycled {
            let block = vec![0x5A; 1 << 20];
            for _ in 0..RECYCLED_BYTES >> 20 {
                file.write_all(&block)?;
            }
            file.seek(SeekFrom::Start(0))?;
        }
        file.sync_all()?;
        let shared = Shared { file, sync, gathering: Gathering::new() };
        Ok(Self { shared: Arc::new(shared), bytes_per_transfer })
    }
}

impl Peer for Raw {
    fn durability(&self) -> &str {
        match self.shared.sync {
            Sync::No => "process kill",
            Sync::Growing => "power cut: fdatasync",
            Sync::Recycled => "power cut: fdatasync, blocks reused",
        }
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let payload = vec![0xA5; self.bytes_per_transfer].into();
        Ok(Box::new(RawClient { shared: self.shared.clone(), payload }))
    }
}

struct RawClient {
    shared: Arc<Shared>,
    payload: Arc<[u8]>,
}

impl Client for RawClient {
    fn transfer(&mut self, _transfer: &Transfer) -> Result<u64> {
        let write = |payloads: Vec<Arc<[u8]>>| self.shared.write(&payloads.concat());
        self.shared.gathering.submit(self.payload.clone(), write)?;
        Ok(0)
    }
}

impl Shared {
    fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut file = &self.file;
        if self.sync == Sync::Recycled
            && file.stream_position()? + bytes.len() as u64 > RECYCLED_BYTES
        {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(bytes)?;
        if self.sync != Sync::No {
            file.sync_data()?;
        }
        Ok(())
    }
}
