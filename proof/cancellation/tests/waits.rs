//! Callers that wait for a record that another holds, and are given up: by time,
//! by closing, by their socket; and holders that go away.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{JoinHandle, yield_now};
use std::time::Duration;

use serde_json::json;
use tandem::{Code, Result, Store, Transaction};
use tandem_proof_cancellation::Stage;
use tandem_proof_cancellation::sockets::{Queue, Stand, Threads, on_a_runtime};
use tandem_transaction::Coordination;

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[expect(clippy::disallowed_methods, reason = "a caller of its own")]
    std::thread::spawn(work)
}

/// Where a caller can wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For a lock of its own.
    Lock,
    /// Before it writes.
    Statement,
    /// A write that commits by itself.
    Autocommit,
    /// In the commit: the record was locked after it had been written.
    Commit,
}

const WAITS: [Wait; 4] = [Wait::Lock, Wait::Statement, Wait::Autocommit, Wait::Commit];

/// What ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    HolderDropped,
    HolderDied,
    HolderCommitted,
    WaitOver,
    Expired,
    Closed,
}

const ENDS: [End; 6] = [
    End::HolderDropped,
    End::HolderDied,
    End::HolderCommitted,
    End::WaitOver,
    End::Expired,
    End::Closed,
];

fn waiter(wait: Wait, store: &Store, tx: &Transaction) -> Result<()> {
    let change = json!({ "balance": 7, "tags": ["w"] });
    match wait {
        Wait::Lock => {
            tx.lock("accounts", 1, None)?;
            tx.bucket("accounts").update(1, change)?;
        }
        Wait::Statement => drop(tx.bucket("accounts").update(1, change)?),
        Wait::Autocommit => return store.bucket("accounts").update(1, change).map(drop),
        Wait::Commit => {}
    }
    tx.finish(tandem::CommitOptions::new()).map(drop)
}

fn case(wait: Wait, end: End) {
    let what = format!("{wait:?}, {end:?}");
    let stage = Arc::new(Stage::new(false));
    let store = stage.store();
    let tx = store.begin().unwrap();
    if wait == Wait::Commit {
        tx.bucket("accounts").update(1, json!({ "balance": 7, "tags": ["w"] })).unwrap();
    }
    let holder = store.begin().unwrap();
    holder.lock("accounts", 1, None).unwrap();
    let caller = {
        let store = store.clone();
        spawn(move || waiter(wait, &store, &tx))
    };
    while stage.local.locks().waiters() == 0 {
        assert!(!caller.is_finished(), "{what}: it does not wait");
        yield_now();
    }
    let mut left = None;
    match end {
        End::HolderDropped => drop(holder),
        End::HolderDied => {
            let died = catch_unwind(AssertUnwindSafe(move || {
                let _holder = holder;
                resume_unwind(Box::new(()));
            }));
            assert!(died.is_err());
        }
        End::HolderCommitted => {
            holder.bucket("accounts").update(2, json!({ "balance": 1 })).unwrap();
            holder.commit().unwrap();
        }
        End::WaitOver => {
            stage.clock.advance(Duration::from_secs(6));
            left = Some(holder);
        }
        End::Expired => {
            stage.clock.advance(Duration::from_secs(31));
            store.maintain_until(|| true).unwrap();
            left = Some(holder);
        }
        End::Closed => {
            store.close();
            drop(holder);
        }
    }
    let told = caller.join().unwrap();
    drop(left);
    let what = format!("{what}, told {told:?}");
    stage.nothing_is_left().unwrap_or_else(|e| panic!("{what}: {e}"));
    let reopened = Stage::over(Arc::new(stage.engine.restart(0)), false);
    let record = reopened.store().bucket("accounts").require(1).unwrap();
    let committed = record.get("balance") == Some(json!(7));
    assert_eq!(committed, record.version() == 2, "{what}");
    assert_eq!(committed, told.is_ok(), "{what}");
    let code = told.err().map(|error| error.code());
    match end {
        End::HolderDropped | End::HolderDied | End::HolderCommitted => assert!(committed, "{what}"),
        End::WaitOver => assert_eq!(code, Some(Code::LockTimeout), "{what}"),
        // The holder has expired with it: whoever had begun its commit goes on.
        End::Expired if wait == Wait::Commit => {
            assert!(committed || code == Some(Code::LockTimeout), "{what}");
        }
        End::Expired => {
            assert!(matches!(code, Some(Code::TransactionExpired | Code::LockTimeout)), "{what}")
        }
        End::Closed => assert!(committed || code == Some(Code::Closed), "{what}"),
    }
    reopened.is_clean().and_then(|()| reopened.goes_on()).unwrap_or_else(|e| panic!("{what}: {e}"));
}

