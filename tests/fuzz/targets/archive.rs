//! Hands a fuzzer's bytes to `hostile::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::archive(bytes));
