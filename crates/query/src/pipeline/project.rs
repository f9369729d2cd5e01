//! `$project`, `$addFields` and `$unset`: a tree of what becomes of the fields.
//!
//! ```text
//! {"a.b": 1, "a.c": "$x", "d": 1}      a ─┬─ b  kept
//!                                         └─ c  computed
//!                                      d ──── kept
//! ```
//! A branch goes into an object, and into each element of an array. Computed
//! values see the document as it was before the stage.

use serde_json::{Map, Value};
use tandem_base::{Error, Result};
use tandem_record::expression::{Bindings, Expression, Work};
use tandem_record::value::footprint;

use crate::pipeline::parse::wrong;

/// The key that a `$group` gives its documents. As in MongoDB it is kept unless
/// it is listed with 0.
const ID: &str = "_id";

#[derive(Clone, Debug)]
pub(super) struct Projection {
    kind: Kind,
    tree: Tree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Include,
    Exclude,
    Add,
}

type Tree = Vec<(String, Spec)>;

#[derive(Clone, Debug)]
enum Spec {
    Keep,
    Drop,
    Compute(Expression),
    Inside(Tree),
}

impl Projection {
    pub(super) fn project(operand: &Value, bindings: &Bindings) -> Result<Self> {
        const STAGE: &str = "$project";
        let Some(fields) = operand.as_object().filter(|fields| !fields.is_empty()) else {
            return Err(wrong(STAGE, "object of fields"));
        };
        let mut tree = Tree::new();
        for (name, value) in fields {
            grow(STAGE, &mut tree, name, value, bindings, 0)?;
        }
        let drops_id = tree.iter().any(|(name, spec)| name == ID && matches!(spec, Spec::Drop));
        let others =
            || tree.iter().filter(|(name, spec)| name != ID || !matches!(spec, Spec::Drop));
        let keeps = others().any(|(_, spec)| spec.has(|spec| !matches!(spec, Spec::Drop)));
        let drops = others().any(|(_, spec)| spec.has(|spec| matches!(spec, Spec::Drop)));
        let kind = match (keeps, drops) {
            (true, true) => {
                return Err(wrong(STAGE, "fields to keep or fields to leave out, not both"));
            }
            (true, false) => Kind::Include,
            (false, _) => Kind::Exclude,
        };
        if kind == Kind::Include {
            tree.retain(|(name, spec)| name != ID || !matches!(spec, Spec::Drop));
            if !drops_id && !tree.iter().any(|(name, _)| name == ID) {
                tree.insert(0, (ID.to_owned(), Spec::Keep));
            }
        }
        Ok(Self { kind, tree })
    }

    pub(super) fn add_fields(stage: &str, operand: &Value, bindings: &Bindings) -> Result<Self> {
        let Some(fields) = operand.as_object().filter(|fields| !fields.is_empty()) else {
            return Err(wrong(stage, "object of fields"));
        };
        let mut tree = Tree::new();
        for (name, value) in fields {
            grow(stage, &mut tree, name, value, bindings, 0)?;
        }
        Ok(Self { kind: Kind::Add, tree })
    }

    pub(super) fn unset(operand: &Value) -> Result<Self> {
        let names = match operand {
            Value::Array(names) if !names.is_empty() => names.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut tree = Tree::new();
        for name in names {
            let name = name.as_str().ok_or_else(|| wrong("$unset", "paths"))?;
            let flag = Value::Bool(false);
            grow("$unset", &mut tree, name, &flag, &Bindings::default(), 0)?;
        }
        Ok(Self { kind: Kind::Exclude, tree })
    }

    pub(super) fn stage_name(&self) -> &'static str {
        match self.kind {
            Kind::Include => "$project",
            Kind::Exclude => "$unset",
            Kind::Add => "$addFields",
        }
    }

    pub(super) fn apply(&self, mut document: Value, work: &Work) -> Result<Value> {
        match self.kind {
            Kind::Exclude => {
                leave_out(&self.tree, &mut document);
                Ok(document)
            }
            Kind::Add => {
                let computed = Computed::of(&self.tree, &document, work)?;
                add(&mut document, &computed, work)?;
                Ok(document)
            }
            Kind::Include => {
                let computed = Computed::of(&self.tree, &document, work)?;
                let fields = document.as_object().map_or(0, Map::len);
                work.spend((fields * self.tree.len()) as u64)?;
                let mut kept = keep(&self.tree, document).unwrap_or_default();
                add(&mut kept, &computed, work)?;
                Ok(kept)
            }
        }
    }
}

impl Spec {
    fn has(&self, test: fn(&Self) -> bool) -> bool {
        match self {
            Self::Inside(tree) => tree.iter().any(|(_, spec)| spec.has(test)),
            leaf => test(leaf),
        }
    }
}

