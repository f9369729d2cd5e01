//! `tandem demo`: a real data set through the whole store.
//!
//! Imports the movies, airports and flights of the npm package `vega-datasets`
//! into indexed buckets, runs transactions over them, and checks every index
//! entry. `demo/run` fetches the package and calls this.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};
use tandem::{BucketConfig, CheckOptions, Code, Error, Result, Store};

use crate::import::Source;
use crate::open;

/// Imports the data of the npm package vega-datasets and works on it.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The package's `data` folder.
    #[arg(long)]
    dataset: PathBuf,
    /// Leave the 231,083 flights of the large file out.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    store: open::Directory,
}

/// Runs the demo. It can be run again on the same directory: what was imported
/// is not imported twice.
///
/// # Errors
/// When the data cannot be read, or anything is not as it must be.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let store = arguments.store.open_or_create()?;
    define(&store)?;
    let mut files = vec![
        ("movies.json", "movies"),
        ("airports.csv", "airports"),
        ("flights-20k.json", "flights"),
    ];
    if !arguments.quick {
        files.push(("flights-200k.json", "flight_times"));
    }
    for (file, bucket) in files {
        timed(&format!("import {file}"), || {
            let source = Source::new(arguments.dataset.join(file), bucket);
            ensure(source.open()?.import_into(&store)?, "every row of the data set is imported")
        })?;
    }
    timed("one airport code is refused twice", || refuse_second_code(&store))?;
    timed("departures are counted into the airports", || count_departures(&store))?;
    timed("a savepoint undoes part of a transaction", || undo_part(&store))?;
    timed("four clients book seats at once", || book_seats(&store))?;
    timed("routes and days are read through their indexes", || read_by_index(&store))?;
    let report = timed("check", || store.check(&CheckOptions::new()))?;
    println!(
        "compared {} rows and {} index entries: {} missing, {} dangling, {} wrong counts",
        report.rows, report.entries, report.missing, report.dangling, report.wrong_counts
    );
    store.close();
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn define(store: &Store) -> Result<()> {
    let number_id = json!({ "type": "number", "generated": "autoincrement" });
    let buckets = [
        (
            "movies",
            json!({ "key": "id", "schema": { "id": number_id },
                    "indexes": [{ "fields": ["Director"] }, { "fields": ["-IMDB Rating", "Title"] }] }),
        ),
        (
            "airports",
            json!({ "key": "id",
                    "schema": { "id": number_id,
                                "iata": { "type": "string", "required": true, "unique": true },
                                "name": { "type": "string", "required": true },
                                "departures": { "type": "number", "default": 0, "min": 0 } },
                    "indexes": [{ "fields": ["state", "city"] }] }),
        ),
        (
            "flights",
            json!({ "key": "id",
                    "schema": { "id": number_id,
                                "seats": { "type": "number", "default": 100, "min": 0 } },
                    "indexes": [{ "fields": ["origin", "destination"] }, { "fields": ["date"] }] }),
        ),
        (
            "flight_times",
            json!({ "key": "id", "schema": { "id": number_id },
                    "indexes": [{ "fields": ["distance", "delay"] }, { "fields": ["time"] }] }),
        ),
        (
            "bookings",
            json!({ "key": "id",
                    "schema": { "id": { "type": "string", "generated": "uuid" },
                                "flight": { "type": "number", "required": true, "ref": "flights" } } }),
        ),
    ];
    let defined = store.bucket_names()?;
    for (name, config) in buckets {
        if !defined.iter().any(|known| known == name) {
            store.define_bucket(name, BucketConfig::from_json(config)?)?;
        }
    }
    Ok(())
}

fn refuse_second_code(store: &Store) -> Result<()> {
    let copy = json!({ "iata": "SFO", "name": "Another San Francisco" });
    match store.bucket("airports").insert(copy) {
        Err(error) if error.code() == Code::AlreadyExists => Ok(()),
        other => Err(Error::internal(format!("A second SFO was not refused: {other:?}"))),
    }
}

/// One transaction over two buckets: what the flights say ends up in the
/// airports, whole or not at all.
fn count_departures(store: &Store) -> Result<()> {
    store.transaction(|tx| {
        let groups =
            tx.bucket("flights").group_by("origin", json!({ "function": "count" }), json!({}))?;
        for group in &groups {
            let airports = tx.bucket("airports");
            if let Some(airport) = airports.find_one(json!({ "iata": group["key"]["origin"] }))? {
                airports.update(
                    airport.get("id").unwrap_or_default(),
                    json!({ "departures": group["value"] }),
                )?;
            }
        }
        ensure(!groups.is_empty(), "there are departures")
    })
}

