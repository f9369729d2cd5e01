//! Which system calls fail, and how.

use std::collections::BTreeMap;

/// The kinds of calls that are counted and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// Opening or creating a file or directory.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// `fsync` or `fdatasync` of a file or a directory.
    Sync,
    /// Renaming.
    Rename,
    /// Removing a file or directory.
    Remove,
    /// Changing a file's length.
    Resize,
    /// Making a directory.
    MakeDirectory,
}

impl Call {
    /// Every kind.
    pub const ALL: [Call; 8] = [
        Call::Open,
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::Rename,
        Call::Remove,
        Call::Resize,
        Call::MakeDirectory,
    ];
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// At that call only.
    Once,
    /// At that call and every later one of its kind.
    Forever,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The `nth` call of a kind, 1 being the first, answers `error` and does
    /// nothing.
    Nth {
        /// The kind.
        call: Call,
        /// Which one.
        nth: u64,
        /// Only that one?
        times: Times,
        /// The `errno`.
        error: i32,
    },
    /// After so many written bytes the disk is full: the write that reaches
    /// the limit is cut short, later ones answer `ENOSPC`.
    Full {
        /// How many bytes are free.
        after_bytes: u64,
    },
}

/// The armed fault and how often each kind was called.
#[derive(Debug, Default)]
pub(super) struct Plan {
    counts: BTreeMap<Call, u64>,
    written: u64,
    pub(super) armed: Option<Fault>,
    struck: u64,
}

impl Plan {
    pub(super) fn count(&self, call: Call) -> u64 {
        self.counts.get(&call).copied().unwrap_or(0)
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn struck(&self) -> u64 {
        self.struck
    }

    /// Counts a call; its `errno` if it fails.
    pub(super) fn pass(&mut self, call: Call) -> Result<(), i32> {
        let count = self.counts.entry(call).or_default();
        *count += 1;
        if let Some(Fault::Nth { call: at, nth, times, error }) = self.armed
            && at == call
            && (*count == nth || *count > nth && times == Times::Forever)
        {
            self.struck += 1;
            return Err(error);
        }
        Ok(())
    }

    /// Counts a write of so many bytes; how many of them may be written.
    pub(super) fn pass_write(&mut self, bytes: usize) -> Result<usize, i32> {
        self.pass(Call::Write)?;
        let free = match self.armed {
            Some(Fault::Full { after_bytes }) => after_bytes.saturating_sub(self.written),
            _ => u64::MAX,
        };
        let allowed = usize::try_from(free).unwrap_or(usize::MAX).min(bytes);
        if allowed < bytes {
            self.struck += 1;
        }
        if allowed == 0 {
            return Err(libc::ENOSPC);
        }
        self.written += allowed as u64;
        Ok(allowed)
    }
}
