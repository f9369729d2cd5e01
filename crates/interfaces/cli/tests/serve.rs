//! `tandem serve` as a process: its ready line, its signals, its refusals, and
//! what it keeps when it is killed.

mod support;

use std::io::BufReader;
use std::process::ChildStdout;

use serde_json::{Value, json};
use support::{PATIENCE, Place, Running, exists, rest};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Starts a server and waits for its ready line.
fn serve(place: &Place, arguments: &[&str]) -> (Running, Value, BufReader<ChildStdout>) {
    let mut server = place.start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    let (line, out) = server.first_line();
    let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: {line}"));
    (server, ready, out)
}

/// Asserts that a server does not start, and returns what it says about that.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let ended = place.run(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    assert_ne!(ended.code, 0);
    assert_eq!(ended.out, "", "no ready line");
    ended.err
}

fn stop(mut server: Running) {
    server.signal("-TERM");
    assert!(server.wait().success());
}

/// A config with the bucket `items`.
fn configure(place: &Place, data: &str) {
    let items = json!({ "key": "id", "schema": { "id": {} } });
    let config = json!({ "store": { "data": data, "buckets": { "items": items } } });
    place.write("tandem.json", config.to_string());
}

/// A client, driven by this thread.
struct Client {
    runtime: Runtime,
    client: tandem_client::Client,
}

impl Client {
    fn connect(ready: &Value) -> Self {
        let address = ready["listen"].as_str().expect("an address");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connecting = async {
            timeout(PATIENCE, tandem_client::Client::connect(&format!("ws://{address}/"))).await
        };
        let client = runtime.block_on(connecting).expect("in time").expect("it listens");
        Self { runtime, client }
    }

    /// The data of the answer to a request.
    fn ask(&self, kind: &str, fields: Value) -> Value {
        let asking = async { timeout(PATIENCE, self.client.request(kind, fields)).await };
        self.runtime.block_on(asking).expect("in time").expect(kind)
    }
}

#[test]
fn it_says_where_it_listens_and_stops_on_either_signal() {
    let place = Place::new();
    for name in ["-TERM", "-INT"] {
        let (mut server, ready, out) = serve(&place, &["--memory"]);
        assert_eq!(ready["event"], "ready");
        let address = ready["listen"].as_str().expect("an address");
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
        assert!(ready.get("admin").is_none());
        let _connected = Client::connect(&ready);
        server.signal(name);
        assert_eq!(rest(out), "", "nothing but the ready line on standard output");
        assert!(server.wait().success(), "{name}");
    }
    assert!(!exists(&place.store_directory()));
}

#[test]
fn one_directory_has_one_server_and_the_command_line_names_it() {
    let place = Place::new();
    configure(&place, "elsewhere");
    let arguments = ["--config", "tandem.json", "--data", "store"];
    for _ in 0..2 {
        let (server, _, _out) = serve(&place, &arguments);
        let second = refused(&place, &["--data", "store"]);
        assert!(second.contains("tandem: STORE_LOCKED: "), "{second}");
        assert!(second.contains("path: store"), "{second}");
        stop(server);
    }
    assert!(exists(&place.path("store")) && !exists(&place.path("elsewhere")));
}

#[test]
fn g2_what_a_killed_server_has_acknowledged_is_there_when_it_starts_again() {
    let place = Place::new();
    configure(&place, "tandem-data");
    let arguments = ["--config", "tandem.json"];
    for round in 0..3 {
        let (mut server, ready, _out) = serve(&place, &arguments);
        let client = Client::connect(&ready);
        let count = client.ask("store.count", json!({ "bucket": "items" }));
        assert_eq!(count, round * 20);
        for n in 0..20 {
            let record = json!({ "id": round * 20 + n, "round": round });
            let insert = json!({ "bucket": "items", "data": record });
            assert_eq!(client.ask("store.insert", insert)["_version"], 1);
        }
        server.signal("-KILL");
        assert_eq!(server.wait().code(), None, "killed");
        place.assert_consistent();
    }
    assert_eq!(place.records("items").len(), 60);
}

#[test]
fn what_was_imported_is_served() {
    let place = Place::new();
    place.write("rows.csv", "code,city\nSFO,San Francisco\n");
    place.import("rows.csv --bucket airports --key code").succeeded();
    let (server, ready, _out) = serve(&place, &["--data", "tandem-data"]);
    let get = json!({ "bucket": "airports", "key": "SFO" });
    assert_eq!(Client::connect(&ready).ask("store.get", get)["city"], "San Francisco");
    place.import("rows.csv --bucket airports --key code").refused("STORE_LOCKED");
    stop(server);
    place.import("rows.csv --bucket airports --key code").succeeded();
}

/// Whoever read its log, a terminal or a log collector, may be gone.
#[test]
fn a_server_whose_log_nobody_reads_goes_on() {
    let place = Place::new();
    configure(&place, "tandem-data");
    let (mut server, ready, _out) = serve(&place, &["--config", "tandem.json"]);
    server.close_log();
    for id in 0..3 {
        let insert = json!({ "bucket": "items", "data": { "id": id } });
        assert_eq!(Client::connect(&ready).ask("store.insert", insert)["_version"], 1);
    }
    stop(server);
    place.assert_consistent();
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let place = Place::new();
    place.write("unknown.json", json!({ "port": 1, "store": { "file": "x" } }).to_string());
    let message = refused(&place, &["--memory", "--config", "unknown.json"]);
    assert!(message.contains("\"port\"") && message.contains("\"store.file\""), "{message}");
    place.write("unbuilt.json", json!({ "auth": { "mode": "builtin" } }).to_string());
    let message = refused(&place, &["--memory", "--config", "unbuilt.json"]);
    assert!(message.contains("\"auth\" is not supported yet"), "{message}");
    let message = refused(&place, &["--memory", "--config", "missing.json"]);
    assert!(message.contains("missing.json"), "{message}");
    place.write("broken.json", "{\"store\":");
    let message = refused(&place, &["--memory", "--config", "broken.json"]);
    assert!(message.contains("PARSE_ERROR") && message.contains("broken.json"), "{message}");
    refused(&place, &["--memory", "--data", "x"]);
    let message = refused(&place, &["--memory", "--admin-listen", "nowhere"]);
    assert!(message.contains("nowhere"), "{message}");
    let ended = place.run(&["serve", "--memory", "--listen", "nowhere"]);
    assert!(ended.code != 0 && ended.err.contains("nowhere"), "{}", ended.err);
}
