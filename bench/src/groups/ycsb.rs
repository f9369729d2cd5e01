//! YCSB's mixes A to F, with the share of attempts that a conflict ended.

use std::sync::Arc;

use tandem_storage::Durability;

use super::{Context, Group, by_hand, check_counts};
use crate::measure::{Line, measure};
use crate::peer::{Peer, Result};
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::ycsb::{MIXES, Steps};

pub struct Ycsb;

/// Enough to meet at the popular keys.
const CLIENTS: usize = 16;

/// Serial numbers of each line.
const SERIALS: u64 = 10_000_000;

impl Group for Ycsb {
    fn name(&self) -> &'static str {
        "ycsb"
    }

    fn about(&self) -> &'static str {
        "YCSB's mixes over accounts with three indexes, zipfian keys: A half updates, B 5 % \
         updates, C reads, D reads of the newest and 5 % inserts, E scans and 5 % inserts, F half \
         read-modify-write; aborted is the share of attempts that a conflict ended"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let data = &context.data;
        let tandem = Tandem::open(&context.directory()?, data, Durability::Buffered)?;
        let sqlite = Sqlite::open(&context.directory()?, data, Synchronous::Off, Sharing::OneEach)?;
        let mut peers: Vec<(&str, Arc<dyn Peer>)> =
            vec![("tandem", Arc::new(tandem)), ("sqlite", Arc::new(sqlite))];
        peers.extend(by_hand(context, false)?);
        let mut lines = Vec::new();
        for mix in MIXES {
            for (name, peer) in &peers {
                let first = lines.len() as u64 * SERIALS;
                lines.push(Line {
                    label: format!("{name}, {}", mix.name),
                    peer: peer.clone(),
                    workload: Arc::new(Steps::new(*data, mix, first)),
                    clients: CLIENTS.min(context.many),
                });
            }
        }
        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, data.len())?;
        let mut report = Report::new(self.name(), self.about(), measured);
        for mix in MIXES {
            for (name, _) in &peers[1..] {
                let (ours, theirs) =
                    (format!("tandem, {}", mix.name), format!("{name}, {}", mix.name));
                report = report.ratio(&ours, &theirs, None);
            }
        }
        Ok(report)
    }
}
