//! Fuzzes `cloakroom_fuzz::flask_cookies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloakroom_fuzz::flask_cookies(data));
