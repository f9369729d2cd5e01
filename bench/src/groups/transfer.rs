//! Transfers: what a commit costs.

use std::sync::Arc;
use std::time::Duration;

use tandem_storage::Durability;

use super::{Context, Group, by_hand, check_counts};
use crate::measure::{Line, measure};
use crate::peer::{Peer, Result};
use crate::peers::engine::{Engine, four_puts};
use crate::peers::raw::{Raw, Sync};
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::{Recorded, Tandem, record_transfers};
use crate::report::Report;
use crate::slow_disk::SlowDisk;
use crate::workload::Transfers;

/// Every acknowledged transfer survives a power cut.
pub struct Durable {
    name: &'static str,
    about: &'static str,
    /// How much longer than here a sync takes.
    sync_delay: Option<Duration>,
}

impl Durable {
    /// On this machine's disk.
    pub const HERE: Self = Self {
        name: "transfer-durable",
        about: "2 reads, 2 updates, 1 insert, three indexes; acknowledged when it survives a \
                power cut",
        sync_delay: None,
    };

    /// Where the sync dominates.
    pub const SLOW: Self = Self {
        name: "transfer-durable-slow-disk",
        about: "the same transfer, every sync of every peer taking 2 ms longer",
        sync_delay: Some(Duration::from_millis(2)),
    };
}

/// Transfers survive the death of the process.
pub struct Relaxed;

const RECORDED_TRANSFERS: usize = 2_000;

const ENGINE_AND_TANDEM: [&str; 3] =
    ["raw, many", "engine, tandem's batches, many", "tandem, many"];

impl Group for Durable {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let recorded = record_transfers(&context.data, RECORDED_TRANSFERS)?;
        let bytes = recorded.bytes_per_transfer();
        let Context { data, many, .. } = context;
        let raw = |sync| Raw::open(&context.directory()?, sync, bytes);
        let engine = |batches| Engine::open(&context.directory()?, Durability::Sync, batches);
        let sqlite =
            |sharing| Sqlite::open(&context.directory()?, data, Synchronous::Full, sharing);

        let mut lines = Lines::new(context);
        let growing: Arc<dyn Peer> = Arc::new(raw(Sync::Growing)?);
        lines.add("raw", &growing, 1);
        lines.add("raw, blocks reused", &peer(raw(Sync::Recycled)?), 1);
        lines.add("engine, 4 puts", &peer(engine(four_puts(RECORDED_TRANSFERS, bytes))?), 1);
        let replay = peer(engine(recorded.batches.clone())?);
        lines.add("engine, tandem's batches", &replay, 1);
        let tandem = peer(Tandem::open(&context.directory()?, data, Durability::Sync)?);
        lines.add("tandem", &tandem, 1);
        let one_each = peer(sqlite(Sharing::OneEach)?);
        lines.add("sqlite", &one_each, 1);
        let by_hand = by_hand(context, true)?;
        by_hand.iter().for_each(|(name, peer)| lines.add(name, peer, 1));
        lines.add("raw, many", &growing, *many);
        lines.add("engine, tandem's batches, many", &replay, *many);
        lines.add("tandem, many", &tandem, *many);
        lines.add("sqlite, connection each", &one_each, *many);
        lines.add("sqlite, one connection", &peer(sqlite(Sharing::OneForAll)?), *many);
        by_hand.iter().for_each(|(name, peer)| lines.add(&format!("{name}, many"), peer, *many));

        let _slow = self.sync_delay.map(SlowDisk::new);
        Ok(lines
            .measure(self)?
            .ratio("tandem", "raw", Some(0.85))
            .ratio("engine, 4 puts", "raw", None)
            .ratio("engine, tandem's batches", "raw", None)
            .ratio("tandem", "engine, tandem's batches", None)
            .ratio("tandem", "sqlite", Some(1.5))
            .ratio("raw", "sqlite", None)
            .ratio("engine, tandem's batches", "sqlite", None)
            .ratio("tandem", "redb", None)
            .ratio("tandem", "lmdb", None)
            .ratio("tandem", "fjall by hand", None)
            .ratio("tandem, many", "sqlite, connection each", Some(10.0))
            .ratio("tandem, many", "sqlite, one connection", Some(10.0))
            .ratio("tandem, many", "redb, many", Some(3.0))
            .ratio("tandem, many", "lmdb, many", None)
            .ratio("tandem, many", "fjall by hand, many", None)
            .ratio("tandem, many", "rocksdb, many", None)
            .ratio("tandem, many", "raw, many", None)
            .ratio("tandem, many", "engine, tandem's batches, many", None)
            .ratio("tandem, many", "tandem", self.sync_delay.map(|_| 20.0))
            .processor_bound(10.0, "sqlite, connection each", &ENGINE_AND_TANDEM)
            .processor_bound(10.0, "sqlite, one connection", &ENGINE_AND_TANDEM)
            .note(describe(&recorded)))
    }
}

