//! Unique values, references and bucket sizes hold inside and between
//! transactions, at every isolation level.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::Code;
use tandem_transaction::{CommitOptions, Isolation};

fn users(bench: &Bench) {
    bench.define(
        "users",
        json!({ "key": "id", "schema": {
            "id": { "type": "number" }, "email": { "type": "string", "unique": true },
        } }),
    );
}

fn shop(bench: &Bench, on_delete: &str) {
    bench.define("customers", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    bench.define(
        "orders",
        json!({ "key": "id", "schema": {
            "id": { "type": "number" },
            "customer": { "type": "number", "ref": "customers", "onDelete": on_delete },
        } }),
    );
    bench.insert("customers", json!({ "id": 1 })).unwrap();
}

#[test]
fn g5_a_taken_unique_value_is_refused_with_its_holder_and_changes_nothing() {
    let bench = Bench::new();
    users(&bench);
    bench.insert("users", json!({ "id": 1, "email": "a" })).unwrap();
    let error = bench.insert("users", json!({ "id": 2, "email": "a" })).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(
        error.message(),
        "Unique constraint violation in bucket \"users\": field \"email\" already has value \"a\""
    );
    assert_eq!(error.detail("existingKey"), Some(&json!(1)));
    assert_eq!(error.detail("field"), Some(&json!("email")));
    assert_eq!(bench.count("users"), 1);
    bench.check_clean();
}

#[test]
fn g5_null_and_missing_never_collide() {
    let bench = Bench::new();
    users(&bench);
    for id in 1..=3 {
        bench.insert("users", json!({ "id": id, "email": null })).unwrap();
        bench.insert("users", json!({ "id": id + 10 })).unwrap();
    }
    bench.check_clean();
}

#[test]
fn g5_two_transactions_cannot_both_take_a_value_at_any_level() {
    for isolation in Isolation::ALL {
        let bench = Bench::new();
        users(&bench);
        let (mut one, mut two) = (bench.begin(isolation), bench.begin(isolation));
        let email = |id| fields(json!({ "id": id, "email": "x" }));
        bench.records.insert(&mut one, "users", email(1)).unwrap();
        bench.records.insert(&mut two, "users", email(2)).unwrap();
        one.commit(CommitOptions::default()).unwrap();
        let error = two.commit(CommitOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::Conflict, true), "{isolation}");
        assert_eq!(bench.count("users"), 1);
        bench.check_clean();
    }
}

#[test]
fn g5_a_batch_can_swap_unique_values_and_cannot_leave_them_colliding() {
    let bench = Bench::new();
    users(&bench);
    bench.insert("users", json!({ "id": 1, "email": "a" })).unwrap();
    bench.insert("users", json!({ "id": 2, "email": "b" })).unwrap();
    let set = |to: &str| fields(json!({ "email": to }));

    let mut tx = bench.begin(Isolation::Serializable);
    tx.defer_constraints();
    bench.records.update(&mut tx, "users", &json!(1), &set("b"), None).unwrap();
    assert_eq!(
        bench.records.check_deferred(&mut tx).unwrap_err().code(),
        Code::AlreadyExists,
        "half of the swap is a violation"
    );
    bench.records.update(&mut tx, "users", &json!(2), &set("a"), None).unwrap();
    bench.records.check_deferred(&mut tx).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
    assert_eq!(bench.get("users", json!(1)).unwrap()["email"], "b");
    bench.check_clean();
}

#[test]
fn a_value_is_free_again_within_the_transaction_that_frees_it() {
    let bench = Bench::new();
    users(&bench);
    bench.insert("users", json!({ "id": 1, "email": "a" })).unwrap();
    bench
        .run(|records, tx| {
            records.delete(tx, "users", &json!(1), None)?;
            records.insert(tx, "users", fields(json!({ "id": 2, "email": "a" })))?;
            records.update(tx, "users", &json!(2), &fields(json!({ "email": "b" })), None)?;
            records.insert(tx, "users", fields(json!({ "id": 1, "email": "a" })))
        })
        .unwrap();
    assert_eq!(bench.count("users"), 2);
    bench.check_clean();
}

