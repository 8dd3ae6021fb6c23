//! Hands a fuzzer's bytes to `hostile::export`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::export(bytes));
