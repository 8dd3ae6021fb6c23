//! Hands a fuzzer's bytes to `hostile::json_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::json_text(bytes));