#[test]
fn a_reference_must_point_to_a_record() {
    let bench = Bench::new();
    shop(&bench, "restrict");
    let error = bench.insert("orders", json!({ "id": 1, "customer": 9 })).unwrap_err();
    assert_eq!(error.code(), Code::ReferenceViolation);
    bench.insert("orders", json!({ "id": 1, "customer": 1 })).unwrap();
    bench.insert("orders", json!({ "id": 2, "customer": null })).unwrap();
}

#[test]
fn a_referrer_restricts_is_deleted_with_or_loses_its_reference() {
    for (on_delete, orders) in [("restrict", 1), ("cascade", 0), ("set_null", 1)] {
        let bench = Bench::new();
        shop(&bench, on_delete);
        bench.insert("orders", json!({ "id": 1, "customer": 1 })).unwrap();
        let deleted = bench.run(|records, tx| records.delete(tx, "customers", &json!(1), None));
        if on_delete == "restrict" {
            assert_eq!(deleted.unwrap_err().code(), Code::ReferenceViolation);
            assert_eq!(bench.count("customers"), 1);
        } else {
            assert!(deleted.unwrap());
        }
        assert_eq!(bench.count("orders"), orders, "{on_delete}");
        if on_delete == "set_null" {
            let order = bench.get("orders", json!(1)).unwrap();
            assert_eq!((&order["customer"], &order["_version"]), (&Value::Null, &json!(2)));
        }
        bench.check_clean();
    }
}

#[test]
fn circles_of_cascades_end() {
    let bench = Bench::new();
    bench.define(
        "nodes",
        json!({ "key": "id", "schema": {
            "id": { "type": "number" },
            "next": { "type": "number", "ref": "nodes", "onDelete": "cascade" },
        } }),
    );
    for id in 1..=3 {
        bench.insert("nodes", json!({ "id": id })).unwrap();
    }
    for id in 1..=3 {
        let next = fields(json!({ "next": id % 3 + 1 }));
        bench.run(|records, tx| records.update(tx, "nodes", &json!(id), &next, None)).unwrap();
    }
    bench.run(|records, tx| records.delete(tx, "nodes", &json!(2), None)).unwrap();
    assert_eq!(bench.count("nodes"), 0);
    bench.check_clean();
}

#[test]
fn a_reference_cannot_be_broken_between_two_transactions_at_any_level() {
    for isolation in Isolation::ALL {
        for referrer_first in [true, false] {
            let bench = Bench::new();
            shop(&bench, "restrict");
            let (mut one, mut two) = (bench.begin(isolation), bench.begin(isolation));
            let order = fields(json!({ "id": 1, "customer": 1 }));
            bench.records.insert(&mut one, "orders", order).unwrap();
            bench.records.delete(&mut two, "customers", &json!(1), None).unwrap();
            let (first, second) =
                if referrer_first { (&mut one, &mut two) } else { (&mut two, &mut one) };
            first.commit(CommitOptions::default()).unwrap();
            let error = second.commit(CommitOptions::default()).unwrap_err();
            assert_eq!((error.code(), error.retryable()), (Code::Conflict, true), "{isolation}");
            bench.check_clean();
        }
    }
}

#[test]
fn updating_a_referred_record_does_not_conflict_with_new_referrers() {
    for isolation in Isolation::ALL {
        let bench = Bench::new();
        shop(&bench, "restrict");
        let mut tx = bench.begin(isolation);
        let order = fields(json!({ "id": 1, "customer": 1 }));
        bench.records.insert(&mut tx, "orders", order).unwrap();
        let change = fields(json!({ "name": "Ann" }));
        bench.run(|records, tx| records.update(tx, "customers", &json!(1), &change, None)).unwrap();
        tx.commit(CommitOptions::default()).unwrap();
    }
}

