//! Running a pipeline: each stage is a sink that is pushed documents and pushes
//! what it makes of them on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};
use tandem_record::Records;
use tandem_record::expression::{Expression, Work};
use tandem_record::filter::Filter;
use tandem_record::row::MAX_RECORD_BYTES;
use tandem_record::value::{footprint, weight};
use tandem_transaction::Transaction;

use crate::execute::{Examined, Step};
use crate::pipeline::Pipeline;
use crate::pipeline::stage::Stage;
use crate::query::QueryLimits;

/// What a push to any stage counts as work.
const PUSH: u64 = 16;

/// One run of a pipeline, its inner pipelines included.
pub(super) struct Run<'a> {
    pub(super) records: &'a Records,
    pub(super) tx: &'a Transaction,
    pub(super) limits: QueryLimits,
    pub(super) work: Work,
    /// About the bytes that all stages hold.
    held: Cell<usize>,
}

/// What is pushed documents. After `Enough` it is pushed no more; in the end it
/// is told so once.
pub(super) trait Sink {
    fn push(&mut self, document: Value) -> Result<Step>;
    fn finish(&mut self) -> Result<()>;
}

pub(super) type Next<'r> = Box<dyn Sink + 'r>;

impl<'a> Run<'a> {
    pub(super) fn new(records: &'a Records, tx: &'a Transaction, limits: QueryLimits) -> Self {
        let work = Work::new(limits.pipeline_work);
        Self { records, tx, limits, work, held: Cell::new(0) }
    }

    /// Everything that a pipeline makes of the records of a bucket that match
    /// `extra`. What it answers counts as held until the run ends, unless it is
    /// given back.
    pub(super) fn pipeline(
        &self,
        bucket: &str,
        extra: Option<&Filter>,
        pipeline: &Pipeline,
        examined: &mut Examined,
        explained: &mut Option<Value>,
    ) -> Result<Vec<Value>> {
        let out = Rc::new(RefCell::new(Vec::new()));
        let mut first = self.chain(&pipeline.stages, self.collector(&out));
        let source = &pipeline.source;
        let (records, tx, limits) = (self.records, self.tx, &self.limits);
        source.visit(records, tx, bucket, extra, limits, examined, explained, &mut |row| {
            self.work.spend(row.body().len() as u64)?;
            first.push(row.to_value()?)
        })?;
        first.finish()?;
        drop(first);
        Ok(out.take())
    }

    pub(super) fn collector<'r>(&'r self, out: &Rc<RefCell<Vec<Value>>>) -> Next<'r> {
        Box::new(Collector { run: self, out: out.clone() })
    }

    /// The stages, the last of which pushes to `last`.
    pub(super) fn chain<'r>(&'r self, stages: &'r [Stage], last: Next<'r>) -> Next<'r> {
        let mut next = last;
        for (at, stage) in stages.iter().enumerate().rev() {
            next = match stage {
                Stage::Match(filter) => Box::new(Match { run: self, filter, next }),
                Stage::Project(projection) => {
                    let change = move |document| projection.apply(document, &self.work);
                    Box::new(Change { run: self, change, next })
                }
                Stage::Replace(root) => {
                    let change = move |document| replaced(root, &document, &self.work);
                    Box::new(Change { run: self, change, next })
                }
                Stage::Limit(limit) => Box::new(Limit { left: *limit, next }),
                Stage::Skip(skip) => Box::new(Skip { left: *skip, next }),
                Stage::Count(name) => Box::new(Count { name, count: 0, next }),
                Stage::Group(group) => group.sink(self, next),
                Stage::Sort(parts) => {
                    // A limit right behind says how many are to be kept.
                    let keep = match stages.get(at + 1) {
                        Some(Stage::Limit(limit)) => Some(*limit),
                        _ => None,
                    };
                    super::sort::sink(self, parts, keep, next)
                }
                Stage::Unwind(unwind) => unwind.sink(self, next),
                Stage::Lookup(lookup) => lookup.sink(self, next),
                Stage::Facet(facets) => {
                    let facet = |(name, pipeline): &'r (String, Pipeline)| {
                        let out = Rc::new(RefCell::new(Vec::new()));
                        let first = self.chain(&pipeline.stages, self.collector(&out));
                        Facet { name, first, out, enough: false }
                    };
                    Box::new(Facets { run: self, facets: facets.iter().map(facet).collect(), next })
                }
            };
        }
        next
    }

    /// Counts bytes as held.
    pub(super) fn hold(&self, bytes: usize) -> Result<()> {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        let max = self.limits.pipeline_bytes;
        if held > max {
            return Err(Error::limit("pipelineBytes", max as u64, held as u64));
        }
        Ok(())
    }

    /// Counts them no longer.
    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// A document that a stage has made, which must not be larger or deeper
    /// than a record.
    pub(super) fn checked(&self, document: Value) -> Result<Value> {
        let size = weight(&document, 1)?;
        self.work.spend(size as u64)?;
        if size > MAX_RECORD_BYTES {
            return Err(Error::limit("recordBytes", MAX_RECORD_BYTES as u64, size as u64));
        }
        Ok(document)
    }
}

