//! Tables in the documents say what the code says.
//!
//! Where the code has a public value, the table is compared with that. Where it
//! has only text (the name in an error, a match arm, a private constant), the
//! source text is read: crude, but it cannot be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tandem::layers::change::SubscribeOptions;
use tandem::{
    ChangeLogOptions, Code, DiskOptions, Kind, Limits, QueryLimits, RetryPolicy, TransactionLimits,
};
use tandem_server::Config;
use tandem_sql::SessionOptions;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of those tables of a document whose first column has this heading.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(&workspace().join("docs").join(document));
    let mut rows = Vec::new();
    let mut current = None;
    for line in text.lines() {
        if !line.starts_with('|') {
            current = None;
            continue;
        }
        let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).unwrap_or(line);
        let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
        match &current {
            None => current = Some(cells[0].clone()),
            Some(of) if of == heading && !line.starts_with("|-") => rows.push(cells),
            Some(_) => {}
        }
    }
    assert!(!rows.is_empty(), "{document} has no table of \"{heading}\"");
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn first_column(document: &str, heading: &str) -> Vec<String> {
    let rows = table(document, heading);
    rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect()
}

/// A set of names, of which none may occur twice.
fn once(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for name in names {
        assert!(set.insert(name.clone()), "{name} is listed twice");
    }
    set
}

/// Fails with what only one of them has.
fn assert_same<T: Ord + Debug>(documented: &BTreeSet<T>, known: &BTreeSet<T>) {
    let missing: Vec<_> = known.difference(documented).collect();
    let stale: Vec<_> = documented.difference(known).collect();
    assert!(missing.is_empty(), "not in the document: {missing:#?}");
    assert!(stale.is_empty(), "in the document alone: {stale:#?}");
}

/// The source text of a file, without its unit tests.
fn source(path: &Path) -> String {
    read(path).split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The sources below a folder of the workspace; `tests` folders are left out.
fn sources(folder: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(source(&path));
            }
        }
    }
    texts
}

/// The string literals that follow `before`.
fn literals<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let rests = text.split(before).skip(1).map(str::trim_start);
    rests.filter_map(|rest| rest.strip_prefix('"')?.split('"').next()).collect()
}

#[test]
fn errors_lists_every_code_with_its_kind() {
    let listed: Vec<(String, String)> = table("errors.md", "code")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[2].clone()))
        .collect();
    let known: Vec<(String, String)> = Code::ALL
        .iter()
        .map(|code| {
            let advice = match code.kind() {
                Kind::Retry => "retry the transaction",
                Kind::FixInput => "fix the input",
                Kind::Wait => "wait",
                Kind::Reopen => "reopen",
                Kind::GiveUp => "give up",
            };
            (code.as_str().to_owned(), advice.to_owned())
        })
        .collect();
    assert_eq!(listed, known);
}

// limits.md

