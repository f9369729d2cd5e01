use std::path::PathBuf;

use serde_json::Value;
use tandem::Durability;
use tandem_base::{Error, Result};

use super::section::Section;
use super::{
    Backpressure, ChangeLogConfig, Config, ConnectionLimits, Heartbeat, RateLimit, SqlLimits,
    StoreConfig,
};

/// Features that `docs/protocol.md` names and this version does not have.
const NOT_SUPPORTED_YET: [&str; 5] = ["audit", "revocation", "procedures", "rules", "auth"];

pub(super) fn config(json: &Value) -> Result<Config> {
    let default = Config::default();
    let mut root = Section::root(json)?;
    refuse_unbuilt(&mut root)?;
    let mut unknown = Vec::new();
    let config = Config {
        name: root.string("name", &default.name)?,
        path: path(&mut root, &default.path)?,
        max_payload_bytes: root.positive("maxPayloadBytes")?.unwrap_or(default.max_payload_bytes),
        rate_limit: rate_limit(&mut root, &mut unknown)?,
        heartbeat: heartbeat(&mut root, default.heartbeat, &mut unknown)?,
        backpressure: backpressure(&mut root, default.backpressure, &mut unknown)?,
        connection_limits: limits(&mut root, default.connection_limits, &mut unknown)?,
        sql: sql(&mut root, default.sql, &mut unknown)?,
        expose_error_details: root.boolean("exposeErrorDetails", true)?,
        allowed_origins: origins(&mut root)?,
        max_connections_per_ip: root.positive("maxConnectionsPerIp")?,
        slow_request: root.milliseconds("slowRequestMs", default.slow_request, true)?,
        admin_listen_beyond_loopback: root.boolean("adminListenBeyondLoopback", false)?,
        store: store(&mut root, default.store, &mut unknown)?,
    };
    unknown.extend(root.unknown());
    if unknown.is_empty() {
        return Ok(config);
    }
    let names: Vec<String> = unknown.iter().map(|key| format!("\"{key}\"")).collect();
    Err(Error::validation(format!("Config: unknown keys: {}", names.join(", ")))
        .with("unknownKeys", unknown))
}

fn refuse_unbuilt(root: &mut Section<'_>) -> Result<()> {
    for key in NOT_SUPPORTED_YET {
        match root.take(key) {
            None | Some(Value::Bool(false)) => {}
            Some(_) => {
                return Err(Error::validation(format!(
                    "Config: \"{key}\" is not supported yet; remove it"
                ))
                .with("key", key));
            }
        }
    }
    Ok(())
}

fn path(root: &mut Section<'_>, default: &str) -> Result<String> {
    let path = root.string("path", default)?;
    if path.starts_with('/') { Ok(path) } else { Err(root.wrong("path", "a path from \"/\"")) }
}

fn rate_limit(root: &mut Section<'_>, unknown: &mut Vec<String>) -> Result<Option<RateLimit>> {
    let Some(mut section) = root.section("rateLimit")? else { return Ok(None) };
    let max_requests =
        section.positive("maxRequests")?.ok_or_else(|| section.missing("maxRequests"))?;
    if section.take("windowMs").is_none() {
        return Err(section.missing("windowMs"));
    }
    let window = section.milliseconds("windowMs", std::time::Duration::ZERO, false)?;
    unknown.extend(section.unknown());
    Ok(Some(RateLimit { max_requests, window }))
}

fn heartbeat(
    root: &mut Section<'_>,
    default: Heartbeat,
    unknown: &mut Vec<String>,
) -> Result<Heartbeat> {
    let Some(mut section) = root.section("heartbeat")? else { return Ok(default) };
    let heartbeat = Heartbeat {
        interval: section.milliseconds("intervalMs", default.interval, false)?,
        timeout: section.milliseconds("timeoutMs", default.timeout, false)?,
    };
    unknown.extend(section.unknown());
    Ok(heartbeat)
}

