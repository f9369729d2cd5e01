//! The built binary, run as a person runs it, in a directory of its own; nothing
//! waits for ever.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tandem::{BucketConfig, Store};

/// Long enough for a loaded machine, short enough to notice a hang.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The answer of `work`.
///
/// # Panics
/// When there is none in time.
#[expect(clippy::disallowed_methods, reason = "what may hang runs beside the test")]
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, answered) = mpsc::channel();
    std::thread::spawn(move || answer.send(work()));
    answered.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what}: no end in time"))
}

/// A temporary directory with files and a store, in which `tandem` runs.
pub struct Place(tempfile::TempDir);

/// What a command that has ended leaves.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn store_directory(&self) -> PathBuf {
        self.path("tandem-data")
    }

    #[expect(clippy::disallowed_methods, reason = "a test writes the files that it imports")]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    /// Starts `tandem`.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_reading(arguments, Stdio::null())
    }

    /// Starts `tandem` with something to read; see [`Running::write`].
    pub fn start_with_input(&self, arguments: &[&str]) -> Running {
        self.start_reading(arguments, Stdio::piped())
    }

    fn start_reading(&self, arguments: &[&str], input: Stdio) -> Running {
        let child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        Running(Some(child))
    }

    /// Runs `tandem` to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Runs `tandem import` with these arguments, separated by spaces.
    pub fn import(&self, arguments: &str) -> Ended {
        let mut all = vec!["import"];
        all.extend(arguments.split(' '));
        self.run(&all)
    }

    /// The store, opened in this process.
    pub fn store(&self) -> Store {
        Store::open(self.store_directory()).expect("the store opens")
    }

    /// Defines a bucket.
    pub fn define(&self, bucket: &str, config: Value) {
        let store = self.store();
        let config = BucketConfig::from_json(config).expect("a config");
        store.define_bucket(bucket, config).expect("defined");
        store.close();
    }

    /// The user's fields of every record, in the order of insertion.
    pub fn records(&self, bucket: &str) -> Vec<Value> {
        let store = self.store();
        let records = store.bucket(bucket).all().records().expect("the bucket is read");
        store.close();
        records.iter().map(user_fields).collect()
    }

    /// One field of every record, in the order of insertion.
    pub fn field(&self, bucket: &str, field: &str) -> Vec<Value> {
        self.records(bucket).iter().map(|record| record[field].clone()).collect()
    }

    /// Asserts that every index agrees with its rows, as `tandem check` sees it.
    #[track_caller]
    pub fn assert_consistent(&self) {
        self.run(&["check"]).succeeded().says("0 missing, 0 dangling, 0 wrong counts");
    }
}

fn user_fields(record: &tandem::Record) -> Value {
    let mut value = record.to_json();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !name.starts_with('_'));
    }
    value
}

impl Ended {
    /// Asserts that it did what it was told to.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        assert_eq!(self.err, "");
        self
    }

    /// Asserts that it refused, with `message` on standard error.
    #[track_caller]
    pub fn refused(self, message: &str) -> Self {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        assert!(self.err.contains(message), "{}", self.err);
        self
    }

    /// Asserts a line of its standard output.
    #[track_caller]
    pub fn says(self, line: &str) -> Self {
        assert!(self.out.lines().any(|said| said == line), "no \"{line}\" in\n{}", self.out);
        self
    }
}

/// A command at work; killed when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs")
    }

    /// What it says first, and its output after that.
    pub fn first_line(&mut self) -> (String, BufReader<ChildStdout>) {
        let mut out = BufReader::new(self.child().stdout.take().expect("piped"));
        in_time("the first line", move || {
            let mut line = String::new();
            out.read_line(&mut line).expect("text");
            (line, out)
        })
    }

    /// Writes to its standard input. One that has ended does not read it.
    pub fn write(&mut self, text: &str) {
        let input = self.child().stdin.as_mut().expect("piped");
        let _ended = input.write_all(text.as_bytes());
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        drop(self.child().stdin.take());
    }

    /// What it says.
    pub fn output_lines(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.child().stdout.take().expect("piped"))
    }

    /// Sends it a signal: `-TERM`, `-KILL`.
    pub fn signal(&mut self, name: &str) {
        let id = self.child().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    }

    /// Closes the end of its standard error that this process reads.
    pub fn close_log(&mut self) {
        drop(self.child().stderr.take());
    }

    /// Waits for its end.
    pub fn wait(self) -> ExitStatus {
        self.output().status
    }

    fn output(mut self) -> Output {
        let child = self.0.take().expect("it runs");
        let killer = KillOnPanic(child.id());
        let output = in_time("tandem", move || child.wait_with_output().expect("ended"));
        std::mem::forget(killer);
        output
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        let output = self.output();
        Ended {
            code: output.status.code().expect("not killed by a signal"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// Ends what did not end in time.
struct KillOnPanic(u32);

impl Drop for KillOnPanic {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All that is left to read.
pub fn rest(mut out: BufReader<ChildStdout>) -> String {
    in_time("the rest of the output", move || {
        let mut text = String::new();
        out.read_to_string(&mut text).expect("text");
        text
    })
}

/// Whether a file or directory exists.
pub fn exists(path: &Path) -> bool {
    path.try_exists().expect("it can be looked up")
}
