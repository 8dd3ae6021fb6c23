//! Hands a fuzzer's bytes to `hostile::expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::expression(bytes));
