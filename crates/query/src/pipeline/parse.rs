use serde_json::{Map, Value, json};
use tandem_base::{Error, Result};
use tandem_record::expression::{Accumulator, Bindings, Expression};
use tandem_record::filter::Filter;

use crate::order::SortPart;
use crate::pipeline::group::Group;
use crate::pipeline::lookup::Lookup;
use crate::pipeline::project::Projection;
use crate::pipeline::source::Source;
use crate::pipeline::stage::{Stage, depend_on_order};
use crate::pipeline::unwind::Unwind;
use crate::pipeline::{MAX_PIPELINE_DEPTH, MAX_STAGES, Pipeline};
use crate::query::parse_sort;

pub(super) fn pipeline(pipeline: &Value, bindings: &Bindings) -> Result<Pipeline> {
    Parser { bindings, stages: 0, others: Vec::new() }.pipeline(pipeline, 0)
}

/// A wrong stage, by its name.
pub(super) fn wrong(stage: &str, expected: &str) -> Error {
    Error::validation(format!("Invalid stage \"{stage}\": expected {expected}"))
        .with("stage", stage)
}

pub(super) struct Parser<'a> {
    pub(super) bindings: &'a Bindings,
    stages: usize,
    others: Vec<String>,
}

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, pipeline: &Value, depth: usize) -> Result<Pipeline> {
        let stages = self.stages(pipeline, depth)?;
        let (source, stages) = with_source(stages);
        Ok(Pipeline { source, stages, others: self.others.clone() })
    }

    /// The stages of a pipeline, all of them.
    fn stages(&mut self, pipeline: &Value, depth: usize) -> Result<Vec<Stage>> {
        if depth > MAX_PIPELINE_DEPTH {
            let (max, actual) = (MAX_PIPELINE_DEPTH as u64, depth as u64);
            return Err(Error::limit("pipelineDepth", max, actual));
        }
        let Value::Array(listed) = pipeline else {
            return Err(Error::validation("Missing or invalid \"pipeline\": expected array"));
        };
        let mut stages = Vec::with_capacity(listed.len().min(MAX_STAGES));
        for (at, stage) in listed.iter().enumerate() {
            self.stages += 1;
            if self.stages > MAX_STAGES {
                let max = MAX_STAGES as u64;
                return Err(Error::limit("pipelineStages", max, max + 1));
            }
            let one = stage.as_object().filter(|stage| stage.len() == 1);
            let Some((name, operand)) = one.and_then(|stage| stage.iter().next()) else {
                return Err(Error::validation(format!(
                    "pipeline[{at}]: expected object of one stage"
                )));
            };
            let parsed = self.stage(name, operand, depth);
            let parsed = parsed.map_err(|error| error.prefixed(&format!("pipeline[{at}]: ")));
            stages.extend(parsed?);
        }
        Ok(stages)
    }

    fn stage(&mut self, name: &str, operand: &Value, depth: usize) -> Result<Vec<Stage>> {
        let stage = match name {
            "$match" => Stage::Match(Filter::parse_with(operand, self.bindings)?),
            "$project" => Stage::Project(Projection::project(operand, self.bindings)?),
            "$addFields" | "$set" => {
                Stage::Project(Projection::add_fields(name, operand, self.bindings)?)
            }
            "$unset" => Stage::Project(Projection::unset(operand)?),
            "$replaceRoot" => {
                let root = operand.as_object().filter(|operand| operand.len() == 1);
                let root = root.and_then(|operand| operand.get("newRoot"));
                let root = root.ok_or_else(|| wrong(name, "object of \"newRoot\""))?;
                Stage::Replace(Expression::parse(root, self.bindings)?)
            }
            "$replaceWith" => Stage::Replace(Expression::parse(operand, self.bindings)?),
            "$group" => Stage::Group(Group::parse(operand, self.bindings)?),
            "$sort" => Stage::Sort(sort(operand)?),
            "$sortByCount" => {
                let by = match operand {
                    Value::String(text) if text.starts_with('$') => operand,
                    Value::Object(fields) if fields.keys().any(|f| f.starts_with('$')) => operand,
                    _ => return Err(wrong(name, "a field path or an operator")),
                };
                let count = vec![("count".to_owned(), Accumulator::counting())];
                let group = Group::new(Expression::parse(by, self.bindings)?, count);
                let order = parse_sort(&json!({ "count": -1 }))?;
                return Ok(vec![Stage::Group(group), Stage::Sort(order)]);
            }
            "$limit" => match count(operand) {
                Some(limit) if limit > 0 => Stage::Limit(limit),
                _ => return Err(wrong(name, "positive integer")),
            },
            "$skip" => {
                Stage::Skip(count(operand).ok_or_else(|| wrong(name, "non-negative integer"))?)
            }
            "$unwind" => Stage::Unwind(Unwind::parse(operand)?),
            "$count" => match operand.as_str() {
                Some(field)
                    if !field.is_empty() && !field.starts_with('$') && !field.contains('.') =>
                {
                    Stage::Count(field.to_owned())
                }
                _ => return Err(wrong(name, "a field's name")),
            },
            "$lookup" => Stage::Lookup(Box::new(Lookup::parse(operand, self, depth)?)),
            "$facet" => Stage::Facet(self.facets(operand, depth)?),
            _ => {
                return Err(
                    Error::validation(format!("Unknown stage \"{name}\"")).with("stage", name)
                );
            }
        };
        Ok(vec![stage])
    }

    fn facets(&mut self, operand: &Value, depth: usize) -> Result<Vec<(String, Pipeline)>> {
        let Some(listed) = operand.as_object().filter(|listed| !listed.is_empty()) else {
            return Err(wrong("$facet", "object of pipelines"));
        };
        let mut facets = Vec::with_capacity(listed.len());
        for (name, pipeline) in listed {
            check_name("$facet", name)?;
            let stages = self.stages(pipeline, depth + 1)?;
            if stages.iter().any(|stage| matches!(stage, Stage::Facet(_))) {
                return Err(wrong("$facet", "no \"$facet\" inside it"));
            }
            // What a facet is given comes from the stages before, not from a read.
            let source = Source::default();
            facets.push((name.clone(), Pipeline { source, stages, others: Vec::new() }));
        }
        Ok(facets)
    }

    /// A pipeline whose expressions see other variables.
    pub(super) fn with_bindings(
        &mut self,
        bindings: &Bindings,
        pipeline: &Value,
        depth: usize,
    ) -> Result<Pipeline> {
        let others = std::mem::take(&mut self.others);
        let mut inner = Parser { bindings, stages: self.stages, others };
        let parsed = inner.pipeline(pipeline, depth);
        (self.stages, self.others) = (inner.stages, inner.others);
        parsed
    }

    /// Remembers that a bucket is read.
    pub(super) fn reads(&mut self, bucket: &str) {
        if !self.others.iter().any(|known| known == bucket) {
            self.others.push(bucket.to_owned());
        }
    }
}

