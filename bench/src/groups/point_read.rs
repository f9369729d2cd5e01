//! Reading one record by its key, hot.

use std::sync::Arc;

use super::{Context, Group, reading};
use crate::measure::measure;
use crate::peer::Result;
use crate::report::Report;
use crate::workload::PointReads;

pub struct PointRead;

impl Group for PointRead {
    fn name(&self) -> &'static str {
        "point-read"
    }

    fn about(&self) -> &'static str {
        "one record by a random key, all data in memory; as JSON text, and decoded"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let peers = reading::peers(context)?;
        let lines =
            reading::lines(&peers, |form| Arc::new(PointReads { data: context.data, form }));
        let measured = measure(&lines, &context.plan)?;
        Ok(reading::compare(Report::new(self.name(), self.about(), measured), Some(2.0)))
    }
}
