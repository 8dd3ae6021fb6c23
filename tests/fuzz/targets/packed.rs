//! Hands a fuzzer's bytes to `hostile::packed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::packed(bytes));
