//! The checkers are checked: a hand-made history of each anomaly, which both
//! must find, and sound ones, which both must pass. A checker that sees nothing
//! would otherwise make every level look right.

use std::collections::BTreeSet;

use adya::Valid;
use tandem_proof_histories::cycles;
use tandem_proof_histories::history::{History, Kind, Model, Operation, Step};
use tandem_proof_histories::judge::Parsed;

/// A history from lines of `process kind steps`, where kind is `+` invoke (its
/// steps come from the completion), `ok`, `fail` or `?`, and a step is
/// `a x 1` (append), `w x 1` (write) or `r x 1,2` (read; `-` = nothing).
fn history(model: Model, text: &str) -> History {
    let mut operations: Vec<Operation> = Vec::new();
    let mut revision = 0;
    for (time, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut words = line.splitn(3, ' ');
        let process = words.next().and_then(|word| word.parse().ok()).expect("a process");
        let kind = match words.next().expect("a kind") {
            "+" => Kind::Invoke,
            "ok" => Kind::Ok,
            "fail" => Kind::Fail,
            _ => Kind::Info,
        };
        let steps: Vec<Step> =
            words.next().into_iter().flat_map(|s| s.split("; ")).map(step).collect();
        if kind == Kind::Ok {
            revision += 1;
        }
        let commit = (kind == Kind::Ok).then_some(revision);
        operations.push(Operation { kind, process, steps, time: time as u64, revision: commit });
    }
    let mut history = History { model, operations };
    let pairs = history.pairs();
    for place in 0..history.operations.len() {
        if history.operations[place].kind == Kind::Invoke
            && let Some(completion) = pairs.get(&place)
        {
            let steps =
                history.operations[*completion].steps.iter().cloned().map(|step| match step {
                    Step::Read { key, .. } => Step::Read { key, values: None },
                    other => other,
                });
            history.operations[place].steps = steps.collect();
        }
    }
    history
}

fn step(text: &str) -> Step {
    let words: Vec<&str> = text.split(' ').collect();
    let key = u64::from(words[1].as_bytes()[0]);
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match words[0] {
        "a" => Step::Append { key, value: number(words[2]) },
        "w" => Step::Write { key, value: number(words[2]) },
        _ => {
            let values = words[2].split(',').filter(|text| *text != "-").map(number);
            Step::Read { key, values: Some(values.collect()) }
        }
    }
}

