//! `$group`: one document for each value of an expression.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};
use tandem_record::expression::{Accumulation, Accumulator, Bindings, Expression};
use tandem_record::key;
use tandem_record::value::footprint;

use crate::execute::Step;
use crate::pipeline::parse::{check_name, wrong};
use crate::pipeline::run::{Next, Run, Sink};

/// By what to group, and what to compute.
#[derive(Clone, Debug)]
pub(super) struct Group {
    by: Expression,
    fields: Vec<(String, Accumulator)>,
}

impl Group {
    pub(super) fn new(by: Expression, fields: Vec<(String, Accumulator)>) -> Self {
        Self { by, fields }
    }

    pub(super) fn parse(operand: &Value, bindings: &Bindings) -> Result<Self> {
        let Value::Object(listed) = operand else { return Err(wrong("$group", "object")) };
        let by = listed.get("_id").ok_or_else(|| wrong("$group", "an \"_id\""))?;
        let by = Expression::parse(by, bindings)?;
        let fields = listed.iter().filter(|(name, _)| *name != "_id").map(|(name, value)| {
            check_name("$group", name)?;
            Ok((name.clone(), Accumulator::parse(name, value, bindings)?))
        });
        Ok(Self { by, fields: fields.collect::<Result<_>>()? })
    }

    /// Whether the answer is the same in whatever order documents come.
    pub(super) fn is_commutative(&self) -> bool {
        self.fields.iter().all(|(_, accumulator)| accumulator.is_commutative())
    }

    pub(super) fn sink<'r>(&'r self, run: &'r Run<'_>, next: Next<'r>) -> Next<'r> {
        Box::new(Grouping { run, group: self, groups: BTreeMap::new(), held: 0, next })
    }
}

struct Grouping<'r, 'a> {
    run: &'r Run<'a>,
    group: &'r Group,
    /// By the encoded value: equal values have equal bytes, in their order.
    groups: BTreeMap<Vec<u8>, Computed>,
    held: usize,
    next: Next<'r>,
}

struct Computed {
    id: Value,
    accumulations: Vec<Accumulation>,
}

impl Computed {
    fn held(&self) -> usize {
        self.accumulations.iter().map(Accumulation::held).sum()
    }
}

impl Sink for Grouping<'_, '_> {
    fn push(&mut self, document: Value) -> Result<Step> {
        let run = self.run;
        let id = self.group.by.evaluate(&document, &run.work)?.unwrap_or_default();
        let mut encoded = Vec::new();
        key::encode_ascending(&id, &mut encoded);
        run.work.spend(16 + encoded.len() as u64)?;
        let count = self.groups.len();
        let (computed, new) = match self.groups.entry(encoded) {
            Entry::Occupied(entry) => (entry.into_mut(), 0),
            Entry::Vacant(entry) => {
                let max = run.limits.groups;
                if count >= max {
                    return Err(Error::limit("groups", max as u64, max as u64 + 1));
                }
                let size = entry.key().len() + 64 + footprint(&id);
                let begin = |(_, accumulator): &(String, Accumulator)| accumulator.begin();
                let accumulations = self.group.fields.iter().map(begin).collect();
                let computed = Computed { id: id.clone(), accumulations };
                let size = size + computed.held();
                (entry.insert(computed), size)
            }
        };
        // 1 and 1.0 are one group: which of them is shown must not depend on
        // which came first.
        if computed.id != id {
            let (text, shown) = (id.to_string(), computed.id.to_string());
            if text < shown {
                computed.id = id;
            }
        }
        let before = computed.held();
        for ((_, accumulator), to) in self.group.fields.iter().zip(&mut computed.accumulations) {
            accumulator.add(to, &document, &run.work)?;
        }
        let after = computed.held();
        if after < before {
            run.release(before - after);
            self.held = self.held.saturating_sub(before - after);
        }
        let more = new + after.saturating_sub(before);
        self.held += more;
        run.hold(more)?;
        Ok(Step::More)
    }

    fn finish(&mut self) -> Result<()> {
        let groups = std::mem::take(&mut self.groups);
        for computed in groups.into_values() {
            let mut document = Map::new();
            document.insert("_id".to_owned(), computed.id);
            for ((name, _), made) in self.group.fields.iter().zip(computed.accumulations) {
                document.insert(name.clone(), made.finish());
            }
            if self.next.push(self.run.checked(Value::Object(document))?)? == Step::Enough {
                break;
            }
        }
        self.run.release(self.held);
        self.next.finish()
    }
}
