//! The fault engine keeps the storage contract when no fault is armed, and
//! under every fate of a power cut but the one that is meant to break it.

use tandem_testkit::conformance::FaultFactory;
use tandem_testkit::fault::Fate;

mod unsynced_batches_lost {
    use super::*;
    tandem_testkit::storage_conformance!(FaultFactory { fate: Fate::LoseUnsynced, seed: 1 });
}

mod unsynced_batches_kept_in_part {
    use super::*;
    tandem_testkit::storage_conformance!(FaultFactory { fate: Fate::KeepPrefix, seed: 1 });
}

mod unsynced_batches_kept {
    use super::*;
    tandem_testkit::storage_conformance!(FaultFactory { fate: Fate::KeepAll, seed: 1 });
}