/// The names that `LIMIT_EXCEEDED` errors carry. A function that is given the
/// name and passes it on is followed to its callers in the same file.
fn limit_names(text: &str) -> Vec<String> {
    let mut names = literals(text, "Error::limit(");
    // SQLite tells no figures with its own.
    names.extend(literals(text, "beyond("));
    for (at, call) in text.match_indices("Error::limit(") {
        if !text[at + call.len()..].trim_start().starts_with('"') {
            let (_, signature) = text[..at].rsplit_once("fn ").expect("a function");
            let function = signature.split('(').next().unwrap_or_default();
            let given = literals(text, &format!("{function}("));
            assert!(!given.is_empty(), "{function} passes on a name that nobody gives");
            names.extend(given);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn limits_lists_every_name_that_limit_exceeded_can_carry() {
    let listed: BTreeSet<String> = table("limits.md", "name")
        .into_iter()
        .filter(|row| row[5].contains("`LIMIT_EXCEEDED`"))
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let raised: BTreeSet<String> =
        sources("crates").iter().flat_map(|text| limit_names(text)).collect();
    assert_same(&listed, &raised);
}

/// A default as the table has it, in bytes or microseconds where it is one.
fn amount(row: &[String]) -> Option<f64> {
    let number: f64 = row[2].parse().ok()?;
    let factor = match row[3].as_str() {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => 1.0,
    };
    Some(number * factor)
}

/// The settings of a structure by their path, in bytes or microseconds.
trait Settings {
    fn collect(&self, path: &str, into: &mut BTreeMap<String, f64>);
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Settings for $number {
            fn collect(&self, path: &str, into: &mut BTreeMap<String, f64>) {
                into.insert(path.to_owned(), *self as f64);
            }
        }
    )*};
}

/// Names every field: a new one does not compile until it is here, and then
/// fails until it is in the document.
macro_rules! structures {
    ($($structure:ident { $($field:ident),* })*) => {$(
        impl Settings for $structure {
            fn collect(&self, path: &str, into: &mut BTreeMap<String, f64>) {
                let Self { $($field),* } = self;
                $($field.collect(&format!("{path}.{}", stringify!($field)), into);)*
            }
        }
    )*};
}

impl Settings for Duration {
    fn collect(&self, path: &str, into: &mut BTreeMap<String, f64>) {
        into.insert(path.to_owned(), self.as_micros() as f64);
    }
}

numbers!(u32 u64 usize);

structures! {
    Limits {
        transaction, query, retry, batch_operations, iterator_records, maintenance_interval,
        ttl_check_interval, maintenance_step
    }
    TransactionLimits {
        total_time, idle_time, write_set_bytes, read_set_entries, savepoints, recent_commit_bytes,
        record_cache_bytes, range_cache_bytes, group_size, lock_wait, lock_waiters,
        locks_per_transaction, open_transactions
    }
    QueryLimits {
        sort_rows, sort_bytes, result_rows, result_bytes, groups, pipeline_bytes, pipeline_work
    }
    RetryPolicy { attempts, first_wait, longest_wait }
    ChangeLogOptions {
        max_age_ms, max_bytes, ring_bytes, ring_commits, idempotency_age_ms, step_entries,
        step_bytes
    }
    DiskOptions { cache_bytes, write_buffer_bytes, journal_bytes, compaction_threads }
}

#[test]
fn limits_has_the_default_of_every_setting() {
    let mut settings = BTreeMap::new();
    Limits::default().collect("Limits", &mut settings);
    ChangeLogOptions::default().collect("ChangeLogOptions", &mut settings);
    DiskOptions::default().collect("DiskOptions", &mut settings);
    let following = SubscribeOptions::default();
    following.progress_commits.collect("SubscribeOptions.progress_commits", &mut settings);
    following.progress_interval.collect("SubscribeOptions.progress_interval", &mut settings);
    let sql = SessionOptions::default();
    sql.max_rows.collect("SessionOptions.max_rows", &mut settings);
    sql.max_result_bytes.collect("SessionOptions.max_result_bytes", &mut settings);
    sql.max_value_bytes.collect("SessionOptions.max_value_bytes", &mut settings);
    // Settings that are plain numbers of milliseconds.
    for (path, value) in &mut settings {
        if path.ends_with("_ms") {
            *value *= 1e3;
        }
    }
    let rows = table("limits.md", "name");
    let documented: BTreeMap<String, f64> = rows
        .iter()
        .flat_map(|row| quoted(&row[4]).into_iter().map(move |path| (path, row)))
        .filter(|(path, _)| path.starts_with(char::is_uppercase) && path.contains('.'))
        .map(|(path, row)| (path.to_owned(), amount(row).expect("a number")))
        .collect();
    let exact = |settings: BTreeMap<String, f64>| {
        settings.into_iter().map(|(path, value)| format!("{path} = {value}")).collect()
    };
    assert_same(&exact(documented), &exact(settings));
}

/// The value of `const NAME: T = …;`: a number, a shift, or a duration in
/// microseconds.
fn constant(path: &str, name: &str) -> f64 {
    let text = source(&workspace().join("crates").join(path));
    let (_, definition) = text
        .split_once(&format!("const {name}: "))
        .unwrap_or_else(|| panic!("{path} has no constant {name}"));
    let (_, rest) = definition.split_once(" = ").expect("a value");
    let expression = rest.split(';').next().unwrap_or_default();
    let number = |text: &str| -> f64 {
        let parse = |text: &str| text.trim().replace('_', "").parse::<u64>();
        let product = text.split('*').map(parse).collect::<Result<Vec<_>, _>>();
        let product = product.unwrap_or_else(|_| panic!("{path}: {name} = {expression}"));
        product.into_iter().product::<u64>() as f64
    };
    if let Some((value, shift)) = expression.split_once("<<") {
        number(value) * number(shift).exp2()
    } else if let Some(seconds) = expression.strip_prefix("Duration::from_secs(") {
        number(seconds.trim_end_matches(')')) * 1e6
    } else if let Some(milliseconds) = expression.strip_prefix("Duration::from_millis(") {
        number(milliseconds.trim_end_matches(')')) * 1e3
    } else {
        number(expression)
    }
}

#[test]
fn limits_has_the_value_of_every_constant_that_it_names() {
    for row in table("limits.md", "name") {
        if row[4].starts_with("fixed") {
            let [name, path] = quoted(&row[4])[..] else {
                panic!("a constant and its file: {row:?}")
            };
            assert_eq!(amount(&row), Some(constant(path, name)), "{name} in {path}");
        }
    }
}

#[test]
fn limits_has_every_number_of_the_servers_config() {
    let numbers: BTreeSet<String> = table("protocol.md", "key")
        .into_iter()
        .filter(|row| row[1] == "off" || row[1].trim_matches('`').parse::<f64>().is_ok())
        .map(|row| format!("{} = {}", row[0], row[1].trim_matches('`')))
        .collect();
    let limits: BTreeSet<String> = table("limits.md", "name")
        .into_iter()
        .filter_map(|row| {
            let (_, key) = row[4].split_once("config ")?;
            // The config counts milliseconds, where the table may say seconds.
            let number = match amount(&row) {
                Some(microseconds) if key.ends_with("Ms`") => (microseconds / 1e3).to_string(),
                _ => row[2].clone(),
            };
            Some(format!("{key} = {number}"))
        })
        .collect();
    assert_same(&limits, &numbers);
}

// protocol.md

#[test]
fn protocol_lists_every_request_type() {
    let is_type = |text: &str| {
        text.split_once('.').is_some_and(|(prefix, name)| {
            ["store", "server", "sql"].contains(&prefix)
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphabetic())
        })
    };
    let known: BTreeSet<String> = sources("crates/interfaces/server/src")
        .iter()
        .flat_map(|text| {
            text.split('"').filter(|part| is_type(part)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(known.contains("store.insert") && known.contains("server.shutdown"));
    assert_same(&once(first_column("protocol.md", "type")), &known);
}

#[test]
fn protocol_lists_every_close_code_with_its_reason() {
    let listed: BTreeSet<(String, String)> = table("protocol.md", "close code")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].trim_matches('`').to_owned()))
        .collect();
    let text = source(&workspace().join("crates/interfaces/server/src/outbox.rs"));
    let known: BTreeSet<(String, String)> = text
        .split("Self { code: ")
        .skip(1)
        .map(|rest| {
            let code = rest.split(',').next().unwrap_or_default().to_owned();
            (code, literals(rest, "reason: ")[0].to_owned())
        })
        .collect();
    assert_same(&listed, &known);
}

