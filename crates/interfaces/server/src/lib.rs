//! The WebSocket server of Tandem.
//!
//! One port, one store, many clients. A frame's way:
//!
//! ```text
//! http ──upgrade──> connection ──> frame ──> peer ──> dispatch ──> request/*
//!                        ^                    │ rate limit            │ workers
//!                        └──── outbox <───────┴── respond <───────────┘
//!                                 ^
//!                               push <──rings── live, followers <── feed <── commits
//! ```
//!
//! Requests of one socket are answered in order; sockets run in parallel; a
//! slow disk or a held lock stalls only those who wait for it (`workers`).
//! Everything that a client can make grow has a bound: frames, requests read
//! ahead, open transactions, subscriptions, the outgoing buffer.
//!
//! [`Server::start`] runs a server inside any tokio program; `tandem serve` is
//! a thin shell around it.

mod config;
mod connection;
mod connections;
mod conversation;
mod data;
mod declarative;
mod dispatch;
mod doorbell;
mod encoded;
mod feed;
mod followers;
mod frame;
mod heartbeat;
mod http;
mod limits;
mod live;
mod metered;
mod metrics;
mod observe;
mod outbox;
mod peer;
mod push;
mod request;
mod rpc;
mod server;
mod session;
mod shared;
mod shutdown;
mod sockets;
mod sql_sessions;
mod unattended;
mod workers;

pub use config::{
    Backpressure, ChangeLogConfig, Config, ConnectionLimits, Heartbeat, RateLimit, SqlLimits,
    StoreConfig,
};
pub use conversation::Conversation;
pub use live::SubscriptionStatistics;
pub use server::{RunningServer, Server, ServerOptions};
pub use sockets::{Occupied, SocketServer};
pub use workers::{BLOCKING_THREADS, StoreCall, StoreCalls};
