//! Hands a fuzzer's bytes to `hostile::derivation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::derivation(bytes));
