//! `$lookup`: the records of another bucket that belong to a document, as an
//! array in it. They are read like any other, so an index on the foreign field
//! serves them.

use serde_json::{Value, json};
use tandem_base::Result;
use tandem_record::expression::{Bindings, Expression};
use tandem_record::filter::Filter;
use tandem_record::value::{Path, footprint};

use crate::execute::{Examined, Step};
use crate::pipeline::Pipeline;
use crate::pipeline::parse::{self, Parser, wrong};
use crate::pipeline::run::{Next, Run, Sink};
use crate::pipeline::unwind::set;

#[derive(Clone, Debug)]
pub(super) struct Lookup {
    from: String,
    /// Local and foreign field, whose values must be equal.
    equal: Option<(Path, String)>,
    /// What the inner pipeline sees of the document.
    variables: Vec<(String, Expression)>,
    inner: Inner,
    into: Vec<String>,
}

#[derive(Clone, Debug)]
enum Inner {
    /// One that depends on no document.
    Parsed(Pipeline),
    /// One that is parsed with the variables of each document.
    Open { pipeline: Value, bindings: Bindings },
}

impl Lookup {
    pub(super) fn parse(operand: &Value, parser: &mut Parser<'_>, depth: usize) -> Result<Self> {
        const STAGE: &str = "$lookup";
        const KNOWN: [&str; 6] = ["from", "localField", "foreignField", "let", "pipeline", "as"];
        let Value::Object(fields) = operand else { return Err(wrong(STAGE, "object")) };
        if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(wrong(STAGE, &format!("no \"{name}\"")));
        }
        let text = |name: &str| -> Result<Option<&str>> {
            match fields.get(name) {
                None => Ok(None),
                Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
                Some(_) => Err(wrong(STAGE, &format!("non-empty string as \"{name}\""))),
            }
        };
        let from = text("from")?.ok_or_else(|| wrong(STAGE, "\"from\""))?;
        let into = text("as")?.ok_or_else(|| wrong(STAGE, "\"as\""))?;
        let into: Vec<String> = into.split('.').map(str::to_owned).collect();
        if into.len() > 50 || into.iter().any(|name| name.is_empty() || name.starts_with('$')) {
            return Err(wrong(STAGE, "a path as \"as\""));
        }
        let equal = match (text("localField")?, text("foreignField")?) {
            (Some(local), Some(foreign)) => {
                Path::parse(foreign)?;
                Some((Path::parse(local)?, foreign.to_owned()))
            }
            (None, None) => None,
            _ => return Err(wrong(STAGE, "both \"localField\" and \"foreignField\"")),
        };
        if equal.is_none() && !fields.contains_key("pipeline") {
            return Err(wrong(STAGE, "\"localField\" and \"foreignField\", or \"pipeline\""));
        }
        let variables = match fields.get("let") {
            None => Vec::new(),
            Some(Value::Object(listed)) => listed
                .iter()
                .map(|(name, value)| {
                    if !name.starts_with(|first: char| first.is_lowercase()) {
                        return Err(wrong(STAGE, "names of variables in \"let\""));
                    }
                    Ok((name.clone(), Expression::parse(value, parser.bindings)?))
                })
                .collect::<Result<_>>()?,
            Some(_) => return Err(wrong(STAGE, "object as \"let\"")),
        };
        parser.reads(from);
        let pipeline = fields.get("pipeline").cloned().unwrap_or_else(|| json!([]));
        let bindings = parser.bindings.clone();
        // Parsed now in any case, for its errors, its depth and its buckets.
        let mut known = bindings.clone();
        known.variables.extend(variables.iter().map(|(name, _)| (name.clone(), None)));
        let parsed = parser.with_bindings(&known, &pipeline, depth + 1)?;
        let inner = if variables.is_empty() {
            Inner::Parsed(parsed)
        } else {
            Inner::Open { pipeline, bindings }
        };
        Ok(Self { from: from.to_owned(), equal, variables, inner, into })
    }

    pub(super) fn sink<'r>(&'r self, run: &'r Run<'_>, next: Next<'r>) -> Next<'r> {
        Box::new(Looking { run, lookup: self, next, known: None })
    }

    /// The filter on the foreign field; null stands for missing.
    fn filter(&self, document: &Value) -> Result<Option<Filter>> {
        let (Some((local, foreign)), Some(fields)) = (&self.equal, document.as_object()) else {
            return Ok(None);
        };
        let mut values = Vec::new();
        local.any(fields, &mut |candidate| {
            match candidate {
                None => values.push(Value::Null),
                Some(Value::Array(elements)) => values.extend_from_slice(elements),
                Some(value) => values.push(value.clone()),
            }
            false
        });
        Filter::any_of(foreign, values).map(Some)
    }
}

struct Looking<'r, 'a> {
    run: &'r Run<'a>,
    lookup: &'r Lookup,
    next: Next<'r>,
    /// What every document gets, if that is the same for all.
    known: Option<Vec<Value>>,
}

impl Looking<'_, '_> {
    fn found(&mut self, document: &Value) -> Result<Vec<Value>> {
        let (run, lookup) = (self.run, self.lookup);
        if let Some(known) = &self.known {
            run.work.spend(known.iter().map(footprint).sum::<usize>() as u64)?;
            return Ok(known.clone());
        }
        let filter = lookup.filter(document)?;
        let read = |pipeline: &Pipeline| {
            let mut examined = Examined::default();
            run.pipeline(&lookup.from, filter.as_ref(), pipeline, &mut examined, &mut None)
        };
        let found = match &lookup.inner {
            Inner::Parsed(pipeline) => read(pipeline)?,
            Inner::Open { pipeline, bindings } => {
                let mut bindings = bindings.clone();
                for (name, value) in &lookup.variables {
                    let value = value.evaluate(document, &run.work)?;
                    bindings.variables.push((name.clone(), value));
                }
                run.work.spend(footprint(pipeline) as u64)?;
                read(&parse::pipeline(pipeline, &bindings)?)?
            }
        };
        if lookup.equal.is_none() && matches!(lookup.inner, Inner::Parsed(_)) {
            // Stays held: every document gets a copy.
            run.work.spend(found.iter().map(footprint).sum::<usize>() as u64)?;
            self.known = Some(found.clone());
        } else {
            run.release(found.iter().map(footprint).sum());
        }
        Ok(found)
    }
}

impl Sink for Looking<'_, '_> {
    fn push(&mut self, mut document: Value) -> Result<Step> {
        self.run.work.spend(1000)?;
        let found = self.found(&document)?;
        if let Some(fields) = document.as_object_mut() {
            set(fields, &self.lookup.into, found.into());
        }
        self.next.push(self.run.checked(document)?)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}
