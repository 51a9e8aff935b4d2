//! Fuzzes `cloakroom_fuzz::express_sessions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloakroom_fuzz::express_sessions(data));