/// The end of a pipeline.
struct Collector<'r, 'a> {
    run: &'r Run<'a>,
    out: Rc<RefCell<Vec<Value>>>,
}

impl Sink for Collector<'_, '_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        self.run.work.spend(PUSH)?;
        self.run.hold(footprint(&document))?;
        let mut out = self.out.borrow_mut();
        let max = self.run.limits.result_rows;
        if out.len() >= max {
            return Err(Error::limit("resultRows", max as u64, max as u64 + 1));
        }
        out.push(document);
        Ok(Step::More)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Match<'r, 'a> {
    run: &'r Run<'a>,
    filter: &'r Filter,
    next: Next<'r>,
}

impl Sink for Match<'_, '_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        self.run.work.spend(PUSH)?;
        if self.filter.try_matches_value(&document)? {
            self.next.push(document)
        } else {
            Ok(Step::More)
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

/// One document for each.
struct Change<'r, 'a, C> {
    run: &'r Run<'a>,
    change: C,
    next: Next<'r>,
}

impl<C: FnMut(Value) -> Result<Value>> Sink for Change<'_, '_, C> {
    fn push(&mut self, document: Value) -> Result<Step> {
        self.run.work.spend(PUSH)?;
        let changed = (self.change)(document)?;
        self.next.push(self.run.checked(changed)?)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

fn replaced(root: &Expression, document: &Value, work: &Work) -> Result<Value> {
    match root.evaluate(document, work)? {
        Some(root @ Value::Object(_)) => Ok(root),
        _ => Err(super::parse::wrong("$replaceRoot", "an object as the new root")),
    }
}

struct Limit<'r> {
    left: usize,
    next: Next<'r>,
}

impl Sink for Limit<'_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        if self.left == 0 {
            return Ok(Step::Enough);
        }
        self.left -= 1;
        let step = self.next.push(document)?;
        Ok(if self.left == 0 { Step::Enough } else { step })
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

struct Skip<'r> {
    left: usize,
    next: Next<'r>,
}

impl Sink for Skip<'_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        if self.left > 0 {
            self.left -= 1;
            return Ok(Step::More);
        }
        self.next.push(document)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}

/// How many there were; nothing for none.
struct Count<'r> {
    name: &'r str,
    count: u64,
    next: Next<'r>,
}

impl Sink for Count<'_> {
    fn push(&mut self, _: Value) -> Result<Step> {
        self.count += 1;
        Ok(Step::More)
    }

    fn finish(&mut self) -> Result<()> {
        if self.count > 0 {
            let mut document = Map::new();
            document.insert(self.name.to_owned(), self.count.into());
            self.next.push(Value::Object(document))?;
        }
        self.next.finish()
    }
}

/// Several pipelines over the same documents, and one document of their
/// results.
struct Facets<'r, 'a> {
    run: &'r Run<'a>,
    facets: Vec<Facet<'r>>,
    next: Next<'r>,
}

struct Facet<'r> {
    name: &'r str,
    first: Next<'r>,
    out: Rc<RefCell<Vec<Value>>>,
    enough: bool,
}

impl Sink for Facets<'_, '_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        for facet in self.facets.iter_mut().filter(|facet| !facet.enough) {
            self.run.work.spend(PUSH + footprint(&document) as u64)?;
            facet.enough = facet.first.push(document.clone())? == Step::Enough;
        }
        let all = self.facets.iter().all(|facet| facet.enough);
        Ok(if all { Step::Enough } else { Step::More })
    }

    fn finish(&mut self) -> Result<()> {
        let mut document = Map::new();
        let mut held = 0;
        for facet in &mut self.facets {
            facet.first.finish()?;
            let found = Value::Array(facet.out.take());
            held += footprint(&found);
            document.insert(facet.name.to_owned(), found);
        }
        self.run.release(held);
        self.next.push(self.run.checked(Value::Object(document))?)?;
        self.next.finish()
    }
}
