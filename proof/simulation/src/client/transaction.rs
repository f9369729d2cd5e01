use serde_json::{Value, json};

use super::{Client, Failure};

/// The three levels, as the wire names them.
pub(crate) const LEVELS: [&str; 3] = ["read committed", "snapshot", "serializable"];

/// A transaction that a client holds open.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) handle: String,
    pub(crate) level: &'static str,
    pub(crate) revision: u64,
}

impl Client {
    /// A level by chance.
    pub(crate) fn any_level(&self) -> &'static str {
        LEVELS[self.world.core.dice.below(LEVELS.len())]
    }

    pub(crate) async fn begin(&mut self, level: &'static str) -> Result<Open, Failure> {
        let answer = self.call("store.begin", json!({ "isolation": level })).await?;
        self.opened(&answer, level)
    }

    pub(crate) async fn begin_read(&mut self, level: &'static str) -> Result<Open, Failure> {
        let fields = json!({ "isolation": level, "readOnly": true });
        let answer = self.call("store.begin", fields).await?;
        self.opened(&answer, level)
    }

    fn opened(&self, answer: &Value, level: &'static str) -> Result<Open, Failure> {
        let (handle, revision) = (answer["transaction"].as_str(), answer["revision"].as_u64());
        let (Some(handle), Some(revision)) = (handle, revision) else {
            self.violation(format!("begin answered {answer}"));
            return Err(Failure::Lost);
        };
        self.happened("transactions begun");
        Ok(Open { handle: handle.to_owned(), level, revision })
    }

    /// A request within the transaction.
    pub(crate) async fn within(
        &mut self,
        open: &Open,
        kind: &str,
        mut fields: Value,
    ) -> Result<Value, Failure> {
        fields["transaction"] = open.handle.clone().into();
        self.call(kind, fields).await
    }

    pub(crate) async fn get(
        &mut self,
        open: &Open,
        bucket: &str,
        key: Value,
    ) -> Result<Value, Failure> {
        self.within(open, "store.get", json!({ "bucket": bucket, "key": key })).await
    }

    /// Updates a record that was read. Under read committed the version is
    /// stated, as the guide says: the level itself lets the last writer win.
    pub(crate) async fn update(
        &mut self,
        open: &Open,
        bucket: &str,
        read: &Value,
        data: Value,
    ) -> Result<Value, Failure> {
        let mut fields = json!({ "bucket": bucket, "key": read["id"], "data": data });
        if open.level == "read committed" || self.world.core.dice.chance(20) {
            fields["expectedVersion"] = read["_version"].clone();
        }
        self.within(open, "store.update", fields).await
    }

    /// Writes something wrong and takes it back.
    pub(crate) async fn stray(
        &mut self,
        open: &Open,
        bucket: &str,
        key: &Value,
        wrong: Value,
    ) -> Result<(), Failure> {
        let savepoint = json!({ "name": "before the mistake" });
        self.within(open, "store.savepoint", savepoint.clone()).await?;
        let mistake = json!({ "bucket": bucket, "key": key, "data": wrong });
        let outcome = self.within(open, "store.update", mistake).await;
        match &outcome {
            Ok(_) => {}
            // A mistake that is noticed leaves the transaction as it was.
            Err(Failure::Refused(refusal)) if refusal.code == "ALREADY_EXISTS" => {}
            Err(_) => return outcome.map(|_| ()),
        }
        self.within(open, "store.rollbackTo", savepoint.clone()).await?;
        if self.world.core.dice.chance(50) {
            self.within(open, "store.release", savepoint).await?;
        }
        self.happened("savepoints rolled back");
        Ok(())
    }

    /// Commits, under a name if there is one.
    pub(crate) async fn commit(
        &mut self,
        open: &Open,
        name: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut fields = json!({});
        if let Some(name) = name {
            fields["idempotencyKey"] = name.into();
        }
        let answer = self.within(open, "store.commit", fields).await;
        self.happened(match &answer {
            Ok(_) => "transactions committed",
            Err(Failure::Lost) => "commits with an unknown outcome",
            Err(Failure::Refused(_)) => "commits refused",
        });
        answer
    }

    /// What to do about a transaction that failed or is no longer wanted: roll
    /// back, hang up, or leave it to its time limit.
    pub(crate) async fn give_up(&mut self, open: &Open) {
        let forgetful = self.world.plan.weather.forgetful;
        if self.world.core.dice.chance(forgetful) {
            self.happened("transactions left lying");
            if self.world.core.dice.chance(50) {
                self.hang_up();
            }
            return;
        }
        let _best_effort = self.within(open, "store.rollback", json!({})).await;
    }
}
