//! `tandem sql`: scripts, single statements, JSON lines, at a store and at a server.

mod support;

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;

use serde_json::{Value, json};
use support::{Ended, Place, Running, in_time};

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, \
                      born INTEGER CHECK (born > 1800));
INSERT INTO people (name, born) VALUES ('Ada', 1815), ('Bob, \"the\" bad', NULL);
";

impl Place {
    /// Runs `tandem sql` with this on its standard input.
    fn sql(&self, arguments: &[&str], input: &str) -> Ended {
        let mut all = vec!["sql"];
        all.extend(arguments);
        let mut running = self.start_with_input(&all);
        running.write(input);
        running.end()
    }

    /// Runs one text of SQL.
    fn select(&self, sql: &str) -> String {
        self.run(&["sql", "--mode", "csv", sql]).succeeded().out
    }
}

#[test]
fn a_script_is_carried_out_and_stays() {
    let place = Place::new();
    place.sql(&[], PEOPLE).succeeded();
    let shown = place.sql(&[], "SELECT * FROM people ORDER BY id;").succeeded().out;
    assert_eq!(
        shown,
        "+----+----------------+------+
| id | name           | born |
+----+----------------+------+
|  1 | Ada            | 1815 |
|  2 | Bob, \"the\" bad | NULL |
+----+----------------+------+
"
    );
    place.assert_consistent();
}

