//! `tandem serve` as a process: its ready line, its signals, its refusals.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

fn tandem() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
}

/// Starts a server and waits for its ready line.
fn serve(arguments: &[&str]) -> (Child, Value, BufReader<std::process::ChildStdout>) {
    let mut child = tandem()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    let ready = serde_json::from_str(&line).expect("the ready line is JSON");
    (child, ready, out)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

fn refused(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        tandem().arg("serve").args(arguments).output().expect("ran");
    assert!(!status.success());
    assert!(stdout.is_empty(), "no ready line");
    String::from_utf8_lossy(&stderr).into_owned()
}

#[expect(clippy::disallowed_methods, reason = "a test writes its config file")]
fn config_file(directory: &Path, config: &Value) -> String {
    let file = directory.join("tandem.json");
    std::fs::write(&file, config.to_string()).expect("written");
    file.to_string_lossy().into_owned()
}

#[test]
fn it_says_where_it_listens_and_stops_on_either_signal() {
    for name in ["-TERM", "-INT"] {
        let (mut child, ready, mut out) = serve(&["--memory"]);
        assert_eq!(ready["event"], "ready");
        let address = ready["listen"].as_str().expect("an address");
        assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
        assert!(ready.get("admin").is_none());
        std::net::TcpStream::connect(address).expect("it listens");
        signal(&child, name);
        assert!(child.wait().expect("ended").success(), "{name}");
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "nothing but the ready line on standard output");
    }
}

#[test]
fn g2_data_is_kept_in_the_directory_that_was_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("store");
    let path = data.to_string_lossy().into_owned();
    let config = json!({ "store": { "data": "elsewhere", "buckets": {
        "items": { "key": "id", "schema": { "id": {} } } } } });
    let config = config_file(directory.path(), &config);
    for _ in 0..2 {
        let (mut child, _, _out) = serve(&["--config", &config, "--data", &path]);
        assert!(data.is_dir());
        let second = refused(&["--listen", "127.0.0.1:0", "--data", &path]);
        assert!(second.contains("tandem: "), "{second}");
        signal(&child, "-TERM");
        assert!(child.wait().expect("ended").success());
    }
    assert!(!directory.path().join("elsewhere").exists());
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let unknown = config_file(directory.path(), &json!({ "port": 1, "store": { "file": "x" } }));
    let message = refused(&["--memory", "--config", &unknown]);
    assert!(message.contains("\"port\"") && message.contains("\"store.file\""), "{message}");
    let unbuilt = config_file(directory.path(), &json!({ "auth": { "mode": "builtin" } }));
    let message = refused(&["--memory", "--config", &unbuilt]);
    assert!(message.contains("\"auth\" is not supported yet"), "{message}");
    let message = refused(&["--memory", "--config", "/nonexistent/tandem.json"]);
    assert!(message.contains("/nonexistent/tandem.json"), "{message}");
    refused(&["--memory", "--data", "x"]);
    refused(&["--memory", "--listen", "nowhere"]);
}
