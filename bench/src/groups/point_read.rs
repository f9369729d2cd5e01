//! Reading one record by its key: hot, and cold.
//!
//! Cold is what is in no cache of the store's own: neither records nor blocks are
//! kept, and the write buffers are so small that nearly all lies in tables. The
//! operating system still has the files in memory, so this is the price of finding,
//! reading, checking and decompressing a block, not that of the disk.

use std::sync::Arc;

use tandem_storage::{DiskOptions, Durability};

use super::{Context, Group, reading};
use crate::measure::{Line, measure};
use crate::peer::{Form, Peer, Result};
use crate::peers::by_hand::ByHand;
use crate::peers::fjall::Fjall;
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::PointReads;

pub struct PointRead;

impl Group for PointRead {
    fn name(&self) -> &'static str {
        "point-read"
    }

    fn about(&self) -> &'static str {
        "one record by a random key, all data in memory, and cold: in no cache of the store's; as \
         JSON text, and decoded"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let peers = reading::peers(context)?;
        let reads = |form| Arc::new(PointReads { data: context.data, form });
        let mut lines = reading::lines(&peers, |form| reads(form));
        for (name, peer) in cold(context)? {
            lines.push(Line { label: name.into(), peer, workload: reads(Form::Text), clients: 1 });
        }
        let measured = measure(&lines, &context.plan)?;
        Ok(reading::compare(Report::new(self.name(), self.about(), measured), 2.0, Some(1.0))
            .ratio("tandem, memory engine", "ordered map", Some(0.5))
            .ratio("tandem, cold", "fjall by hand, cold", Some(0.7)))
    }
}

fn cold(context: &Context) -> Result<[(&'static str, Arc<dyn Peer>); 2]> {
    let sizes = DiskOptions { cache_bytes: 0, write_buffer_bytes: 1 << 20, ..Default::default() };
    let (data, directory) = (&context.data, context.directory()?);
    let tandem = Tandem::with_sizes(&directory, data, Durability::Sync, sizes.clone(), [0, 0])?;
    let fjall = Fjall::with(&context.directory()?, true, &sizes)?;
    Ok([
        ("tandem, cold", Arc::new(tandem)),
        ("fjall by hand, cold", Arc::new(ByHand::load(fjall, data)?)),
    ])
}
