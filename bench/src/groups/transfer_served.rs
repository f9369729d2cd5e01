//! Transfers and reads over a socket, beside the servers that people know.

use std::sync::Arc;

use tandem_storage::Durability;

use super::{Context, Group, check_counts};
use crate::measure::{Line, measure};
use crate::peer::{Form, Peer, Result};
use crate::peers::postgres::{Postgres, Server};
use crate::peers::redis::Redis;
use crate::peers::served::Served;
use crate::report::Report;
use crate::workload::{PointReads, Transfers, Workload};

pub struct TransferServed;

impl Group for TransferServed {
    fn name(&self) -> &'static str {
        "transfer-served"
    }

    fn about(&self) -> &'static str {
        "the transfer and a read by key (decoded) over loopback, each client a thread with a \
         connection and one request under way; cpu µs and RSS are the server's alone"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let Context { data, many, .. } = context;
        let mut missing = Vec::new();
        let mut peers: Vec<(&str, Arc<dyn Peer>)> = Vec::new();
        for (name, durability, named) in [
            ("tandem", Durability::Sync, false),
            ("tandem named", Durability::Sync, true),
            ("tandem buffered", Durability::Buffered, false),
        ] {
            let served = Served::start_with(&context.directory()?, data, durability, named)?;
            peers.push((name, Arc::new(served)));
        }
        if let Some(server) = Server::start(&context.directory()?, 2 * many + 20)? {
            let load = |synchronous| Postgres::load(server.clone(), data, synchronous);
            peers.push(("postgresql on", Arc::new(load(true)?)));
            peers.push(("postgresql off", Arc::new(load(false)?)));
        } else {
            missing.push("PostgreSQL (Debian: apt-get install postgresql)");
        }
        for (name, always) in [("redis always", true), ("redis everysec", false)] {
            match Redis::start(&context.directory()?, data, always)? {
                Some(redis) => peers.push((name, Arc::new(redis))),
                None if always => missing.push("Redis (Debian: apt-get install redis-server)"),
                None => {}
            }
        }

        let transfers: Arc<dyn Workload> = Arc::new(Transfers::new(*data));
        let reads: Arc<dyn Workload> = Arc::new(PointReads { data: *data, form: Form::Value });
        let mut lines = Vec::new();
        for (what, workload) in [("", &transfers), ("get, ", &reads)] {
            for (suffix, clients) in [("", 1), (", many", *many)] {
                for (name, peer) in &peers {
                    // What a commit survives is nothing to a read.
                    if !what.is_empty()
                        && ["tandem named", "tandem buffered", "postgresql off", "redis everysec"]
                            .contains(name)
                    {
                        continue;
                    }
                    lines.push(Line {
                        label: format!("{what}{name}{suffix}"),
                        peer: peer.clone(),
                        workload: workload.clone(),
                        clients,
                    });
                }
            }
        }
        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, data.len())?;
        let mut report = Report::new(self.name(), self.about(), measured)
            .ratio("tandem, many", "postgresql on, many", Some(2.0))
            .ratio("tandem named, many", "postgresql on, many", None)
            .ratio("tandem, many", "redis always, many", None)
            .ratio("tandem", "postgresql on", None)
            .ratio("tandem", "redis always", None)
            .ratio("tandem buffered, many", "postgresql off, many", None)
            .ratio("tandem buffered, many", "redis everysec, many", None)
            .ratio("get, tandem, many", "get, postgresql on, many", None)
            .ratio("get, tandem, many", "get, redis always, many", None);
        for name in missing {
            report =
                report.note(format!("{name} is not installed here; its lines are left out.\n"));
        }
        Ok(report)
    }
}
