//! Every example of `docs/protocol.md`, carried out in order.
//!
//! A block that is marked `json` holds what is said, line by line: `>` is what
//! the client sends, `<` what the server sends, `2>` and `2<` another socket,
//! `> GET /path` and `> POST /rpc {…}` HTTP. A line that begins with a space goes
//! on with the one before. All blocks talk to one server, but for those that are
//! marked with a config of their own. A block that begins with `{` is a config.
//!
//! What differs from run to run is not compared but matched: times are any
//! numbers; a handle, revision or cursor of the document stands for the same one
//! of this run wherever it occurs; `"…"` is anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use crate::support::{Client, http, listening, serve_json};
use serde_json::{Value, json};
use tandem_server::{Config, RunningServer, Server, ServerOptions};

/// Fields whose numbers are times.
const TIMES: [&str; 7] = [
    "_createdAt",
    "_updatedAt",
    "_expiresAt",
    "serverTime",
    "timestamp",
    "expiresAt",
    "connectedAt",
];

/// Fields whose values name something, and what kind of thing.
const NAMES: [(&str, &str); 8] = [
    ("transaction", "transaction"),
    ("subscriptionId", "subscription"),
    ("revision", "revision"),
    ("from", "revision"),
    ("oldestRevision", "revision"),
    ("nextCursor", "cursor"),
    ("after", "cursor"),
    ("connectionId", "connection"),
];

/// One thing that is said, and where in the document.
#[derive(Debug)]
struct Line {
    number: usize,
    socket: char,
    is_sent: bool,
    text: String,
}

#[derive(Debug)]
enum Block {
    Conversation { config: Option<Value>, lines: Vec<Line> },
    Config(Value),
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/protocol.md");
    std::fs::read_to_string(path).expect("the document")
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let body: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, l)| *l != "```").collect();
        if kind == "text" {
            // How a program is called: no example.
            continue;
        }
        let options = kind.strip_prefix("json").unwrap_or_else(|| {
            panic!("line {number}: an example that no test would carry out: {kind}")
        });
        let first = body.first().expect("not empty").1;
        if first.starts_with('{') {
            let text: String = body.iter().map(|(_, line)| *line).collect();
            blocks.push(Block::Config(serde_json::from_str(&text).expect("JSON")));
            continue;
        }
        let config = options.strip_prefix(" server=");
        let config = config.map(|text| serde_json::from_str(text).expect("JSON"));
        blocks.push(Block::Conversation { config, lines: said(&body) });
    }
    blocks
}

fn said(body: &[(usize, &str)]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for &(number, line) in body {
        if line.starts_with(' ') {
            lines.last_mut().expect("a line to go on with").text.push_str(line.trim_start());
            continue;
        }
        let (mark, text) = line.split_once(' ').expect("a mark and a text");
        let (socket, is_sent) = match mark {
            ">" => ('1', true),
            "<" => ('1', false),
            "2>" => ('2', true),
            "2<" => ('2', false),
            _ => panic!("line {number}: neither sent nor received: {line}"),
        };
        lines.push(Line { number, socket, is_sent, text: text.to_owned() });
    }
    lines
}

/// What the document calls things, and what they are called in this run.
#[derive(Default)]
struct Names {
    known: BTreeMap<(&'static str, String), Value>,
    taken: BTreeMap<(&'static str, String), String>,
}

impl Names {
    fn kind_of(field: &str) -> Option<&'static str> {
        NAMES.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind)
    }

    fn bind(&mut self, kind: &'static str, example: &Value, actual: &Value) -> Result<(), String> {
        let name = example.to_string();
        let known = self.known.entry((kind, name.clone())).or_insert_with(|| actual.clone());
        if known != actual {
            return Err(format!("{kind} {name} is {known}, not {actual}"));
        }
        let taken = self.taken.entry((kind, actual.to_string())).or_insert_with(|| name.clone());
        if *taken != name {
            return Err(format!("{kind} {actual} is called {taken} and {name}"));
        }
        Ok(())
    }

