//! `tandem demo` over a few rows in the layout of the real data set.

mod support;

use serde_json::{Value, json};
use support::Place;

fn dataset() -> Place {
    let place = Place::new();
    let movies = json!([
        { "Title": "Jaws", "Director": "Steven Spielberg", "IMDB Rating": 8.3 },
        { "Title": "Big Things", "Director": null, "IMDB Rating": null },
        { "Title": 1776, "Director": "Peter H. Hunt", "IMDB Rating": 7 },
    ]);
    place.write("movies.json", movies.to_string());
    let airports = "iata,name,city,state,country,latitude,longitude\n\
                    SFO,San Francisco International,San Francisco,CA,USA,37.6,-122.4\n\
                    BOS,\"Gen Edw L Logan, Intl\",Boston,MA,USA,42.4,-71\n";
    place.write("airports.csv", airports);
    let flights: Vec<Value> = (0..7)
        .map(|n| {
            let (origin, destination) = if n % 3 == 0 { ("SFO", "BOS") } else { ("BOS", "SFO") };
            json!({ "date": format!("2001/01/0{} 06:20", n + 1), "delay": n * 100, "distance": 500,
                    "origin": origin, "destination": destination })
        })
        .collect();
    place.write("flights-20k.json", json!(flights).to_string());
    place
}

/// Four runs: whatever one uses up, the next has again.
#[test]
fn it_can_be_run_again_and_again_on_the_same_store() {
    let place = dataset();
    for run in 1..=4 {
        let ended = place.run(&["demo", "--quick", "--dataset", "."]).succeeded();
        let expected = if run == 1 { "imported 7" } else { "imported 0" };
        let ended = ended.says(&format!("{expected} records into flights"));
        assert!(ended.out.contains("  best rated movie: \"Jaws\"\n"), "{}", ended.out);
        assert!(ended.out.contains(": 0 missing, 0 dangling, 0 wrong counts"), "{}", ended.out);
        assert_eq!(place.records("bookings").len(), run * 200);
        assert_eq!(place.field("airports", "departures"), [3, 4]);
    }
}

#[test]
fn a_data_set_that_is_not_there_or_not_whole_is_refused() {
    let place = dataset();
    place
        .run(&["demo", "--quick", "--dataset", "nowhere"])
        .refused("Cannot read nowhere/movies.json");
    place.write("airports.csv", "iata,name\nSFO,San Francisco\n,Nowhere\n");
    let ended =
        place.run(&["demo", "--quick", "--dataset", "."]).refused("line 3: VALIDATION_ERROR");
    assert!(ended.err.contains("every row of the data set is imported"), "{}", ended.err);
}
