//! A store in a process of its own, so that its memory can be told from others' and
//! so that it can be killed.
//!
//! The process is this program, started with `alone`, the store's name, a directory
//! and the number of records. It opens the store, loads it if the directory is
//! empty, and says how long that took; then it does what it reads from its input,
//! line by line, and answers each line with the seconds that it took.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use tandem_storage::Durability;

use crate::data::DataSet;
use crate::peer::{Form, Peer, Result};
use crate::peers::by_hand::{ByHand, KeyValue};
use crate::peers::fjall::Fjall;
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::Tandem;
use crate::process;
use crate::random::Random;

/// Stores that can be alone. All of them relaxed: what is measured is memory and
/// disk, and not the sync.
pub const STORES: [&str; 3] = ["tandem", "sqlite OFF", "fjall by hand"];

/// Records that one transaction of an overwriting changes.
const AT_ONCE: usize = 1_000;

/// What a store is told to do.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// So many updates of random records, each a transaction.
    Update(usize),
    /// Every record gets another balance.
    Overwrite,
}

/// The process's own side.
pub fn serve(arguments: &[String]) -> Result<()> {
    let [store, directory, records] = arguments else {
        return Err("alone: a store, a directory and a number of records".into());
    };
    let (data, directory) = (DataSet::new(records.parse()?), Path::new(directory));
    let is_new = std::fs::read_dir(directory)?.next().is_none();
    let start = Instant::now();
    let peer = open(store, directory, &data, is_new)?;
    let mut client = peer.connect()?;
    if client.read(&DataSet::id(0), Form::Text)? == 0 {
        return Err("the first record is missing".into());
    }
    answer(start)?;
    let mut random = Random::new(7);
    let mut overwritten = 0;
    for line in std::io::stdin().lines() {
        let (line, start) = (line?, Instant::now());
        match line.split_once(' ') {
            Some(("update", count)) => {
                for _ in 0..count.parse()? {
                    let id = DataSet::id(random.below(data.len()));
                    client.update(&id, random.below(1_000_000) as i64)?;
                }
            }
            _ => {
                overwritten += 1;
                for first in (0..data.len()).step_by(AT_ONCE) {
                    let behind = (first + AT_ONCE).min(data.len());
                    let updates: Vec<_> = (first..behind)
                        .map(|number| (DataSet::id(number), overwritten + number as i64))
                        .collect();
                    client.update_all(&updates)?;
                }
            }
        }
        answer(start)?;
    }
    Ok(())
}

fn answer(start: Instant) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", start.elapsed().as_secs_f64())?;
    Ok(out.flush()?)
}

fn open(store: &str, directory: &Path, data: &DataSet, is_new: bool) -> Result<Box<dyn Peer>> {
    let durability = Durability::Buffered;
    let (off, one_each) = (Synchronous::Off, Sharing::OneEach);
    Ok(match store {
        "tandem" if is_new => Box::new(Tandem::open(directory, data, durability)?),
        "tandem" => Box::new(Tandem::reopen(directory, durability)?),
        "sqlite OFF" if is_new => Box::new(Sqlite::open(directory, data, off, one_each)?),
        "sqlite OFF" => Box::new(Sqlite::reopen(directory, off)),
        "fjall by hand" => by_hand(Fjall::open(directory, false)?, data, is_new)?,
        _ => return Err(format!("no store {store:?}").into()),
    })
}

fn by_hand(store: impl KeyValue, data: &DataSet, is_new: bool) -> Result<Box<dyn Peer>> {
    Ok(Box::new(if is_new { ByHand::load(store, data)? } else { ByHand::over(store) }))
}

/// The other side. The process is killed when this is dropped.
pub struct Alone {
    child: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What opening took, and loading if there was nothing, in seconds.
    pub opened: f64,
}

impl Alone {
    pub fn start(store: &str, directory: &Path, data: &DataSet) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([OsString::from("alone"), store.into(), directory.into()])
            .arg(data.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (tasks, answers) = pipes.ok_or("no pipes")?;
        let mut alone = Self { child, tasks, answers: BufReader::new(answers), opened: 0.0 };
        alone.opened = alone.answer()?;
        Ok(alone)
    }

    /// Has it done; the seconds that it took.
    pub fn run(&mut self, task: Task) -> Result<f64> {
        match task {
            Task::Update(count) => writeln!(self.tasks, "update {count}")?,
            Task::Overwrite => writeln!(self.tasks, "overwrite")?,
        }
        self.tasks.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<f64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().map_err(|_| format!("the store said {line:?}").into())
    }

    pub fn resident_bytes(&self) -> Option<u64> {
        process::resident_bytes(&self.child.id().to_string())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
