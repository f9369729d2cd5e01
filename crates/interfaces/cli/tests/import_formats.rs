//! What `tandem import` reads, and what becomes of it.

mod support;

use serde_json::json;
use support::Place;

#[test]
fn the_same_records_come_from_an_array_in_any_layout_and_from_lines() {
    let expected = [json!({ "code": "a", "n": { "m": [1, 2] } }), json!({ "code": "b,]}\"" })];
    let (first, second) = (expected[0].to_string(), expected[1].to_string());
    let pretty = serde_json::to_string_pretty(&json!(expected)).expect("JSON");
    let files = [
        ("line.json", format!("[{first},{second}]")),
        ("pretty.json", pretty.clone()),
        ("pretty_crlf.json", pretty.replace('\n', "\r\n")),
        ("marked.json", format!("\u{feff}{pretty}")),
        ("bare.json", format!("{first}\n{second}\n")),
        ("rows.ndjson", format!("{first}\n{second}\n")),
        ("rows.jsonl", format!("{first}\n{second}")),
        ("rows_crlf.NDJSON", format!("\u{feff}{first}\r\n\r\n{second}\r\n")),
    ];
    let place = Place::new();
    for (number, (file, text)) in files.iter().enumerate() {
        place.write(file, text);
        let bucket = format!("bucket{number}");
        let ended = place.import(&format!("{file} --bucket {bucket} --key code")).succeeded();
        assert_eq!(ended.out, format!("imported 2 records into {bucket}\n"), "{file}");
        assert_eq!(place.records(&bucket), expected, "{file}");
    }
    place.assert_consistent();
}

#[test]
fn csv_cells_become_what_they_look_like() {
    let text = "code,name,size,open,zip\nSFO,\"San Francisco, \"\"CA\"\"\",1.5,true,94128\n\
                BOS,,-2,false,02128\nJFK,two\"s,1e3,True,\n";
    let place = Place::new();
    for (number, text) in
        [text.to_owned(), format!("\u{feff}{}", text.replace('\n', "\r\n"))].iter().enumerate()
    {
        place.write("airports.csv", text);
        let bucket = format!("airports{number}");
        place.import(&format!("airports.csv --bucket {bucket} --key code")).succeeded();
        assert_eq!(
            place.records(&bucket),
            [
                json!({ "code": "SFO", "name": "San Francisco, \"CA\"", "size": 1.5, "open": true,
                        "zip": 94128 }),
                json!({ "code": "BOS", "size": -2, "open": false, "zip": "02128" }),
                json!({ "code": "JFK", "name": "two\"s", "size": 1e3, "open": "True" }),
            ]
        );
    }
}

#[test]
fn csv_cells_follow_the_schema_of_an_existing_bucket() {
    let place = Place::new();
    place.define(
        "people",
        json!({ "key": "zip", "schema": {
            "zip": { "type": "string" }, "age": { "type": "number", "min": 0 },
            "tags": { "type": "array" }, "active": { "type": "boolean", "default": true } } }),
    );
    place.write("people.csv", "\u{feff}zip,age,tags,nick\n01234,7,\"[\"\"a\"\",1]\",5\n94110,,,\n");
    place.import("people.csv --bucket people").succeeded();
    assert_eq!(
        place.records("people"),
        [
            json!({ "zip": "01234", "age": 7, "tags": ["a", 1], "nick": 5, "active": true }),
            json!({ "zip": "94110", "active": true }),
        ]
    );
    place.write("bad.csv", "zip,age,active\n1,old,\n2,5,yes\n3,-1,\n");
    let ended =
        place.import("bad.csv --bucket people").refused("line 2: age: \"old\" is no number");
    let lines: Vec<_> = ended.err.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], "line 3: active: \"yes\" is no boolean");
    assert!(lines[2].starts_with("line 4: VALIDATION_ERROR: ") && lines[2].contains("age"));
}

#[test]
fn the_format_may_be_said_where_the_name_does_not_tell() {
    let place = Place::new();
    place.write("data.txt", "a,b\n1,2\n");
    place.import("data.txt --bucket items --format csv").succeeded();
    assert_eq!(place.records("items"), [json!({ "a": 1, "b": 2, "id": 1 })]);
}

#[test]
fn an_empty_file_has_no_records() {
    let place = Place::new();
    for file in ["empty.json", "empty.ndjson", "empty.csv"] {
        place.write(file, "");
        place
            .import(&format!("{file} --bucket none"))
            .succeeded()
            .says("imported 0 records into none");
    }
    place.write("array.json", " [\n]\n");
    place.import("array.json --bucket none").succeeded();
    assert!(place.records("none").is_empty());
}