impl Group for Relaxed {
    fn name(&self) -> &'static str {
        "transfer-relaxed"
    }

    fn about(&self) -> &'static str {
        "the same transfer; acknowledged when it survives the death of the process"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let recorded = record_transfers(&context.data, RECORDED_TRANSFERS)?;
        let bytes = recorded.bytes_per_transfer();
        let Context { data, many, .. } = context;
        let engine = |batches| Engine::open(&context.directory()?, Durability::Buffered, batches);
        let sqlite =
            |synchronous, sharing| Sqlite::open(&context.directory()?, data, synchronous, sharing);

        let mut lines = Lines::new(context);
        lines.add("raw", &peer(Raw::open(&context.directory()?, Sync::No, bytes)?), 1);
        lines.add("engine, 4 puts", &peer(engine(four_puts(RECORDED_TRANSFERS, bytes))?), 1);
        let replay = peer(engine(recorded.batches.clone())?);
        lines.add("engine, tandem's batches", &replay, 1);
        let tandem = peer(Tandem::open(&context.directory()?, data, Durability::Buffered)?);
        lines.add("tandem", &tandem, 1);
        let off = peer(sqlite(Synchronous::Off, Sharing::OneEach)?);
        lines.add("sqlite OFF", &off, 1);
        let normal = peer(sqlite(Synchronous::Normal, Sharing::OneEach)?);
        lines.add("sqlite NORMAL", &normal, 1);
        let by_hand = by_hand(context, false)?;
        by_hand.iter().for_each(|(name, peer)| lines.add(name, peer, 1));
        lines.add("engine, tandem's batches, many", &replay, *many);
        lines.add("tandem, many", &tandem, *many);
        lines.add("sqlite OFF, connection each", &off, *many);
        let shared = peer(sqlite(Synchronous::Off, Sharing::OneForAll)?);
        lines.add("sqlite OFF, one connection", &shared, *many);
        by_hand.iter().for_each(|(name, peer)| lines.add(&format!("{name}, many"), peer, *many));

        Ok(lines
            .measure(self)?
            .ratio("tandem", "sqlite OFF", Some(2.0))
            .ratio("engine, tandem's batches", "sqlite OFF", None)
            .ratio("tandem", "sqlite NORMAL", None)
            .ratio("tandem", "fjall by hand", Some(0.6))
            .ratio("tandem", "engine, tandem's batches", None)
            .ratio("tandem", "redb", None)
            .ratio("tandem", "lmdb", None)
            .ratio("tandem, many", "engine, tandem's batches, many", None)
            .ratio("tandem, many", "fjall by hand, many", None)
            .ratio("tandem, many", "redb, many", None)
            .ratio("tandem, many", "lmdb, many", None)
            .ratio("tandem, many", "rocksdb, many", None)
            .ratio("tandem, many", "sqlite OFF, connection each", None)
            .ratio("tandem, many", "sqlite OFF, one connection", None)
            .ratio("tandem, many", "tandem", None)
            .note(describe(&recorded)))
    }
}

fn peer(peer: impl Peer + 'static) -> Arc<dyn Peer> {
    Arc::new(peer)
}

fn describe(recorded: &Recorded) -> String {
    format!(
        "A transfer is {:.1} storage operations and {} bytes of keys and values; `raw` appends as \
         many bytes.\n",
        recorded.operations_per_transfer(),
        recorded.bytes_per_transfer()
    )
}

/// The lines of a group of transfers. Serial numbers are the group's own, so
/// no two lines insert the same record.
struct Lines<'a> {
    context: &'a Context,
    workload: Arc<Transfers>,
    lines: Vec<Line>,
}

impl<'a> Lines<'a> {
    fn new(context: &'a Context) -> Self {
        let workload = Arc::new(Transfers::new(context.data));
        Self { context, workload, lines: Vec::new() }
    }

    fn add(&mut self, label: &str, peer: &Arc<dyn Peer>, clients: usize) {
        self.lines.push(Line {
            label: label.into(),
            peer: peer.clone(),
            workload: self.workload.clone(),
            clients,
        });
    }

    fn measure(self, group: &dyn Group) -> Result<Report> {
        let measured = measure(&self.lines, &self.context.plan)?;
        check_counts(&self.lines, &measured, self.context.data.len())?;
        Ok(Report::new(group.name(), group.about(), measured))
    }
}