/// That protocol.md lists what `/metrics` tells is a test of the server.
#[test]
fn limits_names_no_metric_that_protocol_does_not_list() {
    let known = once(first_column("protocol.md", "metric"));
    assert!(!known.is_empty());
    for row in table("limits.md", "name") {
        for metric in quoted(&row[6]).into_iter().filter(|name| name.starts_with("tandem_")) {
            let name = metric.split('{').next().unwrap_or(metric);
            assert!(known.contains(name), "{metric}");
        }
    }
}

#[test]
fn protocol_lists_every_config_key_with_its_default() {
    let mut documented = json!({});
    let mut names = BTreeSet::new();
    for row in table("protocol.md", "key") {
        let path = row[0].trim_matches('`');
        names.extend(path.split('.').map(str::to_owned));
        let Some(default) = quoted(&row[1]).first().copied() else { continue };
        let pointer = path.split('.').fold(&mut documented, |object, key| &mut object[key]);
        *pointer = serde_json::from_str(default).expect("JSON");
    }
    assert_eq!(Config::from_json(&documented).expect("valid"), Config::default());

    let parser = source(&workspace().join("crates/interfaces/server/src/config/parse.rs"));
    let readers =
        ["string", "positive", "milliseconds", "boolean", "object", "take", "is_null", "section"];
    let known: BTreeSet<String> = readers
        .iter()
        .flat_map(|reader| literals(&parser, &format!(".{reader}(")))
        .map(str::to_owned)
        .collect();
    assert_same(&names, &known);

    let refused = once(first_column("protocol.md", "refused key"));
    for key in &refused {
        let error = Config::from_json(&json!({ key.as_str(): {} })).expect_err("not there yet");
        assert_eq!(error.detail("key"), Some(&Value::from(key.as_str())), "{error}");
    }
    let (_, list) = parser.split_once("NOT_SUPPORTED_YET").expect("the list");
    let list = list.split(';').nth(1).unwrap_or_default();
    assert_eq!(refused, list.split('"').skip(1).step_by(2).map(str::to_owned).collect());
}

