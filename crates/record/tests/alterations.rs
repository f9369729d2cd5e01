//! Altering a bucket: records, indexes, referrers and queries follow, within the
//! transaction, and whoever goes by the old definition is in conflict.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::{Code, Result};
use tandem_record::{Alteration, FieldChange, Records};
use tandem_transaction::{CommitOptions, Isolation, Transaction, TransactionLimits, keyspace};

const LEVELS: [Isolation; 3] =
    [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];

fn config() -> Value {
    json!({
        "key": "id",
        "schema": {
            "id": { "type": "number" },
            "a": { "type": "string", "unique": true },
            "b": { "type": "number" },
            "boss": { "ref": "t", "onDelete": "set_null" },
        },
        "indexes": ["b", { "name": "both", "fields": ["b", "-a"], "filter": { "b": { "$gt": 2 } } }],
    })
}

fn bench() -> Bench {
    bench_with(TransactionLimits::default())
}

fn bench_with(limits: TransactionLimits) -> Bench {
    let bench = Bench::with_limits(limits);
    bench.define("t", config());
    for id in 0..10 {
        let boss = (id > 0).then_some(0);
        bench
            .insert("t", json!({ "id": id, "a": format!("a{id}"), "b": id, "boss": boss }))
            .unwrap();
    }
    bench
}

/// `a` is called `name` from now on.
fn renamed() -> Alteration {
    let mut config = config();
    let text = config.to_string().replace("\"a\":", "\"name\":").replace("\"-a\"", "\"-name\"");
    config = serde_json::from_str(&text).unwrap();
    let change = FieldChange::Rename { from: "a".to_owned(), to: "name".to_owned() };
    Alteration { name: "t".to_owned(), config, fields: vec![change] }
}

fn named(name: &str) -> Alteration {
    Alteration { name: name.to_owned(), config: config(), fields: Vec::new() }
}

fn alter(bench: &Bench, alteration: &Alteration) -> Result<()> {
    bench.run(|records, tx| records.alter_bucket(tx, "t", alteration))
}

fn index_names(bench: &Bench, bucket: &str) -> Vec<String> {
    let indexes = bench.run(|records, tx| records.indexes(tx, bucket)).unwrap();
    indexes.into_iter().map(|index| index.name).collect()
}

fn definitions(bench: &Bench) -> Vec<Value> {
    let names = bench.run(|records, tx| records.bucket_names(tx)).unwrap();
    let config = |name: &String| bench.run(|records, tx| records.bucket_config(tx, name)).unwrap();
    names.iter().map(|name| json!([name, config(name), index_names(bench, name)])).collect()
}

#[test]
fn g3_a_renamed_field_is_renamed_in_records_and_indexes() {
    let bench = bench();
    alter(&bench, &renamed()).unwrap();
    let record = bench.get("t", json!(3)).unwrap();
    assert_eq!(record["name"], "a3");
    assert_eq!(record["_version"], 2);
    assert!(record.get("a").is_none());
    let names: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names[..3], ["id", "name", "b"], "it stays in its place");
    let duplicate = bench.insert("t", json!({ "id": 20, "name": "a3" })).unwrap_err();
    assert_eq!(duplicate.code(), Code::AlreadyExists);
    bench.check_clean();
    while Records::collect_garbage(&*bench.coordination, 100).unwrap() {}
    bench.check_clean();
    // name, b, both and boss of ten records, two of both being filtered out.
    let catalog = bench.records.catalog_at(&*bench.coordination.view().unwrap()).unwrap();
    let order = usize::from(catalog.bucket("t").unwrap().order_index.is_some()) * 10;
    assert_eq!(bench.keys_with_prefix(keyspace::INDEX), 10 + 10 + 7 + 10 + order);
}

