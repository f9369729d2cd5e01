//! Bytes of a closed store change, one at a time: it must be noticed, or do no
//! harm. Never is anything silently missing or wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tandem::{CheckOptions, Code};
use tandem_base::{Random, SeededRandom};

use crate::disk::Image;
use crate::place::{keep, scratch};
use crate::verify::open;
use crate::workload::{Ledger, Recorded, State};

/// What became of the damages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changed bytes, one at a time.
    pub damages: u64,
    /// Refused when the store was opened.
    pub refused: u64,
    /// Answered with an error when it was read, or found by `check`.
    pub noticed: u64,
    /// Everything was there all the same.
    pub harmless: u64,
}

enum Verdict {
    Refused,
    Noticed,
    Harmless,
}

/// Changes every `step`th byte of every file of the store that a workload left
/// when it closed. The seed says where to begin and which bits.
///
/// # Errors
/// Damages that went unnoticed and did harm, or made a panic.
pub fn rot_everywhere(recorded: &Recorded, step: usize, seed: u64) -> Result<Counts, Vec<String>> {
    let image = recorded.trace.live();
    let random = SeededRandom::new(seed);
    let scratch = scratch();
    let directory = scratch.path().join("image");
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for (path, at, flip) in damages(&image, step, &random) {
        counts.damages += 1;
        let damaged = image.with(&path, |bytes| bytes[at] ^= flip);
        damaged.write(&directory).expect("an image can be written");
        match judge(&directory, &recorded.ledger) {
            Ok(Verdict::Refused) => counts.refused += 1,
            Ok(Verdict::Noticed) => counts.noticed += 1,
            Ok(Verdict::Harmless) => counts.harmless += 1,
            Err(what) => {
                let kept = keep(&format!("rot-{}-{at}", path.display()).replace('/', "-"));
                let kept = damaged.write(&kept).map(|()| kept);
                let story = format!("{}: byte {at} of {}", recorded.name, path.display());
                failures.push(format!("{story} ^ {flip:#04x}: {what}; {kept:?}"));
            }
        }
    }
    if failures.is_empty() { Ok(counts) } else { Err(failures) }
}

fn damages(image: &Image, step: usize, random: &SeededRandom) -> Vec<(PathBuf, usize, u8)> {
    let step = step.max(1);
    let mut found = Vec::new();
    for (path, bytes) in image.files() {
        let first = random.next_u64() as usize % step.min(bytes.len().max(1));
        for at in (first..bytes.len()).step_by(step) {
            // A bit, or any other byte; zero now and then, the end of a journal.
            let flip = match random.next_u64() % 4 {
                0 if bytes[at] != 0 => bytes[at],
                1 => (random.next_u64() % 255) as u8 + 1,
                _ => 1 << (random.next_u64() % 8),
            };
            found.push((path.to_owned(), at, flip));
        }
    }
    found
}

fn judge(directory: &Path, ledger: &Ledger) -> Result<Verdict, String> {
    catch_unwind(AssertUnwindSafe(|| look(directory, ledger)))
        .unwrap_or_else(|_| Err("a panic".to_owned()))
}

fn look(directory: &Path, ledger: &Ledger) -> Result<Verdict, String> {
    let proper = |error: tandem::Error, verdict| match error.code() {
        Code::Corrupted | Code::StorageError | Code::FormatUnsupported => Ok(verdict),
        _ => Err(format!("not an error of storage: {error:?}")),
    };
    let (store, storage) = match open(directory) {
        Ok(opened) => opened,
        Err(error) => return proper(error, Verdict::Refused),
    };
    match store.check(&CheckOptions::new()) {
        Ok(report) if !report.is_clean() => return Ok(Verdict::Noticed),
        Ok(_) => {}
        Err(error) => return proper(error, Verdict::Noticed),
    }
    let state = match State::read(&store) {
        Ok(state) => state,
        Err(error) => return proper(error, Verdict::Noticed),
    };
    let revision = store.revision().map_err(|error| format!("revision: {error:?}"))?;
    if revision != ledger.last() {
        return Err(format!("revision {revision} instead of {}", ledger.last()));
    }
    ledger.compare(revision, &state)?;
    match ledger.compare_log(&*storage, revision) {
        Err(what) if what.starts_with("reading the log") => Ok(Verdict::Noticed),
        Err(what) => Err(what),
        Ok(()) => Ok(Verdict::Harmless),
    }
}
