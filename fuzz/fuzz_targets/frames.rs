#![no_main]

#[path = "../../tests/corpus/oracles.rs"]
#[allow(dead_code, reason = "each target calls one oracle")]
mod oracles;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::frames(bytes));