#[test]
fn the_transaction_reads_and_writes_what_it_has_altered() {
    for isolation in LEVELS {
        let bench = bench();
        let mut tx = bench.begin(isolation);
        let records = &bench.records;
        records.insert(&mut tx, "t", fields(json!({ "id": 30, "a": "own", "b": 30 }))).unwrap();
        records.update(&mut tx, "t", &json!(1), &fields(json!({ "b": 100 })), None).unwrap();
        records.alter_bucket(&mut tx, "t", &renamed()).unwrap();
        let own = records.get(&mut tx, "t", &json!(30)).unwrap().unwrap();
        assert_eq!(own.field("name"), Some(json!("own")));
        let taken = records.insert(&mut tx, "t", fields(json!({ "id": 31, "name": "own" })));
        assert_eq!(taken.unwrap_err().code(), Code::AlreadyExists);
        records.update(&mut tx, "t", &json!(2), &fields(json!({ "name": "new" })), None).unwrap();
        tx.commit(CommitOptions::default()).unwrap();
        let record = bench.get("t", json!(1)).unwrap();
        assert_eq!((&record["_version"], &record["name"]), (&json!(2), &json!("a1")), "one update");
        assert_eq!(bench.get("t", json!(30)).unwrap()["_version"], 1);
        assert_eq!(bench.get("t", json!(2)).unwrap()["name"], "new");
        bench.check_clean();
    }
}

#[test]
fn an_alteration_is_rolled_back_whole() {
    let bench = bench();
    let before = definitions(&bench);
    let mut tx = bench.begin(Isolation::Serializable);
    tx.savepoint("s").unwrap();
    bench.records.alter_bucket(&mut tx, "t", &renamed()).unwrap();
    bench
        .records
        .alter_bucket(&mut tx, "t", &Alteration { name: "u".into(), ..renamed_again() })
        .unwrap();
    tx.rollback_to("s").unwrap();
    let row = bench.records.get(&mut tx, "t", &json!(3)).unwrap().unwrap();
    assert_eq!((row.field("a"), row.version()), (Some(json!("a3")), 1));
    assert!(bench.records.bucket(&tx, "u").is_err());
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 40, "a": "x" }))).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
    assert_eq!(definitions(&bench), before);
    bench.check_clean();
}

/// What [`renamed`] made stays as it is.
fn renamed_again() -> Alteration {
    Alteration { fields: Vec::new(), ..renamed() }
}

#[test]
fn a_renamed_bucket_takes_its_records_referrers_and_queries_with_it() {
    // The new name before and after the old one.
    for name in ["a", "z"] {
        let bench = bench();
        bench.define(
            "r",
            json!({ "key": "id", "schema": { "id": {}, "to": { "ref": "t", "onDelete": "cascade" } } }),
        );
        bench.insert("r", json!({ "id": 1, "to": 5 })).unwrap();
        let query = json!({ "bucket": "t", "filter": { "b": 1 } });
        bench.run(|records, tx| records.define_query(tx, "q", &query, |_| Ok(()))).unwrap();
        alter(&bench, &named(name)).unwrap();
        assert_eq!(bench.get(name, json!(3)).unwrap()["_version"], 1, "records stay as they are");
        assert_eq!(
            bench.insert("t", json!({ "id": 1 })).unwrap_err().code(),
            Code::BucketNotDefined
        );
        let config = |name: &str| bench.run(|records, tx| records.bucket_config(tx, name)).unwrap();
        assert_eq!(config("r")["schema"]["to"]["ref"], name);
        assert_eq!(config(name)["schema"]["boss"]["ref"], name);
        let queries = bench.run(|records, tx| records.queries(tx)).unwrap();
        assert_eq!(queries[0].1["bucket"], name);
        let dangling = bench.insert("r", json!({ "id": 2, "to": 99 })).unwrap_err();
        assert_eq!(dangling.code(), Code::ReferenceViolation);
        bench.run(|records, tx| records.delete(tx, name, &json!(5), None)).unwrap();
        assert_eq!(bench.count("r"), 0);
        assert_eq!(bench.count(name), 9);
        // The old name is free.
        bench.define("t", json!({ "key": "k", "schema": { "k": {} } }));
        assert_eq!(bench.count("t"), 0);
        bench.check_clean();
    }
}

