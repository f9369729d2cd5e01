use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tandem_transaction::Isolation;

use super::value::Cursor;
use super::{Action, LEVELS, Path, Script, Step, Verdict};

pub(super) fn script(name: &str, text: &str) -> Result<Script, String> {
    let mut script = Script {
        name: name.to_owned(),
        title: String::new(),
        case: None,
        about: Vec::new(),
        show: vec!["value".to_owned()],
        indexes: Vec::new(),
        setup: Vec::new(),
        paths: Vec::new(),
        doors: Vec::new(),
        steps: Vec::new(),
        verdict: None,
    };
    let mut has_setup = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        has_setup |= line.starts_with("setup:");
        read_line(&mut script, index + 1, line)
            .map_err(|problem| format!("{name}, line {}: {problem}", index + 1))?;
    }
    if !has_setup {
        for (id, value) in [(1, 10), (2, 20)] {
            script.setup.extend(json!({"id": id, "value": value}).as_object().cloned());
        }
    }
    if script.paths.is_empty() {
        script.paths.push(Path::default());
    }
    check(&script).map_err(|problem| format!("{name}: {problem}"))?;
    Ok(script)
}

fn check(script: &Script) -> Result<(), String> {
    if script.title.is_empty() {
        return Err("the title is missing".to_owned());
    }
    let marked = script.steps.iter().any(|step| !step.anomaly.is_empty());
    if marked != script.verdict.is_some() {
        return Err("`!!` marks and a verdict come together".to_owned());
    }
    for step in &script.steps {
        if let Action::Read(name) = &step.action
            && !script.paths.iter().all(|path| path.predicates.contains_key(name))
        {
            return Err(format!("line {}: not every path says what {name} is", step.line));
        }
    }
    Ok(())
}

fn read_line(script: &mut Script, number: usize, line: &str) -> Result<(), String> {
    let (head, rest) = line.split_once(':').ok_or("expected `name: step`")?;
    let (head, rest) = (head.trim(), rest.trim());
    match head {
        "title" => script.title = rest.to_owned(),
        "case" => script.case = Some(rest.to_owned()),
        "about" => script.about.push(rest.to_owned()),
        "show" => script.show = rest.split_whitespace().map(str::to_owned).collect(),
        "doors" => script.doors = rest.split_whitespace().map(str::to_owned).collect(),
        "index" => script.indexes.push(Cursor::new(rest).value()?),
        "setup" => script.setup = objects(&mut Cursor::new(rest))?,
        "path" => script.paths.push(path(rest)?),
        "verdict" => script.verdict = Some(verdict(rest)?),
        connection => script.steps.push(step(number, connection, rest)?),
    }
    Ok(())
}

fn objects(cursor: &mut Cursor<'_>) -> Result<Vec<Map<String, Value>>, String> {
    let mut objects = Vec::new();
    while cursor.rest().starts_with('{') {
        objects.push(cursor.object()?);
    }
    Ok(objects)
}

/// `name [count] [index={…}] P={…} Q={…}`
fn path(text: &str) -> Result<Path, String> {
    let mut cursor = Cursor::new(text);
    let mut path = Path { name: cursor.word()?.to_owned(), ..Path::default() };
    path.counts = cursor.take_word("count");
    while !cursor.is_empty() {
        let name = cursor.word()?.to_owned();
        if !cursor.take("=") {
            return Err(format!("expected `=` after `{name}`"));
        }
        match name.as_str() {
            "index" => path.index = Some(cursor.value()?),
            _ => {
                path.predicates.insert(name, cursor.value()?);
            }
        }
    }
    Ok(path)
}

/// `rc, si: a | ser: b`, or `a` for every level.
fn by_level(text: &str) -> Result<BTreeMap<Isolation, String>, String> {
    let mut found = BTreeMap::new();
    let named = text.split('|').map(|part| part.split_once(':').and_then(level_names));
    if named.clone().any(|part| part.is_none()) {
        return Ok(LEVELS.iter().map(|(_, level)| (*level, text.trim().to_owned())).collect());
    }
    for (levels, answer) in named.flatten() {
        for level in levels {
            if found.insert(level, answer.to_owned()).is_some() {
                return Err(format!("the level `{level}` occurs twice"));
            }
        }
    }
    if found.len() < LEVELS.len() {
        return Err("every level needs an expectation".to_owned());
    }
    Ok(found)
}

