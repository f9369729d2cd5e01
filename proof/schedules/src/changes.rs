//! The hub, its ring, subscriptions and callbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_base::Environment;
use tandem_base::sync::thread;
use tandem_change::{
    ChangeHub, ChangeLogOptions, ChangeSubscription, EventDispatcher, EventNotice, Notice,
    SubscribeOptions, TopicPattern,
};
use tandem_transaction::{Coordination, Isolation, LocalCoordinator};

use crate::store::{Fault, commit_one, open};

/// A store whose ring holds two commits.
fn store() -> (Arc<LocalCoordinator>, Arc<ChangeHub>) {
    let environment = Environment::simulated(1).0;
    let options = ChangeLogOptions { ring_commits: 2, ..ChangeLogOptions::default() };
    let hub = Arc::new(ChangeHub::new(environment.clone(), &options));
    (open(Fault::None, 0, hub.clone(), environment), hub)
}

fn committers(store: &Arc<LocalCoordinator>) -> Vec<thread::JoinHandle<()>> {
    (0..2)
        .map(|name| {
            let store = store.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    commit_one(&store, name, Isolation::Serializable).unwrap();
                }
            })
        })
        .collect()
}

/// Two followers sleep and wake while two committers overflow the ring: each
/// gets every commit once and in order, and is let go when the hub closes.
pub fn ring_and_log() {
    let (store, hub) = store();
    let followers: Vec<_> = (0..2)
        .map(|_| {
            let coordination: Arc<dyn Coordination> = store.clone();
            let options = SubscribeOptions { from: Some(0), ..SubscribeOptions::default() };
            let mut subscription =
                ChangeSubscription::open(hub.clone(), coordination, options).unwrap();
            thread::spawn(move || {
                let mut seen = Vec::new();
                while let Some(notice) = subscription.next().unwrap() {
                    match notice {
                        Notice::Commit(commit) => seen.push(commit.revision),
                        other => panic!("unexpected: {other:?}"),
                    }
                }
                seen
            })
        })
        .collect();
    committers(&store).into_iter().for_each(|thread| thread.join().unwrap());
    hub.close();
    for follower in followers {
        assert_eq!(follower.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    }
}

/// A callback gets what is committed after it was registered, in order, and
/// the dispatcher settles and ends.
pub fn callbacks() {
    let (store, hub) = store();
    let coordination: Arc<dyn Coordination> = store.clone();
    let dispatcher = EventDispatcher::new(hub, coordination);
    let running = committers(&store);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = seen.clone();
    let pattern: TopicPattern = "bucket.rows.*".parse().unwrap();
    let guard = dispatcher
        .on(pattern, move |notice| {
            if let EventNotice::Event(event) = notice {
                calls.lock().unwrap().push(event.revision);
            }
        })
        .unwrap();
    running.into_iter().for_each(|thread| thread.join().unwrap());
    dispatcher.flush(Duration::from_secs(1)).unwrap();
    let expected: Vec<u64> = (guard.since() + 1..=6).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}