#[test]
fn every_mode_shows_the_same_rows() {
    let place = Place::new();
    place.sql(&[], PEOPLE).succeeded();
    let script = ".mode csv
SELECT name, born FROM people ORDER BY id;
.mode json
SELECT name, born FROM people ORDER BY id;
SELECT 1 WHERE 0;
.mode line
SELECT name, born FROM people ORDER BY id;
";
    assert_eq!(
        place.sql(&[], script).succeeded().out,
        "name,born
Ada,1815
\"Bob, \"\"the\"\" bad\",
[{\"name\":\"Ada\",\"born\":1815},
{\"name\":\"Bob, \\\"the\\\" bad\",\"born\":null}]
[]
name = Ada
born = 1815

name = Bob, \"the\" bad
born = 
"
    );
}

#[test]
fn a_script_stops_at_the_first_error_and_shows_its_place() {
    let place = Place::new();
    place.sql(&[], PEOPLE).succeeded();
    let script = "INSERT INTO people (name) VALUES ('Cid');

SELECT name,
  agee FROM people;
DELETE FROM people;
";
    let failed = place.sql(&[], script).refused("SQL_ERROR: no such column: agee");
    let shown = "(line 4, column 3)\n    agee FROM people\n    ^\n";
    assert!(failed.err.ends_with(shown), "{}", failed.err);
    assert_eq!(place.select("SELECT count(*) AS n FROM people"), "n\n3\n");

    place.sql(&[], "SELECT 1;\n.nothing\n").refused("line 2: VALIDATION_ERROR");
    place.sql(&[], "INSERT INTO people (name) VALUES ('Ada')").refused("ALREADY_EXISTS");
    place.sql(&[], "INSERT INTO people (name, born) VALUES ('x', 1)").refused("CHECK constraint");
    place.sql(&[], "SELECT 'never closed").refused("SQL_ERROR");
}

#[test]
fn a_transaction_goes_over_several_statements_and_ends_with_the_script() {
    let place = Place::new();
    place.sql(&[], PEOPLE).succeeded();
    let script = "BEGIN;
UPDATE people SET born = 1816 WHERE id = 1;
SAVEPOINT a;
DELETE FROM people;
SELECT count(*) FROM people;
ROLLBACK TO a; RELEASE a;
COMMIT;
BEGIN; DELETE FROM people;
";
    let shown = place.sql(&["--mode", "csv"], script).succeeded().out;
    assert_eq!(shown, "count(*)\n0\n");
    assert_eq!(place.select("SELECT id, born FROM people"), "id,born\n1,1816\n2,\n");
    place.sql(&[], "COMMIT").refused("no transaction is active");
}

#[test]
fn statements_of_the_command_line_need_no_input() {
    let place = Place::new();
    let all = ["sql", "--memory", "--mode", "csv", "-c", "CREATE TABLE t (a)", "-c"];
    let all: Vec<&str> =
        all.into_iter().chain(["INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"]).collect();
    let mut all = all;
    all.push("SELECT sum(a) AS s FROM t");
    assert_eq!(place.run(&all).succeeded().out, "s\n3\n");
    assert!(!support::exists(&place.store_directory()));
    place.run(&["sql", "--memory", "SELECT * FROM nowhere"]).refused("no such table: nowhere");
    place.run(&["sql", "--data", "elsewhere", "CREATE TABLE t (a)"]).succeeded();
    assert!(support::exists(&place.path("elsewhere")));
}

#[test]
fn commands_tell_what_is_there() {
    let place = Place::new();
    place.define(
        "notes",
        json!({ "key": "id", "schema": { "id": { "type": "string", "generated": "uuid" },
                "text": { "type": "string" } }, "indexes": ["text"] }),
    );
    place.sql(&[], PEOPLE).succeeded();
    place.write("more.csv", "name,born\nCid,1900\nDan,1901\n");
    place.write("new.json", r#"[{"a": 1}, {"a": 2}]"#);
    let script = ".tables
.schema PEOPLE
.schema notes
.indexes notes
.import more.csv people
.import 'new.json' fresh
.explain SELECT * FROM notes WHERE text = 'a'
.check
.timer on
.mode csv
SELECT count(*) AS n FROM people, fresh;
.quit
SELECT 'not carried out';
";
    let shown = place.sql(&[], script);
    assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{}", shown.out);
    for part in [
        "notes\npeople\nCREATE TABLE people (\n  id INTEGER PRIMARY KEY,\n  name TEXT NOT NULL UNIQUE,\n",
        "  CHECK (born > 1800)\n);\nCREATE TABLE notes (\n  id TEXT PRIMARY KEY /* {\"generated\":\"uuid\"} */,\n",
        "CREATE INDEX text ON notes (text);\nnotes.text (text): ready, 0 entries\n",
        "imported 2 records into people\nimported 2 records into fresh\n",
        "text (text=?)",
        "0 missing, 0 dangling, 0 wrong counts\n",
        "n\n8\nTime: ",
    ] {
        assert!(shown.out.contains(part), "no {part:?} in\n{}", shown.out);
    }
    assert!(!shown.out.contains("not carried out"));
    place.sql(&[], ".mode xml").refused("table, json, csv or line");
    place.sql(&[], "BEGIN;\n.import more.csv people").refused("COMMIT or ROLLBACK before it");
    place.sql(&[], ".import missing.csv people").refused("Cannot read missing.csv");
    place.sql(&[], ".schema nowhere").refused("There is no table nowhere");
    place.sql(&[], ".import more.csv").refused("It is .import FILE TABLE");
}

#[test]
fn what_schema_says_makes_the_same_tables_again() {
    let place = Place::new();
    let script = "CREATE TABLE teams (name TEXT PRIMARY KEY);
CREATE TABLE people (id INTEGER PRIMARY KEY, team TEXT REFERENCES teams ON DELETE CASCADE,
  a INT NOT NULL DEFAULT (1 + 1), b TEXT DEFAULT 'it''s', \"order\" REAL,
  UNIQUE (a, b), CONSTRAINT small CHECK (a < 10));
CREATE TABLE pairs (x TEXT, y DATE, PRIMARY KEY (x, y));
CREATE INDEX by_order ON people (\"order\" DESC, a) WHERE a > 1 AND b IS NOT NULL;
";
    place.sql(&[], script).succeeded();
    let first = place.sql(&[], ".schema").succeeded().out;
    let again = ["sql", "--memory", "-c", &first, "-c", ".schema"];
    assert_eq!(place.run(&again).succeeded().out, first);
}

/// A program that talks in JSON lines.
struct Program {
    running: Running,
    out: BufReader<ChildStdout>,
}

impl Program {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut all = vec!["sql", "--json"];
        all.extend(arguments);
        let mut running = place.start_with_input(&all);
        let out = running.output_lines();
        Self { running, out }
    }

    /// One line and its answer, which comes before the next line is sent.
    fn says(&mut self, line: &str) -> Value {
        self.running.write(line);
        self.running.write("\n");
        let out = &mut self.out;
        let mut answer = String::new();
        out.read_line(&mut answer).expect("text");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{line}: {answer}"))
    }

    fn sql(&mut self, sql: &str, params: Value) -> Value {
        self.says(&json!({ "sql": sql, "params": params }).to_string())
    }
}

/// What every door answers to a program.
fn converse(program: &mut Program) {
    let made = program
        .sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, ok BOOLEAN)", Value::Null);
    assert_eq!(made, json!({ "columns": [], "rows": [], "changes": 0 }));
    let inserted = program.sql("INSERT INTO t (a, ok) VALUES (?, ?)", json!(["x", true]));
    assert_eq!(inserted["changes"], 1);
    assert_eq!(inserted["lastKey"], 1);
    let read = program.sql("SELECT id, a, ok FROM t WHERE a = :a", json!({ "a": "x" }));
    assert_eq!(read["rows"], json!([[1, "x", 1]]));
    assert_eq!(read["columns"][0], json!({ "name": "id", "type": "INTEGER" }));

    // Errors are lines, too, and the conversation goes on.
    let taken = program.sql("INSERT INTO t (a) VALUES ('x')", json!([]));
    assert_eq!(taken["error"]["code"], "ALREADY_EXISTS");
    assert_eq!(taken["error"]["retryable"], false);
    assert_eq!(taken["error"]["bucket"], "t");
    let wrong = program.sql("SELECT a,\n b FROM t", Value::Null);
    assert_eq!(wrong["error"]["code"], "SQL_ERROR");
    assert_eq!((&wrong["error"]["line"], &wrong["error"]["column"]), (&json!(2), &json!(2)));
    for malformed in ["{", "[]", "{}", "{\"sql\": 5}", "{\"sql\": \"SELECT 1\", \"params\": 5}"] {
        assert!(program.says(malformed)["error"]["code"].is_string(), "{malformed}");
    }

    // One transaction may be open.
    program.sql("BEGIN ISOLATION LEVEL SNAPSHOT", Value::Null);
    let again = program.sql("BEGIN", Value::Null);
    assert_eq!(again["error"]["code"], "SQL_ERROR", "{again}");
    program.sql("INSERT INTO t (a) VALUES ('y')", Value::Null);
    program.sql("SAVEPOINT s", Value::Null);
    program.sql("DELETE FROM t", Value::Null);
    program.sql("ROLLBACK TO s", Value::Null);
    let none = program.sql("ROLLBACK TO other", Value::Null);
    assert_eq!(none["error"]["code"], "SAVEPOINT_NOT_FOUND");
    assert_eq!(program.sql("COMMIT", Value::Null)["changes"], 0);
    program.sql("BEGIN READ ONLY", Value::Null);
    let refused = program.sql("DELETE FROM t", Value::Null);
    assert_eq!(refused["error"]["code"], "READ_ONLY", "{refused}");
    program.sql("ROLLBACK", Value::Null);
    let none = program.sql("COMMIT", Value::Null);
    assert_eq!(none["error"]["code"], "SQL_ERROR");
    let read = program.sql("SELECT a FROM t ORDER BY id", Value::Null);
    assert_eq!(read["rows"], json!([["x"], ["y"]]));
}

#[test]
fn a_program_talks_in_lines_with_a_store() {
    let place = Place::new();
    let mut program = in_time("the conversation", {
        let mut program = Program::start(&place, &[]);
        move || {
            converse(&mut program);
            program
        }
    });
    program.running.close_input();
    program.running.end();
    place.assert_consistent();
}

#[test]
fn a_program_talks_in_lines_with_a_server() {
    let place = Place::new();
    let (server, url) = serve(&place);
    in_time("the conversation", {
        let mut program = Program::start(&place, &["--url", &url]);
        move || converse(&mut program)
    });
    drop(server);
    place.assert_consistent();
}

fn serve(place: &Place) -> (Running, String) {
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let (line, _) = server.first_line();
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    let url = format!("ws://{}/", ready["listen"].as_str().expect("an address"));
    (server, url)
}

#[test]
fn a_script_works_at_a_server() {
    let place = Place::new();
    let (_server, url) = serve(&place);
    place.sql(&["--url", &url], PEOPLE).succeeded();
    let script = "BEGIN;
UPDATE people SET born = 1816 WHERE id = 1;
COMMIT;
BEGIN;
DELETE FROM people;
.tables
.schema people
.indexes
";
    let shown = place.sql(&["--url", &url], script).succeeded().out;
    assert!(shown.starts_with("people\nCREATE TABLE people (\n"), "{shown}");
    assert!(shown.contains("people.name (name) unique: ready, "), "{shown}");
    let read = ["sql", "--url", &url, "--mode", "csv", "SELECT id, born FROM people", ".check"];
    let shown = place.run(&read).succeeded().out;
    assert!(shown.starts_with("id,born\n1,1816\n2,\ncompared 2 rows"), "{shown}");
    place.sql(&["--url", &url], ".import a.csv people").refused("leave out --url");
    place.sql(&["--url", &url], "\nSELECT x FROM people").refused("(line 2, column 8)");
    place.run(&["sql", "--data", "tandem-data", "SELECT 1"]).refused("STORE_LOCKED");
    place.run(&["sql", "--url", "ws://127.0.0.1:1/", "SELECT 1"]).refused("CONNECTION_LOST");
}

#[test]
fn what_was_committed_is_there_after_a_kill() {
    let place = Place::new();
    let mut program = Program::start(&place, &[]);
    program.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)", Value::Null);
    for id in 0..20 {
        program.sql("INSERT INTO t VALUES (?)", json!([id]));
    }
    program.sql("BEGIN", Value::Null);
    program.sql("DELETE FROM t", Value::Null);
    program.running.signal("-KILL");
    program.running.wait();
    assert_eq!(place.select("SELECT count(*) AS n FROM t"), "n\n20\n");
    place.assert_consistent();
}
