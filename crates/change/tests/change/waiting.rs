//! Waking those who wait, and ending.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tandem_base::Code;
use tandem_change::ChangeLogOptions;

use crate::support::{PATIENCE, Store, commit_of};

fn store() -> Store {
    Store::new(ChangeLogOptions::default())
}

#[test]
fn a_blocked_follower_is_woken_by_the_next_commit() {
    let store = store();
    let mut subscription = store.subscribe_from(0);
    let (sender, receiver) = mpsc::channel();
    let follower = std::thread::spawn(move || {
        while let Some(notice) = subscription.next().unwrap() {
            sender.send(commit_of(notice).revision).unwrap();
        }
    });
    for _ in 0..20 {
        let revision = store.fill(1);
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), revision);
    }
    store.hub.close();
    follower.join().unwrap();
}

#[test]
fn a_timed_wait_ends_by_the_environments_clock() {
    let store = store();
    let mut subscription = store.subscribe_from(0);
    assert_eq!(subscription.next_timeout(Duration::ZERO).unwrap(), None);
    let clock = store.clock.clone();
    let (started, waiting) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        started.send(()).unwrap();
        subscription.next_timeout(Duration::from_secs(3_600)).unwrap()
    });
    waiting.recv().unwrap();
    // However often it takes: the waiter may not have read the clock yet.
    while !waiter.is_finished() {
        clock.advance(Duration::from_secs(3_600));
        std::thread::yield_now();
    }
    assert_eq!(waiter.join().unwrap(), None);
}

#[test]
fn a_publish_callback_gets_the_newest_revision_until_its_handle_is_dropped() {
    let store = store();
    let newest = Arc::new(AtomicU64::new(0));
    let seen = newest.clone();
    let handle = store.hub.on_publish(Arc::new(move |revision| {
        seen.fetch_max(revision, Ordering::SeqCst);
    }));
    // It ran on the committing thread, before the commit was acknowledged.
    let revision = store.fill(3);
    assert_eq!(newest.load(Ordering::SeqCst), revision);
    assert_eq!(store.hub.newest(), revision);
    drop(handle);
    store.fill(1);
    assert_eq!(newest.load(Ordering::SeqCst), revision);
    assert_eq!(Arc::strong_count(&newest), 1, "the callback itself is gone too");
}

#[test]
fn g9_a_panicking_publish_callback_fails_no_commit_and_is_not_called_again() {
    let store = store();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let _handle = store.hub.on_publish(Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("a defect of the follower");
    }));
    assert_eq!(store.fill(3), 3);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn closing_delivers_what_is_left_and_then_says_so() {
    let store = store();
    let mut subscription = store.subscribe_from(0);
    let mut blocking = store.subscribe_from(0);
    store.fill(2);
    store.hub.close();
    store.hub.close();
    for revision in [1, 2] {
        let notice = subscription.next_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(commit_of(notice).revision, revision);
    }
    assert_eq!(subscription.try_next().unwrap_err().code(), Code::Closed);
    assert_eq!(subscription.next_timeout(PATIENCE).unwrap_err().code(), Code::Closed);
    assert!(blocking.next().unwrap().is_some());
    assert!(blocking.next().unwrap().is_some());
    assert_eq!(blocking.next().unwrap(), None);
}

#[test]
fn closing_calls_the_publish_callbacks_once_more() {
    let store = store();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let _handle = store.hub.on_publish(Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    store.hub.close();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(store.hub.is_closed());
}