/// Puts what `value` says about a dotted path into the tree.
fn grow(
    stage: &str,
    tree: &mut Tree,
    path: &str,
    value: &Value,
    bindings: &Bindings,
    depth: usize,
) -> Result<()> {
    let collides = || {
        Error::validation(format!("Invalid stage \"{stage}\": two paths collide at \"{path}\""))
            .with("stage", stage)
            .with("path", path)
    };
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    if first.is_empty() || first.starts_with('$') || depth > 50 {
        return Err(wrong(stage, &format!("a path, which \"{path}\" is not")));
    }
    let inside = match (rest, value) {
        (Some(_), _) => true,
        (None, Value::Object(fields)) => {
            !fields.is_empty() && !fields.keys().any(|name| name.starts_with('$'))
        }
        _ => false,
    };
    let at = tree.iter().position(|(name, _)| name == first);
    if !inside {
        if at.is_some() {
            return Err(collides());
        }
        tree.push((first.to_owned(), leaf(stage, value, bindings)?));
        return Ok(());
    }
    let at = at.unwrap_or_else(|| {
        tree.push((first.to_owned(), Spec::Inside(Tree::new())));
        tree.len() - 1
    });
    let Spec::Inside(inner) = &mut tree[at].1 else { return Err(collides()) };
    match (rest, value) {
        (Some(rest), _) => grow(stage, inner, rest, value, bindings, depth + 1),
        (None, Value::Object(fields)) => fields
            .iter()
            .try_for_each(|(name, value)| grow(stage, inner, name, value, bindings, depth + 1)),
        _ => Ok(()),
    }
}

fn leaf(stage: &str, value: &Value, bindings: &Bindings) -> Result<Spec> {
    let keeps = match value {
        Value::Bool(keeps) => Some(*keeps),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        _ => None,
    };
    Ok(match keeps {
        Some(keeps) if stage == "$project" || stage == "$unset" => {
            if keeps {
                Spec::Keep
            } else {
                Spec::Drop
            }
        }
        _ => Spec::Compute(Expression::parse(value, bindings)?),
    })
}

/// The computed values of a tree.
struct Computed<'t> {
    fields: Vec<(&'t str, Made<'t>)>,
}

enum Made<'t> {
    Value(Option<Value>),
    Inside(Computed<'t>),
}

impl<'t> Computed<'t> {
    fn of(tree: &'t Tree, document: &Value, work: &Work) -> Result<Self> {
        let mut fields = Vec::new();
        for (name, spec) in tree {
            match spec {
                Spec::Compute(expression) => {
                    let value = expression.evaluate(document, work)?;
                    fields.push((name.as_str(), Made::Value(value)));
                }
                Spec::Inside(inner) => {
                    let inner = Self::of(inner, document, work)?;
                    if !inner.fields.is_empty() {
                        fields.push((name.as_str(), Made::Inside(inner)));
                    }
                }
                Spec::Keep | Spec::Drop => {}
            }
        }
        Ok(Self { fields })
    }
}

/// Puts computed values into an object, into each element of an array, or into
/// an object in place of anything else.
fn add(value: &mut Value, computed: &Computed<'_>, work: &Work) -> Result<()> {
    if computed.fields.is_empty() {
        return Ok(());
    }
    if let Value::Array(elements) = value {
        return elements.iter_mut().try_for_each(|element| add(element, computed, work));
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(fields) = value else { return Ok(()) };
    for (name, made) in &computed.fields {
        match made {
            Made::Value(Some(made)) => {
                work.spend((name.len() + footprint(made)) as u64)?;
                fields.insert((*name).to_owned(), made.clone());
            }
            Made::Value(None) => drop(fields.shift_remove(*name)),
            Made::Inside(inner) => {
                work.spend(64)?;
                add(fields.entry(*name).or_insert(Value::Null), inner, work)?;
            }
        }
    }
    Ok(())
}

/// What a tree keeps of a value, fields in the value's order; nothing of what
/// is neither object nor array.
fn keep(tree: &Tree, value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter_map(|(name, value)| {
                let (_, spec) = tree.iter().find(|(known, _)| *known == name)?;
                let value = match spec {
                    Spec::Keep => Some(value),
                    Spec::Inside(inner) => keep(inner, value),
                    Spec::Drop | Spec::Compute(_) => None,
                };
                value.map(|value| (name, value))
            });
            Some(Value::Object(kept.collect()))
        }
        Value::Array(elements) => {
            let kept = elements.into_iter().filter_map(|element| keep(tree, element));
            Some(Value::Array(kept.collect()))
        }
        _ => None,
    }
}

fn leave_out(tree: &Tree, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, spec) in tree {
                match spec {
                    Spec::Drop => drop(fields.shift_remove(name)),
                    Spec::Inside(inner) => {
                        if let Some(value) = fields.get_mut(name) {
                            leave_out(inner, value);
                        }
                    }
                    Spec::Keep | Spec::Compute(_) => {}
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| leave_out(tree, element)),
        _ => {}
    }
}
