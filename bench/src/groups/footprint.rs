//! Memory, disk, and opening again: what a store takes that is not time.

use std::path::Path;
use std::time::{Duration, Instant};

use tandem_client::{ChangesOptions, Client};

use super::{Context, Group};
use crate::alone::{Alone, STORES, Task};
use crate::data::DataSet;
use crate::measure::{bytes_on_disk, file_bytes};
use crate::peer::{Peer, Result};
use crate::peers::served::{Served, TICKS};
use crate::report::Report;

pub struct Footprint;

const MIB: f64 = 1_048_576.0;

/// Updates of one record each, in a full run.
const UPDATES: usize = 1_000_000;
const OVERWRITINGS: usize = 10;

/// The default caches, of records and of blocks, and what may come on top. That of ranges is
/// left out: nobody reads ranges here.
const MOST_RESIDENT: f64 = 64.0 + 64.0 + 256.0;

/// A store has settled when its files stay as they are for so long, or after the
/// most that it gets.
const CALM: Duration = Duration::from_secs(6);
const LONGEST_SETTLING: Duration = Duration::from_secs(120);

/// What Tandem's trees hold, by the number of their directory: see
/// `tandem_transaction::keyspace::CUTS`.
const TREES: [(&str, &str); 3] = [("2", "change log"), ("5", "rows"), ("6", "index entries")];

/// Connections that wait: a process may have about a thousand files open.
const MOST_IDLE: usize = 500;

/// Subscriptions that a server allows one connection by default.
const ON_ONE_SOCKET: usize = 100;

impl Group for Footprint {
    fn name(&self) -> &'static str {
        "footprint"
    }

    fn about(&self) -> &'static str {
        "each store in a process of its own, with default caches: its memory after many updates, \
         its files after every record was overwritten ten times, at once and when they have settled \
         (the store is left alone until they no longer change), and how soon it opens again after \
         it was killed then; and the memory of a server for connections that do nothing. All \
         writes survive the death of the process"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let data = context.large;
        let live = live_bytes(&data) / MIB;
        let mut report = Report::new(self.name(), self.about(), Vec::new());
        for store in STORES {
            report = measure(report, context, store, &data, live)?;
        }
        let served = Served::start(&context.directory()?, &DataSet::new(1))?;
        report = idle(report, &served, context.subscribers.min(MOST_IDLE))?;
        Ok(report.note(format!(
            "{} records; {live:.1} MiB are their JSON, their keys and the entries of their three \
             indexes, without any store's own bytes. Reopening ends with the first read.\n",
            data.len()
        )))
    }
}

fn measure(
    mut report: Report,
    context: &Context,
    store: &str,
    data: &DataSet,
    live: f64,
) -> Result<Report> {
    let directory = context.directory()?;
    let mut alone = Alone::start(store, &directory, data)?;
    let resident = |alone: &Alone| alone.resident_bytes().unwrap_or(0) as f64 / MIB;
    let on_disk = || Result::Ok(bytes_on_disk(&directory)? as f64 / MIB);
    let what = |what: &str| format!("{store}: {what}");
    report = report
        .figure(what("loading"), alone.opened, "s")
        .figure(what("RSS when loaded"), resident(&alone), "MiB")
        .figure(what("disk when loaded"), on_disk()?, "MiB");

    let updates = UPDATES.min(data.len());
    report =
        report.figure(what(&format!("{updates} updates")), alone.run(Task::Update(updates))?, "s");
    let after_updates = what("RSS after them");
    report = if store == "tandem" {
        report.at_most(after_updates, resident(&alone), "MiB", MOST_RESIDENT)
    } else {
        report.figure(after_updates, resident(&alone), "MiB")
    };

    let mut overwriting = 0.0;
    for _ in 0..OVERWRITINGS {
        overwriting += alone.run(Task::Overwrite)?;
    }
    let reopening = what("reopening");
    report = report
        .figure(what("overwriting all ten times"), overwriting, "s")
        .figure(what("RSS after overwriting"), resident(&alone), "MiB")
        .figure(what("disk after overwriting"), on_disk()?, "MiB");
    report = report.figure(what("settling"), settle(&directory)?.as_secs_f64(), "s");
    let (settled, space_of) = (on_disk()?, what("disk once settled / live data"));
    report = report.figure(what("disk once settled"), settled, "MiB");
    if store == "tandem" {
        for (of, bytes) in parts(&directory)? {
            report = report.figure(what(&format!("of that, {of}")), bytes as f64 / MIB, "MiB");
        }
    }
    report = report.figure(what("live data"), live, "MiB");
    let space = settled / live;
    drop(alone);
    let opened = Alone::start(store, &directory, data)?.opened;
    report = if store == "tandem" {
        report.at_most(space_of, space, "×", 2.0).at_most(reopening, opened, "s", 1.0)
    } else {
        report.figure(space_of, space, "×").figure(reopening, opened, "s")
    };
    std::fs::remove_dir_all(&directory)?;
    Ok(report)
}

