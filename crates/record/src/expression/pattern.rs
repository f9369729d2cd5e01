//! `$regexMatch`, `$regexFind`, `$regexFindAll`.

use std::borrow::Cow;

use serde_json::{Value, json};
use tandem_base::{Error, Result};

use crate::expression::evaluate::{Scope, evaluate};
use crate::expression::{Meter, Node, wrong};
use crate::pattern::{Flags, Pattern};

/// What is wanted of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whether,
    First,
    All,
}

/// A search in a text. A pattern that does not depend on the record is
/// compiled once.
#[derive(Clone, Debug)]
pub(super) struct Search {
    wanted: Wanted,
    operator: String,
    input: Node,
    pattern: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Compiled(Pattern),
    Nodes { pattern: Node, options: Node },
}

/// What compiling a pattern counts as.
const COMPILING: usize = 20_000;

impl Search {
    pub(super) fn new(wanted: Wanted, operator: &str, parts: Vec<Node>) -> Result<Self> {
        let Ok([input, pattern, options]) = <[Node; 3]>::try_from(parts) else {
            return Err(wrong(operator, "input and regex"));
        };
        let pattern = match (&pattern, &options) {
            (Node::Literal(Value::String(source)), Node::Missing) => {
                Source::Compiled(compile(operator, source, "")?)
            }
            (Node::Literal(Value::String(source)), Node::Literal(Value::String(options))) => {
                Source::Compiled(compile(operator, source, options)?)
            }
            _ => Source::Nodes { pattern, options },
        };
        Ok(Self { wanted, operator: operator.to_owned(), input, pattern })
    }

    pub(super) fn evaluate(&self, scope: &Scope<'_>, meter: &Meter<'_>) -> Result<Option<Value>> {
        let text = |node: &Node| -> Result<Option<String>> {
            match evaluate(node, scope, meter)?.as_deref() {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.clone())),
                Some(_) => Err(wrong(&self.operator, "strings")),
            }
        };
        let input = text(&self.input)?;
        let pattern = match &self.pattern {
            Source::Compiled(pattern) => Some(Cow::Borrowed(pattern)),
            Source::Nodes { pattern, options } => match (text(pattern)?, text(options)?) {
                (None, _) => None,
                (Some(source), options) => {
                    meter.spend(COMPILING)?;
                    let options = options.unwrap_or_default();
                    Some(Cow::Owned(compile(&self.operator, &source, &options)?))
                }
            },
        };
        let (Some(input), Some(pattern)) = (input, pattern) else {
            return Ok(Some(match self.wanted {
                Wanted::Whether => false.into(),
                Wanted::First => Value::Null,
                Wanted::All => json!([]),
            }));
        };
        meter.spend(input.len())?;
        Ok(Some(match self.wanted {
            Wanted::Whether => pattern.is_match(&input).into(),
            Wanted::First => {
                let mut found = Value::Null;
                pattern.each_match(&input, &mut |captures| {
                    found = described(&input, captures, 0, 0, meter)?;
                    Ok(false)
                })?;
                found
            }
            Wanted::All => {
                let mut found = Vec::new();
                // Where the match before began, in bytes and in characters.
                let mut place = (0, 0);
                pattern.each_match(&input, &mut |captures| {
                    let described = described(&input, captures, place.0, place.1, meter)?;
                    let start = captures.get(0).map_or(0, |whole| whole.start());
                    place = (start, place.1 + input[place.0..start].chars().count());
                    found.push(described);
                    Ok(true)
                })?;
                found.into()
            }
        }))
    }
}

/// `{match, idx, captures}`; `idx` counts characters, on from a place known in
/// bytes and characters.
fn described(
    input: &str,
    captures: &regex::Captures<'_>,
    from: usize,
    from_characters: usize,
    meter: &Meter<'_>,
) -> Result<Value> {
    let start = captures.get(0).map_or(0, |whole| whole.start());
    let index = from_characters + input[from..start].chars().count();
    let groups: Vec<Value> = captures
        .iter()
        .skip(1)
        .map(|group| group.map_or(Value::Null, |group| group.as_str().into()))
        .collect();
    let whole = captures.get(0).map_or("", |whole| whole.as_str());
    meter.room(4 + groups.len())?;
    meter.spend(start.saturating_sub(from) + whole.len() * (1 + groups.len()))?;
    Ok(json!({ "match": whole, "idx": index, "captures": groups }))
}

fn compile(operator: &str, source: &str, options: &str) -> Result<Pattern> {
    let flags = Flags::parse(options)
        .ok_or_else(|| wrong(operator, "letters of \"imsx\" as \"options\""))?;
    Pattern::compile(source, flags).map_err(|problem| {
        Error::validation(format!("The pattern of \"{operator}\" {problem}"))
            .with("operator", operator)
    })
}