    /// A request with the names of this run.
    fn translate(&self, request: &mut Value) {
        let Some(fields) = request.as_object_mut() else { return };
        for (field, value) in fields {
            if let Some(kind) = Self::kind_of(field)
                && let Some(actual) = self.known.get(&(kind, value.to_string()))
            {
                *value = actual.clone();
            }
        }
    }

    /// Whether `actual` is what the example says.
    fn matches(&mut self, field: &str, example: &Value, actual: &Value) -> Result<(), String> {
        let anything = Value::from("…");
        if *example == anything || (TIMES.contains(&field) && actual.is_u64()) {
            return Ok(());
        }
        match (example, actual) {
            (Value::Object(example), Value::Object(actual)) => {
                let expected: BTreeSet<&String> = example.keys().collect();
                let there: BTreeSet<&String> = actual.keys().collect();
                if expected != there {
                    return Err(format!("{field} has {there:?}, not {expected:?}"));
                }
                example
                    .iter()
                    .try_for_each(|(name, value)| self.matches(name, value, &actual[name]))
            }
            (Value::Array(example), Value::Array(actual)) if example.len() == actual.len() => {
                let mut pairs = example.iter().zip(actual);
                pairs.try_for_each(|(example, actual)| self.matches(field, example, actual))
            }
            // A record after a change is no cursor.
            (Value::String(_) | Value::Number(_), Value::String(_) | Value::Number(_))
                if let Some(kind) = Self::kind_of(field) =>
            {
                self.bind(kind, example, actual)
            }
            _ if example == actual => Ok(()),
            _ => Err(format!("{field} is {actual}, not {example}")),
        }
    }
}

/// A server with its sockets.
struct Scene {
    server: RunningServer,
    sockets: BTreeMap<char, Client>,
    answers: VecDeque<(u16, String)>,
}

impl Scene {
    async fn begin(config: &Value) -> Self {
        let mut config = config.clone();
        config["store"]["data"] = Value::Null;
        // Pings come where they are the example, and nowhere between the frames of another.
        let with_pings = config.get("heartbeat").is_some();
        let config = Config::from_json(&config).expect("a valid config");
        let options = match with_pings {
            true => ServerOptions::new(config).listen("127.0.0.1:0"),
            false => listening(config),
        };
        let options = options.admin_listen("127.0.0.1:0");
        let server = Server::start(options).await.expect("the server starts");
        Self { server, sockets: BTreeMap::new(), answers: VecDeque::new() }
    }

    async fn say(&mut self, names: &mut Names, line: &Line) {
        if let Some((method, path, body)) = http_request(&line.text) {
            let address = match method {
                "POST" => self.server.admin_address().expect("an address"),
                _ => self.server.address(),
            };
            self.answers.push_back(http(address, method, path, body).await);
            return;
        }
        let text = match serde_json::from_str::<Value>(&line.text) {
            Ok(mut request) => {
                names.translate(&mut request);
                request.to_string()
            }
            // Wrong on purpose.
            Err(_) => line.text.clone(),
        };
        self.socket(line.socket, false).await.send_text(&text).await;
    }

    async fn hear(&mut self, names: &mut Names, line: &Line) {
        let number = line.number;
        if let Some((status, body)) = self.answers.pop_front() {
            let (expected, text) = line.text.split_once(' ').unwrap_or((&line.text, ""));
            assert_eq!(status.to_string(), expected, "line {number}: {body}");
            match serde_json::from_str::<Value>(text) {
                Ok(example) => {
                    let actual = serde_json::from_str(&body).expect("JSON");
                    let matched = names.matches("the body", &example, &actual);
                    matched.unwrap_or_else(|why| panic!("line {number}: {why}\n{actual}"));
                }
                Err(_) => assert_eq!(body, text, "line {number}"),
            }
            return;
        }
        let example: Value = serde_json::from_str(&line.text)
            .unwrap_or_else(|error| panic!("line {number}: {error}"));
        let is_welcome = example["type"] == "welcome";
        let actual = self.socket(line.socket, is_welcome).await.frame().await;
        let matched = names.matches("the frame", &example, &actual);
        matched.unwrap_or_else(|why| panic!("line {number}: {why}\n{actual}"));
    }