fn backpressure(
    root: &mut Section<'_>,
    default: Backpressure,
    unknown: &mut Vec<String>,
) -> Result<Backpressure> {
    let Some(mut section) = root.section("backpressure")? else { return Ok(default) };
    let max_buffered_bytes =
        section.positive("maxBufferedBytes")?.unwrap_or(default.max_buffered_bytes);
    let high_water_mark = match section.take("highWaterMark") {
        None => default.high_water_mark,
        Some(value) => value
            .as_f64()
            .filter(|mark| *mark > 0.0 && *mark <= 1.0)
            .ok_or_else(|| section.wrong("highWaterMark", "above 0 and at most 1"))?,
    };
    unknown.extend(section.unknown());
    Ok(Backpressure { max_buffered_bytes, high_water_mark })
}

fn limits(
    root: &mut Section<'_>,
    default: ConnectionLimits,
    unknown: &mut Vec<String>,
) -> Result<ConnectionLimits> {
    let Some(mut section) = root.section("connectionLimits")? else { return Ok(default) };
    let limits = ConnectionLimits {
        max_subscriptions_per_connection: section
            .positive("maxSubscriptionsPerConnection")?
            .unwrap_or(default.max_subscriptions_per_connection),
        max_total_subscriptions: section
            .positive("maxTotalSubscriptions")?
            .unwrap_or(default.max_total_subscriptions),
        max_transactions_per_connection: section
            .positive("maxTransactionsPerConnection")?
            .unwrap_or(default.max_transactions_per_connection),
        max_live_result_bytes: section
            .positive("maxLiveResultBytes")?
            .unwrap_or(default.max_live_result_bytes),
    };
    unknown.extend(section.unknown());
    Ok(limits)
}

fn sql(root: &mut Section<'_>, default: SqlLimits, unknown: &mut Vec<String>) -> Result<SqlLimits> {
    let Some(mut section) = root.section("sql")? else { return Ok(default) };
    let limits = SqlLimits {
        max_rows: section.positive("maxRows")?.unwrap_or(default.max_rows),
        max_result_bytes: section.positive("maxResultBytes")?.unwrap_or(default.max_result_bytes),
        statement_time: section.milliseconds("statementTimeMs", default.statement_time, false)?,
        max_sessions: section.positive("maxSessions")?.unwrap_or(default.max_sessions),
    };
    unknown.extend(section.unknown());
    Ok(limits)
}

