#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_proof_fuzz::fuzz("sql", data));
