//! Events by topic, on the dispatcher's thread.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use tandem_base::Code;
use tandem_change::{ChangeKind, ChangeLogOptions, EventDispatcher, EventGuard, EventNotice};

use crate::support::{PATIENCE, Store, no_ring};

type Log = Arc<Mutex<Vec<String>>>;

/// Writes each notice as a line, e.g. `3 bucket.users.inserted a`.
fn record(dispatcher: &EventDispatcher, pattern: &str) -> (Log, EventGuard) {
    let log = Log::default();
    let lines = log.clone();
    let guard = dispatcher.on(pattern.parse().unwrap(), move |notice| {
        let line = match notice {
            EventNotice::Event(event) => {
                let key = std::str::from_utf8(&event.key).unwrap();
                format!("{} {} {key}", event.revision, event.topic)
            }
            EventNotice::Resync { after, resumed_from } => format!("{after}..{resumed_from} lost"),
            EventNotice::Failed(error) => error.to_string(),
        };
        lines.lock().unwrap().push(line);
    });
    (log, guard.unwrap())
}

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn g7_callbacks_get_the_matching_changes_in_commit_order() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    let (inserted, _first) = record(&dispatcher, "bucket.users.inserted");
    let (all, _second) = record(&dispatcher, "bucket.*.*");
    store.commit(&[
        ("users", "b", Some("1")),
        ("orders", "o", Some("1")),
        ("users", "a", Some("1")),
    ]);
    store.commit(&[("users", "b", Some("2")), ("users", "a", None), ("_sessions", "s", Some("1"))]);
    store.commit(&[("eu.users", "e", Some("1"))]);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&inserted), ["1 bucket.users.inserted b", "1 bucket.users.inserted a"]);
    assert_eq!(
        lines(&all),
        [
            "1 bucket.users.inserted b",
            "1 bucket.orders.inserted o",
            "1 bucket.users.inserted a",
            "2 bucket.users.updated b",
            "2 bucket.users.deleted a",
            "3 bucket.eu.users.inserted e",
        ]
    );
}

#[test]
fn an_event_carries_the_rows_before_and_after_and_the_commit() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    store.commit(&[("users", "a", Some("old"))]);
    let (sender, receiver) = mpsc::channel();
    let pattern = "bucket.users.updated".parse().unwrap();
    let _guard =
        dispatcher.on(pattern, move |notice| sender.send(notice.clone()).unwrap()).unwrap();
    store.commit(&[("users", "a", Some("new"))]);
    let EventNotice::Event(event) = receiver.recv_timeout(PATIENCE).unwrap() else {
        panic!("expected an event")
    };
    assert_eq!((event.kind(), &**event.bucket()), (ChangeKind::Updated, "users"));
    assert_eq!(event.before.as_deref(), Some(&b"old"[..]));
    assert_eq!(event.after.as_deref(), Some(&b"new"[..]));
    assert_eq!((event.revision, event.timestamp), (2, 1_700_000_000_000));
}

#[test]
fn g10_callbacks_run_on_one_thread_that_never_commits_and_a_stuck_one_delays_no_commit() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    let (sender, receiver) = mpsc::channel::<ThreadId>();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let guard = dispatcher.on("bucket.*.*".parse().unwrap(), move |_| {
        sender.send(std::thread::current().id()).unwrap();
        let _ = held.lock().unwrap().recv();
    });
    let guard = guard.unwrap();
    store.fill(1);
    let first = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(store.fill(100), 101, "commits go on");
    let error = dispatcher.settle(1, Duration::ZERO).unwrap_err();
    assert_eq!(error.code(), Code::Timeout);
    drop(release);
    dispatcher.flush(PATIENCE).unwrap();
    let threads: Vec<_> = receiver.try_iter().collect();
    assert_eq!(threads.len(), 100);
    assert!(threads.iter().all(|thread| *thread == first));
    assert_ne!(first, std::thread::current().id());
    drop(guard);
}

#[test]
fn a_callback_gets_what_is_committed_after_its_registration_until_its_guard_is_dropped() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    store.fill(2);
    let (early, guard) = record(&dispatcher, "bucket.*.*");
    assert_eq!(guard.since(), 2);
    store.commit(&[("users", "a", Some("1"))]);
    let (late, _late) = record(&dispatcher, "bucket.*.*");
    store.commit(&[("users", "b", Some("1"))]);
    dispatcher.flush(PATIENCE).unwrap();
    drop(guard);
    store.commit(&[("users", "c", Some("1"))]);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&early), ["3 bucket.users.inserted a", "4 bucket.users.inserted b"]);
    assert_eq!(lines(&late), ["4 bucket.users.inserted b", "5 bucket.users.inserted c"]);
}

