use std::sync::Arc;

use serde_json::{Map, Value, json};
use tandem::BucketStatistics;
use tandem_base::Result;

use crate::shared::Shared;
use crate::workers::Class;

/// What `store.stats` answers.
pub(crate) async fn store_stats(shared: &Arc<Shared>) -> Result<Value> {
    let store = shared.store.clone();
    let statistics = shared.workers.run(Class::Read, move || store.statistics()).await?;
    let buckets = &statistics.buckets;
    let names: Vec<&str> = buckets.iter().map(|bucket| bucket.name.as_str()).collect();
    let per_bucket = |figure: fn(&BucketStatistics) -> u64| {
        let total: u64 = buckets.iter().map(figure).sum();
        let each: Map<String, Value> =
            buckets.iter().map(|bucket| (bucket.name.clone(), figure(bucket).into())).collect();
        json!({ "total": total, "perBucket": each })
    };
    let config = &shared.config.store;
    let interval = u64::try_from(config.ttl_check_interval.as_millis()).unwrap_or(u64::MAX);
    Ok(json!({
        "name": config.name,
        "buckets": { "count": names.len(), "names": names },
        "records": per_bucket(|bucket| bucket.records),
        "indexes": per_bucket(|bucket| bucket.indexes as u64),
        "queries": {
            "defined": statistics.queries,
            "activeSubscriptions": shared.subscriptions.value(),
        },
        "persistence": { "enabled": config.data.is_some() },
        "ttl": { "enabled": interval > 0, "checkIntervalMs": interval },
    }))
}
