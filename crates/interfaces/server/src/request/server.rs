use serde_json::{Value, json};
use tandem_base::Result;

use super::stats::store_stats;
use crate::data::Data;
use crate::dispatch::unknown_operation;
use crate::peer::Peer;

/// `server.stats`, `server.connections`, and `store.stats`, which needs to
/// know the server's subscriptions.
pub(crate) async fn server_operation(peer: &mut Peer, kind: &str) -> Result<Data> {
    match kind {
        "store.stats" => store_stats(&peer.shared).await.map(Data::value),
        "server.stats" => stats(peer).await,
        "server.connections" => Ok(connections(peer)),
        _ => Err(unknown_operation(kind)),
    }
}

async fn stats(peer: &Peer) -> Result<Data> {
    let shared = &peer.shared;
    let connections = shared.connections.len();
    let store = store_stats(shared).await?;
    Ok(Data::value(json!({
        "name": shared.config.name,
        "connectionCount": connections,
        "authEnabled": false,
        "rateLimitEnabled": shared.config.rate_limit.is_some(),
        "rulesEnabled": false,
        "connections": {
            "active": connections,
            "authenticated": 0,
            "totalStoreSubscriptions": shared.subscriptions.value(),
            "totalRulesSubscriptions": 0,
        },
        "transactions": { "open": shared.open_transactions.value() },
        "store": store,
        "rules": null,
    })))
}

fn connections(peer: &Peer) -> Data {
    let connections = peer.shared.connections.list();
    let list: Value = connections
        .iter()
        .map(|connection| {
            json!({
                "connectionId": format!("conn-{}", connection.number),
                "remoteAddress": connection.address.to_string(),
                "connectedAt": connection.connected_at,
                "authenticated": false,
                "userId": null,
                "roles": [],
                "storeSubscriptionCount": connection.subscriptions.value(),
                "rulesSubscriptionCount": 0,
            })
        })
        .collect();
    Data::value(list)
}
