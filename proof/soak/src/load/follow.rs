//! Subscriptions of both kinds that come and go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Did, World, connect};
use crate::client::Failure;
use crate::dice::Dice;

/// Watches queries, some at a time, and leaves with or without a word.
pub(super) async fn watch(world: Arc<World>, mut dice: Dice) {
    while let Some(mut client) = connect(&world).await {
        for _ in 0..1 + dice.below(8) {
            let (query, params) = match dice.below(3) {
                0 => ("rich", json!({ "least": 900 + dice.below(200) })),
                1 => ("sizes", json!({})),
                _ => ("some", json!({ "group": dice.below(20) })),
            };
            let subscribed =
                client.ask("store.subscribe", json!({ "query": query, "params": params }));
            let subscription = match subscribed.await {
                Ok(data) => data["subscriptionId"].clone(),
                Err(Failure::Gone) => break,
                Err(failure) => {
                    world.complain(format!("subscribe: {failure:?}"));
                    break;
                }
            };
            for _ in 0..dice.below(20) {
                match client.push(Duration::from_millis(200)).await {
                    Ok(Some(_)) => world.did(Did::Pushes),
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            if dice.one_in(2) {
                let fields = json!({ "subscriptionId": subscription });
                let _gone = client.ask("store.unsubscribe", fields).await;
            }
            if !world.goes_on() {
                return;
            }
        }
    }
}

/// Follows the changes over many sockets: revisions only grow, and none of the
/// counter's is missed.
pub(super) async fn follow(world: Arc<World>, mut dice: Dice) {
    let mut from = None;
    let mut counter: Option<u64> = None;
    while let Some(mut client) = connect(&world).await {
        let mut fields = json!({ "buckets": ["counters", "accounts"] });
        if let Some(from) = from {
            fields["from"] = json!(from);
        }
        match client.ask("store.subscribeChanges", fields).await {
            Ok(data) if from.is_none() => from = data["revision"].as_u64(),
            Ok(_) => world.did(Did::Resumed),
            Err(Failure::Gone) => continue,
            Err(failure) => {
                world.complain(format!("from {from:?}: {failure:?}"));
                return;
            }
        }
        for _ in 0..dice.below(500) {
            if !world.goes_on() {
                return;
            }
            let Ok(push) = client.push(Duration::from_millis(500)).await else { break };
            let Some(push) = push else { continue };
            let data = &push["data"];
            if data["event"] == "resync" {
                // Too slow: resumes from where it was.
                break;
            }
            let revision = data["revision"].as_u64();
            if revision <= from {
                world.complain(format!("after {from:?} came {push}"));
            }
            from = revision;
            for change in data["changes"].as_array().into_iter().flatten() {
                if change["bucket"] != "counters" {
                    continue;
                }
                let now = change["after"]["n"].as_u64();
                if let (Some(before), Some(now)) = (counter, now)
                    && now != before + 1
                {
                    world.complain(format!("the counter went from {before} to {now}"));
                }
                counter = now;
            }
            world.did(Did::Followed);
        }
        if !world.goes_on() {
            return;
        }
    }
}
