//! Hands a fuzzer's bytes to `hostile::registrations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::registrations(bytes));
