//! Every cut of a recording.
//!
//! After each operation the power goes, once per fate. Most cuts leave files
//! that another cut has left already, so each image is opened once and its
//! verdict is held against every cut that leads to it.

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{DiskModel, Event, Fate, Image, Mark, Trace};
use crate::place::{keep, scratch};
use crate::verify::{Found, verify};
use crate::watch::Watch;
use crate::workload::{Ledger, Recorded};

/// How many cuts, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Torn images per operation.
    pub torn: u64,
    /// Prefixes per operation.
    pub prefixes: u64,
    /// Of so many images, one is recovered under the recorder and that
    /// recovery is cut at every operation too; zero = none.
    pub recover_every: u64,
    /// Of so many images, in one the store goes on working.
    pub go_on_every: u64,
    /// Images are opened by so many threads.
    pub threads: usize,
    /// Seeds the fates.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { torn: 1, prefixes: 1, recover_every: 40, go_on_every: 8, threads: 2, seed: 1 }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// File operations after which the power was cut.
    pub operations: u64,
    /// Cuts: operations times fates.
    pub cuts: u64,
    /// Of these, cuts during a recovery.
    pub recovery_cuts: u64,
    /// Different images, each opened.
    pub images: u64,
    /// Recoveries that were cut.
    pub recoveries: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.cuts += other.cuts;
        self.recovery_cuts += other.recovery_cuts;
        self.images += other.images;
        self.recoveries += other.recoveries;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} operations, {} cuts ({} of them during {} recoveries), {} distinct images",
            self.operations, self.cuts, self.recovery_cuts, self.recoveries, self.images
        )
    }
}

/// What must be found after a cut.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The newest revision that was acknowledged durably enough.
    least: u64,
    /// The newest revision that can have been begun.
    most: u64,
}

/// One image with the strictest demands of all cuts that lead to it.
struct Expected {
    least: (u64, String),
    most: (u64, String),
    verdict: Option<Result<Found, String>>,
}

struct Job {
    fingerprint: u128,
    image: Image,
    goes_on: bool,
}

/// Cuts a recording everywhere.
///
/// # Errors
/// The failures, in words, with where each image is kept.
///
/// # Panics
/// When the machine fails: no memory, no threads, no temporary files.
pub fn cut_everywhere(recorded: &Recorded, plan: Plan) -> Result<Counts, Vec<String>> {
    let mut counts = Counts::default();
    let mut recoveries: Vec<(Image, Bounds)> = Vec::new();
    let mut failures = Vec::new();
    let cuts = Cuts { recorded, plan };
    let story = recorded.name.clone();
    failures.extend(cuts.run(&recorded.trace, &story, None, &mut counts, Some(&mut recoveries)));
    for (number, (image, bounds)) in recoveries.iter().enumerate() {
        let trace = match record_recovery(image) {
            Ok(trace) => trace,
            Err(what) => {
                failures.push(format!("{story}: recovery {number}: {what}"));
                continue;
            }
        };
        counts.recoveries += 1;
        let mut during = Counts::default();
        let name = format!("{story} recovery {number}");
        failures.extend(cuts.run(&trace, &name, Some(*bounds), &mut during, None));
        counts.operations += during.operations;
        counts.cuts += during.cuts;
        counts.recovery_cuts += during.cuts;
        counts.images += during.images;
    }
    if failures.is_empty() { Ok(counts) } else { Err(failures) }
}

struct Cuts<'a> {
    recorded: &'a Recorded,
    plan: Plan,
}