#[test]
fn g10_a_full_bucket_drops_its_oldest_record_inside_and_between_transactions() {
    for isolation in Isolation::ALL {
        let bench = Bench::new();
        let config = json!({ "key": "id", "maxSize": 2, "schema": { "id": { "type": "number" } } });
        bench.define("recent", config);
        bench
            .run(|records, tx| {
                for id in 1..=4 {
                    records.insert(tx, "recent", fields(json!({ "id": id })))?;
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(bench.count("recent"), 2);
        assert!(bench.get("recent", json!(2)).is_none() && bench.get("recent", json!(3)).is_some());
        // A refused insert into a full bucket drops nothing.
        bench.insert("recent", json!({ "id": 3 })).unwrap_err();
        assert_eq!(bench.count("recent"), 2);
        // Two at once would exceed the size: one has to run again.
        let (mut one, mut two) = (bench.begin(isolation), bench.begin(isolation));
        bench.records.insert(&mut one, "recent", fields(json!({ "id": 5 }))).unwrap();
        bench.records.insert(&mut two, "recent", fields(json!({ "id": 6 }))).unwrap();
        one.commit(CommitOptions::default()).unwrap();
        assert!(two.commit(CommitOptions::default()).unwrap_err().retryable());
        assert_eq!(bench.count("recent"), 2);
        bench.check_clean();
    }
}

#[test]
fn expired_records_are_purged_and_only_those() {
    let bench = Bench::new();
    let config = json!({ "key": "id", "ttl": "1s", "schema": { "id": { "type": "number" } } });
    bench.define("sessions", config);
    bench.insert("sessions", json!({ "id": 1 })).unwrap();
    bench.insert("sessions", json!({ "id": 2, "_expiresAt": 9_000_000_000_000_u64 })).unwrap();
    let now = |bench: &Bench| tandem_base::Clock::now_ms(&*bench.clock);
    let purge = |bench: &Bench| {
        let now = now(bench);
        bench.run(|records, tx| records.purge_expired(tx, "sessions", now, 100)).unwrap()
    };
    assert_eq!(purge(&bench), 0);
    bench.clock.advance(std::time::Duration::from_millis(1_000));
    assert_eq!(purge(&bench), 1);
    assert!(bench.get("sessions", json!(1)).is_none() && bench.get("sessions", json!(2)).is_some());
    bench.check_clean();
}

#[test]
fn autoincrement_numbers_are_given_out_once_and_failed_inserts_leave_gaps() {
    let bench = Bench::new();
    let config = json!({ "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" }, "n": { "type": "number" } } });
    bench.define("log", config);
    bench.insert("log", json!({ "n": 1 })).unwrap();
    bench.insert("log", json!({ "n": "wrong" })).unwrap_err();
    let row = bench.insert("log", json!({ "n": 3 })).unwrap();
    assert_eq!(row.field("id"), Some(json!(3)));
}

#[test]
fn an_autoincrement_key_is_never_one_that_a_record_has() {
    // A record that came with its own number stood in the way of the counter:
    // the insert that drew that number was refused as a duplicate.
    let bench = Bench::new();
    let config = json!({ "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" } } });
    bench.define("log", config);
    let drawn = |data| bench.insert("log", data).unwrap().field("id").unwrap();
    assert_eq!(drawn(json!({})), json!(1));
    for taken in [json!(2), json!(3), json!(3.5), json!(4), json!(5.5), json!(-7), json!(7)] {
        assert_eq!(drawn(json!({ "id": taken })), taken);
    }
    assert_eq!(drawn(json!({})), json!(5));
    // A number of the caller's far away does not make the counter jump.
    for far in [json!(1_000_000), json!(u64::MAX), json!(1e300)] {
        assert_eq!(drawn(json!({ "id": far })), far);
    }
    assert_eq!(drawn(json!({})), json!(6));
    assert_eq!(drawn(json!({})), json!(8));

    // The transaction's own records count too; a number of the caller's that
    // is taken is still refused.
    let mut tx = bench.begin(Isolation::Serializable);
    bench.records.insert(&mut tx, "log", fields(json!({ "id": 9 }))).unwrap();
    let row = bench.records.insert(&mut tx, "log", fields(json!({}))).unwrap();
    assert_eq!(row.field("id"), Some(json!(10)));
    let error = bench.records.insert(&mut tx, "log", fields(json!({ "id": 5 }))).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    tx.commit(CommitOptions::default()).unwrap();

    // Fields that get the same number go on getting the same.
    bench.define(
        "pairs",
        json!({ "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" },
        "also": { "type": "number", "generated": "autoincrement" } } }),
    );
    bench.insert("pairs", json!({ "id": 1, "also": 7 })).unwrap();
    let row = bench.insert("pairs", json!({})).unwrap();
    assert_eq!((row.field("id"), row.field("also")), (Some(json!(2)), Some(json!(2))));
    bench.check_clean();
}

