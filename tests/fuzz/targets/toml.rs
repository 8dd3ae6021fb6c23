//! Hands a fuzzer's bytes to `hostile::toml_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::toml_text(bytes));
