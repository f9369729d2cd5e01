//! Every system call below the disk engine fails, once and for ever.
//!
//! The caller must get an error with a code, and none that says that Tandem is
//! wrong; a store whose write failed must refuse later ones; readers must go on
//! to see what was acknowledged; and without the fault the store must open with
//! every acknowledged commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tandem::{Code, Error};

use crate::place::{keep, scratch};
use crate::verify::verify;
use crate::watch::{Call, Fault, Times, Watch};
use crate::workload::{Disturbed, Ledger, Script};

/// How many failures there were, and how many the workload noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs in which the fault struck.
    pub struck: u64,
    /// Of these, runs that ended with an error. The others failed in the
    /// background or in closing, where nobody waits for an answer.
    pub answered: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.struck += other.struck;
        self.answered += other.answered;
    }
}

/// How often a script makes each kind of call, and how many bytes it writes.
///
/// # Panics
/// When the script fails without a fault.
#[must_use]
pub fn rehearse(script: &Script) -> (Vec<(Call, u64)>, u64) {
    let scratch = scratch();
    let run = script.disturb(scratch.path(), Watch::default());
    assert!(run.error.is_none(), "{}: {:?}", script.name, run.error);
    let counts = Call::ALL.iter().map(|call| (*call, run.watched.count(*call))).collect();
    (counts, run.watched.written())
}

/// Fails every `step`th call of each kind, in each way.
///
/// # Errors
/// What went wrong, in words that name the fault.
pub fn fail_everywhere(
    script: &Script,
    ledger: &Ledger,
    step: usize,
) -> Result<Counts, Vec<String>> {
    let (calls, _) = rehearse(script);
    let mut faults = Vec::new();
    for (call, count) in calls {
        let errors: &[i32] = match call {
            Call::Read | Call::Sync | Call::Remove => &[libc::EIO],
            _ => &[libc::EIO, libc::ENOSPC],
        };
        for nth in (1..=count).step_by(step) {
            for error in errors {
                for times in [Times::Once, Times::Forever] {
                    faults.push(Fault::Nth { call, nth, times, error: *error });
                }
            }
        }
    }
    run_all(script, ledger, &faults)
}

/// Fills the disk at every `step`th byte that the script writes.
///
/// # Errors
/// What went wrong, in words that name the fault.
pub fn fill_everywhere(
    script: &Script,
    ledger: &Ledger,
    step: usize,
) -> Result<Counts, Vec<String>> {
    let (_, bytes) = rehearse(script);
    let faults: Vec<_> =
        (0..bytes).step_by(step).map(|after_bytes| Fault::Full { after_bytes }).collect();
    run_all(script, ledger, &faults)
}

fn run_all(script: &Script, ledger: &Ledger, faults: &[Fault]) -> Result<Counts, Vec<String>> {
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        match run(script, ledger, *fault) {
            Ok(more) => counts += more,
            Err(what) => {
                failures.push(format!("{}, fault {number} {fault:?}: {what}", script.name))
            }
        }
    }
    if failures.is_empty() { Ok(counts) } else { Err(failures) }
}

/// One run with one fault.
///
/// # Errors
/// What went wrong, in words.
pub fn run(script: &Script, ledger: &Ledger, fault: Fault) -> Result<Counts, String> {
    let scratch = scratch();
    let watch = Watch { fault: Some(fault), ..Watch::default() };
    let run = catch_unwind(AssertUnwindSafe(|| script.disturb(scratch.path(), watch)))
        .map_err(|_| "a panic".to_owned())?;
    let struck = run.watched.struck() > 0;
    run.watched.disarm();
    let counts =
        Counts { struck: u64::from(struck), answered: u64::from(struck && run.error.is_some()) };
    let judged = judge(&run, ledger, struck);
    let acknowledged = run.acknowledged;
    drop(run);
    judged?;
    let found = match verify(scratch.path(), ledger, true) {
        Ok(found) => found,
        Err(what) => {
            let kept = keep("failure");
            let image =
                crate::disk::Image::read(scratch.path()).and_then(|image| image.write(&kept));
            return Err(format!("{what}; the files are in {} ({image:?})", kept.display()));
        }
    };
    if found.revision < acknowledged {
        return Err(format!("{acknowledged} was acknowledged, {} is found", found.revision));
    }
    Ok(counts)
}

fn judge(run: &Disturbed, ledger: &Ledger, struck: bool) -> Result<(), String> {
    let Some(error) = &run.error else { return Ok(()) };
    if !struck {
        return Err(format!("an error without a fault: {error:?}"));
    }
    proper(error)?;
    let Some(after) = &run.after else { return Ok(()) };
    match &after.commit {
        Err(again) if again.code() == Code::StoreFailed => {}
        other => return Err(format!("after the store had failed, a commit: {other:?}")),
    }
    match &after.read {
        Err(error) => proper(error),
        Ok((revision, _)) if *revision < run.acknowledged => {
            Err(format!("readers see {revision}, {} was acknowledged", run.acknowledged))
        }
        Ok((revision, state)) => ledger.compare(*revision, state),
    }
}

fn proper(error: &Error) -> Result<(), String> {
    match error.code() {
        Code::StoreFailed | Code::StorageError | Code::Corrupted => Ok(()),
        _ => Err(format!("not an error of storage: {error:?}")),
    }
}