fn origins(root: &mut Section<'_>) -> Result<Option<Vec<String>>> {
    let Some(value) = root.take("allowedOrigins") else { return Ok(None) };
    let origins = value.as_array().and_then(|list| {
        list.iter().map(|origin| origin.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    origins.map(Some).ok_or_else(|| root.wrong("allowedOrigins", "an array of strings"))
}

fn change_log(
    store: &mut Section<'_>,
    default: ChangeLogConfig,
    unknown: &mut Vec<String>,
) -> Result<ChangeLogConfig> {
    let Some(mut section) = store.section("changeLog")? else { return Ok(default) };
    let change_log = ChangeLogConfig {
        max_bytes: section.positive("maxBytes")?.map_or(default.max_bytes, |bytes| bytes as u64),
        max_age: section.milliseconds("maxAgeMs", default.max_age, false)?,
    };
    unknown.extend(section.unknown());
    Ok(change_log)
}

fn store(
    root: &mut Section<'_>,
    default: StoreConfig,
    unknown: &mut Vec<String>,
) -> Result<StoreConfig> {
    let Some(mut section) = root.section("store")? else { return Ok(default) };
    let data = if section.is_null("data") {
        None
    } else {
        match section.take("data") {
            None => default.data,
            Some(Value::String(path)) if !path.is_empty() => Some(PathBuf::from(path)),
            Some(_) => return Err(section.wrong("data", "a directory, or null for memory")),
        }
    };
    let durability = match section.string("durability", "sync")?.as_str() {
        "sync" => Durability::Sync,
        "buffered" => Durability::Buffered,
        _ => return Err(section.wrong("durability", "\"sync\" or \"buffered\"")),
    };
    let store = StoreConfig {
        name: section.string("name", &default.name)?,
        data,
        durability,
        ttl_check_interval: section.milliseconds(
            "ttlCheckIntervalMs",
            default.ttl_check_interval,
            true,
        )?,
        change_log: change_log(&mut section, default.change_log, unknown)?,
        buckets: section.object("buckets")?,
        queries: section.object("queries")?,
    };
    unknown.extend(section.unknown());
    Ok(store)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(json: Value) -> String {
        config(&json).expect_err("the config is refused").message().to_owned()
    }

    #[test]
    fn an_empty_config_is_the_default() {
        assert_eq!(config(&json!({})).expect("valid"), Config::default());
    }

    #[test]
    fn every_unknown_key_is_named_with_its_path() {
        let message = refused(json!({
            "port": 1, "heartbeat": { "interval": 5 }, "store": { "file": "x" }
        }));
        for key in ["\"port\"", "\"heartbeat.interval\"", "\"store.file\""] {
            assert!(message.contains(key), "{message}");
        }
    }

    #[test]
    fn a_feature_that_is_not_built_is_refused_by_name() {
        for key in NOT_SUPPORTED_YET {
            let message = refused(json!({ key: { "any": "thing" } }));
            assert!(message.contains(&format!("\"{key}\" is not supported yet")), "{message}");
        }
        assert!(config(&json!({ "rules": false })).is_ok());
    }

    #[test]
    fn wrong_values_are_named() {
        for (json, part) in [
            (json!({ "maxPayloadBytes": 0 }), "\"maxPayloadBytes\" must be a positive integer"),
            (json!({ "path": "ws" }), "\"path\""),
            (json!({ "rateLimit": { "maxRequests": 1 } }), "\"rateLimit.windowMs\" is required"),
            (json!({ "backpressure": { "highWaterMark": 1.5 } }), "\"backpressure.highWaterMark\""),
            (json!({ "allowedOrigins": ["a", 1] }), "\"allowedOrigins\""),
            (json!({ "store": { "durability": "none" } }), "\"store.durability\""),
            (
                json!({ "store": { "changeLog": { "maxBytes": 0 } } }),
                "\"store.changeLog.maxBytes\"",
            ),
            (json!({ "store": { "changeLog": { "bytes": 1 } } }), "\"store.changeLog.bytes\""),
            (json!([]), "one JSON object"),
        ] {
            let message = refused(json);
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn null_data_is_memory_and_absent_data_is_the_default_directory() {
        assert_eq!(config(&json!({ "store": { "data": null } })).expect("valid").store.data, None);
        let default = config(&json!({ "store": {} })).expect("valid").store.data;
        assert_eq!(default, Some(PathBuf::from("tandem-data")));
    }

    #[test]
    fn the_documented_example_is_read() {
        let config = config(&json!({
            "name": "n", "path": "/ws", "maxPayloadBytes": 10,
            "rateLimit": { "maxRequests": 200, "windowMs": 60000 },
            "heartbeat": { "intervalMs": 30, "timeoutMs": 10 },
            "backpressure": { "maxBufferedBytes": 1000, "highWaterMark": 0.5 },
            "connectionLimits": { "maxSubscriptionsPerConnection": 1,
                "maxTotalSubscriptions": 2, "maxTransactionsPerConnection": 3 },
            "exposeErrorDetails": false, "allowedOrigins": ["https://app.example.com"],
            "maxConnectionsPerIp": 100,
            "store": { "name": "s", "data": "d", "durability": "buffered",
                "ttlCheckIntervalMs": 0, "changeLog": { "maxBytes": 1000, "maxAgeMs": 60000 },
                "buckets": { "users": { "key": "id" } },
                "queries": { "all": { "bucket": "users" } } }
        }))
        .expect("valid");
        assert_eq!(config.backpressure.mark_bytes(), 500);
        assert_eq!(config.connection_limits.max_transactions_per_connection, 3);
        assert_eq!(config.store.durability, Durability::Buffered);
        assert!(config.store.ttl_check_interval.is_zero());
        let max_age = std::time::Duration::from_mins(1);
        assert_eq!(config.store.change_log, ChangeLogConfig { max_bytes: 1_000, max_age });
        assert!(config.store.buckets.contains_key("users"));
    }
}