#[test]
fn g5_a_value_given_to_a_record_that_the_transaction_rewrites_is_free_for_it() {
    // Under read committed: another gave value "x" to record 1, which this
    // transaction has written already and which loses it again at the commit.
    // The statement saw the other's entry and refused.
    let bench = Bench::new();
    users(&bench);
    bench.insert("users", json!({ "id": 1, "email": "a" })).unwrap();
    bench.insert("users", json!({ "id": 2, "email": "b" })).unwrap();
    let set = |to: &str| fields(json!({ "email": to }));
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.update(&mut tx, "users", &json!(1), &set("c"), None).unwrap();
    bench.run(|records, tx| records.update(tx, "users", &json!(1), &set("x"), None)).unwrap();
    bench.records.update(&mut tx, "users", &json!(2), &set("x"), None).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
    assert_eq!(bench.get("users", json!(2)).unwrap()["email"], "x");
    bench.check_clean();
}

#[test]
fn g5_a_value_that_another_took_after_it_was_freed_here_is_seen_as_taken() {
    // Under read committed: this transaction takes "a" away from record 1;
    // another commits the same for itself and gives "a" to record 3. The own
    // removal hid the other's entry, and only the commit noticed.
    let bench = Bench::new();
    users(&bench);
    bench.insert("users", json!({ "id": 1, "email": "a" })).unwrap();
    let set = |to: &str| fields(json!({ "email": to }));
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.update(&mut tx, "users", &json!(1), &set("b"), None).unwrap();
    bench.run(|records, tx| records.update(tx, "users", &json!(1), &set("c"), None)).unwrap();
    bench.insert("users", json!({ "id": 3, "email": "a" })).unwrap();
    let fourth = fields(json!({ "id": 4, "email": "a" }));
    let error = bench.records.insert(&mut tx, "users", fourth).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(error.detail("existingKey"), Some(&json!(3)));
}

#[test]
fn a_restricted_expired_record_does_not_keep_the_others() {
    // A step that met as many restricted records as it may handle deleted
    // nothing, and so did every later one.
    let bench = Bench::new();
    let session = json!({ "key": "id", "ttl": 1, "schema": { "id": { "type": "number" } } });
    bench.define("sessions", session);
    bench.define(
        "uses",
        json!({ "key": "id", "schema": {
            "id": { "type": "number" }, "session": { "type": "number", "ref": "sessions" },
        } }),
    );
    for id in 1..=4 {
        bench.insert("sessions", json!({ "id": id })).unwrap();
    }
    for id in 1..=2 {
        bench.insert("uses", json!({ "id": id, "session": id })).unwrap();
    }
    let later = tandem_base::Clock::now_ms(&*bench.clock) + 10;
    let purge =
        || bench.run(|records, tx| records.purge_expired(tx, "sessions", later, 2)).unwrap();
    assert_eq!((purge(), purge()), (2, 0));
    assert_eq!(bench.count("sessions"), 2);
    bench.check_clean();
}

#[test]
fn a_record_cannot_refer_to_the_one_that_makes_room_for_it() {
    let bench = Bench::new();
    bench.define(
        "chain",
        json!({ "key": "id", "maxSize": 1, "schema": {
            "id": { "type": "number" }, "previous": { "type": "number", "ref": "chain" },
        } }),
    );
    bench.insert("chain", json!({ "id": 1 })).unwrap();
    let error = bench.insert("chain", json!({ "id": 2, "previous": 1 })).unwrap_err();
    assert_eq!(error.code(), Code::ReferenceViolation);
    assert!(bench.get("chain", json!(1)).is_some(), "the refused insert dropped nothing");
}

#[test]
fn the_index_that_a_ttl_needs_cannot_be_dropped() {
    let bench = Bench::new();
    let config = json!({ "key": "id", "ttl": "1s", "schema": { "id": { "type": "number" } },
        "indexes": [{ "name": "expiry", "fields": ["_expiresAt"] }] });
    bench.define("sessions", config);
    let error = bench.run(|records, tx| records.drop_index(tx, "sessions", "expiry")).unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
}
