//! Turns what happened into `docs/isolation.md`.
//!
//! Nothing in the tables is written by hand: a cell is what the marks of a
//! script came to in a run, and the answers behind the steps are those that
//! the steps gave, the same through every door.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use tandem_transaction::Isolation;

use crate::door::doors;
use crate::library::library;
use crate::runner::{Run, run_through, story};
use crate::script::{LEVELS, Script, Verdict};

/// Where the document is.
#[must_use]
pub fn document_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/isolation.md")
}

/// Plays every script through every door and writes down what happened.
///
/// # Errors
/// The stories of the runs that were not as their scripts say, or that differed
/// between doors.
pub fn document() -> Result<String, String> {
    let mut scripts = library();
    scripts.sort_by_key(place);
    let mut told = Vec::new();
    let mut problems = String::new();
    for script in scripts {
        match play(&script) {
            Ok(runs) => told.push((script, runs)),
            Err(problem) => problems.push_str(&problem),
        }
    }
    if problems.is_empty() { Ok(write(&told)) } else { Err(problems) }
}

/// The runs of a script, which are the same through every door.
fn play(script: &Script) -> Result<Vec<Run>, String> {
    let mut first: Option<(&'static str, Vec<Run>)> = None;
    for door in doors().iter().filter(|door| script.is_for(door.name())) {
        let runs = run_through(script, &**door);
        let failed = runs.iter().filter(|run| !run.problems.is_empty());
        let stories: String = failed.map(|run| story(script, door.name(), run)).collect();
        if !stories.is_empty() {
            return Err(stories);
        }
        match &first {
            None => first = Some((door.name(), runs)),
            Some((other, expected)) => {
                let differs = |run: &&Run| {
                    let of_other = expected
                        .iter()
                        .find(|other| (other.level, &other.path) == (run.level, &run.path));
                    of_other.is_none_or(|other| other.answers != run.answers)
                };
                if let Some(run) = runs.iter().find(differs) {
                    let differs = story(script, door.name(), run);
                    return Err(format!("not as through {other}:{differs}"));
                }
            }
        }
    }
    first.map(|(_, runs)| runs).ok_or_else(|| format!("{} is for no door", script.name))
}

/// The published cases by number, then the extras, then the locks.
fn place(script: &Script) -> (String, u32, String) {
    let case = script.case.clone().unwrap_or_default();
    let family: String = case.chars().take_while(|c| c.is_alphabetic()).collect();
    let rest = &case[family.len()..];
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let suffix = rest[number.len()..].to_owned();
    (family, number.parse().unwrap_or(u32::MAX), suffix)
}

type Told = (Script, Vec<Run>);

fn write(told: &[Told]) -> String {
    let mut text = String::from(HEAD);
    text.push_str("## The matrix\n\n");
    text.push_str("| | Case | read committed | snapshot | serializable |\n|---|---|---|---|---|\n");
    for (script, runs) in told.iter().filter(|(script, _)| script.verdict.is_some()) {
        let case = script.case.as_deref().unwrap_or_default();
        let cells = verdicts(runs, &script.paths[0].name);
        let _ = writeln!(text, "| {case} | [{}](#{}) | {cells} |", script.title, anchor(script));
    }
    text.push_str(PATHS);
    text.push_str(
        "| Case | Path | read committed | snapshot | serializable |\n|---|---|---|---|---|\n",
    );
    for (script, runs) in told.iter().filter(|(script, _)| script.paths.len() > 1) {
        for path in script.paths.iter().filter(|_| script.verdict.is_some()) {
            let case = script.case.as_deref().unwrap_or_default();
            let _ = writeln!(text, "| {case} | {} | {} |", path.name, verdicts(runs, &path.name));
        }
    }
    text.push_str(CASES);
    for (script, runs) in told {
        write_case(&mut text, script, runs);
    }
    text
}

fn verdicts(runs: &[Run], path: &str) -> String {
    let cells = LEVELS.iter().map(|(_, level)| {
        let run = runs.iter().find(|run| run.level == *level && run.path == path);
        match run.and_then(|run| run.verdict) {
            Some(Verdict::Allowed) => "**allowed**",
            Some(Verdict::Prevented) => "prevented",
            None => "",
        }
    });
    cells.collect::<Vec<_>>().join(" | ")
}

fn heading(script: &Script) -> String {
    format!("{} {}", script.case.as_deref().unwrap_or("–"), script.title)
}

/// The link target that renderers give a heading.
fn anchor(script: &Script) -> String {
    let keep = |c: char| c.is_alphanumeric() || c == ' ' || c == '-';
    let kept: String = heading(script).to_lowercase().chars().filter(|c| keep(*c)).collect();
    kept.replace(' ', "-")
}

fn write_case(text: &mut String, script: &Script, runs: &[Run]) {
    let _ = writeln!(text, "\n### {}\n", heading(script));
    for line in &script.about {
        let _ = writeln!(text, "{line}\n");
    }
    text.push_str("```text\n");
    let path = &script.paths[0].name;
    let width = script.steps.iter().map(|step| step.text.len() + step.connection.len()).max();
    let width = width.unwrap_or(0).min(60) + 2;
    for (at, step) in script.steps.iter().enumerate() {
        let answers: BTreeMap<Isolation, &str> = runs
            .iter()
            .filter(|run| run.path == *path)
            .map(|run| (run.level, run.answers[at].as_str()))
            .collect();
        let line = format!("{}: {}", step.connection, step.text);
        let _ = writeln!(text, "{line:<width$}  {}", by_level(&answers));
    }
    text.push_str("```\n");
}

/// One answer, or those of the levels that differ, as scripts write them.
fn by_level(answers: &BTreeMap<Isolation, &str>) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for (short, level) in LEVELS {
        let answer = answers.get(&level).copied().unwrap_or_default();
        match groups.last_mut() {
            Some((names, same)) if *same == answer => names.push(short),
            _ => groups.push((vec![short], answer)),
        }
    }
    match &groups[..] {
        [(_, answer)] => (*answer).to_owned(),
        _ => {
            let parts =
                groups.iter().map(|(names, answer)| format!("{}: {answer}", names.join(", ")));
            parts.collect::<Vec<_>>().join(" | ")
        }
    }
}

