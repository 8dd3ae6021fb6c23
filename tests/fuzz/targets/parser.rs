//! Hands a fuzzer's bytes to `hostile::tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::tree(bytes));
