//! Runs a script: at one level, through one door, along one access path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use tandem_transaction::Isolation;

use crate::answer::{Answer, FILLERS_FROM};
use crate::door::{Connection, Door, World, doors};
use crate::patience::{self, PATIENCE};
use crate::script::{Action, LEVELS, Path, Script, Step, Verdict};

/// How many records without any field a bucket gets whose predicates are to be
/// served by an index: in a bucket of two, a scan would cost less.
const FILLERS: i64 = 200;

/// What happened in one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The isolation level of its transactions.
    pub level: Isolation,
    /// The access path.
    pub path: String,
    /// The answer of each step, as scripts write it.
    pub answers: Vec<String>,
    /// What the marks came to.
    pub verdict: Option<Verdict>,
    /// Where the run was not as the script says.
    pub problems: Vec<String>,
}

/// Runs `script` through `door` at every level and along every path.
#[must_use]
pub fn run_through(script: &Script, door: &dyn Door) -> Vec<Run> {
    let paths = script.paths.iter().filter(|path| door.takes(path));
    paths
        .flat_map(|path| LEVELS.iter().map(move |(_, level)| run(script, door, *level, path)))
        .collect()
}

/// Runs the script `text` through every door it is for, at every level, along
/// every path.
///
/// # Panics
/// With the story of every run that was not as the script says.
pub fn play(name: &str, text: &str) {
    play_script(&Script::parse(name, text).unwrap_or_else(|problem| panic!("{problem}")));
}

/// As [`play`], for a script that is parsed already.
///
/// # Panics
/// As [`play`].
pub fn play_script(script: &Script) {
    let doors = doors();
    let doors: Vec<_> = doors.iter().filter(|door| script.is_for(door.name())).collect();
    assert!(!doors.is_empty(), "{} is for no door", script.name);
    let mut stories = String::new();
    for door in doors {
        for run in run_through(script, &**door) {
            if !run.problems.is_empty() {
                stories.push_str(&story(script, door.name(), &run));
            }
        }
    }
    assert!(stories.is_empty(), "{stories}");
}

/// A failed run for people: each step with what it answered.
#[must_use]
pub fn story(script: &Script, door: &str, run: &Run) -> String {
    let mut text = format!("\n{} at {} through {door}", script.name, run.level);
    if !run.path.is_empty() {
        text.push_str(&format!(", path {}", run.path));
    }
    text.push('\n');
    for (step, answer) in script.steps.iter().zip(&run.answers) {
        let expected = &step.expected[&run.level];
        text.push_str(&format!(
            "  {:>3}  {}: {:<40} {answer}   (expected {expected})\n",
            step.line, step.connection, step.text
        ));
    }
    for problem in &run.problems {
        text.push_str(&format!("  !! {problem}\n"));
    }
    text
}

/// Runs `script` once.
#[must_use]
pub fn run(script: &Script, door: &dyn Door, level: Isolation, path: &Path) -> Run {
    let world = door.open(&bucket(script, path));
    let mut stage = Stage { script, level, path, world, connections: BTreeMap::new() };
    let mut run = Run {
        level,
        path: path.name.clone(),
        answers: Vec::new(),
        verdict: None,
        problems: Vec::new(),
    };
    stage.set_up(&mut run.problems);
    let mut marks_met = true;
    let mut has_marks = false;
    for step in &script.steps {
        let answer = stage.take(step);
        let expected = &step.expected[&level];
        if !answer.meets(expected, &script.show) {
            let told = if let Answer::Failed { message, .. } = &answer { message } else { "" };
            let rendered = answer.render(&script.show);
            let line = step.line;
            run.problems.push(format!("line {line}: expected {expected}, got {rendered} {told}"));
        }
        if !step.anomaly.is_empty() {
            has_marks = true;
            marks_met &= step.anomaly.iter().any(|mark| answer.meets(mark, &script.show));
        }
        run.answers.push(match step.in_background {
            true => "…".to_owned(),
            false => answer.render(&script.show),
        });
    }
    run.verdict =
        has_marks.then_some(if marks_met { Verdict::Allowed } else { Verdict::Prevented });
    let promised = script.verdict.as_ref().map(|verdicts| verdicts[&level]);
    if run.verdict != promised {
        run.problems.push(format!("the verdict is {:?}, not {promised:?}", run.verdict));
    }
    stage.close(&mut run.problems);
    run
}

