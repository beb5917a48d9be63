#![no_main]
#[path = "../../tests/pure/build.rs"]
#[allow(dead_code)]
mod build;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

static WORLD: std::sync::OnceLock<build::World> = std::sync::OnceLock::new();
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::plan(bytes, WORLD.get_or_init(|| build::World::new(3, 2, "1.34.4", "1.35.4"))));