/// A name of a field that a stage makes.
pub(super) fn check_name(stage: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('$') || name.contains('.') {
        return Err(wrong(stage, &format!("a field's name, which \"{name}\" is not")));
    }
    Ok(())
}

fn count(operand: &Value) -> Option<usize> {
    let number = operand.as_u64().or_else(|| {
        let double = operand.as_f64().filter(|double| double.fract() == 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and in range, as checked"
        )]
        (0.0..9e15).contains(&double).then_some(double as u64)
    })?;
    usize::try_from(number).ok()
}

fn sort(operand: &Value) -> Result<Vec<SortPart>> {
    match operand.as_object().filter(|parts: &&Map<String, Value>| !parts.is_empty()) {
        Some(_) => parse_sort(operand),
        None => Err(wrong("$sort", "object of paths and directions")),
    }
}

/// Takes from the front what one read can do.
fn with_source(stages: Vec<Stage>) -> (Source, Vec<Stage>) {
    let mut source = Source::default();
    let mut filters = Vec::new();
    let mut rest = stages.into_iter().peekable();
    while let Some(Stage::Match(filter)) = rest.next_if(|stage| matches!(stage, Stage::Match(_))) {
        filters.push(filter);
    }
    if let Some(Stage::Sort(sort)) = rest.next_if(|stage| matches!(stage, Stage::Sort(_))) {
        source.sort = sort;
        // What matches does not depend on the order.
        while let Some(Stage::Match(filter)) =
            rest.next_if(|stage| matches!(stage, Stage::Match(_)))
        {
            filters.push(filter);
        }
    }
    while let Some(Stage::Skip(skip)) = rest.next_if(|stage| matches!(stage, Stage::Skip(_))) {
        source.skip = source.skip.saturating_add(skip);
    }
    while let Some(Stage::Limit(limit)) = rest.next_if(|stage| matches!(stage, Stage::Limit(_))) {
        source.limit = Some(source.limit.map_or(limit, |before| before.min(limit)));
    }
    if !filters.is_empty() {
        source.filter = Some(Filter::every(&filters));
    }
    let rest: Vec<Stage> = rest.collect();
    source.any_order = source.sort.is_empty()
        && source.skip == 0
        && source.limit.is_none()
        && !depend_on_order(&rest);
    (source, rest)
}
