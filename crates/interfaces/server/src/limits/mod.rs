//! Bounds that hold across connections: requests per client, connections per
//! address, and gauges of what is open.

mod gauge;
mod per_ip;
mod rate;

pub(crate) use gauge::{Gauge, Held, HeldName, NamedGauge};
pub(crate) use per_ip::{AddressSlot, ConnectionsPerAddress};
pub(crate) use rate::RateLimiter;
