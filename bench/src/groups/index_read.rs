//! Reading twenty records through a secondary index, hot.

use std::sync::Arc;

use super::{Context, Group, reading};
use crate::measure::measure;
use crate::peer::Result;
use crate::report::Report;
use crate::workload::IndexReads;

pub struct IndexRead;

impl Group for IndexRead {
    fn name(&self) -> &'static str {
        "index-read"
    }

    fn about(&self) -> &'static str {
        "the 20 records of a random city through the index on it, spread over the keys, all data \
         in memory; as JSON text, and decoded"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let peers = reading::peers(context)?;
        let lines =
            reading::lines(&peers, |form| Arc::new(IndexReads { data: context.data, form }));
        let measured = measure(&lines, &context.plan)?;
        Ok(reading::compare(Report::new(self.name(), self.about(), measured), 1.5, None))
    }
}
