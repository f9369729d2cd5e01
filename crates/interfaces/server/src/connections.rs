use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::Gauge;

/// What `server.connections` tells about one connection.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Its number, from 1; `conn-N` on the wire.
    pub(crate) number: u64,
    /// The client's address.
    pub(crate) address: IpAddr,
    /// Milliseconds since the Unix epoch.
    pub(crate) connected_at: u64,
    /// Its subscriptions.
    pub(crate) subscriptions: Gauge,
}

impl ConnectionInfo {
    /// Of somebody who is not listed.
    pub(crate) fn unregistered(address: IpAddr, connected_at: u64) -> Self {
        Self { number: 0, address, connected_at, subscriptions: Gauge::default() }
    }
}

/// The connections that are open now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<State>);

#[derive(Debug, Default)]
struct State {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<ConnectionInfo>>>,
}

/// A registered connection; dropping it unregisters it.
#[derive(Debug)]
pub(crate) struct Registered {
    state: Arc<State>,
    info: Arc<ConnectionInfo>,
}

impl Connections {
    pub(crate) fn register(&self, address: IpAddr, connected_at: u64) -> Registered {
        let number = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let subscriptions = Gauge::default();
        let info = Arc::new(ConnectionInfo { number, address, connected_at, subscriptions });
        self.0.lock().insert(number, info.clone());
        Registered { state: self.0.clone(), info }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// All of them, oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<ConnectionInfo>> {
        self.0.lock().values().cloned().collect()
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ConnectionInfo>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    pub(crate) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.info
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.state.lock().remove(&self.info.number);
    }
}
