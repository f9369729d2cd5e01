//! Field definitions: strict at definition, exact at validation.

use serde_json::{Map, Value, json};
use tandem_base::{Environment, Error, Result};
use tandem_record::Path;
use tandem_record::schema::{OnDelete, Schema, validation_error};

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("not an object") };
    fields
}

fn parse(definitions: Value) -> Result<Schema> {
    let mut definitions = fields(definitions);
    definitions.entry("id").or_insert_with(|| json!({"type": "string"}));
    Schema::parse(&definitions, "id", &[])
}

fn issues(definition: &Value, value: &Value) -> Vec<String> {
    let schema = parse(json!({ "f": definition })).expect("a definition");
    let issues = schema.validate(&fields(json!({"id": "1", "f": value})));
    issues.iter().map(|issue| format!("{}|{}|{}", issue.field, issue.code, issue.message)).collect()
}

#[test]
fn each_rule_has_its_code_and_message() {
    for (definition, value, expected) in [
        (json!({"required": true}), json!(null), vec!["f|required|Field is required"]),
        (json!({"required": true}), json!(0), vec![]),
        (json!({"type": "string", "minLength": 3, "enum": ["a"]}), json!(null), vec![]),
        (json!({"type": "string"}), json!([]), vec![r#"f|type|Expected type "string", got array"#]),
        (
            json!({"type": "object"}),
            json!("x"),
            vec![r#"f|type|Expected type "object", got string"#],
        ),
        (json!({"type": "array"}), json!({}), vec![r#"f|type|Expected type "array", got object"#]),
        (
            json!({"type": "number"}),
            json!(true),
            vec![r#"f|type|Expected type "number", got boolean"#],
        ),
        (
            json!({"type": "boolean"}),
            json!(1),
            vec![r#"f|type|Expected type "boolean", got number"#],
        ),
        (json!({"type": "date"}), json!(true), vec![r#"f|type|Expected type "date", got boolean"#]),
        (json!({"type": "date"}), json!("any text"), vec![]),
        (json!({"type": "date"}), json!(-5), vec![]),
        (json!({}), json!({"any": [1]}), vec![]),
        (
            json!({"enum": ["a", 1, {"x": 1}]}),
            json!("b"),
            vec![r#"f|enum|Value must be one of: a, 1, {"x":1}"#],
        ),
        (json!({"enum": ["a", 1, {"x": 1}]}), json!(1.0), vec![]),
        (json!({"enum": ["a", 1, {"x": 1}]}), json!({"x": 1}), vec![]),
        (json!({"enum": ["1"]}), json!(1), vec!["f|enum|Value must be one of: 1"]),
        (json!({"minLength": 3}), json!("😀"), vec!["f|minLength|Minimum length is 3"]),
        (json!({"minLength": 2, "maxLength": 2}), json!("😀"), vec![]),
        (json!({"maxLength": 1.0}), json!("ab"), vec!["f|maxLength|Maximum length is 1"]),
        (
            json!({"pattern": "^[a-z]+$"}),
            json!("A"),
            vec![r#"f|pattern|Value must match pattern "^[a-z]+$""#],
        ),
        (json!({"pattern": "b"}), json!("abc"), vec![]),
        (json!({"format": "email"}), json!("x"), vec!["f|format|Invalid email format"]),
        (json!({"format": "url"}), json!("x"), vec!["f|format|Invalid url format"]),
        (
            json!({"format": "iso-date"}),
            json!("2023-02-29"),
            vec!["f|format|Invalid iso-date format"],
        ),
        (json!({"min": 1.0}), json!(0.5), vec!["f|min|Minimum value is 1"]),
        (json!({"max": 1.5}), json!(2), vec!["f|max|Maximum value is 1.5"]),
        (
            json!({"max": 9_007_199_254_740_992_u64}),
            json!(9_007_199_254_740_993_u64),
            vec!["f|max|Maximum value is 9007199254740992"],
        ),
        (json!({"min": 1, "max": 2}), json!("text"), vec![]),
        (
            json!({"type": "string", "enum": ["x"], "minLength": 5, "pattern": "z", "format": "email"}),
            json!("a"),
            vec![
                "f|enum|Value must be one of: x",
                "f|minLength|Minimum length is 5",
                r#"f|pattern|Value must match pattern "z""#,
                "f|format|Invalid email format",
            ],
        ),
        (
            json!({"type": "object", "properties": {"z": {"type": "number", "required": true}}}),
            json!({}),
            vec!["f.z|required|Field is required"],
        ),
        (
            json!({"type": "array", "items": {"type": "number", "min": 2}}),
            json!([1, "x", null, 2]),
            vec!["f[0]|min|Minimum value is 2", r#"f[1]|type|Expected type "number", got string"#],
        ),
        (
            json!({"items": {"properties": {"a": {"items": {"type": "string"}}}}}),
            json!([{"a": ["x", 1]}]),
            vec![r#"f[0].a[1]|type|Expected type "string", got number"#],
        ),
    ] {
        assert_eq!(issues(&definition, &value), expected, "{definition} and {value}");
    }
}

#[test]
fn a_key_is_a_string_number_or_boolean_and_always_there() {
    let schema = |definition| Schema::parse(&fields(json!({ "id": definition })), "id", &[]);
    let any = schema(json!({})).unwrap();
    for key in [json!("a"), json!(1), json!(false)] {
        assert!(any.validate(&fields(json!({ "id": key }))).is_empty());
    }
    for (record, code) in [
        (json!({}), "required"),
        (json!({"id": null}), "required"),
        (json!({"id": []}), "type"),
        (json!({"id": {}}), "type"),
    ] {
        let issues = any.validate(&fields(record));
        assert_eq!(issues.iter().map(|issue| issue.code).collect::<Vec<_>>(), [code]);
    }
    for bad in [
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"ref": "b", "onDelete": "set_null"}),
    ] {
        assert_eq!(schema(bad).unwrap_err().code().as_str(), "VALIDATION_ERROR");
    }
    assert!(Schema::parse(&Map::new(), "id", &[]).is_err());
}

#[test]
fn issues_come_in_schema_order_with_one_message_for_all() {
    let schema = parse(json!({"b": {"type": "string"}, "a": {"required": true}})).unwrap();
    let issues = schema.validate(&fields(json!({"id": "1", "b": 5, "unknown": {}})));
    let error = validation_error("users", &issues);
    assert_eq!(
        error.message(),
        r#"Validation failed for bucket "users": b: Expected type "string", got number; a: Field is required"#
    );
    assert_eq!(error.code().as_str(), "VALIDATION_ERROR");
    assert_eq!(
        error.details(),
        Some(&json!([
            {"field": "b", "message": "Expected type \"string\", got number", "code": "type"},
            {"field": "a", "message": "Field is required", "code": "required"},
        ]))
    );
}

#[test]
fn definitions_that_mean_nothing_are_refused_by_name() {
    for (definition, rule) in [
        (json!({"type": "text"}), "type"),
        (json!({"type": 5}), "type"),
        (json!({"typo": 1}), "typo"),
        (json!({"validate": "x"}), "validate"),
        (json!({"required": "yes"}), "required"),
        (json!({"unique": 1}), "unique"),
        (json!({"generated": "guid"}), "generated"),
        (json!({"type": "number", "generated": "uuid"}), "generated"),
        (json!({"type": "string", "generated": "autoincrement"}), "generated"),
        (json!({"type": "string", "generated": "timestamp"}), "generated"),
        (json!({"enum": "a"}), "enum"),
        (json!({"enum": []}), "enum"),
        (json!({"format": "uuid"}), "format"),
        (json!({"type": "number", "format": "email"}), "format"),
        (json!({"min": "1"}), "min"),
        (json!({"type": "string", "min": 1}), "min"),
        (json!({"type": "boolean", "max": 1}), "max"),
        (json!({"minLength": -1}), "minLength"),
        (json!({"maxLength": 1.5}), "maxLength"),
        (json!({"type": "array", "maxLength": 1}), "maxLength"),
        (json!({"pattern": "("}), "pattern"),
        (json!({"pattern": r"(a)\1"}), "pattern"),
        (json!({"type": "number", "pattern": "a"}), "pattern"),
        (json!({"ref": ""}), "ref"),
        (json!({"onDelete": "cascade"}), "onDelete"),
        (json!({"ref": "b", "onDelete": "explode"}), "onDelete"),
        (json!({"ref": "b", "onDelete": "set_null", "required": true}), "onDelete"),
        (json!({"properties": []}), "properties"),
        (json!({"type": "array", "properties": {}}), "properties"),
        (json!({"type": "object", "items": {}}), "items"),
    ] {
        let error: Error = parse(json!({ "f": definition })).unwrap_err();
        assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{definition}");
        assert_eq!(error.detail("rule"), Some(&json!(rule)), "{definition}");
        assert_eq!(error.detail("field"), Some(&json!("f")), "{definition}");
    }
    let nested = json!({"f": {"properties": {"a": {"items": {"type": "text"}}}}});
    assert_eq!(parse(nested).unwrap_err().detail("field"), Some(&json!("f.a[]")));
    let nested = json!({"f": {"properties": {"a": {"unique": true}}}});
    assert_eq!(parse(nested).unwrap_err().detail("rule"), Some(&json!("unique")));
    assert!(parse(json!({"f": "string"})).is_err());
}

#[test]
fn g10_definitions_nest_to_a_limit() {
    let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert!(parse(json!({ "f": nested(10) })).is_ok());
    assert!(parse(json!({ "f": nested(11) })).is_err());
    let many: Map<_, _> = (0..1001).map(|n| (format!("f{n}"), json!({}))).collect();
    assert_eq!(Schema::parse(&many, "f0", &[]).unwrap_err().code().as_str(), "LIMIT_EXCEEDED");
}

#[test]
fn missing_values_are_generated_or_defaulted_and_present_ones_stay() {
    let schema = parse(json!({
        "id": {"type": "string", "generated": "uuid"},
        "c": {"generated": "cuid"},
        "n": {"type": "number", "generated": "autoincrement"},
        "m": {"generated": "autoincrement"},
        "t": {"type": "date", "generated": "timestamp"},
        "d": {"default": {"x": [1]}},
    }))
    .unwrap();
    let (environment, _) = Environment::simulated(7);
    let mut drawn = 0;
    let mut fill = |record: Value| {
        let mut record = fields(record);
        schema
            .fill(&mut record, &environment, 1234, || {
                drawn += 1;
                Ok(drawn)
            })
            .unwrap();
        record
    };

    let record = fill(json!({"x": 0}));
    assert_eq!(record.keys().collect::<Vec<_>>(), ["x", "id", "c", "n", "m", "t", "d"]);
    assert_eq!((&record["n"], &record["m"]), (&json!(1), &json!(1)));
    assert_eq!((&record["t"], &record["d"]), (&json!(1234), &json!({"x": [1]})));
    let uuid = record["id"].as_str().unwrap();
    let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(&uuid[14..15], "4");
    assert!("89ab".contains(&uuid[19..20]));
    let cuid = record["c"].as_str().unwrap();
    assert!(cuid.len() == 33 && cuid.starts_with('c'));
    assert!(cuid[1..].bytes().all(|byte| byte.is_ascii_hexdigit()));

    let given = json!({"id": "own", "c": null, "n": 9, "m": 8, "t": null, "d": null});
    assert_eq!(Value::Object(fill(given.clone())), given);
    assert_eq!(fill(json!({}))["n"], json!(2));
}

#[test]
fn a_generator_that_fails_fails_the_fill() {
    let schema = parse(json!({"n": {"generated": "autoincrement"}})).unwrap();
    let (environment, _) = Environment::simulated(1);
    let failed =
        schema.fill(&mut Map::new(), &environment, 0, || Err(Error::internal("no number")));
    assert_eq!(failed.unwrap_err().code().as_str(), "INTERNAL_ERROR");
}

#[test]
fn an_update_cannot_change_key_metadata_and_generated_fields() {
    let schema = parse(json!({"g": {"generated": "cuid"}, "a": {}})).unwrap();
    let mut changes = fields(json!({
        "id": "2", "a": 1, "_version": 9, "g": "x", "b": null, "_createdAt": 0, "_updatedAt": 0, "_expiresAt": 5,
    }));
    schema.strip_update(&mut changes);
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["a", "b", "_expiresAt"]);
}

#[test]
fn references_and_flags_are_readable() {
    let schema = parse(json!({
        "a": {"ref": "users"}, "b": {"ref": "teams", "onDelete": "cascade", "unique": true},
        "g": {"generated": "cuid"},
    }))
    .unwrap();
    assert_eq!(
        schema.references().collect::<Vec<_>>(),
        [("a", "users", OnDelete::Restrict), ("b", "teams", OnDelete::Cascade)]
    );
    assert!(schema.is_unique("b") && !schema.is_unique("a") && !schema.is_unique("none"));
    assert!(schema.is_generated("g"));
    assert_eq!(schema.generated_fields().collect::<Vec<_>>(), ["g"]);
}

#[test]
fn a_path_is_surely_scalar_only_if_every_record_was_checked() {
    let definitions = fields(json!({
        "id": {}, "s": {"type": "string"}, "n": {"type": "number"}, "b": {"type": "boolean"},
        "d": {"type": "date"}, "a": {"type": "array"}, "any": {},
        "o": {"type": "object", "properties": {"p": {"type": "string"}, "q": {}}},
        "u": {"properties": {"p": {"type": "string"}}},
        "late": {"type": "string"},
        "late_o": {"type": "object", "properties": {"p": {"type": "string"}}},
    }));
    let added = ["late".to_owned(), "late_o".to_owned()];
    let schema = Schema::parse(&definitions, "id", &added).unwrap();
    for (path, expected) in [
        ("id", true),
        ("s", true),
        ("n", true),
        ("b", true),
        ("d", true),
        ("o.p", true),
        ("_version", true),
        ("_createdAt", true),
        ("id.x", false),
        ("_version.x", false),
        ("_expiresAt", false),
        ("a", false),
        ("any", false),
        ("o", false),
        ("o.q", false),
        ("o.x", false),
        ("u.p", false),
        ("late", false),
        ("late_o.p", false),
        ("missing", false),
        ("s.x", false),
    ] {
        assert_eq!(schema.scalar_guaranteed(&Path::parse(path).unwrap()), expected, "{path}");
    }
}