const HEAD: &str = "\
# Isolation: which interleavings may happen at which level

<!-- Generated by `cargo run -p tandem-tests --bin isolation-matrix`; a test compares it with a run. -->

The level is chosen per transaction, `serializable` unless stated otherwise.

| level | reads see | at commit |
|---|---|---|
| `read committed` (rc) | the newest revision at each statement, plus own writes | the last writer of a record wins, as a whole; a record deleted meanwhile is a conflict |
| `snapshot` (si) | the begin revision, plus own writes | the first committer of a record wins |
| `serializable` (ser) | the begin revision, plus own writes | also: nothing that was read, found or not found, was changed since |

What to know when comparing with other databases:

* Tandem is optimistic. Nothing blocks unless you `lock`; a conflict surfaces at commit, as `CONFLICT`, and running the transaction again helps. `store.transaction(…)` and batches do that by themselves.
* After a conflict every further request of that transaction, `commit` included, answers `TRANSACTION_ABORTED` until it is rolled back.
* A transaction that wrote nothing never fails, at any level.
* `expectedVersion` and unique values are enforced at every level.
* At read committed the last writer wins the whole record, also over a change of another field.

Everything below was observed: scripts of `tests/scripts` (their language is described in `tests/src/script/mod.rs`) are played at each level through the embedded API, through WebSocket, and through the embedded API over a second implementation of the commit contract, in which each connection is on a server of its own. The doors must agree, answer by answer, and each story ends with a check of every index. **allowed** means that the anomaly happened, with exactly the values shown; so a level can become neither weaker nor stronger unnoticed.

The cases 1 to 16 are those of [Hermitage](https://github.com/ept/hermitage) by Martin Kleppmann (CC-BY 4.0); E1 to E10 and L1 to L6 are Tandem's own.

";

const PATHS: &str = "
## However the predicate is served

A phantom must not slip in through one access path and be caught on another. The cases about predicates therefore run once for each way in which a predicate can be answered, and `explain` must name the intended index. `unique` is the lookup of a value that no record has yet. (SQL will be another row, when it is a door.)

";

const CASES: &str = "
## The cases, step by step

A name before a colon is a connection; steps before its `begin` or without one commit on their own, and `after` is a fresh connection. The answers are those of the run: one for every level, or each level's own. `{1:10,2:20}` are records with the value of their field `value` (or of the fields that the case is about), `…` is a step that waits in the background.
";
