//! Batches whose commits no thread waits for.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tandem::layers::base::{Environment, Random, SeededRandom, SystemThreads, Task, Threads};
use tandem::layers::transaction::{Errand, Errands};
use tandem::{
    BatchOptions, BatchResult, BucketConfig, Code, Field, Limits, Operation, Result, RetryPolicy,
    Store,
};

/// Random numbers. While a key is generated, so often, somebody else inserts a record.
struct Meddling {
    numbers: SeededRandom,
    inserts: Mutex<(Option<Store>, u32)>,
}

impl Random for Meddling {
    fn next_u64(&self) -> u64 {
        self.numbers.next_u64()
    }

    fn next_u128(&self) -> u128 {
        let store = match &mut *self.inserts.lock().unwrap() {
            (Some(store), left) if *left > 0 => {
                *left -= 1;
                Some((store.clone(), *left))
            }
            _ => None,
        };
        if let Some((store, left)) = store {
            let id = format!("another {left}");
            store.bucket("items").insert(json!({ "id": id })).unwrap();
        }
        self.next_u64().into()
    }
}

/// Remembers how long was rested, and does not.
#[derive(Default)]
struct Restless(Mutex<Vec<Duration>>);

impl Threads for Restless {
    fn spawn(&self, name: &str, task: Task) -> std::io::Result<std::thread::JoinHandle<()>> {
        SystemThreads.spawn(name, task)
    }

    fn sleep(&self, duration: Duration) {
        self.0.lock().unwrap().push(duration);
    }
}

struct AtOnce;

impl Errands for AtOnce {
    fn run(&self, errand: Errand) {
        errand.run();
    }
}

/// As `Store::batch`, by who does not wait: as the server does it.
fn batch_unattended(store: &Store, operations: &[Operation]) -> Result<BatchResult> {
    let options = BatchOptions::new();
    let (sender, endings) = channel();
    let errands: Arc<dyn Errands> = Arc::new(AtOnce);
    let then = move |ending| sender.send(ending).unwrap();
    if let Some(errand) = store.batch_then(operations, &options, &errands, then) {
        errand.run();
    }
    let ending = endings.try_recv().expect("nobody else has to do anything");
    match ending.finish(store)? {
        Some(answer) => Ok(answer),
        None => store.batch_again(operations, &options),
    }
}

/// What a batch comes to that meets so many conflicts, and of which so many attempts are
/// allowed: its answer, how often it ran again, how many transactions there were, and how
/// long it rested each time.
type Outcome = (std::result::Result<u64, Code>, u64, u64, Vec<Duration>);

fn outcome(
    batch: fn(&Store, &[Operation]) -> Result<BatchResult>,
    conflicts: u32,
    attempts: u32,
) -> Outcome {
    let (environment, _) = Environment::simulated(1);
    let meddling = Arc::new(Meddling { numbers: SeededRandom::new(1), inserts: Mutex::default() });
    let restless = Arc::<Restless>::default();
    let environment =
        Environment { random: meddling.clone(), threads: restless.clone(), ..environment };
    let retry = RetryPolicy { attempts, ..RetryPolicy::default() };
    let limits = Limits { retry, ..Limits::default() };
    let builder = Store::builder().memory().background(false);
    let store = builder.environment(environment).limits(limits).open().unwrap();
    let config = BucketConfig::new("id").field("id", Field::string().generated_uuid());
    store.define_bucket("items", config).unwrap();
    let before = store.statistics().unwrap().commits;
    *meddling.inserts.lock().unwrap() = (Some(store.clone()), conflicts);
    // A serializable batch, which counts what the other inserts.
    let operations = [Operation::count("items", None), Operation::insert("items", json!({}))];
    let answer = batch(&store, &operations);
    // The store has the random numbers, which must not have the store for ever.
    meddling.inserts.lock().unwrap().0 = None;
    let after = store.statistics().unwrap().commits;
    let answer = answer.map(|answer| answer.results[0].as_count().unwrap());
    let rests = restless.0.lock().unwrap().clone();
    (
        answer.map_err(|error| error.code()),
        after.retries - before.retries,
        after.begun - before.begun,
        rests,
    )
}

#[test]
fn a_batch_that_no_thread_waits_for_is_run_as_often_as_any_other_with_the_same_rests() {
    let attended =
        |store: &Store, operations: &[Operation]| store.batch(operations, &BatchOptions::new());
    for attempts in 0..=4 {
        for conflicts in 0..=5 {
            let unattended = outcome(batch_unattended, conflicts, attempts);
            assert_eq!(unattended, outcome(attended, conflicts, attempts));
            let (answer, retries, begun, rests) = unattended;
            let made = attempts.max(1).min(conflicts + 1);
            let done = conflicts < made;
            assert_eq!(answer, if done { Ok(conflicts.into()) } else { Err(Code::Conflict) });
            assert_eq!(retries, u64::from(made - 1), "{conflicts} conflicts, {attempts}");
            // Each attempt, and each insert of the other.
            assert_eq!(begun, u64::from(made + conflicts.min(made)));
            assert_eq!(rests.len() as u64, retries);
        }
    }
}
