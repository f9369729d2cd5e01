//! The memory engine keeps the storage contract.

use tandem_testkit::conformance::MemoryFactory;

tandem_testkit::storage_conformance!(MemoryFactory);
