//! The behaviour of a store must not depend on the local commit pipeline: here
//! it runs over a cluster of servers whose reads take time, whose commits are
//! run again inside, and which ask for whole transactions to be run again for
//! no reason that the caller could know.

#![expect(clippy::unwrap_used, reason = "a test says by panicking that it failed")]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tandem::{
    BatchOptions, BucketConfig, CheckOptions, Code, Field, IndexConfig, Isolation, Notice,
    Operation, Store, SubscribeOptions, TransactionOptions,
};
use tandem_storage::MemoryStorage;
use tandem_tests::door::server;
use tandem_tests::elsewhere::{Cluster, Weather};

fn cluster(weather: Weather, servers: usize) -> Vec<Store> {
    let cluster = Cluster::new(Arc::new(MemoryStorage::new()), weather).unwrap();
    (0..servers).map(|_| server(&cluster)).collect()
}

/// Definitions too may be asked to run again; they do so by themselves.
fn define_accounts(store: &Store) {
    let config = BucketConfig::new("id")
        .field("balance", Field::number())
        .index("balance")
        .index(IndexConfig::on("email").unique());
    store.define_bucket("accounts", config).unwrap();
}

fn assert_clean(store: &Store) {
    let report = store.check(&CheckOptions::new()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

fn balance(record: Option<tandem::Record>) -> i64 {
    record.and_then(|record| record.get("balance")?.as_i64()).unwrap_or(0)
}

fn on_threads<T: Send>(stores: &[Store], work: impl Fn(usize, &Store) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(at, store)| {
                scope.spawn({
                    let work = &work;
                    move || work(at, store)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn g4_transfers_of_several_servers_keep_the_sum_in_a_storm() {
    let servers = cluster(Weather::stormy(1), 3);
    define_accounts(&servers[0]);
    let accounts = servers[0].bucket("accounts");
    for id in 0..4 {
        accounts.insert(json!({"id": id, "balance": 100, "email": format!("{id}@x")})).unwrap();
    }
    on_threads(&servers, |at, store| {
        for round in 0..30 {
            let (from, to) = ((at + round) % 4, (at + round + 1) % 4);
            store
                .transaction(|tx| {
                    let accounts = tx.bucket("accounts");
                    let (source, target) = (accounts.get(from)?, accounts.get(to)?);
                    accounts.update(from, json!({"balance": balance(source) - 1}))?;
                    accounts.update(to, json!({"balance": balance(target) + 1}))?;
                    Ok(())
                })
                .unwrap();
        }
    });
    for store in &servers {
        let total: f64 = store
            .bucket("accounts")
            .find(json!({}))
            .records()
            .unwrap()
            .iter()
            .map(|record| record.get("balance").and_then(|b| b.as_f64()).unwrap())
            .sum();
        assert_eq!(total, 400.0);
        assert_clean(store);
    }
}

#[test]
fn g4_autocommitted_writes_and_batches_are_run_again_in_a_storm() {
    let servers = cluster(Weather::stormy(2), 2);
    define_accounts(&servers[0]);
    servers[1].bucket("accounts").insert(json!({"id": 1, "balance": 0, "email": "a"})).unwrap();
    on_threads(&servers, |at, store| {
        for round in 0..20 {
            store.bucket("accounts").update(1, json!({"balance": round})).unwrap();
            let id = 100 + 100 * at + round;
            let operations = [
                Operation::insert("accounts", json!({"id": id, "email": format!("{id}")})),
                Operation::update("accounts", 1, json!({"balance": id})),
            ];
            store.batch(&operations, &BatchOptions::new()).unwrap();
        }
    });
    let account = servers[0].bucket("accounts").get(1).unwrap().unwrap();
    assert_eq!(account.version(), 1 + 80, "every update happened, and happened once");
    assert_eq!(servers[0].bucket("accounts").count(json!({})).unwrap(), 41);
    assert_clean(&servers[0]);
}

#[test]
fn g9_a_spurious_conflict_reaches_a_caller_who_commits_by_hand_and_is_retryable() {
    let servers = cluster(Weather::stormy(3), 1);
    define_accounts(&servers[0]);
    let mut conflicts = 0;
    for id in 0..40 {
        let tx = servers[0].begin().unwrap();
        tx.bucket("accounts").insert(json!({"id": id})).unwrap();
        match tx.commit() {
            Ok(_) => {}
            Err(error) => {
                assert!(error.code() == Code::Conflict && error.retryable(), "{error}");
                assert!(servers[0].bucket("accounts").get(id).unwrap().is_none());
                conflicts += 1;
            }
        }
    }
    assert!(conflicts > 0, "the storm was too mild to prove anything");
    let left = servers[0].bucket("accounts").count(json!({})).unwrap();
    assert_eq!(left, 40 - conflicts);
    assert_clean(&servers[0]);
}

#[test]
fn g5_unique_values_hold_across_servers() {
    let servers = cluster(Weather::stormy(4), 3);
    define_accounts(&servers[0]);
    let inserted = on_threads(&servers, |at, store| {
        (0..20)
            .filter(|n| {
                let record = json!({"id": 1000 * at + n, "email": format!("{n}@x")});
                match store.bucket("accounts").insert(record) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.code(), Code::AlreadyExists, "{error}");
                        false
                    }
                }
            })
            .count()
    });
    assert_eq!(inserted.iter().sum::<usize>(), 20);
    assert_clean(&servers[1]);
}

#[test]
fn definitions_made_on_one_server_hold_on_the_others() {
    let servers = cluster(Weather::changeable(5), 2);
    define_accounts(&servers[0]);
    let (here, there) = (&servers[0], &servers[1]);
    let others = (10..200).map(|id| json!({"id": id, "city": id}));
    there.bucket("accounts").insert_many(others).unwrap();
    there.bucket("accounts").insert(json!({"id": 1, "city": "Rome"})).unwrap();
    here.create_index("accounts", IndexConfig::on("city")).unwrap();
    there.bucket("accounts").insert(json!({"id": 2, "city": "Rome"})).unwrap();
    let find = there.bucket("accounts").find(json!({"city": "Rome"}));
    assert!(find.clone().explain().unwrap()["index"].is_string());
    assert_eq!(find.records().unwrap().len(), 2);
    here.drop_bucket("accounts").unwrap();
    let refused = there.bucket("accounts").insert(json!({"id": 3})).unwrap_err();
    assert_eq!(refused.code(), Code::BucketNotDefined);
}

#[test]
fn generated_numbers_are_given_once_across_servers() {
    let servers = cluster(Weather::stormy(6), 3);
    let config = BucketConfig::new("n").field("n", Field::number().generated_autoincrement());
    servers[0].define_bucket("tickets", config).unwrap();
    let numbers = on_threads(&servers, |_, store| {
        (0..20)
            .map(|_| {
                let ticket = store.bucket("tickets").insert(json!({})).unwrap();
                ticket.get("n").and_then(|n| n.as_u64()).unwrap()
            })
            .collect::<Vec<_>>()
    });
    let all: BTreeSet<_> = numbers.iter().flatten().collect();
    assert_eq!(all.len(), 60);
}

#[test]
fn a_number_that_was_committed_is_not_generated_again_by_a_server_that_starts_later() {
    // The bucket does not grow in the transaction that takes number 2.
    let cluster = Cluster::new(Arc::new(MemoryStorage::new()), Weather::changeable(9)).unwrap();
    let first = server(&cluster);
    let config = BucketConfig::new("n").field("n", Field::number().generated_autoincrement());
    first.define_bucket("tickets", config).unwrap();
    first.bucket("tickets").insert(json!({})).unwrap();
    first
        .transaction(|tx| {
            tx.bucket("tickets").delete(1)?;
            tx.bucket("tickets").insert(json!({}))
        })
        .unwrap();
    let later = server(&cluster);
    let ticket = later.bucket("tickets").insert(json!({})).unwrap();
    assert_eq!(ticket.get("n"), Some(json!(3)));
}

#[test]
fn g4_a_bucket_of_limited_size_keeps_its_bound_across_servers_at_every_level() {
    for level in Isolation::ALL {
        let servers = cluster(Weather::changeable(10), 2);
        servers[0].define_bucket("recent", BucketConfig::new("id").max_size(3)).unwrap();
        let options = TransactionOptions::new().isolation(level);
        on_threads(&servers, |at, store| {
            for n in 0..15 {
                let insert = |tx: &tandem::Transaction| {
                    tx.bucket("recent").insert(json!({"id": 100 * at + n}))
                };
                store.transaction_with(&options, insert).unwrap();
            }
        });
        assert_eq!(servers[0].bucket("recent").all().records().unwrap().len(), 3, "{level}");
        assert_clean(&servers[0]);
    }
}

#[test]
fn g9_a_referenced_record_is_not_deleted_under_a_new_referrer_on_another_server() {
    for level in Isolation::ALL {
        let servers = cluster(Weather::changeable(11), 2);
        servers[0].define_bucket("users", BucketConfig::new("id")).unwrap();
        let posts = BucketConfig::new("id").field("author", Field::any().references("users"));
        servers[0].define_bucket("posts", posts).unwrap();
        servers[0].bucket("users").insert(json!({"id": 1})).unwrap();
        let options = TransactionOptions::new().isolation(level);
        let deletes = servers[0].begin_with(&options).unwrap();
        let refers = servers[1].begin_with(&options).unwrap();
        deletes.bucket("users").delete(1).unwrap();
        refers.bucket("posts").insert(json!({"id": 1, "author": 1})).unwrap();
        refers.commit().unwrap();
        let refused = deletes.commit().unwrap_err();
        assert!(
            matches!(refused.code(), Code::Conflict | Code::ReferenceViolation),
            "{level}: {refused}"
        );
        assert!(servers[0].bucket("users").get(1).unwrap().is_some());
    }
}

#[test]
fn g7_a_subscriber_of_one_server_sees_the_commits_of_all_in_order() {
    let servers = cluster(Weather::stormy(7), 3);
    define_accounts(&servers[0]);
    let mut subscription =
        servers[0].subscribe(SubscribeOptions::new().bucket("accounts")).unwrap();
    let begin = servers[0].revision().unwrap();
    on_threads(&servers, |at, store| {
        for n in 0..10 {
            store.bucket("accounts").insert(json!({"id": 100 * at + n})).unwrap();
        }
    });
    let mut revisions = vec![begin];
    let mut keys = BTreeSet::new();
    while let Some(notice) = subscription.try_next().unwrap() {
        if let Notice::Commit(commit) = notice {
            assert!(commit.revision > *revisions.last().unwrap());
            revisions.push(commit.revision);
            keys.extend(commit.changes.iter().map(|change| change.key.to_string()));
        }
    }
    assert_eq!((revisions.len() - 1, keys.len()), (30, 30));
}

#[test]
fn g4_write_skew_across_servers_is_kept_out_by_serializable_only() {
    for (level, both_commit) in [
        (Isolation::ReadCommitted, true),
        (Isolation::Snapshot, true),
        (Isolation::Serializable, false),
    ] {
        let servers = cluster(Weather::changeable(8), 2);
        define_accounts(&servers[0]);
        let on_call: Vec<Value> =
            (1..=2).map(|id| json!({"id": id, "onCall": true, "email": id})).collect();
        servers[0].bucket("accounts").insert_many(on_call).unwrap();
        let options = TransactionOptions::new().isolation(level);
        let transactions: Vec<_> =
            servers.iter().map(|store| store.begin_with(&options).unwrap()).collect();
        for (at, tx) in transactions.iter().enumerate() {
            let accounts = tx.bucket("accounts");
            assert_eq!(accounts.count(json!({"onCall": true})).unwrap(), 2);
            accounts.update(at as u64 + 1, json!({"onCall": false})).unwrap();
        }
        let commits: Vec<_> = transactions.into_iter().map(|tx| tx.commit().is_ok()).collect();
        assert_eq!(commits, [true, both_commit], "{level}");
    }
}