#[test]
fn a_field_is_filled_in_where_it_is_missing_and_another_taken_out() {
    let bench = bench();
    bench.insert("t", json!({ "id": 50, "a": "has", "c": "own" })).unwrap();
    let mut config = config();
    config["schema"].as_object_mut().unwrap().shift_remove("b");
    config["schema"]["c"] = json!({ "type": "string", "required": true });
    config["indexes"] = json!(["c"]);
    let changes =
        vec![FieldChange::Remove("b".to_owned()), FieldChange::Fill("c".to_owned(), json!("new"))];
    alter(&bench, &Alteration { name: "t".into(), config, fields: changes }).unwrap();
    let record = bench.get("t", json!(4)).unwrap();
    assert_eq!(
        (record.get("b"), &record["c"], &record["_version"]),
        (None, &json!("new"), &json!(2))
    );
    let record = bench.get("t", json!(50)).unwrap();
    assert_eq!((&record["c"], &record["_version"]), (&json!("own"), &json!(1)));
    assert_eq!(index_names(&bench, "t"), ["a", "c"]);
    // Every record was checked, so each value is one scalar.
    let catalog = bench.records.catalog_at(&*bench.coordination.view().unwrap()).unwrap();
    assert!(catalog.bucket("t").unwrap().index("c").unwrap().parts[0].scalar);
    bench.check_clean();
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let limits = TransactionLimits { write_set_bytes: 1 << 20, ..TransactionLimits::default() };
    let bench = bench_with(limits);
    bench.insert("t", json!({ "id": 60, "a": "x", "name": "taken", "c": [1], "d": 99 })).unwrap();
    bench.define("u", json!({ "key": "id", "schema": { "id": {} } }));
    let before = (definitions(&bench), bench.get("t", json!(60)));
    let with = |change: &dyn Fn(&mut Value), fields: Vec<FieldChange>| {
        let mut config = config();
        change(&mut config);
        Alteration { name: "t".to_owned(), config, fields }
    };
    let rename = |from: &str, to: &str| FieldChange::Rename { from: from.into(), to: to.into() };
    for (alteration, code) in [
        (named("u"), Code::AlreadyExists),
        (named("_t"), Code::ValidationError),
        (renamed(), Code::ValidationError),
        (with(&|config| config["etsType"] = json!("ordered_set"), vec![]), Code::ValidationError),
        (with(&|config| config["ttl"] = json!("1h"), vec![]), Code::ValidationError),
        (with(&|config| config["maxSize"] = json!(100), vec![]), Code::ValidationError),
        (with(&|config| config["key"] = json!("a"), vec![]), Code::ValidationError),
        (with(&|config| config["odd"] = json!(1), vec![]), Code::ValidationError),
        (with(&|_| (), vec![FieldChange::Remove("id".into())]), Code::ValidationError),
        (with(&|_| (), vec![FieldChange::Fill("id".into(), json!(1))]), Code::ValidationError),
        (
            with(&|_| (), vec![FieldChange::Fill("_version".into(), json!(1))]),
            Code::ValidationError,
        ),
        (with(&|_| (), vec![rename("b", "_expiresAt")]), Code::ValidationError),
        (with(&|_| (), vec![rename("b", "$b")]), Code::ValidationError),
        (with(&|_| (), vec![rename("id", "key")]), Code::ValidationError),
        (
            with(&|config| config["schema"]["c"] = json!({ "type": "string" }), vec![]),
            Code::ValidationError,
        ),
        (
            with(&|config| config["schema"]["e"] = json!({ "required": true }), vec![]),
            Code::ValidationError,
        ),
        (
            with(&|config| config["schema"]["d"] = json!({ "ref": "u" }), vec![]),
            Code::ReferenceViolation,
        ),
        (
            with(
                &|config| config["schema"]["e"] = json!({ "unique": true }),
                vec![FieldChange::Fill("e".into(), json!(1))],
            ),
            Code::AlreadyExists,
        ),
        (
            with(&|_| (), vec![FieldChange::Fill("e".into(), json!("x".repeat(1 << 18)))]),
            Code::LimitExceeded,
        ),
    ] {
        let error = alter(&bench, &alteration).unwrap_err();
        assert_eq!(error.code(), code, "{alteration:?}: {error:?}");
        assert_eq!((definitions(&bench), bench.get("t", json!(60))), before, "{alteration:?}");
    }
    let nobody = bench.run(|records, tx| records.alter_bucket(tx, "v", &named("w")));
    assert_eq!(nobody.unwrap_err().code(), Code::BucketNotDefined);
    bench.check_clean();
}

