//! Hands a fuzzer's bytes to `hostile::references`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::references(bytes));
