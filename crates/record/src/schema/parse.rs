//! From JSON to field definitions. What is not understood is refused, so that
//! no rule is ever silently without effect.

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::pattern::{Flags, Pattern};
use crate::schema::definition::Named;
use crate::schema::{
    FieldDefinition, FieldType, Generated, MAX_SCHEMA_NESTING, OnDelete, ReferenceTo,
};

pub(super) fn top_level(name: &str, definition: &Value) -> Result<FieldDefinition> {
    parse(name, definition, 0)
}

/// A `VALIDATION_ERROR` that names the field and the rule.
pub(super) fn invalid(field: &str, rule: &str, problem: &str) -> Error {
    Error::validation(format!("Invalid definition of field \"{field}\": {rule}: {problem}"))
        .with("field", field)
        .with("rule", rule)
}

fn parse(field: &str, definition: &Value, depth: usize) -> Result<FieldDefinition> {
    if depth > MAX_SCHEMA_NESTING {
        let problem = format!("deeper than {MAX_SCHEMA_NESTING} levels");
        return Err(invalid(field, "nesting", &problem));
    }
    let Value::Object(rules) = definition else {
        return Err(Error::validation(format!(
            "Invalid definition of field \"{field}\": expected object"
        ))
        .with("field", field));
    };
    let reader = Reader { field, rules, depth };
    reader.check_names()?;
    let definition = FieldDefinition {
        field_type: reader.word("type")?,
        required: reader.flag("required")?,
        default: rules.get("default").cloned(),
        generated: reader.word("generated")?,
        allowed: reader.allowed()?,
        format: reader.word("format")?,
        min: reader.number("min")?,
        max: reader.number("max")?,
        min_length: reader.length("minLength")?,
        max_length: reader.length("maxLength")?,
        pattern: reader.pattern()?,
        unique: reader.flag("unique")?,
        reference: reader.reference()?,
        properties: reader.properties()?,
        items: reader.items()?,
    };
    reader.check_together(&definition)?;
    Ok(definition)
}

const RULES: [&str; 16] = [
    "type",
    "required",
    "default",
    "generated",
    "enum",
    "format",
    "min",
    "max",
    "minLength",
    "maxLength",
    "pattern",
    "unique",
    "ref",
    "onDelete",
    "properties",
    "items",
];

/// Rules about the record as a whole.
const TOP_LEVEL_RULES: [&str; 5] = ["default", "generated", "unique", "ref", "onDelete"];

struct Reader<'a> {
    field: &'a str,
    rules: &'a Map<String, Value>,
    depth: usize,
}

