//! Aggregation pipelines: stages that each make documents of documents, with
//! MongoDB's meaning.
//!
//! ```text
//! [{$match}, {$sort}, {$skip}, {$limit},   {$group}, {$project}, …]
//!  └────────── the source ────────────┘    └────── the rest ──────┘
//!   one read, planned like any other        documents pushed from stage to
//!   (indexes, order, limit)                 stage, one at a time
//! ```
//! * What leads the pipeline and a [`Query`](crate::Query) can express is read
//!   as one, so it uses indexes and remembers what it read like any read. The
//!   answer does not depend on the plan: rows come in the order asked for, or in
//!   natural order, unless nothing that follows can tell.
//! * `$group` answers its groups in the order of `_id`, a set in the order of
//!   its values; MongoDB leaves both open.
//! * Documents are pushed, not collected, except where a stage has to see all
//!   of them (`$sort`, `$group`, `$facet`). What these hold, the result
//!   included, is bounded in bytes ([`pipeline_bytes`]), and what all stages do
//!   together is bounded in work ([`pipeline_work`]).
//! * One pipeline is one statement: all it reads, other buckets included, is of
//!   one state.
//!
//! [`pipeline_bytes`]: crate::QueryLimits::pipeline_bytes
//! [`pipeline_work`]: crate::QueryLimits::pipeline_work

mod group;
mod lookup;
mod parse;
mod project;
mod run;
mod sort;
mod source;
mod stage;
mod unwind;

use serde_json::{Value, json};
use tandem_base::Result;
use tandem_record::Records;
use tandem_record::expression::Bindings;
use tandem_transaction::Transaction;

use crate::execute::Examined;
use crate::query::QueryLimits;
use run::Run;
use source::Source;
use stage::Stage;

/// How many stages a pipeline may have, those of its inner pipelines included.
pub const MAX_STAGES: usize = 200;

/// How deep pipelines may stand inside `$lookup` and `$facet`.
pub const MAX_PIPELINE_DEPTH: usize = 5;

/// A parsed pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    source: Source,
    stages: Vec<Stage>,
    /// Every bucket that an inner pipeline or a `$lookup` reads.
    others: Vec<String>,
}

impl Pipeline {
    /// Parses an array of stages. `now_ms` is what `$$NOW` stands for.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the stage, and what is wrong in it;
    /// `LIMIT_EXCEEDED` naming `pipelineStages` or `pipelineDepth`.
    pub fn parse(pipeline: &Value, now_ms: u64) -> Result<Self> {
        let bindings = Bindings { now_ms: Some(now_ms), ..Bindings::default() };
        parse::pipeline(pipeline, &bindings)
    }

    /// The buckets that it reads besides its own.
    #[must_use]
    pub fn other_buckets(&self) -> &[String] {
        &self.others
    }
}

/// The documents that a pipeline makes of a bucket's records, in one statement.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for operands of the wrong type;
/// `LIMIT_EXCEEDED` naming `pipelineBytes`, `pipelineWork`, `expressionWork`,
/// `resultRows`, `sortRows` or `groups`.
pub fn run_pipeline(
    records: &Records,
    tx: &mut Transaction,
    bucket: &str,
    pipeline: &Pipeline,
    limits: &QueryLimits,
) -> Result<Vec<Value>> {
    tx.read_statement(|tx| {
        let run = Run::new(records, tx, *limits);
        run.pipeline(bucket, None, pipeline, &mut Examined::default(), &mut None)
    })
}

/// Runs a pipeline and says how its source was read, as
/// [`explain`](crate::explain) does, and which `stages` were left to do on what
/// it delivered.
///
/// # Errors
/// As [`run_pipeline`].
pub fn explain_pipeline(
    records: &Records,
    tx: &mut Transaction,
    bucket: &str,
    pipeline: &Pipeline,
    limits: &QueryLimits,
) -> Result<Value> {
    tx.read_statement(|tx| {
        let run = Run::new(records, tx, *limits);
        let mut examined = Examined::default();
        let mut explained = Some(json!({}));
        let found = run.pipeline(bucket, None, pipeline, &mut examined, &mut explained)?;
        let mut explained = explained.unwrap_or_default();
        explained["entriesExamined"] = examined.entries.into();
        explained["rowsExamined"] = examined.rows.into();
        explained["rowsReturned"] = found.len().into();
        explained["stages"] = pipeline.stages.iter().map(Stage::name).collect();
        Ok(explained)
    })
}
