//! All or nothing per batch; what is there is skipped.

mod support;

use serde_json::json;
use support::Place;

fn lines(rows: impl IntoIterator<Item = i64>) -> String {
    rows.into_iter().map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

#[test]
fn g1_a_batch_with_a_bad_row_is_left_out_and_the_others_are_not() {
    let place = Place::new();
    let rows = lines(1..=9).replace("{\"n\":5}", "{\"n\":5");
    place.write("rows.ndjson", rows);
    let ended = place.import("rows.ndjson --bucket items --batch 3").refused("line 5: not JSON: ");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    let ended = ended.says("imported 6 records into items");
    ended.says("1 bad rows; with them, 2 good rows of their batches were not imported");
    assert_eq!(place.field("items", "n"), [1, 2, 3, 7, 8, 9]);
    place.assert_consistent();
}

#[test]
fn every_bad_row_of_a_batch_is_reported_at_once_in_order() {
    let place = Place::new();
    place.define("items", json!({ "key": "n", "schema": { "n": { "type": "number", "max": 4 } } }));
    place.write("rows.ndjson", "{\"n\":1}\n{\"n\":9}\nnone\n{\"n\":\"x\"}\n{\"n\":1}\n{\"n\":2}\n");
    let ended = place.import("rows.ndjson --bucket items").refused("line 2: VALIDATION_ERROR: ");
    let reported: Vec<_> = ended.err.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(reported, ["line 2", "line 3", "line 4", "line 5"], "{}", ended.err);
    ended.says("4 bad rows; with them, 2 good rows of their batches were not imported");
    assert!(place.records("items").is_empty());
}

#[test]
fn running_again_imports_nothing_twice() {
    let place = Place::new();
    place.write("rows.ndjson", lines(1..=7));
    for expected in [
        "imported 7 records into items\n",
        "imported 0 records into items\n7 records were imported before\n",
    ] {
        let ended = place.import("rows.ndjson --bucket items --batch 3").succeeded();
        assert_eq!(ended.out, expected);
        assert_eq!(place.field("items", "n"), [1, 2, 3, 4, 5, 6, 7]);
    }
    place.import("rows.ndjson --bucket others --batch 3").succeeded();
    assert_eq!(place.records("others").len(), 7, "another bucket has its own");
}

#[test]
fn rows_that_are_the_same_are_all_imported() {
    let place = Place::new();
    place.write("rows.csv", format!("n\n{}", "5\n".repeat(10)));
    place.import("rows.csv --bucket items --batch 2").succeeded();
    assert_eq!(place.field("items", "id"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

/// Each format with a bad row, what mends it, and what is imported before.
#[test]
fn after_mending_a_row_only_the_rest_is_imported() {
    let array: Vec<String> = (1..=8).map(|n| format!("{{\"n\":\n{n}}}")).collect();
    let array = format!("[{}]", array.join(",\n"));
    let table = format!("n\n{}", (1..=8).map(|n| format!("{n}\n")).collect::<String>());
    let files = [
        ("rows.ndjson", lines(1..=8).replace("{\"n\":4}", "{\"n\":4"), lines(1..=8)),
        // The mended row has another number of lines.
        ("rows.json", array.replace("{\"n\":\n4}", "oh"), array),
        ("rows.csv", table.replace("\n4\n", "\n4,4\n"), table),
    ];
    for (file, spoiled, mended) in files {
        let place = Place::new();
        place.write(file, spoiled);
        let command = format!("{file} --bucket items --batch 3");
        place.import(&command).refused("line ").says("imported 5 records into items");
        place.write(file, mended);
        let ended = place.import(&command).succeeded().says("imported 3 records into items");
        ended.says("5 records were imported before");
        assert_eq!(place.field("items", "n"), [1, 2, 3, 7, 8, 4, 5, 6], "{file}");
        place.assert_consistent();
    }
}

#[test]
fn a_file_that_was_cut_off_is_completed() {
    let place = Place::new();
    let whole = serde_json::to_string_pretty(&json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }]));
    let whole = whole.expect("JSON");
    let cut = whole.rfind("3").expect("the last row");
    place.write("rows.json", &whole[..cut]);
    let command = "rows.json --bucket items --batch 2";
    place.import(command).refused("line 8: the file ends inside this row");
    assert_eq!(place.field("items", "n"), [1, 2]);
    place.write("rows.json", &whole);
    place.import(command).succeeded().says("2 records were imported before");
    assert_eq!(place.field("items", "n"), [1, 2, 3]);
}

#[test]
fn a_hundred_bad_rows_are_listed_and_all_are_counted() {
    let place = Place::new();
    place.write("rows.ndjson", "x\n".repeat(250));
    let ended = place.import("rows.ndjson --bucket items --batch 7").refused("line 1: ");
    assert_eq!(ended.err.lines().count(), 100);
    ended.says("250 bad rows; with them, 0 good rows of their batches were not imported");
}
