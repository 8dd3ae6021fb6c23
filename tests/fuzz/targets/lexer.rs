//! Hands a fuzzer's bytes to `hostile::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::tokens(bytes));
