//! The disk engine keeps the storage contract.

use tandem_testkit::conformance::DiskFactory;

tandem_testkit::storage_conformance!(DiskFactory::default());
