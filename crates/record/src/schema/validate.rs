use serde_json::{Map, Number, Value};

use crate::row::Row;
use crate::schema::definition::Named;
use crate::schema::format;
use crate::schema::{Field, FieldDefinition, FieldType, Issue, Schema};
use crate::value::{compare_numbers, equal};

impl Schema {
    /// All ways in which a record breaks the schema, in the order of the
    /// schema; none for a good record. Cost: the defined fields.
    #[must_use]
    pub fn validate(&self, record: &Map<String, Value>) -> Vec<Issue> {
        let mut issues = Vec::new();
        for (name, definition) in self.fields() {
            let value = record.get(name).unwrap_or(&Value::Null);
            if *name == *self.key {
                validate_key(name, definition, value, &mut issues);
            } else {
                validate(name, definition, value, &mut issues);
            }
        }
        issues
    }

    /// The ways in which some fields of a record break the schema. Cost: those
    /// fields.
    pub(crate) fn validate_fields(
        &self,
        record: &Map<String, Value>,
        names: &[String],
    ) -> Vec<Issue> {
        let mut issues = Vec::new();
        for (name, definition) in self.fields().filter(|(name, _)| names.iter().any(|n| n == name))
        {
            let value = record.get(name).unwrap_or(&Value::Null);
            if *name == *self.key {
                validate_key(name, definition, value, &mut issues);
            } else {
                validate(name, definition, value, &mut issues);
            }
        }
        issues
    }

    /// All ways in which `record`, a stored record of the bucket, breaks the
    /// schema when these fields are replaced. Cost: the changed fields, and
    /// those that stored records were never checked against.
    pub(crate) fn validate_update(&self, record: &Row, changes: &[(&str, &Value)]) -> Vec<Issue> {
        let mut issues = Vec::new();
        for Field { name, definition, always_validated } in &*self.fields {
            match changes.iter().find(|(changed, _)| changed == name) {
                Some((_, value)) => validate(name, definition, value, &mut issues),
                None if *always_validated => {}
                None => {
                    let value = record.field(name).unwrap_or(Value::Null);
                    validate(name, definition, &value, &mut issues);
                }
            }
        }
        issues
    }
}

fn validate_key(name: &str, definition: &FieldDefinition, value: &Value, issues: &mut Vec<Issue>) {
    match value {
        Value::Null => issues.push(required(name)),
        Value::Object(_) | Value::Array(_) if definition.field_type.is_none() => {
            issues.push(wrong_type(name, "string, number or boolean", value));
        }
        _ => validate(name, definition, value, issues),
    }
}

fn required(field: &str) -> Issue {
    Issue::new(field, "required", "Field is required".to_owned())
}

fn wrong_type(field: &str, expected: &str, value: &Value) -> Issue {
    let got = type_of(value);
    Issue::new(field, "type", format!("Expected type \"{expected}\", got {got}"))
}

fn validate(field: &str, definition: &FieldDefinition, value: &Value, issues: &mut Vec<Issue>) {
    if value.is_null() {
        if definition.required {
            issues.push(required(field));
        }
        return;
    }
    if let Some(field_type) = definition.field_type
        && !has_type(field_type, value)
    {
        issues.push(wrong_type(field, field_type.name(), value));
        return;
    }
    if let Some(allowed) = &definition.allowed
        && !allowed.iter().any(|allowed| equal(allowed, value))
    {
        let list: Vec<_> = allowed.iter().map(crate::key::display).collect();
        let message = format!("Value must be one of: {}", list.join(", "));
        issues.push(Issue::new(field, "enum", message));
    }
    match value {
        Value::String(text) => validate_text(field, definition, text, issues),
        Value::Number(number) => validate_number(field, definition, number, issues),
        Value::Object(fields) => {
            for (name, property) in &definition.properties {
                let value = fields.get(name).unwrap_or(&Value::Null);
                validate(&format!("{field}.{name}"), property, value, issues);
            }
        }
        Value::Array(elements) => {
            if let Some(items) = &definition.items {
                for (index, element) in elements.iter().enumerate() {
                    validate(&format!("{field}[{index}]"), items, element, issues);
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn validate_text(field: &str, definition: &FieldDefinition, text: &str, issues: &mut Vec<Issue>) {
    if definition.min_length.is_some() || definition.max_length.is_some() {
        let length: u64 = text.chars().map(|character| character.len_utf16() as u64).sum();
        if let Some(min) = definition.min_length.filter(|min| length < *min) {
            issues.push(Issue::new(field, "minLength", format!("Minimum length is {min}")));
        }
        if let Some(max) = definition.max_length.filter(|max| length > *max) {
            issues.push(Issue::new(field, "maxLength", format!("Maximum length is {max}")));
        }
    }
    if let Some(pattern) = definition.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        let message = format!("Value must match pattern \"{}\"", pattern.source());
        issues.push(Issue::new(field, "pattern", message));
    }
    if let Some(format) = definition.format.filter(|format| !format::is_valid(*format, text)) {
        issues.push(Issue::new(field, "format", format!("Invalid {} format", format.name())));
    }
}

fn validate_number(
    field: &str,
    definition: &FieldDefinition,
    number: &Number,
    issues: &mut Vec<Issue>,
) {
    if let Some(min) = definition.min.as_ref().filter(|min| compare_numbers(number, min).is_lt()) {
        let message = format!("Minimum value is {}", number_text(min));
        issues.push(Issue::new(field, "min", message));
    }
    if let Some(max) = definition.max.as_ref().filter(|max| compare_numbers(number, max).is_gt()) {
        let message = format!("Maximum value is {}", number_text(max));
        issues.push(Issue::new(field, "max", message));
    }
}

fn has_type(field_type: FieldType, value: &Value) -> bool {
    match field_type {
        FieldType::String => value.is_string(),
        FieldType::Number => value.is_number(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Object => value.is_object(),
        FieldType::Array => value.is_array(),
        FieldType::Date => value.is_string() || value.is_number(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A number as JavaScript shows it: `1.0` is `1`.
fn number_text(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
