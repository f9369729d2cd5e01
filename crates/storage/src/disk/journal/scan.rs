//! A pass over a journal, batch by batch.

use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

use super::batch::{Batch, Parsed, parse};

/// Bytes that are read at once; of a batch that is longer, as many again as are
/// there, so that it is looked at a few times only.
const STEP: usize = 256 << 10;

/// A position in a journal. Memory: the longest batch.
pub(super) struct Scan {
    file: File,
    /// Bytes of the file from `position` on.
    buffer: Vec<u8>,
    used: usize,
    position: u64,
    at_end: bool,
}

impl Scan {
    #[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, buffer: Vec::new(), used: 0, position: 0, at_end: false })
    }

    /// The bytes up to here were whole batches.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Passes the next batch if it is whole.
    pub(super) fn whole(&mut self) -> Result<Option<Batch>> {
        loop {
            match parse(&self.buffer[self.used..]) {
                Parsed::Whole(batch) => {
                    self.used += batch.length;
                    self.position += batch.length as u64;
                    return Ok(Some(batch));
                }
                Parsed::Incomplete if !self.at_end => self.read()?,
                Parsed::Incomplete | Parsed::Broken => return Ok(None),
            }
        }
    }

    /// Whether nothing but zeros follows: room for later batches.
    pub(super) fn only_zeros(&mut self) -> Result<bool> {
        if !are_zeros(&self.buffer[self.used..]) {
            return Ok(false);
        }
        if self.at_end {
            return Ok(true);
        }
        // What is read here is not kept, unless it is something.
        let mut zeros = 0;
        loop {
            let kept = self.buffer.len() - self.used;
            self.read()?;
            if !are_zeros(&self.buffer[kept..]) {
                self.buffer.splice(..0, std::iter::repeat_n(0, zeros));
                return Ok(false);
            }
            if self.at_end {
                return Ok(true);
            }
            zeros += self.buffer.len();
            self.buffer.clear();
        }
    }

    /// Everything from the position on, without the zeros at the end.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>> {
        self.file.read_to_end(&mut self.buffer)?;
        self.at_end = true;
        Ok(without_zeros(&self.buffer[self.used..]).to_vec())
    }

    fn read(&mut self) -> Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let bytes = STEP.max(self.buffer.len());
        let read = (&mut self.file).take(bytes as u64).read_to_end(&mut self.buffer)?;
        self.at_end = read < bytes;
        Ok(())
    }
}

const ZEROS: [u8; 4_096] = [0; 4_096];

/// Compared in blocks, which is many times faster than byte by byte.
fn are_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// The bytes but for the zeros at their end.
pub(in crate::disk) fn without_zeros(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_suffix(&ZEROS) {
        bytes = rest;
    }
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}
