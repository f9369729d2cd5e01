//! What stores are put through, and what they showed meanwhile.

mod ledger;
mod random;
mod run;
mod scripts;

pub use ledger::{Ledger, State};
pub use random::random;
pub use run::{Disturbed, Kind, Recorded, Run, options, store_over};
pub use scripts::{SCRIPTS, Script};
