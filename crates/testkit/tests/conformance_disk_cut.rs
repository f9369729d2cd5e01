//! The disk engine keeps the storage contract when its key space is cut, also
//! where the cuts go through what the suite writes.

use tandem_testkit::conformance::DiskFactory;

tandem_testkit::storage_conformance!(DiskFactory {
    cuts: vec![0x01, b'a', b'b', b'k', b'l', 0xFE, 0xFF],
    ..DiskFactory::default()
});