/// Deletes what is late, and the bookings first, which would forbid it; then
/// thinks better of that part.
fn undo_part(store: &Store) -> Result<()> {
    let late = json!({ "delay": { "$gt": 300 } });
    let (flights, bookings) = (store.bucket("flights"), store.bucket("bookings"));
    let before = (flights.count(late.clone())?, bookings.count(json!({}))?);
    let tx = store.begin()?;
    tx.bucket("movies")
        .update_many(json!({ "Director": "Steven Spielberg" }), json!({ "seen": true }))?;
    tx.savepoint("cancelled")?;
    tx.bucket("bookings").delete_many(json!({}))?;
    tx.bucket("flights").delete_many(late.clone())?;
    ensure(tx.bucket("flights").count(late.clone())? == 0, "own deletes are seen")?;
    tx.rollback_to("cancelled")?;
    tx.commit()?;
    let after = (flights.count(late)?, bookings.count(json!({}))?);
    ensure(before == after, "the deletes are undone")
}

const CLIENTS: u64 = 4;
const BOOKINGS: u64 = 50;

/// A few flights get seats for everybody. Every client takes a seat of one of
/// them and writes the booking, in one transaction; no seat may be lost or sold
/// twice.
fn book_seats(store: &Store) -> Result<()> {
    let flights = store.bucket("flights").first(5)?;
    ensure(!flights.is_empty(), "there are flights")?;
    for flight in &flights {
        let seats = json!({ "seats": CLIENTS * BOOKINGS });
        store.bucket("flights").update(flight.get("id").unwrap_or_default(), seats)?;
    }
    let seats = |store: &Store| -> Result<i64> {
        let keys: Vec<Value> = flights.iter().filter_map(|flight| flight.get("id")).collect();
        let found = store.bucket("flights").find(json!({ "id": { "$in": keys } })).records()?;
        Ok(found.iter().filter_map(|flight| flight.get("seats")?.as_i64()).sum())
    };
    let (seats_before, bookings_before) =
        (seats(store)?, store.bucket("bookings").count(json!({}))?);
    let booked: Result<Vec<()>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let flights = &flights;
                scope.spawn(move || {
                    for n in 0..BOOKINGS {
                        let flight = flights[((client + n) % flights.len() as u64) as usize]
                            .get("id")
                            .unwrap_or_default();
                        store.transaction(|tx| {
                            let all = tx.bucket("flights");
                            let current = all.get(flight.clone())?;
                            let seats = current.and_then(|flight| flight.get("seats")?.as_i64());
                            all.update(flight.clone(), json!({ "seats": seats.unwrap_or(0) - 1 }))?;
                            tx.bucket("bookings").insert(json!({ "flight": flight.clone() }))?;
                            Ok(())
                        })?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| {
                client.join().unwrap_or_else(|_| Err(Error::internal("A client panicked")))
            })
            .collect()
    });
    booked?;
    let sold = i64::try_from(CLIENTS * BOOKINGS).unwrap_or(i64::MAX);
    ensure(seats(store)? == seats_before - sold, "every booking took one seat")?;
    ensure(
        store.bucket("bookings").count(json!({}))? == bookings_before + CLIENTS * BOOKINGS,
        "no booking is lost",
    )
}

fn read_by_index(store: &Store) -> Result<()> {
    let flights = store.bucket("flights");
    let Some(some) = flights.first(1)?.pop() else { return ensure(false, "there are flights") };
    let route = json!({ "origin": some.get("origin"), "destination": some.get("destination") });
    let plan = flights.find(route.clone()).explain()?;
    ensure(plan.to_string().contains("origin_destination"), "the route index is used")?;
    println!("  {} flights on the route {route}", flights.count(route.clone())?);
    let best = store.bucket("movies").all().sort("-IMDB Rating").limit(1).records()?;
    println!(
        "  best rated movie: {}",
        best.first().and_then(|movie| movie.get("Title")).unwrap_or_default()
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a person is told how long it took")]
fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("{what}");
    let begin = Instant::now();
    let result = work()?;
    println!("  {:.2} s", begin.elapsed().as_secs_f64());
    Ok(result)
}

fn ensure(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::internal(format!("The demo found otherwise: {what}"))) }
}
