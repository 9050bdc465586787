#!/bin/sh
# instrumented.sh RUSTC ARGUMENT... : compiles for libFuzzer, with counters of what was reached and what was compared
# (the flags of `cargo fuzz --sanitizer none`). run.sh lets cargo call it for this project's own crates only: the others
# are as every build has them, and are not compiled again.
case " $* " in
# A build script is a program of its own, without libFuzzer.
*" --crate-name build_script_"*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Copt-level=2 -Cdebug-assertions=on -Coverflow-checks=on -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
