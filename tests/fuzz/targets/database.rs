//! Hands a fuzzer's bytes to `hostile::database`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::database(bytes));