fn level_names<'a>((names, answer): (&str, &'a str)) -> Option<(Vec<Isolation>, &'a str)> {
    let level = |name: &str| {
        LEVELS.iter().find(|(short, _)| *short == name.trim()).map(|(_, level)| *level)
    };
    let levels: Option<Vec<_>> = names.split(',').map(level).collect();
    Some((levels?, answer.trim()))
}

fn verdict(text: &str) -> Result<BTreeMap<Isolation, Verdict>, String> {
    let verdict = |(level, word): (Isolation, String)| match word.as_str() {
        "allowed" => Ok((level, Verdict::Allowed)),
        "prevented" => Ok((level, Verdict::Prevented)),
        other => Err(format!("expected `allowed` or `prevented`, got `{other}`")),
    };
    by_level(text)?.into_iter().map(verdict).collect()
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

fn step(line: usize, connection: &str, text: &str) -> Result<Step, String> {
    let (text, anomaly) = match text.split_once("!!") {
        Some((text, marks)) => (text, marks.split(" or ").map(without_blanks).collect()),
        None => (text, Vec::new()),
    };
    let (text, answer) = match text.split_once("=>") {
        Some((text, answer)) => (text.trim(), Some(answer.trim())),
        None => (text.trim(), None),
    };
    let mut expected = by_level(answer.unwrap_or("ok"))?;
    expected.values_mut().for_each(|answer| *answer = without_blanks(answer));

    let (body, in_background) = match text.strip_suffix('&') {
        Some(body) => (body.trim(), true),
        None => (text, false),
    };
    let mut cursor = Cursor::new(body);
    let action = action(&mut cursor)?;
    if !cursor.is_empty() {
        return Err(format!("did not expect `{}`", cursor.rest()));
    }
    Ok(Step {
        line,
        connection: connection.to_owned(),
        text: text.to_owned(),
        action,
        in_background,
        expected,
        anomaly,
    })
}

fn action(cursor: &mut Cursor<'_>) -> Result<Action, String> {
    Ok(match cursor.word()? {
        "begin" => Action::Begin { read_only: cursor.take_word("readonly") },
        "commit" => Action::Commit {
            idempotency_key: match cursor.take_word("key") {
                true => Some(cursor.word()?.to_owned()),
                false => None,
            },
            and_disconnect: cursor.take("and disconnect"),
        },
        "rollback" => Action::Rollback,
        "savepoint" => Action::Savepoint(cursor.word()?.to_owned()),
        "rollbackTo" => Action::RollbackTo(cursor.word()?.to_owned()),
        "release" => Action::Release(cursor.word()?.to_owned()),
        "disconnect" => Action::Disconnect,
        "get" => Action::Get(cursor.value()?),
        "lock" => Action::Lock { key: cursor.value()?, wait_ms: option(cursor, "wait")? },
        "all" => Action::All,
        "where" => Action::Where(cursor.value()?),
        "findOne" => Action::FindOne(cursor.value()?),
        "count" if cursor.is_empty() => Action::Count(None),
        "count" => Action::Count(Some(cursor.value()?)),
        "sum" => Action::Sum {
            field: cursor.word()?.to_owned(),
            filter: if cursor.is_empty() { None } else { Some(cursor.value()?) },
        },
        "read" => Action::Read(cursor.word()?.to_owned()),
        "insert" => Action::Insert(objects(cursor)?),
        "upsert" => Action::Upsert(cursor.object()?),
        "replace" => Action::Replace { key: cursor.value()?, data: cursor.object()? },
        "update" => Action::Update {
            key: cursor.value()?,
            changes: changes(cursor)?,
            expected_version: option(cursor, "expect")?,
        },
        "delete" => {
            Action::Delete { key: cursor.value()?, expected_version: option(cursor, "expect")? }
        }
        "updateMany" => Action::UpdateMany { filter: cursor.value()?, changes: changes(cursor)? },
        "deleteMany" => Action::DeleteMany(cursor.value()?),
        "watch" => Action::Watch { from_start: cursor.take("from start") },
        "changes" => Action::Changes,
        "wait" => Action::Wait,
        other => return Err(format!("there is no step `{other}`")),
    })
}

fn option(cursor: &mut Cursor<'_>, word: &str) -> Result<Option<u64>, String> {
    cursor.take_word(word).then(|| cursor.number()).transpose()
}

/// `{…}`, or `field=value field=value`.
fn changes(cursor: &mut Cursor<'_>) -> Result<Map<String, Value>, String> {
    if cursor.rest().starts_with('{') {
        return cursor.object();
    }
    let mut changes = Map::new();
    while !cursor.is_empty() && cursor.peek_word() != "expect" {
        let field = cursor.name()?;
        if !cursor.take("=") {
            return Err(format!("expected `=` after `{field}`"));
        }
        changes.insert(field, cursor.value()?);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_step(line: &str) -> Step {
        script("example", &format!("title: x\n{line}")).unwrap().steps.remove(0)
    }

    fn problem(text: &str) -> String {
        script("example", text).unwrap_err()
    }

    #[test]
    fn a_step_without_an_expectation_must_succeed_at_every_level() {
        let step = one_step("t1: begin");
        assert_eq!(step.action, Action::Begin { read_only: false });
        assert!(LEVELS.iter().all(|(_, level)| step.expected[level] == "ok"));
    }

    #[test]
    fn levels_share_or_divide_an_expectation() {
        let step = one_step("t1: get 1 => rc: 11 | si, ser: 10");
        assert_eq!(step.expected[&Isolation::ReadCommitted], "11");
        assert_eq!(step.expected[&Isolation::Snapshot], "10");
        assert_eq!(step.expected[&Isolation::Serializable], "10");
        let step = one_step("t1: all => {1: 10, 2: 20}");
        assert_eq!(step.expected[&Isolation::Snapshot], "{1:10,2:20}");
        let step = one_step("t1: all => rc: {1: 10} | si: {} | ser: {}");
        assert_eq!(step.expected[&Isolation::ReadCommitted], "{1:10}");
    }

    #[test]
    fn updates_take_assignments_expressions_and_an_expected_version() {
        let step = one_step("t1: update 1 value=11 name=\"a b\" expect 3");
        let changes = json!({"value": 11, "name": "a b"});
        assert_eq!(
            step.action,
            Action::Update {
                key: json!(1),
                changes: changes.as_object().cloned().unwrap(),
                expected_version: Some(3)
            }
        );
        let step = one_step("t1: updateMany {} {$inc: {value: 10}} => 2");
        assert!(matches!(step.action, Action::UpdateMany { .. }));
    }

    #[test]
    fn background_steps_and_marks_are_taken_off_the_step() {
        let text = "title: x\nt2: lock 1 &\nt2: wait => 11 !! 11 or {1: 12}\nverdict: prevented";
        let script = script("example", text).unwrap();
        assert!(script.steps[0].in_background);
        assert_eq!(script.steps[0].action, Action::Lock { key: json!(1), wait_ms: None });
        assert_eq!(script.steps[1].anomaly, ["11", "{1:12}"]);
        assert_eq!(script.steps[1].expected[&Isolation::Snapshot], "11");
    }

    #[test]
    fn a_path_names_an_index_and_predicates() {
        let path = path("compound count index={fields: [a, b]} P={a: x} Q={a: y}").unwrap();
        assert!(path.counts && path.name == "compound");
        assert_eq!(path.index, Some(json!({"fields": ["a", "b"]})));
        assert_eq!(path.predicates["Q"], json!({"a": "y"}));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        assert!(problem("t1: begin").contains("title"));
        assert!(problem("title: x\nt1: beginn").contains("line 2: there is no step `beginn`"));
        assert!(problem("title: x\nt1: get 1 2").contains("did not expect `2`"));
        assert!(problem("title: x\nt1: get 1 => rc: 1 | si: 2").contains("every level"));
        assert!(problem("title: x\nt1: get 1 => 1 !! 2").contains("verdict"));
        assert!(problem("title: x\npath: scan P={}\nt1: read Q").contains("what Q is"));
    }
}
