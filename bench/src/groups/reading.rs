//! What the groups of reads have in common: their peers and comparisons.

use std::sync::Arc;

use tandem_storage::Durability;

use super::Context;
use crate::measure::Line;
use crate::peer::{Form, Peer, Result};
use crate::peers::by_hand::ByHand;
use crate::peers::fjall::Fjall;
use crate::peers::lmdb::Lmdb;
use crate::peers::ordered_map::OrderedMap;
use crate::peers::redb::Redb;
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::Workload;

/// Loaded peers with their names.
pub(super) fn peers(context: &Context) -> Result<Vec<(&'static str, Arc<dyn Peer>)>> {
    let data = &context.data;
    let disk = Tandem::open(&context.directory()?, data, Durability::Sync)?;
    let memory = Tandem::memory(data)?;
    let sqlite = Sqlite::open(&context.directory()?, data, Synchronous::Full, Sharing::OneEach)?;
    let redb = Redb::open(&context.directory()?, true)?;
    let lmdb = Lmdb::open(&context.directory()?, true)?;
    let fjall = Fjall::open(&context.directory()?, true)?;
    Ok(vec![
        ("tandem", Arc::new(disk)),
        ("tandem, memory engine", Arc::new(memory)),
        ("sqlite", Arc::new(sqlite)),
        ("redb", Arc::new(ByHand::load(redb, data)?)),
        ("lmdb", Arc::new(ByHand::load(lmdb, data)?)),
        ("fjall by hand", Arc::new(ByHand::load(fjall, data)?)),
        ("ordered map", Arc::new(ByHand::load(OrderedMap::default(), data)?)),
    ])
}

/// Each peer as text, then each decoded; one client.
pub(super) fn lines(
    peers: &[(&'static str, Arc<dyn Peer>)],
    workload: impl Fn(Form) -> Arc<dyn Workload>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (form, suffix) in [(Form::Text, ""), (Form::Value, ", decoded")] {
        let workload = workload(form);
        lines.extend(peers.iter().map(|(name, peer)| Line {
            label: format!("{name}{suffix}"),
            peer: peer.clone(),
            workload: workload.clone(),
            clients: 1,
        }));
    }
    lines
}

/// Tandem over its peers; those without a target are there to be seen.
pub(super) fn compare(report: Report, sqlite: f64, fjall: Option<f64>) -> Report {
    report
        .ratio("tandem", "sqlite", Some(sqlite))
        .ratio("tandem, memory engine", "sqlite", None)
        .ratio("tandem, decoded", "sqlite, decoded", None)
        .ratio("tandem", "redb", None)
        .ratio("tandem", "lmdb", None)
        .ratio("tandem", "fjall by hand", fjall)
}