fn bucket(script: &Script, path: &Path) -> Value {
    let indexes: Vec<_> = script.indexes.iter().chain(&path.index).cloned().collect();
    json!({"key": "id", "schema": {"id": {"type": "number"}}, "indexes": indexes})
}

/// A connection, at rest or busy with a background step.
enum Actor {
    Idle(Box<dyn Connection>),
    Busy(Receiver<Taken>),
    Gone,
}

/// A connection that has taken a step, and what it answered.
type Taken = (Box<dyn Connection>, Answer);

struct Stage<'a> {
    script: &'a Script,
    level: Isolation,
    path: &'a Path,
    world: Box<dyn World>,
    connections: BTreeMap<String, Actor>,
}

impl Stage<'_> {
    fn set_up(&mut self, problems: &mut Vec<String>) {
        let mut connection = self.world.connect(self.level);
        let fills = self.script.paths.iter().any(|path| path.index.is_some());
        let keys = if fills { FILLERS_FROM..FILLERS_FROM + FILLERS } else { 0..0 };
        let fillers = keys.filter_map(|id| json!({"id": id}).as_object().cloned());
        let records: Vec<_> = self.script.setup.iter().cloned().chain(fillers).collect();
        if !records.is_empty() {
            let answer = connection.take(&Action::Insert(records));
            if !answer.meets("ok", &[]) {
                problems.push(format!("the setup failed: {answer:?}"));
            }
        }
        for (name, filter) in &self.path.predicates {
            let used = connection.index_for(filter, self.path.counts);
            if used.is_some() != self.path.index.is_some() {
                problems.push(format!("the plan of {name} uses the index {used:?}"));
            }
        }
    }

    fn take(&mut self, step: &Step) -> Answer {
        if step.connection == "after" {
            return self.world.connect(self.level).take(&self.resolve(&step.action));
        }
        let (world, level) = (&mut self.world, self.level);
        let actor = self
            .connections
            .remove(&step.connection)
            .unwrap_or_else(|| Actor::Idle(world.connect(level)));
        let (actor, answer) = match (actor, &step.action) {
            (Actor::Busy(done), Action::Wait) => match done.recv_timeout(PATIENCE) {
                Ok((connection, answer)) => (Actor::Idle(connection), answer),
                Err(_) => (Actor::Gone, Answer::failed("STILL WAITING", "it does not end")),
            },
            (Actor::Idle(connection), Action::Disconnect) => {
                drop(connection);
                (Actor::Gone, Answer::Done)
            }
            (Actor::Idle(mut connection), _) => {
                let action = self.resolve(&step.action);
                if step.in_background {
                    self.begin_to_wait(connection, action)
                } else {
                    let answer = connection.take(&action);
                    let lost = matches!(action, Action::Commit { and_disconnect: true, .. });
                    let actor = if lost { Actor::Gone } else { Actor::Idle(connection) };
                    (actor, answer)
                }
            }
            (actor, _) => (actor, Answer::failed("BUSY OR GONE", "the connection cannot do that")),
        };
        self.connections.insert(step.connection.clone(), actor);
        answer
    }

    /// Starts a step that waits for a lock, and goes on when it does.
    fn begin_to_wait(
        &mut self,
        connection: Box<dyn Connection>,
        action: Action,
    ) -> (Actor, Answer) {
        let before = self.world.lock_waiters();
        let (done, ended) = in_background(connection, action);
        let mut waits = false;
        patience::until(|| {
            let over = ended.load(Ordering::SeqCst);
            waits = self.world.lock_waiters() > before;
            waits || over
        });
        let answer = match waits {
            true => Answer::Done,
            false => Answer::failed("NO WAIT", "the step did not wait for a lock"),
        };
        (Actor::Busy(done), answer)
    }

    /// Puts the path's predicate in the place of its name.
    fn resolve(&self, action: &Action) -> Action {
        let Action::Read(name) = action else { return action.clone() };
        let filter = self.path.predicates[name].clone();
        if self.path.counts { Action::Count(Some(filter)) } else { Action::Where(filter) }
    }

    fn close(mut self, problems: &mut Vec<String>) {
        for (name, actor) in std::mem::take(&mut self.connections) {
            if let Actor::Busy(_) = actor {
                problems.push(format!("{name} was never waited for"));
            }
        }
        problems.extend(self.world.problems());
    }
}

