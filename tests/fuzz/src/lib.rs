//! Only `fuzz_targets/` matters here: a package needs a target that does not need libFuzzer.
