#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| piflash::fuzzing::run("report", data));