/// Leaves a store alone until its files no longer change; how long they did.
fn settle(directory: &Path) -> Result<Duration> {
    let (begun, mut changed, mut before) = (Instant::now(), Instant::now(), 0);
    while changed.elapsed() < CALM && begun.elapsed() < LONGEST_SETTLING {
        let now = bytes_on_disk(directory)?;
        // A round of maintenance may write a few blocks of the journal.
        if now.abs_diff(before) > 64 << 10 {
            (changed, before) = (Instant::now(), now);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(changed.duration_since(begun))
}

/// What Tandem's files hold.
fn parts(directory: &Path) -> Result<Vec<(&'static str, u64)>> {
    let data = directory.join("tandem/data");
    let mut parts = Vec::new();
    for (tree, what) in TREES {
        parts.push((what, bytes_on_disk(&data.join("keyspaces").join(tree))?));
    }
    let mut journals = 0;
    for entry in std::fs::read_dir(&data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals += file_bytes(&path)?;
        }
    }
    parts.push(("journals", journals));
    let known: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
    parts.push(("the rest", bytes_on_disk(directory)?.saturating_sub(known)));
    Ok(parts)
}

/// Everything that must be there, in bytes: the text of each record, its key, and
/// each index's value and the key that it leads to.
fn live_bytes(data: &DataSet) -> f64 {
    let account = data.account(0);
    let entries = account.email.len() + account.city.len() + 8 + 3 * account.id.len();
    ((account.to_json().len() + account.id.len() + entries) * data.len()) as f64
}

/// What connections, and subscriptions, cost a server while nothing happens.
fn idle(report: Report, served: &Served, count: usize) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kibibytes =
        |before: u64, after: u64| after.saturating_sub(before) as f64 / 1_024.0 / count as f64;
    let resident = || served.resident_bytes().ok_or("no memory is told");
    // What the first ones cost once is not the others' price.
    let mut clients = runtime.block_on(connect(served, 10))?;
    let none = resident()?;
    clients.extend(runtime.block_on(connect(served, count))?);
    let connected = resident()?;
    let subscriptions = runtime.block_on(async {
        let mut all = Vec::with_capacity(count);
        for number in 0..count {
            let options = ChangesOptions::new().bucket(TICKS);
            all.push(clients[number / ON_ONE_SOCKET].changes(options).await?);
        }
        Result::Ok(all)
    })?;
    let subscribed = resident()?;
    drop(subscriptions);
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(report
        .at_most(
            format!("server: each of {count} idle sockets"),
            kibibytes(none, connected),
            "KiB",
            32.0,
        )
        .at_most(
            format!("server: each of {count} idle subscriptions"),
            kibibytes(connected, subscribed),
            "KiB",
            2.0,
        ))
}

async fn connect(served: &Served, count: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::connect(&served.url()).await?);
    }
    Ok(clients)
}