impl Cuts<'_> {
    fn run(
        &self,
        trace: &Trace,
        story: &str,
        fixed: Option<Bounds>,
        counts: &mut Counts,
        mut recoveries: Option<&mut Vec<(Image, Bounds)>>,
    ) -> Vec<String> {
        let expected: Mutex<HashMap<u128, Expected>> = Mutex::default();
        let (send, receive) = sync_channel::<Job>(4);
        let receive = Arc::new(Mutex::new(receive));
        let ledger = &self.recorded.ledger;
        let images = std::thread::scope(|scope| {
            for _ in 0..self.plan.threads {
                let (receive, expected) = (receive.clone(), &expected);
                scope.spawn(move || {
                    let scratch = scratch();
                    let next = || receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok(Job { fingerprint, image, goes_on }) = next() {
                        let directory = scratch.path().join("image");
                        image.write(&directory).expect("an image can be written");
                        let verdict = verify(&directory, ledger, goes_on);
                        let mut expected = expected.lock().unwrap_or_else(PoisonError::into_inner);
                        expected.get_mut(&fingerprint).expect("sent").verdict = Some(verdict);
                    }
                });
            }
            let mut images = HashMap::new();
            for_each_cut(trace, self.plan, |cut| {
                counts.cuts += 1;
                let bounds = fixed.unwrap_or_else(|| cut.bounds());
                let label = format!("{story}, after operation {}, {:?}", cut.operation, cut.fate);
                let image = cut.disk.after(cut.fate);
                let fingerprint = image.fingerprint();
                let mut expected = expected.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = expected.get_mut(&fingerprint) {
                    if bounds.least > known.least.0 {
                        known.least = (bounds.least, label.clone());
                    }
                    if bounds.most < known.most.0 {
                        known.most = (bounds.most, label);
                    }
                    return;
                }
                let least = (bounds.least, label.clone());
                let most = (bounds.most, label);
                expected.insert(fingerprint, Expected { least, most, verdict: None });
                drop(expected);
                counts.images += 1;
                let every = |period: u64| period > 0 && counts.images % period == 1 % period;
                if every(self.plan.recover_every)
                    && let Some(recoveries) = &mut recoveries
                {
                    recoveries.push((image.clone(), bounds));
                }
                images.insert(fingerprint, image.clone());
                let goes_on = every(self.plan.go_on_every);
                send.send(Job { fingerprint, image, goes_on }).expect("a thread that opens images");
            });
            counts.operations += trace.operations() as u64;
            drop(send);
            images
        });
        let expected = expected.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut failures: Vec<_> = expected
            .iter()
            .filter_map(|(fingerprint, expected)| {
                let what = expected.failure()?;
                let name = format!("{fingerprint:032x}");
                let place = keep(&name);
                let kept = match images[fingerprint].write(&place) {
                    Ok(()) => format!("kept in {}", place.display()),
                    Err(error) => format!("not kept: {error}"),
                };
                Some(format!("{what}; {kept}"))
            })
            .collect();
        failures.sort();
        failures
    }
}

impl Expected {
    fn failure(&self) -> Option<String> {
        match self.verdict.as_ref() {
            None => Some(format!("{}: was not opened", self.least.1)),
            Some(Err(what)) => Some(format!("{}: {what}", self.least.1)),
            Some(Ok(found)) if found.revision < self.least.0 => {
                let (least, label) = &self.least;
                let found = found.revision;
                Some(format!("{label}: revision {least} was acknowledged, {found} is found"))
            }
            Some(Ok(found)) if found.revision > self.most.0 => {
                let (most, label) = &self.most;
                let found = found.revision;
                Some(format!("{label}: nobody had begun more than {most}, {found} is found"))
            }
            Some(Ok(_)) => None,
        }
    }
}

struct Cut<'a> {
    disk: &'a DiskModel,
    operation: usize,
    fate: Fate,
    synced: u64,
    acknowledged: u64,
    next: u64,
}

impl Cut<'_> {
    fn bounds(&self) -> Bounds {
        let least = match self.fate {
            Fate::Kept => self.acknowledged,
            _ => self.synced,
        };
        Bounds { least, most: self.next }
    }
}

fn for_each_cut(trace: &Trace, plan: Plan, mut each: impl FnMut(Cut<'_>)) {
    // For each event, the revision that the first acknowledgement after it says.
    let mut next = 0;
    let mut begun: Vec<u64> = trace
        .events()
        .iter()
        .rev()
        .map(|event| {
            if let Event::Mark(Mark::Acknowledged { revision, .. }) = event {
                next = *revision;
            }
            next
        })
        .collect();
    begun.reverse();
    let mut disk = trace.base();
    let (mut synced, mut acknowledged, mut number) = (0, 0, 0);
    for (event, begun) in trace.events().iter().zip(begun) {
        match event {
            Event::Mark(Mark::Acknowledged { revision, synced: durably }) => {
                acknowledged = *revision;
                if *durably {
                    synced = *revision;
                }
                continue;
            }
            Event::Mark(Mark::Step(_)) => continue,
            Event::Operation(operation) => disk.apply(operation),
        }
        number += 1;
        let seed = |fate: u64| plan.seed << 40 ^ (number as u64) << 8 ^ fate;
        let prefixes = (0..plan.prefixes).map(|fate| Fate::Prefix(seed(fate)));
        let torn = (0..plan.torn).map(|fate| Fate::Torn(seed(128 + fate)));
        for fate in [Fate::Lost, Fate::Kept].into_iter().chain(prefixes).chain(torn) {
            let next = begun.max(acknowledged);
            each(Cut { disk: &disk, operation: number, fate, synced, acknowledged, next });
        }
    }
}

/// Opens and closes the store of an image under the recorder.
fn record_recovery(image: &Image) -> Result<Trace, String> {
    let scratch = scratch();
    image.write(scratch.path()).map_err(|error| error.to_string())?;
    let watched = Watch::default().begin(scratch.path());
    let opened = verify(scratch.path(), &Ledger::default(), false);
    // The ledger is empty: what is found is of no interest here.
    drop(opened);
    Ok(watched.end())
}
