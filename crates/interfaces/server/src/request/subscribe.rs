//! Subscriptions: stored queries and changes.

use serde_json::{Value, json};
use tandem::{SubscribeOptions, TopicPattern};
use tandem_base::{Code, Error, Result};
use tandem_record::filter::Filter;

use super::Fields;
use crate::data::{Data, write_value};
use crate::declarative::DeclarativeQuery;
use crate::limits::Held;
use crate::live::Standing;
use crate::peer::Peer;
use crate::push::{Position, Watched, subscription_number};
use crate::workers::Class;

impl Peer {
    /// The requests of this family; `None` for the type of another.
    pub(crate) async fn subscription_request(
        &mut self,
        kind: &str,
        fields: &mut Fields,
    ) -> Option<Result<Data>> {
        Some(match kind {
            "store.subscribe" => self.subscribe(fields).await,
            "store.subscribeChanges" => self.subscribe_changes(fields).await,
            "store.unsubscribe" => self.unsubscribe(fields),
            "store.listQueries" => self.list_queries().await,
            _ => return None,
        })
    }

    /// `{query, params?}` → `{subscriptionId, data}`.
    async fn subscribe(&mut self, fields: &mut Fields) -> Result<Data> {
        let held = self.room_for_subscription()?;
        let name = fields.string("query")?;
        let params = fields.optional_object("params")?.unwrap_or_default();
        let shared = self.shared.clone();
        // What was committed before has to be in the answer.
        shared.catch_up().await;
        let id = shared.next_subscription();
        loop {
            let (store, query) = (self.store().clone(), name.clone());
            let config =
                shared.workers.run(Class::Read, move || store.query_config(&query)).await?;
            let limits = self.store().limits().query;
            let DeclarativeQuery { filter, live } =
                DeclarativeQuery::bind(config.clone(), &params, limits)?;
            let doorbell = self.subscriptions.doorbell().clone();
            let queries = &shared.feed.queries;
            let live = queries.join(&name, config, &filter, live, id, doorbell);
            let entry = live.entry().clone();
            let (first, seen_at) =
                match entry.advance(queries, self.store(), &shared.workers, None).await? {
                    Standing::Alone(result, revision) => (result, revision),
                    Standing::Kept | Standing::Same => match entry.newest() {
                        Some(newest) => (newest, 0),
                        // It lost its room meanwhile.
                        None => continue,
                    },
                    // It ended while we joined; there may be a new one.
                    Standing::Ended(_) => continue,
                };
            let mut text = format!("{{\"subscriptionId\":\"sub-{id}\",\"data\":").into_bytes();
            text.extend_from_slice(&first.text);
            text.push(b'}');
            let name = shared.active_queries.hold(&name);
            let watched = Watched::new(live, name, &first, seen_at);
            self.subscriptions.add_query(id, watched, held);
            return Ok(Data::raw(text));
        }
    }

    /// `{bucket? or buckets? or topic?, filter?, from? or includeInitial?}` →
    /// `{subscriptionId, revision}`.
    async fn subscribe_changes(&mut self, fields: &mut Fields) -> Result<Data> {
        let held = self.room_for_subscription()?;
        let mut buckets = fields.optional_strings("buckets")?.unwrap_or_default();
        buckets.extend(fields.optional_string("bucket")?);
        let mut options = SubscribeOptions::new();
        if let Some(topic) = fields.optional_string("topic")? {
            if !buckets.is_empty() {
                return Err(Error::validation("\"topic\" and \"bucket\" exclude each other"));
            }
            let topic: TopicPattern = topic.parse()?;
            buckets.extend(topic.bucket().map(str::to_owned));
            options = options.topic(topic);
        }
        for bucket in &buckets {
            options = options.bucket(bucket);
        }
        let filter = fields.optional_object("filter")?.map(Value::Object);
        if let Some(filter) = &filter {
            options = options.filter(filter.clone());
        }
        let filter = filter.as_ref().map(Filter::parse).transpose()?;
        if let Some(from) = fields.optional_revision("from")? {
            options = options.from(from);
        }
        if fields.flag("includeInitial")? {
            options = options.include_initial();
        }
        let id = self.shared.next_subscription();
        // Before the position is taken, so that nothing is missed.
        let doorbell = self.subscriptions.doorbell();
        let following =
            self.shared.feed.followers.join(buckets.clone(), filter.as_ref(), id, doorbell);
        let store = self.store().clone();
        let work = move || {
            // A misspelt name would never have anything to say.
            for bucket in &buckets {
                store.bucket_id(bucket)?;
            }
            let initial = options.includes_initial();
            let initial = initial.then(|| options.initial_records(&store)).transpose()?;
            if let Some(initial) = &initial {
                options = options.from(initial.revision());
            }
            let commits = store.follow(options.resolve()?)?;
            Ok((initial, commits))
        };
        let (initial, commits) = self.shared.workers.run(Class::Read, work).await?;
        let revision = commits.position();
        let position = Position::new(initial, commits, filter, following);
        self.subscriptions.add_changes(id, position, held);
        Ok(Data::value(json!({ "subscriptionId": format!("sub-{id}"), "revision": revision })))
    }

    /// `{subscriptionId}` → `{unsubscribed: true}`.
    fn unsubscribe(&mut self, fields: &mut Fields) -> Result<Data> {
        let id = fields.string("subscriptionId")?;
        let outbox = self.outbox().clone();
        let known = subscription_number(&id)
            .is_some_and(|number| self.subscriptions.remove(number, &outbox));
        if !known {
            return Err(Error::new(Code::NotFound, format!("Subscription \"{id}\" not found"))
                .with("subscriptionId", id));
        }
        Ok(Data::value(json!({ "unsubscribed": true })))
    }

    /// `{}` → `{queries: [{name, type, activeSubscriptions, config}]}`.
    async fn list_queries(&mut self) -> Result<Data> {
        let store = self.store().clone();
        let queries = self.shared.workers.run(Class::Read, move || store.queries()).await?;
        let mut text = b"{\"queries\":[".to_vec();
        for (index, (name, config)) in queries.into_iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            let active = self.shared.active_queries.count(&name);
            let query = json!({
                "name": name, "type": "declarative", "activeSubscriptions": active,
                "config": config,
            });
            write_value(&mut text, &query);
        }
        text.extend_from_slice(b"]}");
        Ok(Data::raw(text))
    }

    /// A place for one more subscription, on this connection and in all.
    fn room_for_subscription(&self) -> Result<[Held; 2]> {
        let limits = &self.shared.config.connection_limits;
        let max = limits.max_subscriptions_per_connection;
        let Some(own) = self.info.subscriptions.try_hold(max) else {
            let message = format!("Subscription limit reached (max {max} per connection)");
            return Err(Error::new(Code::RateLimited, message));
        };
        let max = limits.max_total_subscriptions;
        let Some(total) = self.shared.subscriptions.try_hold(max) else {
            let message = format!("Global subscription limit reached (max {max})");
            return Err(Error::new(Code::RateLimited, message));
        };
        Ok([own, total])
    }
}