impl Reader<'_> {
    fn invalid(&self, rule: &str, problem: &str) -> Error {
        invalid(self.field, rule, problem)
    }

    fn check_names(&self) -> Result<()> {
        for rule in self.rules.keys().map(String::as_str) {
            if !RULES.contains(&rule) {
                return Err(self.invalid(rule, "unknown rule"));
            }
            if self.depth > 0 && TOP_LEVEL_RULES.contains(&rule) {
                return Err(self.invalid(rule, "only top-level fields can have it"));
            }
        }
        Ok(())
    }

    fn flag(&self, rule: &str) -> Result<bool> {
        match self.rules.get(rule) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.invalid(rule, "expected boolean")),
        }
    }

    fn text(&self, rule: &str) -> Result<Option<&str>> {
        match self.rules.get(rule) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(self.invalid(rule, "expected non-empty string")),
        }
    }

    fn word<T: Named>(&self, rule: &str) -> Result<Option<T>> {
        let Some(text) = self.text(rule)? else { return Ok(None) };
        let word = T::named(text).ok_or_else(|| {
            let known: Vec<_> = T::NAMES.iter().map(|(name, _)| *name).collect();
            self.invalid(
                rule,
                &format!("unknown \"{text}\", expected one of: {}", known.join(", ")),
            )
        })?;
        Ok(Some(word))
    }

    fn number(&self, rule: &str) -> Result<Option<serde_json::Number>> {
        match self.rules.get(rule) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.clone())),
            Some(_) => Err(self.invalid(rule, "expected number")),
        }
    }

    fn length(&self, rule: &str) -> Result<Option<u64>> {
        let Some(number) = self.number(rule)? else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as checked")]
        let from_float = |float: f64| {
            (float.fract() == 0.0 && (0.0..9e15).contains(&float)).then_some(float as u64)
        };
        let length = number.as_u64().or_else(|| number.as_f64().and_then(from_float));
        length.map(Some).ok_or_else(|| self.invalid(rule, "expected non-negative integer"))
    }

    fn allowed(&self) -> Result<Option<Vec<Value>>> {
        match self.rules.get("enum") {
            None => Ok(None),
            Some(Value::Array(allowed)) if !allowed.is_empty() => Ok(Some(allowed.clone())),
            Some(_) => Err(self.invalid("enum", "expected non-empty array")),
        }
    }

    fn pattern(&self) -> Result<Option<Pattern>> {
        let Some(source) = self.text("pattern")? else { return Ok(None) };
        Pattern::compile(source, Flags::default())
            .map(Some)
            .map_err(|problem| self.invalid("pattern", &format!("\"{source}\" {problem}")))
    }

    fn reference(&self) -> Result<Option<ReferenceTo>> {
        let on_delete = self.word::<OnDelete>("onDelete")?;
        match self.text("ref")? {
            Some(bucket) => Ok(Some(ReferenceTo {
                bucket: bucket.to_owned(),
                on_delete: on_delete.unwrap_or_default(),
            })),
            None if on_delete.is_some() => Err(self.invalid("onDelete", "there is no \"ref\"")),
            None => Ok(None),
        }
    }

    fn properties(&self) -> Result<Vec<(String, FieldDefinition)>> {
        let properties = match self.rules.get("properties") {
            None => return Ok(Vec::new()),
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(self.invalid("properties", "expected object")),
        };
        properties
            .iter()
            .map(|(name, definition)| {
                let path = format!("{}.{name}", self.field);
                Ok((name.clone(), parse(&path, definition, self.depth + 1)?))
            })
            .collect()
    }

    fn items(&self) -> Result<Option<Box<FieldDefinition>>> {
        let Some(items) = self.rules.get("items") else { return Ok(None) };
        let path = format!("{}[]", self.field);
        Ok(Some(Box::new(parse(&path, items, self.depth + 1)?)))
    }

    /// Rules that need a certain type, or that contradict each other.
    fn check_together(&self, definition: &FieldDefinition) -> Result<()> {
        use FieldType::{Array, Date, Number, Object, String};
        let generated: &[FieldType] = match definition.generated {
            Some(Generated::Uuid | Generated::Cuid) => &[String],
            Some(Generated::Autoincrement) => &[Number],
            Some(Generated::Timestamp) => &[Number, Date],
            None => &[],
        };
        for (rule, types) in [
            ("generated", generated),
            ("min", &[Number, Date][..]),
            ("max", &[Number, Date]),
            ("minLength", &[String, Date]),
            ("maxLength", &[String, Date]),
            ("pattern", &[String, Date]),
            ("format", &[String, Date]),
            ("properties", &[Object]),
            ("items", &[Array]),
        ] {
            if let Some(field_type) = definition.field_type
                && self.rules.contains_key(rule)
                && !types.contains(&field_type)
            {
                let problem = format!("does not apply to type \"{}\"", field_type.name());
                return Err(self.invalid(rule, &problem));
            }
        }
        let sets_null =
            definition.reference.as_ref().is_some_and(|to| to.on_delete == OnDelete::SetNull);
        if sets_null && definition.required {
            return Err(self.invalid("onDelete", "set_null on a required field"));
        }
        Ok(())
    }
}
