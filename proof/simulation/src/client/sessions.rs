//! Records with a time to live. That none goes early is checked with every
//! commit, that all go in the end by the audit.

use serde_json::json;

use super::Client;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let (id, user) = (client.fresh_key(), client.number);
        let insert = json!({ "bucket": "sessions", "data": { "id": id, "user": user } });
        if client.call("store.insert", insert).await.is_ok() {
            client.happened("sessions");
        }
        if client.world.core.dice.chance(30) {
            // An update may come too late.
            let update = json!({ "bucket": "sessions", "key": id, "data": { "seen": true } });
            let _either_way = client.call("store.update", update).await;
        }
    }
}