/// Where its answer arrives, and whether it has one.
fn in_background(
    mut connection: Box<dyn Connection>,
    action: Action,
) -> (Receiver<Taken>, Arc<AtomicBool>) {
    let (send, receive) = channel();
    let ended = Arc::new(AtomicBool::new(false));
    let ends = ended.clone();
    let work = move || {
        let answer = connection.take(&action);
        ends.store(true, Ordering::SeqCst);
        // Nobody may be waiting any more.
        let _ = send.send((connection, answer));
    };
    std::thread::Builder::new()
        .name("background-step".to_owned())
        .spawn(work)
        .expect("a test can start a thread");
    (receive, ended)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A store in which every read answers the same record, every commit
    /// conflicts, and who asks for a lock is counted as waiting.
    #[derive(Clone, Default)]
    struct Stuck(Arc<AtomicUsize>);

    impl Door for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        fn open(&self, _: &Value) -> Box<dyn World> {
            Box::new(self.clone())
        }
    }

    impl World for Stuck {
        fn connect(&mut self, _: Isolation) -> Box<dyn Connection> {
            Box::new(self.clone())
        }

        fn lock_waiters(&mut self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        fn problems(&mut self) -> Vec<String> {
            Vec::new()
        }
    }

    impl Connection for Stuck {
        fn take(&mut self, action: &Action) -> Answer {
            match action {
                Action::Commit { .. } => Answer::failed("CONFLICT", "again"),
                Action::Get(key) => Answer::Record(json!({"id": key, "value": 10})),
                Action::Lock { .. } => {
                    self.0.fetch_add(1, Ordering::SeqCst);
                    Answer::Done
                }
                _ => Answer::Done,
            }
        }

        fn index_for(&mut self, _: &Value, _: bool) -> Option<String> {
            None
        }
    }

    fn problems(text: &str) -> Vec<String> {
        let script = Script::parse("example", &format!("title: x\n{text}")).unwrap();
        run_through(&script, &Stuck::default()).into_iter().flat_map(|run| run.problems).collect()
    }

    #[test]
    fn a_story_that_goes_as_told_has_no_problems() {
        let story = "t: begin\nt: get 1 => 10 !! 11\nt: commit => CONFLICT\nverdict: prevented";
        assert_eq!(problems(story), [""; 0]);
    }

    #[test]
    fn another_answer_is_a_problem_at_each_level_that_does_not_expect_it() {
        assert_eq!(problems("t: get 1 => 11").len(), 3);
        assert_eq!(problems("t: get 1 => rc: 10 | si, ser: 11").len(), 2);
        assert_eq!(problems("t: commit").len(), 3);
    }

    #[test]
    fn a_verdict_that_does_not_follow_is_a_problem() {
        assert_eq!(problems("t: get 1 => 10 !! 10\nverdict: prevented").len(), 3);
        assert_eq!(
            problems("t: get 1 => 10 !! 10\nverdict: rc: allowed | si, ser: prevented").len(),
            2
        );
    }

    #[test]
    fn a_plan_without_the_index_of_the_path_is_a_problem() {
        let story = "path: range index={fields: [value]} P={value: 10}\nt: read P";
        assert!(problems(story)[0].contains("the plan of P"));
    }

    #[test]
    fn a_background_step_has_to_be_waited_for() {
        assert_eq!(problems("t: lock 1 &").len(), 3);
        assert_eq!(problems("t: lock 1 &\nt: wait"), [""; 0]);
    }

    #[test]
    fn a_background_step_that_waits_for_no_lock_is_a_problem() {
        let problems = problems("t: get 1 &\nt: wait => 10");
        assert_eq!(problems.len(), 3);
        assert!(problems[0].contains("did not wait"), "{problems:?}");
    }
}
