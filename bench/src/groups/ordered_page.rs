//! A page of records in an index's order, from a small table and from a large one.

use std::sync::Arc;

use tandem::Limits;
use tandem_storage::{DiskOptions, Durability};

use super::{Context, Group};
use crate::data::{DataSet, LOWEST_BALANCE};
use crate::measure::{Line, Part, measure};
use crate::peer::{Client, Form, Peer, Result};
use crate::peers::by_hand::ByHand;
use crate::peers::fjall::Fjall;
use crate::peers::sqlite::{Sharing, Sqlite, Synchronous};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::workload::Workload;

pub struct OrderedPage;

/// SQLite has a memory map of this size, beside a page cache of 64 MiB.
const MEMORY: usize = 1 << 30;

/// Records of a page.
const PAGE: usize = 50;

impl Group for OrderedPage {
    fn name(&self) -> &'static str {
        "ordered-page"
    }

    fn about(&self) -> &'static str {
        "50 records in the order of their balances from a random one on, as JSON text, out of a \
         table of a tenth of the records and out of one of all; the cost is to be independent of \
         the size. Each page was read once before. Every store may use as much memory as SQLite \
         does, which has a memory map of 1 GiB and a page cache of 64 MiB: Tandem half of the \
         first for ranges and half for blocks, and the second for records, fjall the sum for \
         blocks; the lines \"defaults\" have what a store has unless told otherwise"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let mut lines = Vec::new();
        for (size, data) in
            [("small", DataSet::new(context.large.len() / 10)), ("large", context.large)]
        {
            let directory = || context.directory();
            let defaults = Limits::default().transaction;
            let (records, ranges) = (defaults.record_cache_bytes, defaults.range_cache_bytes);
            let sizes = |bytes| DiskOptions { cache_bytes: bytes as u64, ..DiskOptions::default() };
            let tandem = |sizes, ranges| {
                let (directory, caches) = (directory()?, [records, ranges]);
                Tandem::with_sizes(&directory, &data, Durability::Buffered, sizes, caches)
            };
            let fjall = |sizes| ByHand::load(Fjall::with(&directory()?, false, &sizes)?, &data);
            let sqlite = Sqlite::open(&directory()?, &data, Synchronous::Off, Sharing::OneEach)?;
            let mut peers: Vec<(&str, Arc<dyn Peer>)> = vec![
                ("tandem", Arc::new(tandem(sizes(MEMORY / 2), MEMORY / 2)?)),
                ("sqlite", Arc::new(sqlite)),
                ("fjall by hand", Arc::new(fjall(sizes(MEMORY + records))?)),
            ];
            if size == "large" {
                let defaults = DiskOptions::default();
                peers.push(("tandem, defaults", Arc::new(tandem(defaults.clone(), ranges)?)));
                peers.push(("fjall by hand, defaults", Arc::new(fjall(defaults)?)));
            }
            let pages: Arc<dyn Workload> = Arc::new(Pages { data });
            for (name, peer) in peers {
                read_all(&mut *peer.connect()?, &data)?;
                let label = format!("{name}, {size}");
                lines.push(Line { label, peer, workload: pages.clone(), clients: 1 });
            }
        }
        let measured = measure(&lines, &context.plan)?;
        Ok(Report::new(self.name(), self.about(), measured)
            .ratio("tandem, large", "sqlite, large", Some(1.5))
            .ratio("tandem, large", "fjall by hand, large", None)
            .ratio("tandem, defaults, large", "sqlite, large", None)
            // One level more in a tree is no dependence on the size.
            .ratio("tandem, large", "tandem, small", Some(0.7))
            .ratio("sqlite, large", "sqlite, small", None)
            .ratio("fjall by hand, large", "fjall by hand, small", None)
            .note(format!(
                "The large table has {} records, the small one a tenth of them.\n",
                context.large.len()
            )))
    }
}

/// Reads each page once.
fn read_all(client: &mut dyn Client, data: &DataSet) -> Result<()> {
    for first in (0..data.len()).step_by(PAGE) {
        client.read_balances(LOWEST_BALANCE + first as i64, PAGE, Form::Text)?;
    }
    Ok(())
}

pub(super) struct Pages {
    pub(super) data: DataSet,
}

impl Workload for Pages {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| {
            let first = random.below(self.data.len().saturating_sub(PAGE).max(1));
            let expected = PAGE.min(self.data.len() - first);
            match client.read_balances(LOWEST_BALANCE + first as i64, PAGE, Form::Text)? {
                found if found == expected => Ok(0),
                found => Err(format!("a page of {found} records and not {expected}").into()),
            }
        })
    }
}
