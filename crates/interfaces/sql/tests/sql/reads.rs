//! Buckets of the record API as tables, to be read.

use serde_json::json;
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_sql::{Session, Value, params};

use crate::support::{plan, values};

fn people() -> Store {
    let store = Store::memory().unwrap();
    store
        .define_bucket(
            "people",
            BucketConfig::new("id")
                .field("id", Field::number().generated_autoincrement())
                .field("name", Field::string())
                .field("city", Field::string())
                .field("age", Field::number())
                .field("active", Field::boolean())
                .index("city")
                .index(IndexConfig::on("city").then_descending("age").named("city_age"))
                .index("age"),
        )
        .unwrap();
    let people = store.bucket("people");
    for n in 0..200 {
        let city = ["Bern", "Graz", "Linz", "Wien"][n % 4];
        let age = if n % 10 == 0 { json!(null) } else { json!(n % 50) };
        people
            .insert(json!({ "id": n, "name": format!("p{n:03}"), "city": city, "age": age,
                            "active": n % 3 == 0, "extra": { "n": n } }))
            .unwrap();
    }
    store
}

#[test]
fn what_an_index_serves_is_what_a_scan_finds() {
    let store = people();
    let session = Session::new(&store).unwrap();
    for condition in [
        "id = 7",
        "id IN (1, 5, 900)",
        "id = 7.0",
        "id = '7'",
        "id = 'x'",
        "id IS NULL",
        "city = 'Graz'",
        "city IN ('Graz', 'Wien')",
        "city > 'Graz'",
        "city <= 'Graz'",
        "city = 'Graz' AND age > 10",
        "city = 'Graz' AND age BETWEEN 10 AND 20",
        "age IS NULL",
        "age IS NOT NULL",
        "age > 'x'",
        "age < 'x'",
        "age > '10'",
        "city LIKE 'g%'",
        "city LIKE 'gr_z'",
        "city GLOB 'G*'",
        "city GLOB 'g*'",
        "active",
        "NOT active",
        "active = 1",
        "active = 2",
        "age = NULL",
        "age IS 7",
        "rowid = 3",
        "name > 5",
        "name < 5",
        "city = 5",
        "age IN (1, 2, NULL)",
        "_record ->> '$.extra.n' = 12",
        "age > 1e400",
        "age < -1e400",
        "age = 1e400",
    ] {
        for order in
            ["", "ORDER BY age, id", "ORDER BY age DESC, id", "ORDER BY city, age DESC, id"]
        {
            let by_index = format!("SELECT id FROM people WHERE {condition} {order}");
            // A condition does not go into what has a LIMIT, so all is read there.
            let by_scan = format!(
                "SELECT id FROM (SELECT *, rowid, _record FROM people LIMIT -1)
                 WHERE {condition} {order}"
            );
            let (mut one, mut other) = (values(&session, &by_index), values(&session, &by_scan));
            if order.is_empty() {
                let key = |row: &Vec<Value>| row[0].to_json().as_i64();
                one.sort_by_key(key);
                other.sort_by_key(key);
            }
            assert_eq!(one, other, "{by_index}\n{by_scan}\n{}", plan(&session, &by_index));
        }
    }
}

#[test]
fn explain_query_plan_names_the_index() {
    let store = people();
    let session = Session::new(&store).unwrap();
    let shown = plan(&session, "SELECT * FROM people WHERE city = 'Graz' AND age > 3");
    assert!(shown.contains("city_age (city=? AND age>?)"), "{shown}");
    let shown = plan(&session, "SELECT * FROM people WHERE id = 4");
    assert!(shown.contains("key (id=?)"), "{shown}");
    let shown = plan(&session, "SELECT * FROM people ORDER BY age DESC LIMIT 3");
    assert!(shown.contains("age in order of -age") && !shown.contains("TEMP B-TREE"), "{shown}");
}

#[test]
fn joins_groups_windows_and_recursion_run_over_buckets() {
    let store = people();
    store
        .define_bucket("cities", BucketConfig::new("name").field("name", Field::string()))
        .unwrap();
    for (name, land) in [("Bern", "CH"), ("Graz", "AT"), ("Linz", "AT"), ("Wien", "AT")] {
        store.bucket("cities").insert(json!({ "name": name, "land": land })).unwrap();
    }
    let session = Session::new(&store).unwrap();
    let answer = session
        .query(
            "SELECT c._record ->> 'land' AS land, count(*) AS n, max(p.age) AS oldest
             FROM cities c JOIN people p ON p.city = c.name
             WHERE p.active = ? GROUP BY 1 ORDER BY 1",
            params![true],
        )
        .unwrap();
    assert_eq!(answer.rows.len(), 2);
    assert_eq!(answer.rows[0].get::<String>("land").unwrap(), "AT");
    assert_eq!(
        answer.rows[0].get::<i64>("n").unwrap() + answer.rows[1].get::<i64>("n").unwrap(),
        67
    );
    let ranks = values(
        &session,
        "SELECT id, rank() OVER (PARTITION BY city ORDER BY age DESC) FROM people WHERE id < 9",
    );
    assert_eq!(ranks.len(), 9);
    let tree = values(
        &session,
        "WITH RECURSIVE up(id) AS (SELECT id FROM people WHERE id = 1
           UNION ALL SELECT p.id FROM people p, up WHERE p.id = up.id * 2) SELECT count(*) FROM up",
    );
    assert_eq!(tree, [[Value::Integer(8)]]);
}

/// Tables remember each way in which they were read, so they are made anew now and then.
#[test]
fn g10_ever_new_statements_are_answered_as_the_first() {
    let store = people();
    let session = Session::new(&store).unwrap();
    for n in 0..10_050 {
        let answer = values(&session, &format!("SELECT id FROM people WHERE id = {n} LIMIT 1"));
        assert_eq!(answer.len(), usize::from(n < 200), "{n}");
    }
    // One that reads meanwhile keeps its tables.
    let mut seen = 0;
    session
        .query_each("SELECT id FROM people", (), |_| {
            seen += 1;
            Ok(true)
        })
        .unwrap();
    assert_eq!(seen, 200);
}
