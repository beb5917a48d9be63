#![no_main]
#[path = "../../tests/pure/build.rs"]
#[allow(dead_code)]
mod build;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::hazards(bytes));
