//! Hands a fuzzer's bytes to `hostile::serve`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::serve(bytes));