struct Case {
    name: &'static str,
    model: Model,
    text: &'static str,
    /// What ours must find.
    own: &'static str,
    /// A model that adya must see broken, the anomaly it must name, and a
    /// weaker model that it must see kept.
    broken: (&'static str, &'static str),
    kept: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        name: "G0, dirty write",
        model: Model::Lists,
        text: "1 +\n2 +\n1 ok a x 1; a y 1\n2 ok a x 2; a y 2\n3 +\n3 ok r x 1,2; r y 2,1",
        own: "G0",
        broken: ("read-uncommitted", "G0"),
        kept: None,
    },
    Case {
        name: "G1a, aborted read",
        model: Model::Lists,
        text: "1 +\n1 fail a x 1\n2 +\n2 ok r x 1",
        own: "G1a",
        broken: ("read-committed", "G1a"),
        kept: None,
    },
    Case {
        name: "G1b, intermediate read",
        model: Model::Lists,
        text: "1 +\n2 +\n2 ok r x 1\n1 ok a x 1; a x 2\n3 +\n3 ok r x 1,2",
        own: "G1b",
        broken: ("read-committed", "G1b"),
        kept: None,
    },
    Case {
        name: "G1c, circular information flow",
        model: Model::Lists,
        text: "1 +\n2 +\n1 ok a x 1; r y 2\n2 ok a y 2; r x 1",
        own: "G1c",
        broken: ("read-committed", "G1c"),
        kept: None,
    },
    Case {
        name: "G-single, read skew",
        model: Model::Lists,
        text: "1 +\n2 +\n2 ok a x 1; a y 1\n1 ok r x -; r y 1\n3 +\n3 ok r x 1; r y 1",
        own: "G-SI",
        broken: ("snapshot-isolation", "G-single-item"),
        kept: Some("read-committed"),
    },
    Case {
        name: "lost update",
        model: Model::Lists,
        text: "1 +\n2 +\n1 ok r x -; a x 1\n2 ok r x -; a x 2\n3 +\n3 ok r x 1,2",
        own: "G-SI",
        broken: ("update-atomic", "lost-update"),
        kept: Some("read-committed"),
    },
    Case {
        name: "G-nonadjacent, long fork",
        model: Model::Lists,
        text: "1 +\n2 +\n3 +\n4 +\n1 ok a x 1\n2 ok a y 1\n3 ok r x 1; r y -\n4 ok r x -; r y 1\n\
               5 +\n5 ok r x 1; r y 1",
        own: "G-SI",
        broken: ("snapshot-isolation", "G-nonadjacent-item"),
        kept: Some("read-committed"),
    },
    Case {
        name: "G2-item, write skew",
        model: Model::Lists,
        text: "1 +\n2 +\n1 ok r x -; r y -; a x 1\n2 ok r x -; r y -; a y 1\n3 +\n3 ok r x 1; r y 1",
        own: "G2",
        broken: ("serializable", "G2-item"),
        kept: Some("snapshot-isolation"),
    },
    Case {
        name: "a stale read: serializable, not strictly",
        model: Model::Lists,
        text: "1 +\n1 ok a x 1\n2 +\n2 ok r x -\n3 +\n3 ok r x 1",
        own: "G-SI-realtime",
        broken: ("strict-serializable", "G-single-item-realtime"),
        kept: Some("serializable"),
    },
    Case {
        name: "a read of what began later",
        model: Model::Lists,
        text: "1 +\n1 ok r x 1\n2 +\n2 ok a x 1",
        own: "G1c-realtime",
        broken: ("strong-read-committed", "G1c-realtime"),
        kept: Some("serializable"),
    },
    Case {
        name: "internal inconsistency",
        model: Model::Lists,
        text: "1 +\n1 ok a x 1; r x -\n2 +\n2 ok r x 1",
        own: "internal",
        broken: ("snapshot-isolation", "internal"),
        kept: None,
    },
    Case {
        name: "two orders of one list",
        model: Model::Lists,
        text: "1 +\n1 ok a x 1\n2 +\n2 ok a x 2\n3 +\n3 ok r x 1,2\n4 +\n4 ok r x 2",
        own: "order",
        broken: ("read-committed", "incompatible-order"),
        kept: None,
    },
    Case {
        name: "an element twice",
        model: Model::Lists,
        text: "1 +\n1 ok a x 1\n3 +\n3 ok r x 1,1",
        own: "duplicate",
        broken: ("read-uncommitted", "duplicate-elements"),
        kept: None,
    },
    Case {
        name: "registers: G1a",
        model: Model::Registers,
        text: "1 +\n1 fail w x 1\n2 +\n2 ok r x 1",
        own: "G1a",
        broken: ("read-committed", "G1a"),
        kept: None,
    },
    Case {
        name: "registers: G1b",
        model: Model::Registers,
        text: "1 +\n2 +\n1 ok w x 1; w x 2\n2 ok r x 1\n3 +\n3 ok r x 2",
        own: "G1b",
        broken: ("read-committed", "G1b"),
        kept: None,
    },
    Case {
        name: "registers: read skew",
        model: Model::Registers,
        text: "1 +\n2 +\n2 ok w x 1; w y 1\n1 ok r x -; r y 1\n3 +\n3 ok r x 1; r y 1",
        own: "G-SI",
        broken: ("snapshot-isolation", "G-single-item"),
        kept: Some("read-committed"),
    },
    Case {
        name: "registers: write skew",
        model: Model::Registers,
        text: "1 +\n2 +\n1 ok r x -; r y -; w x 1\n2 ok r x -; r y -; w y 1",
        own: "G2",
        broken: ("serializable", "G2-item"),
        kept: Some("snapshot-isolation"),
    },
    Case {
        name: "registers: a stale read",
        model: Model::Registers,
        text: "1 +\n1 ok w x 1\n2 +\n2 ok w x 2\n3 +\n3 ok r x 1",
        own: "G-SI-realtime",
        broken: ("strict-serializable", "G-single-item-realtime"),
        kept: Some("serializable"),
    },
];

