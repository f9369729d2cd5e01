//! Commits on their way to those who follow them.
//!
//! ```text
//! one client, every 10 ms: update ──> server ──> sockets ──> subscribers
//!                          │             └─────> answer
//!                          sent                  acknowledged
//! ```
//!
//! An open loop: commits are sent by the clock, however late the ones before are,
//! so that a server that falls behind is seen to. Every subscriber is told of
//! every commit on its own, and must be told of each once and in order. The time
//! begins when the request is sent, so it has the commit in it, with its sync;
//! the time after the acknowledgement is given beside it.
//!
//! The committing client and the subscribers have a runtime each: those who are
//! many do not hold up the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tandem_client::{ChangeEvent, Changes, ChangesOptions, Client};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::measure::{histogram, nanoseconds};
use crate::peer::{Peer, Result};
use crate::peers::served::{Served, TICKS};
use crate::process;

/// What a server allows one connection by default.
const SUBSCRIPTIONS_PER_SOCKET: usize = 100;

/// One that never ends would hold up the whole run.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much to deliver.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub subscribers: usize,
    /// Commits before those that count.
    pub warm_up: usize,
    pub commits: usize,
    pub interval: Duration,
}

/// How it went, in nanoseconds.
pub struct Delivered {
    pub sockets: usize,
    /// From sending the request to having the answer.
    pub commit: Histogram<u64>,
    /// From sending the request to having the push, of every subscriber.
    pub from_sending: Histogram<u64>,
    /// From having the answer; nothing if the push came first.
    pub from_acknowledgement: Histogram<u64>,
    /// Processor time per push, of the server and of this process.
    pub cpu: [Duration; 2],
}

/// When something was known of each commit, by its number.
type Times = Vec<Instant>;

/// Does it.
pub fn deliver(served: &Served, plan: Plan) -> Result<Delivered> {
    let following = Builder::new_multi_thread().enable_all().build()?;
    let sockets = plan.subscribers.div_ceil(SUBSCRIPTIONS_PER_SOCKET);
    let mut subscribers = following.block_on(subscribe(served, plan.subscribers))?;
    let total = plan.warm_up + plan.commits;
    let mut tasks = JoinSet::new();
    for changes in subscribers.drain(..) {
        tasks.spawn_on(follow(changes, total), following.handle());
    }
    let warm_up = commit(served, 0..plan.warm_up, plan.interval)?;
    let spent = || [served.processor_time(), process::own_processor_time()];
    let before = spent();
    let counting = commit(served, plan.warm_up..total, plan.interval)?;
    let received = in_time(&following, async {
        let mut received = Vec::new();
        while let Some(times) = tasks.join_next().await {
            received.push(times??);
        }
        Result::Ok(received)
    })?;
    let after = spent();
    let pushes = (plan.subscribers * plan.commits).max(1) as f64;
    let cpu = [0, 1].map(|who| after[who].saturating_sub(before[who]).div_f64(pushes));
    drop(warm_up);
    summarize(&counting, &received, plan.warm_up, sockets, cpu)
}

async fn subscribe(served: &Served, subscribers: usize) -> Result<Vec<Changes>> {
    let mut all = Vec::with_capacity(subscribers);
    let mut client = Client::connect(&served.url()).await?;
    for number in 0..subscribers {
        if number > 0 && number % SUBSCRIPTIONS_PER_SOCKET == 0 {
            client = Client::connect(&served.url()).await?;
        }
        all.push(client.changes(ChangesOptions::new().bucket(TICKS)).await?);
    }
    Ok(all)
}

/// The times at which one subscriber was told of each commit.
async fn follow(mut changes: Changes, total: usize) -> Result<Times> {
    let mut times = Vec::with_capacity(total);
    while times.len() < total {
        match changes.next().await {
            Some(ChangeEvent::Commit { changes, .. }) => {
                let now = Instant::now();
                let n = changes.first().and_then(|change| change.after.as_ref()?["n"].as_u64());
                if n != Some(times.len() as u64 + 1) {
                    return Err(format!("after commit {} came {n:?}", times.len()).into());
                }
                times.push(now);
            }
            Some(ChangeEvent::Progress { .. }) => {}
            other => return Err(format!("instead of a commit came {other:?}").into()),
        }
    }
    Ok(times)
}

/// When each request was sent, and when it was answered.
struct Committed {
    sent: Times,
    acknowledged: Times,
}

/// Commits these numbers by the clock, from a thread and a runtime of its own.
fn commit(
    served: &Served,
    numbers: std::ops::Range<usize>,
    interval: Duration,
) -> Result<Committed> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    in_time(&runtime, async {
        let client = Client::connect(&served.url()).await?;
        let start = Instant::now();
        let count = numbers.len();
        let mut sent = Vec::with_capacity(count);
        let acknowledged = Arc::new(Mutex::new(vec![start; count]));
        let mut requests = JoinSet::new();
        for (position, number) in numbers.enumerate() {
            let due = start + interval * u32::try_from(position)?;
            tokio::time::sleep_until(due.into()).await;
            let (ticks, acknowledged) = (client.bucket(TICKS), acknowledged.clone());
            sent.push(Instant::now());
            requests.spawn(async move {
                let answer = ticks.update(1, json!({ "n": number + 1 })).await;
                let mut times = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                times[position] = Instant::now();
                answer.map(drop)
            });
        }
        while let Some(answered) = requests.join_next().await {
            answered??;
        }
        let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Committed { sent, acknowledged })
    })
}

fn in_time<T>(runtime: &Runtime, work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await? })
}

fn summarize(
    committed: &Committed,
    received: &[Times],
    warm_up: usize,
    sockets: usize,
    cpu: [Duration; 2],
) -> Result<Delivered> {
    let mut delivered = Delivered {
        sockets,
        commit: histogram()?,
        from_sending: histogram()?,
        from_acknowledgement: histogram()?,
        cpu,
    };
    let Committed { sent, acknowledged } = committed;
    let between = |from: Instant, to: Instant| nanoseconds(to.saturating_duration_since(from));
    for (sent, acknowledged) in sent.iter().zip(acknowledged) {
        delivered.commit.saturating_record(between(*sent, *acknowledged));
    }
    for times in received {
        for (number, time) in times.iter().skip(warm_up).enumerate() {
            delivered.from_sending.saturating_record(between(sent[number], *time));
            let after = between(acknowledged[number], *time);
            delivered.from_acknowledgement.saturating_record(after);
        }
    }
    Ok(delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_commit_by_commit_after_the_warm_up() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let committed =
            Committed { sent: vec![at(100), at(200)], acknowledged: vec![at(110), at(230)] };
        // The first commit of each subscriber belongs to the warm-up.
        let received = [vec![at(50), at(105), at(240)], vec![at(60), at(130), at(210)]];
        let delivered = summarize(&committed, &received, 1, 1, [Duration::ZERO; 2]).unwrap();
        let milliseconds = |times: &Histogram<u64>| {
            let all = times.iter_recorded().flat_map(|value| {
                std::iter::repeat_n(
                    (value.value_iterated_to() as f64 / 1e6).round() as u64,
                    value.count_at_value() as usize,
                )
            });
            all.collect::<Vec<_>>()
        };
        assert_eq!(milliseconds(&delivered.commit), [10, 30]);
        assert_eq!(milliseconds(&delivered.from_sending), [5, 10, 30, 40]);
        assert_eq!(milliseconds(&delivered.from_acknowledgement), [0, 0, 10, 20]);
    }
}
