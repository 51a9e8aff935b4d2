//! Fuzzes `cloakroom_fuzz::scs_records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloakroom_fuzz::scs_records(data));