#[test]
fn g4_each_anomaly_is_found_by_both_checkers() {
    for case in CASES {
        let history = history(case.model, case.text);
        let found = cycles::find(&history);
        assert!(found.contains(case.own), "{}: ours found {found:?}", case.name);
        let parsed = Parsed::new(&history);
        let (model, anomaly) = case.broken;
        let verdict = parsed.judge(model);
        assert_eq!(verdict.valid, Valid::False, "{}: {verdict:?}", case.name);
        assert!(verdict.anomalies.contains(anomaly), "{}: {verdict:?}", case.name);
        if let Some(model) = case.kept {
            let verdict = parsed.judge(model);
            assert_eq!(verdict.valid, Valid::True, "{}: {model}: {verdict:?}", case.name);
        }
    }
}

#[test]
fn g4_ours_finds_what_adya_does_not_look_for() {
    // An acknowledged append is gone; a value that nobody wrote is there.
    let lost = history(Model::Lists, "1 +\n1 ok a x 1\n2 +\n2 ok r x -");
    assert!(cycles::find(&lost).contains("lost"));
    let invented = history(Model::Lists, "1 +\n1 ok r x 9");
    assert!(cycles::find(&invented).contains("garbage"));
}

#[test]
fn g4_each_weakness_is_seen_at_its_own_level_only() {
    let levels = ["read committed", "snapshot", "serializable"];
    for (case, expected) in [
        ("G1a, aborted read", [true, true, true]),
        ("G1b, intermediate read", [true, true, true]),
        ("G-single, read skew", [false, true, true]),
        ("G-nonadjacent, long fork", [false, true, true]),
        ("G2-item, write skew", [false, false, true]),
    ] {
        let case = CASES.iter().find(|one| one.name == case).expect("a case");
        let found = cycles::find(&history(case.model, case.text));
        let broken = levels.map(|level| cycles::forbidden(level).iter().any(|f| found.contains(f)));
        assert_eq!(broken, expected, "{}: {found:?}", case.name);
    }
}

#[test]
fn g4_sound_histories_pass_both_checkers() {
    for (model, text) in [
        // One after the other.
        (
            Model::Lists,
            "1 +\n1 ok r x -; a x 1\n2 +\n2 ok r x 1; a x 2; r x 1,2\n1 +\n1 ok r x 1,2",
        ),
        // At the same time, in an order that is not that of the answers.
        (Model::Lists, "1 +\n2 +\n1 ok r x 2\n2 ok a x 2\n3 +\n3 ok r x 2"),
        // Failed ones leave nothing; of unknown ones one happened.
        (
            Model::Lists,
            "1 +\n1 fail a x 1\n2 +\n2 ? a x 2\n3 +\n3 ? a x 3\n4 +\n4 ok a x 4\n5 +\n5 ok r x 3,4",
        ),
        (Model::Registers, "1 +\n1 ok w x 1\n2 +\n2 ok r x 1; w x 2\n3 +\n3 ok r x 2; r x 2"),
    ] {
        let history = history(model, text);
        assert_eq!(cycles::find(&history), BTreeSet::new(), "{text}");
        let verdict = Parsed::new(&history).judge("strict-serializable");
        assert_eq!(verdict.valid, Valid::True, "{text}: {verdict:?}");
    }
}