// dependencies.md

/// The heading of `dependencies.md` under which a dependency belongs.
fn group(folder: &str, is_dev: bool) -> &'static str {
    match folder {
        "bench" => "Benchmarks",
        _ if folder.starts_with("proof/") => "Proofs",
        "tests" | "examples" | "crates/testkit" => "Tests and examples",
        _ if is_dev => "Tests and examples",
        "crates/client" => "The client",
        "crates/interfaces/sql" => "SQL",
        "crates/interfaces/server" | "crates/interfaces/cli" => "Server and command line",
        _ => "The embedded library",
    }
}

type Uses = BTreeSet<(String, String, String)>;

/// (heading, dependency, crate) of every third-party dependency in a manifest.
fn declared(folder: &str) -> Uses {
    let text = read(&workspace().join(folder).join("Cargo.toml"));
    let package = literals(&text, "\nname = ")[0].to_owned();
    let mut uses = Uses::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if section.ends_with("dependencies")
            && let Some(end) = line.find(['.', ' ', '='])
            && !line.starts_with('#')
            && !line.starts_with("tandem")
        {
            let heading = group(folder, section.ends_with("dev-dependencies"));
            uses.insert((heading.to_owned(), line[..end].to_owned(), package.clone()));
        }
    }
    uses
}

#[test]
fn dependencies_lists_every_direct_dependency_with_its_users() {
    let root = read(&workspace().join("Cargo.toml"));
    let (_, members) = root.split_once("\nmembers = [").expect("members");
    let members = members.split(']').next().unwrap_or_default();
    let declared: Uses = members.split('"').skip(1).step_by(2).flat_map(declared).collect();

    let text = read(&workspace().join("docs/dependencies.md"));
    let mut listed = Uses::new();
    let mut heading = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            heading = name;
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split('|').collect();
            let dependency = quoted(cells[1])[0];
            assert!(!cells[3].trim().is_empty(), "why is {dependency} there?");
            for user in quoted(cells[2]) {
                let new = listed.insert((heading.into(), dependency.into(), user.into()));
                assert!(new, "{dependency} of {user} is listed twice");
            }
        }
    }
    assert_same(&listed, &declared);
}

// Test programs of several files

/// A file that its program does not name would be compiled by nobody, and missed by nobody.
#[test]
fn every_file_of_a_test_program_is_a_module_of_it() {
    let root = read(&workspace().join("Cargo.toml"));
    let (_, members) = root.split_once("\nmembers = [").expect("members");
    let members = members.split(']').next().unwrap_or_default();
    let mut files = 0;
    for member in members.split('"').skip(1).step_by(2) {
        let Ok(entries) = fs::read_dir(workspace().join(member).join("tests")) else { continue };
        for folder in entries.map(|entry| entry.expect("an entry").path()) {
            let Ok(main) = fs::read_to_string(folder.join("main.rs")) else { continue };
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
                let is_source = path.is_dir() && path.join("mod.rs").exists()
                    || path.extension().is_some_and(|extension| extension == "rs");
                if is_source && name != "main" {
                    files += 1;
                    let is_named = main.lines().any(|line| line == format!("mod {name};"));
                    assert!(is_named, "{} is no module of its program", path.display());
                }
            }
        }
    }
    assert!(files > 0, "no test program has a module");
}
