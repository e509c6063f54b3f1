#![no_main]

#[path = "../../tests/it/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| parsers::check(payload));
