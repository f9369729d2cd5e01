//! JSON values: one total order, types, and paths into them.
//!
//! Every sort, every index and every comparison of a filter uses the same
//! order:
//!
//! ```text
//! null < numbers < strings < objects < arrays < booleans
//! ```
//!
//! * Numbers compare by exact value, whatever they are stored as: `1` equals
//!   `1.0`, and 9007199254740993 is larger than 9007199254740992.0.
//! * Strings compare by code point, which is the order of their UTF-8 bytes.
//! * Objects compare field by field in their own order: the type of the value,
//!   then the name, then the value; the shorter one first. So the order of the
//!   fields matters, also for equality.
//! * Arrays compare element by element, the shorter one first.
//! * `false` comes before `true`.

pub(crate) mod arithmetic;
mod kind;
mod order;
mod path;
mod reference;
mod sum;
mod weight;

pub use kind::{Kind, TypeName};
pub use order::{compare, compare_numbers, compare_refs, equal};
pub use path::Path;
pub(crate) use path::Step;
pub use reference::ValueRef;
pub use sum::ExactSum;
pub use weight::{footprint, weight};

/// How deep objects and arrays may stand inside each other, the record itself
/// included.
pub const MAX_NESTING: usize = 100;
