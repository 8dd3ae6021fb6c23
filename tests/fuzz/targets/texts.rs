//! Hands a fuzzer's bytes to `hostile::texts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::texts(bytes));
