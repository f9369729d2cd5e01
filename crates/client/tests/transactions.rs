//! Transactions: run again when that helps, exactly once when the network is
//! in the way, and never left open.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Network, Weather, client_of, config, in_time, serve, until};
use tandem_client::{
    Abort, Client, Code, Isolation, Result, RetryPolicy, Transaction, TransactionOptions,
};
use tokio::sync::{Barrier, watch};

async fn increment(tx: Transaction) -> Result<i64> {
    let items = tx.bucket("items");
    let n = items.get(0).await?.map_or(0, |record| record["n"].as_i64().unwrap_or(0)) + 1;
    items.upsert(json!({ "id": 0, "n": n })).await?;
    Ok(n)
}

async fn counted(client: &Client) -> Value {
    let record = client.bucket("items").get(0).await.expect("answered");
    record.map_or(json!(0), |record| record["n"].clone())
}

#[tokio::test]
async fn g4_conflicting_closures_are_run_again() {
    let server = serve(config()).await;
    let (one, two) = (client_of(&server).await, client_of(&server).await);
    let attempts = Arc::new(AtomicU32::new(0));
    let both_have_read = Arc::new(Barrier::new(2));
    let tasks: Vec<_> = [one.clone(), two]
        .into_iter()
        .map(|client| {
            let (attempts, both) = (attempts.clone(), both_have_read.clone());
            tokio::spawn(async move {
                let mut first = true;
                client
                    .transaction(|tx| {
                        let (both, meet) = (both.clone(), std::mem::take(&mut first));
                        attempts.fetch_add(1, Ordering::Relaxed);
                        async move {
                            tx.bucket("items").get(0).await?;
                            if meet {
                                both.wait().await;
                            }
                            increment(tx).await
                        }
                    })
                    .await
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(in_time(task).await.unwrap().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2]);
    assert_eq!(counted(&one).await, 2);
    assert!(attempts.load(Ordering::Relaxed) >= 3, "one of them had to be run again");
}

#[tokio::test]
async fn attempts_are_bounded_and_other_errors_are_not_run_again() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let other = client_of(&server).await;
    client.bucket("items").insert(json!({ "id": 0, "n": 0 })).await.unwrap();
    let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let options = TransactionOptions { retry: Some(policy), ..TransactionOptions::default() };
    let mut made = 0;
    let error = client
        .transaction_with(&options, |tx| {
            made += 1;
            let other = other.bucket("items");
            async move {
                tx.bucket("items").get(0).await?;
                other.update(0, json!({ "x": 1 })).await?;
                increment(tx).await
            }
        })
        .await
        .unwrap_err();
    assert!(error.is(Code::Conflict) && error.retryable());
    assert_eq!(made, 3);
    let mut made = 0;
    let error = client
        .transaction(|tx| {
            made += 1;
            async move { tx.bucket("items").insert(json!({ "id": 0 })).await }
        })
        .await
        .unwrap_err();
    assert!(error.is(Code::AlreadyExists));
    assert_eq!(made, 1);
    let sold_out = client
        .try_transaction(&TransactionOptions::default(), |tx| async move {
            increment(tx).await?;
            Err::<(), _>(Abort::Application("sold out"))
        })
        .await;
    assert!(matches!(sold_out, Err(Abort::Application("sold out"))));
    assert_eq!(counted(&client).await, 0, "rolled back");
    assert_eq!(client.server_stats().await.unwrap()["transactions"]["open"], 0);
}

/// The answer to the commit is lost; the commit is not.
#[tokio::test]
async fn g1_a_commit_whose_answer_is_lost_counts_once() {
    let server = serve(config()).await;
    let network = Arc::new(Network::to(&server).await);
    let client = network.client().await;
    let watcher = client_of(&server).await;
    let mut made = 0;
    let transaction = client.transaction(|tx| {
        made += 1;
        let network = network.clone();
        async move {
            let n = increment(tx).await?;
            // From here on answers are lost: that of the commit is the next.
            network.set(Weather::LosesAnswers);
            Ok(n)
        }
    });
    let storm = async {
        network.loses().await;
        assert_eq!(counted(&watcher).await, 1, "only the answer was lost");
        network.set(Weather::Fine);
        network.cut();
    };
    let (n, ()) = in_time(async { tokio::join!(transaction, storm) }).await;
    assert_eq!((n.unwrap(), made), (1, 1), "it is not run again");
    assert_eq!(counted(&client).await, 1);
}

/// The commit itself is lost: the closure is run again.
#[tokio::test]
async fn g1_a_commit_that_is_lost_is_made_once() {
    let server = serve(config()).await;
    let network = Arc::new(Network::to(&server).await);
    let client = network.client().await;
    let watcher = client_of(&server).await;
    let made = Arc::new(AtomicU32::new(0));
    let transaction = client.transaction(|tx| {
        let network = network.clone();
        let first = made.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let n = increment(tx).await?;
            if first {
                network.set(Weather::LosesRequests);
            }
            Ok(n)
        }
    });
    let storm = async {
        network.loses().await;
        assert_eq!(counted(&watcher).await, 0);
        network.set(Weather::Fine);
        network.cut();
    };
    let (n, ()) = in_time(async { tokio::join!(transaction, storm) }).await;
    assert_eq!(n.unwrap(), 1);
    assert_eq!(made.load(Ordering::Relaxed), 2);
    assert_eq!(counted(&client).await, 1);
}

/// Cut at every point of a busy time: the counter says how many succeeded. Between two
/// cuts each client gets on, so that none uses up its attempts.
#[tokio::test]
async fn g1_what_was_counted_is_there_however_often_the_network_is_cut() {
    const EACH: u64 = 40;
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let clients = [network.client().await, network.client().await];
    let (tasks, mut done): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .map(|client| {
            let (count, counted) = watch::channel(0);
            let task = tokio::spawn(async move {
                for n in 1..=EACH {
                    client.transaction(increment).await.expect("in the end it succeeds");
                    count.send_replace(n);
                }
            });
            (task, counted)
        })
        .unzip();
    let cutting = async {
        for pieces in 0.. {
            for done in &mut done {
                let before = *done.borrow_and_update();
                // An error: this one has ended.
                let _ended = done.wait_for(|now| *now > before).await;
            }
            network.carries(pieces % 17).await;
            network.cut();
        }
    };
    let working = async {
        for task in tasks {
            in_time(task).await.unwrap();
        }
    };
    tokio::select! {
        () = working => {}
        () = cutting => unreachable!("it has no end"),
    }
    assert_eq!(counted(&client_of(&server).await).await, 2 * EACH);
}

#[tokio::test]
async fn savepoints_locks_and_levels() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let items = client.bucket("items");
    items.insert(json!({ "id": 0, "n": 1 })).await.unwrap();
    let options = TransactionOptions {
        isolation: Isolation::ReadCommitted,
        timeout: Some(Duration::from_secs(20)),
        durability: Some(tandem_client::Durability::Buffered),
        ..TransactionOptions::default()
    };
    let tx = client.begin_with(&options).await.unwrap();
    let inside = tx.bucket("items");
    inside.insert(json!({ "id": 1 })).await.unwrap();
    tx.savepoint("s").await.unwrap();
    inside.insert(json!({ "id": 2 })).await.unwrap();
    tx.rollback_to("s").await.unwrap();
    tx.release("s").await.unwrap();
    assert!(tx.release("s").await.unwrap_err().is(Code::SavepointNotFound));
    items.update(0, json!({ "n": 2 })).await.unwrap();
    assert_eq!(inside.get(0).await.unwrap().unwrap()["n"], 2, "read committed");
    let locked = tx.lock("items", 0, Some(Duration::from_secs(1))).await.unwrap();
    assert_eq!(locked.unwrap()["n"], 2);
    let other = client.begin().await.unwrap();
    let refused = other.lock("items", 0, Some(Duration::ZERO)).await.unwrap_err();
    assert!(refused.is(Code::LockTimeout) && refused.retryable());
    other.rollback().await.unwrap();
    assert!(other.rollback().await.unwrap_err().is(Code::TransactionNotFound));
    let receipt = tx.commit_named("name").await.unwrap();
    assert_eq!(receipt.changes, 1);
    assert_eq!(items.find(json!({})).count().await.unwrap(), 2);
    let read_only = TransactionOptions { read_only: true, ..TransactionOptions::default() };
    let error = client.transaction_with(&read_only, increment).await.unwrap_err();
    assert!(error.is(Code::ReadOnly));
}

#[tokio::test]
async fn g9_a_dropped_transaction_is_rolled_back_and_frees_its_locks() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let items = client.bucket("items");
    items.insert(json!({ "id": 0, "n": 0 })).await.unwrap();
    {
        let tx = client.begin().await.unwrap();
        tx.lock("items", 0, None).await.unwrap();
    }
    // Waits for the lock, which only the rollback frees.
    in_time(items.update(0, json!({ "n": 1 }))).await.unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let task = tokio::spawn({
        let client = client.clone();
        let mut begun = Some(begun);
        async move {
            client
                .transaction(|tx| {
                    let begun = begun.take();
                    async move {
                        tx.lock("items", 0, None).await?;
                        begun.map(|begun| begun.send(()));
                        std::future::pending::<Result<()>>().await
                    }
                })
                .await
        }
    });
    in_time(has_begun).await.unwrap();
    task.abort();
    assert!(in_time(task).await.unwrap_err().is_cancelled());
    in_time(items.update(0, json!({ "n": 2 }))).await.unwrap();
    until(&client, "/transactions/open", json!(0)).await;
}
