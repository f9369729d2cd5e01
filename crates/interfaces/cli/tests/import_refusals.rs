//! What `tandem import` refuses leaves nothing behind.

mod support;

use support::{Place, exists};

#[test]
fn g9_a_file_that_cannot_be_read_leaves_no_store() {
    let place = Place::new();
    place.write("rows.xml", "<a/>");
    place.write("rows", "{}");
    std::fs::create_dir(place.path("folder.json")).expect("created");
    for (file, message) in [
        ("missing.json", "Cannot read missing.json: No such file"),
        ("folder.json", "Cannot read folder.json: it is a directory"),
        (
            "rows.xml",
            "The name of rows.xml does not tell its format; add --format json, ndjson or csv",
        ),
        ("rows", "The name of rows does not tell its format"),
    ] {
        place.import(&format!("{file} --bucket items")).refused(message);
    }
    assert!(!exists(&place.store_directory()));
}

#[test]
fn a_store_that_is_open_elsewhere_is_refused_by_name() {
    let place = Place::new();
    place.write("rows.ndjson", "{}\n");
    let store = place.store();
    for command in [vec!["import", "rows.ndjson", "--bucket", "items"], vec!["check"]] {
        let ended = place.run(&command).refused("STORE_LOCKED: The store is open elsewhere");
        assert!(ended.err.contains("path: tandem-data"), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
    assert!(store.bucket_names().expect("the store").is_empty());
}

#[test]
fn a_csv_header_must_name_each_field_once() {
    let place = Place::new();
    place.write("rows.csv", "a,b,a\n1,2,3\n");
    place.import("rows.csv --bucket items").refused("it names \"a\" twice");
    place.write("rows.csv", b"a,\xFF\n1,2\n");
    place.import("rows.csv --bucket items").refused("The CSV header cannot be read: not UTF-8");
}

#[test]
fn text_that_is_not_utf_8_is_a_bad_row() {
    let place = Place::new();
    place.write("rows.csv", b"a\n1\n\xFF\n3\n");
    place.import("rows.csv --bucket items --batch 1").refused("line 3: not UTF-8");
    place.write("rows.ndjson", b"{\"a\":4}\n{\"a\":\"\xFF\"}\n{\"a\":6}\n");
    place.import("rows.ndjson --bucket items --batch 1").refused("line 2: not JSON");
    assert_eq!(place.field("items", "a"), [1, 3, 4, 6]);
}

#[test]
fn arguments_out_of_range_and_a_bad_bucket_are_refused() {
    let place = Place::new();
    place.write("rows.ndjson", "{}\n");
    for batch in ["0", "10001", "x"] {
        let ended = place.import(&format!("rows.ndjson --bucket items --batch {batch}"));
        assert!(ended.code != 0 && ended.err.contains("--batch"), "{}", ended.err);
    }
    let ended = place.run(&["import", "rows.ndjson"]);
    assert!(ended.code != 0 && ended.err.contains("--bucket"), "{}", ended.err);
    assert!(!exists(&place.store_directory()));
    place.import("rows.ndjson --bucket items --index -").refused("VALIDATION_ERROR");
    place.import("rows.ndjson --bucket _items").refused("VALIDATION_ERROR");
    assert_eq!(place.store().bucket_names().expect("names"), Vec::<String>::new());
}
