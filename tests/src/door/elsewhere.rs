use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tandem::{Durability, Environment, Isolation, Store};
use tandem_storage::MemoryStorage;
use tandem_transaction::{Coordination, TransactionLimits};

use super::embedded::{Caller, define, lock_waiters, problems_of};
use super::{Connection, Door, World};
use crate::elsewhere::{Cluster, Server, Weather};

/// The library over a cluster: every connection is on another server, so
/// whatever one of them commits comes from elsewhere for the others.
pub struct Elsewhere;

/// Each story has its own weather, the same in every run of the tests.
static STORIES: AtomicU64 = AtomicU64::new(0);

impl Door for Elsewhere {
    fn name(&self) -> &'static str {
        "cluster"
    }

    fn open(&self, bucket: &Value) -> Box<dyn World> {
        let seed = STORIES.fetch_add(1, Ordering::Relaxed);
        let storage = Arc::new(MemoryStorage::new());
        let cluster = Cluster::new(storage, Weather::changeable(seed)).expect("memory opens");
        let servers: Vec<_> = (0..3).map(|_| server(&cluster)).collect();
        define(&servers[0], bucket);
        Box::new(ThreeServers { cluster, servers, connections: 0 })
    }
}

/// A store that is one server of `cluster`.
///
/// # Panics
/// When the store cannot be opened.
#[must_use]
pub fn server(cluster: &Arc<Cluster>) -> Store {
    let cluster = cluster.clone();
    Store::builder()
        .background(false)
        .coordination(move |derive, listener| {
            let (environment, limits) = (Environment::system(), TransactionLimits::default());
            let server =
                Server::new(&cluster, derive, listener, environment, limits, Durability::Sync);
            Ok(Arc::new(server) as Arc<dyn Coordination>)
        })
        .open()
        .expect("a server of the cluster opens")
}

struct ThreeServers {
    cluster: Arc<Cluster>,
    servers: Vec<Store>,
    connections: usize,
}

impl World for ThreeServers {
    fn connect(&mut self, level: Isolation) -> Box<dyn Connection> {
        self.connections += 1;
        let server = &self.servers[self.connections % self.servers.len()];
        Box::new(Caller::new(server.clone(), level))
    }

    fn lock_waiters(&mut self) -> usize {
        // Its servers share their locks.
        lock_waiters(&self.servers[0])
    }

    fn problems(&mut self) -> Vec<String> {
        let mut problems: Vec<_> = self.servers.iter().flat_map(problems_of).collect();
        if self.cluster.holds_locks() {
            problems.push("a lock is still held".to_owned());
        }
        problems
    }
}
