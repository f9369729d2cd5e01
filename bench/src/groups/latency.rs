//! Durable transfers at a given rate, and how long each takes from when it was due.
//!
//! A closed loop asks a slow store less often, so that its latencies look better
//! than what users would see. Here users come by the clock.

use std::sync::Arc;

use tandem_storage::Durability;

use super::{Context, Group, by_hand, check_counts};
use crate::measure::{Line, measure};
use crate::peer::{Peer, Result};
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::{Arrivals, Transfers};

pub struct Latency;

/// Per second: a quiet hour, and more than one sync for each would allow on most
/// disks.
const RATES: [u32; 2] = [200, 2_000];

impl Group for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn about(&self) -> &'static str {
        "an open loop: durable transfers of many clients come at random, 200 and 2,000 per second; \
         times are from when each was due. A store that cannot follow shows times that grow with \
         the round, and fewer per second"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let Context { data, many, .. } = context;
        let tandem = Tandem::open(&context.directory()?, data, Durability::Sync)?;
        let sqlite =
            Sqlite::open(&context.directory()?, data, Synchronous::Full, Sharing::OneForAll)?;
        let mut peers: Vec<(&str, Arc<dyn Peer>)> =
            vec![("tandem", Arc::new(tandem)), ("sqlite, one connection", Arc::new(sqlite))];
        peers.extend(by_hand(context, true)?);
        let transfers = Arc::new(Transfers::new(*data));
        let mut lines = Vec::new();
        for rate in RATES {
            let arrivals = Arc::new(Arrivals {
                transfers: transfers.clone(),
                rate: f64::from(rate) / *many as f64,
            });
            for (name, peer) in &peers {
                lines.push(Line {
                    label: format!("{name}, {rate}/s"),
                    peer: peer.clone(),
                    workload: arrivals.clone(),
                    clients: *many,
                });
            }
        }
        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, data.len())?;
        Ok(Report::new(self.name(), self.about(), measured))
    }
}