#[test]
fn g9_a_wait_for_a_lock_ends_in_all_or_nothing_however_it_ends() {
    let cases: Vec<_> =
        WAITS.into_iter().flat_map(|wait| ENDS.into_iter().map(move |end| (wait, end))).collect();
    for (wait, end) in &cases {
        case(*wait, *end);
    }
    println!("waits for a lock: {} ended", cases.len());
}

/// How a socket goes away whose request waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Future,
    Client,
    Server,
}

async fn socket(gone: Gone, kind: &str, frees: bool) {
    let what = format!("{gone:?}, {kind}, the lock is freed: {frees}");
    let calls = Arc::new(Threads::default());
    let stand = Stand::with(Arc::new(Queue::default()), calls.clone());
    let store = stand.stage.store();
    let holder = store.begin().unwrap();
    holder.lock("accounts", 1, None).unwrap();
    let (mut served, mut client) = stand.connect(1 << 16);
    client.post("store.begin", &json!({}));
    let within = |mut fields: serde_json::Value| {
        fields["transaction"] = "tx-1".into();
        fields
    };
    // What it holds is free when it has gone.
    client.post("store.lock", &within(json!({ "bucket": "accounts", "key": 2 })));
    let request = match kind {
        "store.lock" => within(json!({ "bucket": "accounts", "key": 1 })),
        _ => json!({ "bucket": "accounts", "key": 1, "data": { "balance": 7 } }),
    };
    client.post(kind, &request);
    while stand.stage.local.locks().waiters() == 0 {
        stand.settle(&mut served, &mut client).await;
    }
    match gone {
        Gone::Future => served.drop_future(),
        Gone::Client => client.close(),
        Gone::Server => stand.server.stop(Duration::ZERO),
    }
    stand.settle(&mut served, &mut client).await;
    assert!(stand.stage.local.locks().waiters() > 0, "{what}: it has begun");
    if frees {
        drop(holder);
    } else {
        stand.stage.clock.advance(Duration::from_secs(6));
    }
    calls.join();
    stand.settle(&mut served, &mut client).await;
    client.close();
    while !served.is_over() {
        stand.settle(&mut served, &mut client).await;
    }
    calls.join();
    let record = store.bucket("accounts").require(1).unwrap();
    let written = record.get("balance") == Some(json!(7));
    assert_eq!(written, frees && kind == "store.update", "{what}: what has begun is carried out");
    assert_eq!(stand.server.occupied(), Default::default(), "{what}");
    if frees {
        stand.stage.is_clean().unwrap_or_else(|e| panic!("{what}: {e}"));
        stand.stage.goes_on().unwrap_or_else(|e| panic!("{what}: {e}"));
    } else {
        let next = store.begin().unwrap();
        next.lock("accounts", 2, Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn g9_a_socket_that_goes_while_it_waits_for_a_lock_leaves_nothing() {
    on_a_runtime(async {
        for gone in [Gone::Future, Gone::Client, Gone::Server] {
            for kind in ["store.lock", "store.update"] {
                for frees in [true, false] {
                    socket(gone, kind, frees).await;
                }
            }
        }
    });
}