type Work = fn(&Records, &mut Transaction) -> Result<()>;

#[test]
fn whoever_writes_by_the_old_definition_is_in_conflict_at_every_level() {
    let writers: [Work; 6] = [
        |records, tx| records.insert(tx, "t", fields(json!({ "id": 70 }))).map(drop),
        |records, tx| {
            let changes = fields(json!({ "b": 0 }));
            records.update(tx, "t", &json!(1), &changes, None).map(drop)
        },
        |records, tx| records.delete(tx, "t", &json!(9), None).map(|_| ()),
        |records, tx| {
            let config = json!({ "key": "id", "schema": { "id": {}, "to": { "ref": "t" } } });
            records.define_bucket(tx, "new", &config)
        },
        |records, tx| records.drop_bucket(tx, "t"),
        |records, tx| {
            let updates = json!({ "addFields": { "n": {} } });
            records.update_bucket(tx, "t", &updates, tandem_record::IndexState::Ready)
        },
    ];
    for isolation in LEVELS {
        for alteration in [renamed(), named("other")] {
            for (at, writer) in writers.iter().enumerate() {
                // Committed after the alteration, and before it.
                let bench = bench();
                let mut tx = bench.begin(isolation);
                writer(&bench.records, &mut tx).unwrap();
                alter(&bench, &alteration).unwrap();
                let error = tx.commit(CommitOptions::default()).unwrap_err();
                assert_eq!(error.code(), Code::Conflict, "{isolation:?} {at} {}", alteration.name);
                tx.rollback();
                bench.check_clean();

                let bench = self::bench();
                let mut tx = bench.begin(isolation);
                bench.records.alter_bucket(&mut tx, "t", &alteration).unwrap();
                bench.run(writer).unwrap();
                let committed = tx.commit(CommitOptions::default());
                // Records may come and go while only the name is another.
                if alteration.fields.is_empty() && at < 3 {
                    committed.unwrap();
                } else {
                    let error = committed.unwrap_err();
                    assert_eq!(error.code(), Code::Conflict, "{isolation:?} {at}");
                    tx.rollback();
                }
                bench.check_clean();
            }
        }
    }
}

#[test]
fn indexes_that_stay_the_same_are_not_built_again() {
    let bench = bench();
    let ids = || {
        let catalog = bench.records.catalog_at(&*bench.coordination.view().unwrap()).unwrap();
        let indexes = &catalog.bucket("t").unwrap().indexes;
        indexes.iter().map(|index| (index.name.clone(), index.id)).collect::<Vec<_>>()
    };
    let before = ids();
    alter(&bench, &renamed()).unwrap();
    let after = ids();
    for (name, id) in &before {
        let stays = after.contains(&(name.clone(), *id));
        assert_eq!(stays, ["b", "_ref_boss"].contains(&name.as_str()), "{name}");
    }
    bench.check_clean();
}

#[test]
fn a_bucket_that_is_referred_to_meanwhile_is_not_dropped() {
    for isolation in LEVELS {
        let bench = bench();
        let mut tx = bench.begin(isolation);
        bench.records.drop_bucket(&mut tx, "t").unwrap();
        bench.define("new", json!({ "key": "id", "schema": { "id": {}, "to": { "ref": "t" } } }));
        let error = tx.commit(CommitOptions::default()).unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "{isolation:?}");
        tx.rollback();
        bench.check_clean();
    }
}

#[test]
fn an_alteration_waits_for_locked_records() {
    let bench = bench();
    let mut owner = bench.begin(Isolation::Serializable);
    bench.records.lock(&mut owner, "t", &json!(3), None).unwrap();
    let error = std::thread::scope(|scope| {
        let altering = scope.spawn(|| alter(&bench, &renamed()));
        while bench.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        let changes = fields(json!({ "b": 33 }));
        bench.records.update(&mut owner, "t", &json!(3), &changes, None).unwrap();
        owner.commit(CommitOptions::default()).unwrap();
        altering.join().unwrap()
    });
    // The view moved on with the wait, so the newer record is what was rewritten.
    error.unwrap();
    let record = bench.get("t", json!(3)).unwrap();
    assert_eq!((&record["name"], &record["b"]), (&json!("a3"), &json!(33)));
    bench.check_clean();
}
