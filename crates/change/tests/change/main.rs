//! What follows a commit, over a real coordinator and the memory engine.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests use real threads")]

mod bounded;
mod events;
mod following;
mod resume;
mod retention;
mod selection;
mod support;
mod waiting;
