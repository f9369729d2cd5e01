//! What a second thread adds.

use std::sync::Arc;

use tandem_storage::Durability;

use super::{Context, Group, check_counts};
use crate::measure::{Line, measure};
use crate::peer::{Form, Peer, Result};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::{PointReads, Transfers, Workload};

pub struct Scaling;

impl Group for Scaling {
    fn name(&self) -> &'static str {
        "scaling"
    }

    fn about(&self) -> &'static str {
        "transfers that survive the death of the process, and reads by key, by one thread and by \
         two"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let data = context.data;
        let tandem = Tandem::open(&context.directory()?, &data, Durability::Buffered)?;
        let peer: Arc<dyn Peer> = Arc::new(tandem);
        let workloads: [(&str, Arc<dyn Workload>); 2] = [
            ("commit", Arc::new(Transfers::new(data))),
            ("read", Arc::new(PointReads { data, form: Form::Text })),
        ];
        let mut lines = Vec::new();
        for (name, workload) in workloads {
            for (threads, clients) in [("1 thread", 1), ("2 threads", 2)] {
                lines.push(Line {
                    label: format!("tandem, {name}, {threads}"),
                    peer: peer.clone(),
                    workload: workload.clone(),
                    clients,
                });
            }
        }
        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, data.len())?;
        Ok(Report::new(self.name(), self.about(), measured)
            .ratio("tandem, commit, 2 threads", "tandem, commit, 1 thread", Some(1.3))
            .ratio("tandem, read, 2 threads", "tandem, read, 1 thread", Some(1.8)))
    }
}
