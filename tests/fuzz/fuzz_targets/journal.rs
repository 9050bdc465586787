#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pikube_agent::fuzzing::run("journal", data));
