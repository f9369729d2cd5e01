//! `$sort` over documents that are not a bucket's records any more.

use serde_json::Value;
use tandem_base::Result;
use tandem_record::key;
use tandem_record::value::footprint;

use crate::execute::Step;
use crate::order::SortPart;
use crate::pipeline::run::{Next, Run, Sink};

/// Sorts by the parts, keeping equal ones in the order in which they came; with
/// `keep`, only that many.
pub(super) fn sink<'r>(
    run: &'r Run<'_>,
    parts: &'r [SortPart],
    keep: Option<usize>,
    next: Next<'r>,
) -> Next<'r> {
    Box::new(Sort { run, parts, keep, held: Vec::new(), next })
}

struct Sort<'r, 'a> {
    run: &'r Run<'a>,
    parts: &'r [SortPart],
    keep: Option<usize>,
    held: Vec<Ranked>,
    next: Next<'r>,
}

struct Ranked {
    key: Vec<u8>,
    size: usize,
    document: Value,
}

/// Beyond what is wanted, so many may wait to be sorted away.
const SLACK: usize = 256;

impl Sort<'_, '_> {
    fn sort(&mut self) {
        self.held.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(keep) = self.keep
            && self.held.len() > keep
        {
            for dropped in self.held.drain(keep..) {
                self.run.release(dropped.size);
            }
        }
    }
}

impl Sink for Sort<'_, '_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        let mut key = Vec::new();
        if let Some(fields) = document.as_object() {
            for part in self.parts {
                let value = part.path.collect(fields).unwrap_or_default();
                key::encode_part(&value, part.descending, &mut key);
            }
        }
        let size = key.len() + size_of::<Ranked>() + footprint(&document);
        self.run.work.spend(size as u64)?;
        self.run.hold(size)?;
        self.held.push(Ranked { key, size, document });
        if self.keep.is_some_and(|keep| self.held.len() >= keep.saturating_mul(2) + SLACK) {
            self.sort();
        }
        Ok(Step::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.sort();
        for Ranked { size, document, .. } in std::mem::take(&mut self.held) {
            self.run.release(size);
            if self.next.push(document)? == Step::Enough {
                break;
            }
        }
        self.next.finish()
    }
}