    /// The socket of that name; its welcome is taken unless it is an example.
    async fn socket(&mut self, name: char, keeps_welcome: bool) -> &mut Client {
        if !self.sockets.contains_key(&name) {
            let client = match keeps_welcome {
                true => Client::connect_silently(&self.server).await,
                false => Client::connect(&self.server).await,
            };
            self.sockets.insert(name, client);
        }
        self.sockets.get_mut(&name).expect("just connected")
    }
}

/// Method, path and body.
fn http_request(text: &str) -> Option<(&str, &str, &str)> {
    let (method, rest) = text.split_once(' ')?;
    let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
    ["GET", "POST"].contains(&method).then_some((method, path, body))
}

#[tokio::test]
async fn every_example_is_what_happens() {
    let mut names = Names::default();
    let mut main = Scene::begin(&json!({})).await;
    let mut conversations = 0;
    for block in blocks(&document()) {
        match block {
            Block::Config(config) => {
                Config::from_json(&config).expect("a valid config");
                serve_json(config).await;
            }
            Block::Conversation { config, lines } => {
                let mut own = match config {
                    Some(config) => Some(Scene::begin(&config).await),
                    None => None,
                };
                let scene = own.as_mut().unwrap_or(&mut main);
                conversations += 1;
                for line in &lines {
                    match line.is_sent {
                        true => scene.say(&mut names, line).await,
                        false => scene.hear(&mut names, line).await,
                    }
                }
                assert!(scene.answers.is_empty(), "an answer is not in the document");
            }
        }
    }
    assert!(conversations > 10, "the examples were found");
}

/// After the last example of a socket nothing more has come: a frame that the
/// document leaves out would stand before the answer to this.
#[tokio::test]
async fn no_frame_is_left_out() {
    let mut names = Names::default();
    let mut scene = Scene::begin(&json!({})).await;
    for block in blocks(&document()) {
        let Block::Conversation { config: None, lines } = block else { continue };
        for line in &lines {
            match line.is_sent {
                // It would stop before the question.
                true if line.text.contains("server.shutdown") => return,
                true => scene.say(&mut names, line).await,
                false => scene.hear(&mut names, line).await,
            }
        }
        for (name, client) in &mut scene.sockets {
            client.send(&json!({ "id": -1, "type": "store.buckets" })).await;
            let answer = client.frame().await;
            assert_eq!(answer["id"], -1, "socket {name} after line {}", lines[0].number);
        }
    }
}

#[test]
fn every_type_of_request_has_an_example() {
    let document = document();
    let mut heading = None;
    let mut listed = BTreeSet::new();
    for line in document.lines() {
        let Some(row) = line.strip_prefix('|') else {
            heading = None;
            continue;
        };
        let cell = row.split('|').next().unwrap_or_default().trim();
        match heading {
            None => heading = Some(cell),
            Some("type") => {
                listed.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
            }
            Some(_) => {}
        }
    }
    assert!(listed.contains("store.insert") && listed.contains("server.shutdown"));
    let blocks = blocks(&document);
    let sent = blocks.iter().flat_map(|block| match block {
        Block::Conversation { lines, .. } => lines.as_slice(),
        Block::Config(_) => &[],
    });
    let shown: BTreeSet<String> = sent
        .filter(|line| line.is_sent)
        .filter_map(|line| {
            let json = line.text.strip_prefix("POST /rpc ").unwrap_or(&line.text);
            let request: Value = serde_json::from_str(json).ok()?;
            request["type"].as_str().map(str::to_owned)
        })
        .collect();
    let missing: Vec<_> = listed.difference(&shown).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
}
