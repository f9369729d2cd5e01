//! What follows a commit, over a real coordinator and the memory engine.

mod bounded;
mod events;
mod following;
mod resume;
mod retention;
mod selection;
mod support;
mod waiting;
