#!/bin/bash
# run.sh SECONDS [TARGET...] : builds the fuzz targets and runs each, or those that are named, for so long, from its corpus.
# Prints a line for each. Fails when one panics, takes over 10 s or over 1 GiB for an input; the input is kept then, in
# target/fuzz/TARGET. `cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none --features libfuzzer TARGET` does the same.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
all=()
for path in tests/fuzz/fuzz_targets/*.rs; do
    path=${path##*/}
    all+=("${path%.rs}")
done
[ $# -gt 0 ] || set -- "${all[@]}"

# All of the workspace: its dependencies are those that every other build has.
programs=$(RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/instrumented.sh cargo build --workspace --features pikube-fuzz/libfuzzer \
    "${@/#/--bin=}" --message-format json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
failed=0
for target in "$@"; do
    program=$(grep "/$target\$" <<<"$programs")
    found=${CARGO_TARGET_DIR:-target}/fuzz/$target
    mkdir -p "$found"
    # New inputs go to the first folder; the corpus is only read.
    if "$program" "$found" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="$found/failed-" >"$found.log" 2>&1; then
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log") runs"
    else
        failed=1
        echo "$target: failed: $found.log"
        tail -n 40 "$found.log"
    fi
done
exit $failed
