//! The clients: each is one task with at most one connection, which does its
//! work over the wire protocol and checks what it is told.

mod bank;
mod burst;
mod claims;
mod connection;
mod counters;
mod definitions;
mod follower;
mod items;
mod reader;
mod ring;
mod sessions;
mod transaction;
mod watcher;

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

pub(crate) use connection::{Connection, Failure, Refusal};
pub(crate) use transaction::Open;

use crate::plan::Role;
use crate::world::World;

/// See the [module](self).
pub(crate) struct Client {
    pub(crate) world: Rc<World>,
    pub(crate) number: u64,
    connection: Option<Connection>,
    turns: usize,
    keys: u64,
    /// It does not read for seconds.
    slow: bool,
}

impl Client {
    pub(crate) fn new(world: Rc<World>, number: u64) -> Self {
        let turns = world.plan.turns;
        Self { world, number, connection: None, turns, keys: 0, slow: false }
    }

    /// Does the work of a role to its end.
    pub(crate) async fn work(mut self, role: Role) {
        self.slow = matches!(role, Role::Follower { slow: true } | Role::Watcher { slow: true });
        match role {
            Role::Bank => bank::run(&mut self).await,
            Role::Ring => ring::run(&mut self).await,
            Role::Claims => claims::run(&mut self).await,
            Role::Counters => counters::run(&mut self).await,
            Role::Items => items::run(&mut self).await,
            Role::Sessions => sessions::run(&mut self).await,
            Role::Reader => reader::run(&mut self).await,
            Role::Burst => burst::run(&mut self).await,
            Role::Administrator => definitions::run(&mut self).await,
            Role::Follower { .. } => follower::run(&mut self).await,
            Role::Watcher { .. } => watcher::run(&mut self).await,
        }
    }

    /// Whether there is another turn; thinks before it.
    async fn next_turn(&mut self) -> bool {
        if self.turns == 0 || self.world.is_over() {
            return false;
        }
        self.turns -= 1;
        let dice = &self.world.core.dice;
        let time = if dice.chance(5) { dice.millis(500, 6_000) } else { dice.millis(0, 250) };
        self.think(time).await;
        true
    }

    /// Lets time go by; answers heartbeats meanwhile.
    pub(crate) async fn think(&mut self, time: Duration) {
        let Some(connection) = &mut self.connection else { return sleep(time).await };
        if connection.listen(time).await.is_err() {
            self.hang_up();
        }
    }

    /// The connection; waits for the server to be there.
    pub(crate) async fn connected(&mut self) -> &mut Connection {
        while self.connection.is_none() {
            match Connection::open(&self.world, self.number, self.slow).await {
                Some(connection) => self.connection = Some(connection),
                None => sleep(self.world.core.dice.millis(20, 300)).await,
            }
        }
        self.connection.as_mut().expect("there is one")
    }

    /// Ends the connection without a word.
    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// One request and its answer.
    pub(crate) async fn call(&mut self, kind: &str, fields: Value) -> Result<Value, Failure> {
        let setbacks = self.world.core.history().setbacks();
        let mut answer = self.connected().await.request(kind, fields).await;
        if self.world.core.history().setbacks() != setbacks {
            // It had arrived before a power cut undid what it tells.
            answer = Err(Failure::Lost);
        }
        if matches!(answer, Err(Failure::Lost)) {
            self.hang_up();
        }
        answer
    }

    /// Asks again until there is an answer that says how it is. Only for
    /// requests that may be carried out twice.
    pub(crate) async fn insist(&mut self, kind: &str, fields: &Value) -> Result<Value, Refusal> {
        loop {
            match self.call(kind, fields.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(refusal)) if !refusal.passes() => return Err(refusal),
                Err(_) => sleep(self.world.core.dice.millis(5, 100)).await,
            }
        }
    }

    /// A key that nobody has used.
    pub(crate) fn fresh_key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}", self.number, self.keys)
    }

    pub(crate) fn happened(&self, what: &'static str) {
        self.world.core.tally().happened(what);
    }

    pub(crate) fn violation(&self, text: impl AsRef<str>) {
        self.world.core.violation(format!("client {}: {}", self.number, text.as_ref()));
    }

    /// Reports the error of a check.
    pub(crate) fn check(&self, outcome: Result<(), String>) {
        if let Err(text) = outcome {
            self.violation(text);
        }
    }
}