#[test]
fn what_is_committed_while_nobody_listens_is_not_dispatched_later() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    let (_, guard) = record(&dispatcher, "bucket.*.*");
    store.fill(1);
    dispatcher.flush(PATIENCE).unwrap();
    drop(guard);
    store.fill(3);
    dispatcher.flush(Duration::ZERO).unwrap();
    let (log, _guard) = record(&dispatcher, "bucket.*.*");
    store.commit(&[("users", "new", Some("1"))]);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&log), ["5 bucket.users.inserted new"]);
}

#[test]
fn g9_a_panicking_callback_is_removed_and_the_others_go_on() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    let panicking = dispatcher.on("bucket.*.*".parse().unwrap(), |_| panic!("a defect")).unwrap();
    let (log, _guard) = record(&dispatcher, "bucket.*.*");
    store.commit(&[("users", "a", Some("1"))]);
    store.commit(&[("users", "b", Some("1"))]);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&log), ["1 bucket.users.inserted a", "2 bucket.users.inserted b"]);
    assert!(!panicking.is_active());
    assert_eq!(dispatcher.panicked(), 1);
}

#[test]
fn a_callback_may_commit_register_and_unregister_but_not_wait_for_itself() {
    let store = Arc::new(Store::new(ChangeLogOptions::default()));
    let dispatcher = Arc::new(store.dispatcher());
    let (sender, receiver) = mpsc::channel();
    let guards: Arc<Mutex<Vec<EventGuard>>> = Arc::default();
    let (inner_store, inner, kept) = (store.clone(), dispatcher.clone(), guards.clone());
    let guard = dispatcher.on("bucket.users.inserted".parse().unwrap(), move |_| {
        let (log, guard) = record(&inner, "bucket.orders.*");
        kept.lock().unwrap().push(guard);
        inner_store.commit(&[("orders", "o", Some("1"))]);
        sender.send((log, inner.flush(PATIENCE).unwrap_err().code())).unwrap();
    });
    let guard = guard.unwrap();
    store.commit(&[("users", "a", Some("1"))]);
    let (log, code) = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(code, Code::InvalidRequest);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&log), ["2 bucket.orders.inserted o"]);
    // The callback holds the dispatcher, so the circle has to be cut here.
    drop(guard);
    guards.lock().unwrap().clear();
}

#[test]
fn g8_a_dispatcher_that_lags_beyond_the_log_tells_the_callbacks() {
    let store = Store::new(no_ring());
    let dispatcher = store.dispatcher();
    let (entered, inside) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let blocking = dispatcher.on("bucket.orders.*".parse().unwrap(), move |notice| {
        if matches!(notice, EventNotice::Event(_)) {
            entered.send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        }
    });
    let _blocking = blocking.unwrap();
    let (log, _guard) = record(&dispatcher, "bucket.users.*");
    store.commit(&[("orders", "stuck", Some("1"))]);
    inside.recv_timeout(PATIENCE).unwrap();
    store.fill(5);
    store.clock.advance(Duration::from_secs(7_200));
    store.commit(&[("users", "kept", Some("1"))]);
    assert_eq!(store.trim().log_entries, 6);
    let (late, _late) = record(&dispatcher, "bucket.users.*");
    drop(release);
    dispatcher.flush(PATIENCE).unwrap();
    assert_eq!(lines(&log), ["1..6 lost", "7 bucket.users.inserted kept"]);
    assert_eq!(lines(&late), Vec::<String>::new(), "it has lost nothing");
}

#[test]
fn closing_dispatches_what_is_left_and_refuses_new_callbacks() {
    let store = Store::new(ChangeLogOptions::default());
    let dispatcher = store.dispatcher();
    let (log, _guard) = record(&dispatcher, "bucket.*.*");
    store.fill(20);
    store.hub.close();
    dispatcher.settle(20, PATIENCE).unwrap();
    assert_eq!(lines(&log).len(), 20);
    assert_eq!(dispatcher.settle(21, PATIENCE).unwrap_err().code(), Code::Closed);
    let refused = dispatcher.on("bucket.*.*".parse().unwrap(), |_| {});
    assert_eq!(refused.unwrap_err().code(), Code::Closed);
}
