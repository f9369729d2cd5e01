//! What a run must show, and must not.

use std::fmt::Write;

use adya::Valid;
use tandem::Isolation;

use crate::cycles::{self, Findings};
use crate::history::{Kind, Model};
use crate::judge::Parsed;
use crate::run::Outcome;

/// Judges a run by its level, in both directions; a line about it.
///
/// # Errors
/// Everything that is not as it must be.
pub fn assess(outcome: &Outcome) -> Result<String, String> {
    let mut complaints = String::new();
    let plan = &outcome.plan;
    let found = cycles::find(&outcome.history);
    let level = plan.level.as_str();
    for name in cycles::forbidden(level) {
        if found.contains(name) {
            let _ = writeln!(complaints, "own checker: {name}, which {level} forbids");
        }
    }
    let parsed = Parsed::new(&outcome.history);
    for model in kept(plan.level) {
        let verdict = parsed.judge(model);
        if verdict.valid != Valid::True {
            let _ = writeln!(complaints, "adya: not {model}: {}", verdict.proofs);
        }
    }
    let mut shown = String::new();
    for (model, kinds) in shows(plan.level) {
        let verdict = parsed.judge(model);
        let seen: Vec<&str> =
            kinds.iter().copied().filter(|kind| verdict.anomalies.contains(*kind)).collect();
        if verdict.valid != Valid::False || seen.is_empty() {
            let _ = writeln!(
                complaints,
                "adya: {level} allows {kinds:?}, and not one was found: {:?}",
                verdict.anomalies
            );
        }
        let _ = write!(shown, " {}", seen.join(" "));
    }
    own_shows(plan.level, &found, &mut complaints);
    forced(outcome, &mut complaints);
    let line = line(outcome, &found, &shown);
    if complaints.is_empty() { Ok(line) } else { Err(format!("{line}\n{complaints}")) }
}

/// The models that a level's histories satisfy.
fn kept(level: Isolation) -> &'static [&'static str] {
    match level {
        Isolation::ReadCommitted => &["read-committed", "strong-read-committed"],
        Isolation::Snapshot => &["snapshot-isolation", "strong-snapshot-isolation"],
        Isolation::Serializable => &["serializable", "strict-serializable"],
    }
}

/// The models that they do not, and one of the anomalies that must be there.
fn shows(level: Isolation) -> &'static [(&'static str, &'static [&'static str])] {
    match level {
        Isolation::ReadCommitted => {
            &[("snapshot-isolation", &["G-single-item"]), ("update-atomic", &["lost-update"])]
        }
        Isolation::Snapshot => &[("serializable", &["G2-item"])],
        Isolation::Serializable => &[],
    }
}

fn own_shows(level: Isolation, found: &Findings, complaints: &mut String) {
    let expected: &[&str] = match level {
        Isolation::ReadCommitted => &["G-SI", "G2"],
        Isolation::Snapshot => &["G2"],
        Isolation::Serializable => &[],
    };
    for name in expected.iter().filter(|name| !found.contains(**name)) {
        let _ = writeln!(complaints, "own checker: {name} is allowed and was not found");
    }
}

/// The interleavings made by hand have one outcome at each level.
fn forced(outcome: &Outcome, complaints: &mut String) {
    let level = outcome.plan.level;
    // Registers are written blindly: first committer wins on a read only where
    // reads count, which is for lost updates also by the record written.
    let both_write_skew = level != Isolation::Serializable;
    let both_lost_update = level == Isolation::ReadCommitted;
    for (story, both) in
        [("write skew", both_write_skew), ("lost update", both_lost_update), ("read skew", true)]
    {
        let (two, one, none) =
            (outcome.forced.of(story, 2), outcome.forced.of(story, 1), outcome.forced.of(story, 0));
        let (right, wrong) = if both { (two, one + none) } else { (one, two + none) };
        if right == 0 || wrong > 0 {
            let right = if both { 2 } else { 1 };
            let heard = (0..=2).filter(|committed| *committed != right);
            let heard: Vec<_> = heard.map(|so_many| outcome.forced.heard(story, so_many)).collect();
            let _ = writeln!(
                complaints,
                "{story} at {}: both committed {two} times, one {one}, none {none}: {heard:?}",
                level.as_str()
            );
        }
    }
}

fn line(outcome: &Outcome, found: &Findings, shown: &str) -> String {
    let (plan, history, faults) = (&outcome.plan, &outcome.history, &outcome.faults);
    let model = if plan.model == Model::Lists { "lists" } else { "registers" };
    format!(
        "{:<14} {model:<9} {:<9} seed {}: {} transactions: {} ok, {} fail, {} info; {} epochs, \
         {} store failures, {} power cuts, {} index changes; adya kept {:?}, shown{shown}; own {found:?}",
        plan.level.as_str(),
        format!("{:?}", plan.place),
        plan.seed,
        history.count(Kind::Invoke),
        history.count(Kind::Ok),
        history.count(Kind::Fail),
        history.count(Kind::Info),
        faults.epochs,
        faults.failed,
        faults.cut,
        faults.index_changes,
        kept(plan.level),
    )
}
