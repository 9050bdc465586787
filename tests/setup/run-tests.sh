#!/bin/bash
# run-tests.sh: every test that this machine can run. As root nothing may be skipped; as an ordinary user each rung that
# is skipped is named, with the reason.
set -euo pipefail
shopt -s nullglob
missing=()
for command in sfdisk mkfs.vfat fsck.fat mcopy mtype xz shellcheck busybox dash; do
    command -v "$command" >/dev/null || missing+=("$command")
done
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" != 0 ]; then
    echo "skipped: rungs 2 to 4 (cards, nodes, Raspberry Pi): not installed: ${missing[*]}"
    exec cargo test --workspace --lib --bins
fi
if [ "$(id -u)" = 0 ]; then
    export PIKUBE_REQUIRE_NODES=${PIKUBE_REQUIRE_NODES-1}
else
    echo "skipped: loop devices, FUSE cards and udisks2 (parts of rung 2): they need root"
fi

# The integration tests of packages, as cargo's options.
tests_of() {
    local package path
    for package in "$@"; do
        for path in "$package"/tests/*.rs "$package"/tests/*/main.rs; do
            path=${path%/main.rs}
            path=${path##*/}
            printf -- '--test=%s\n' "${path%.rs}"
        done
    done
}
mapfile -t others < <(tests_of agent config imager)
cluster=(--test=node_cluster --test=pi)
mapfile -t nodes < <(tests_of tests | grep -vxFf <(printf '%s\n' "${cluster[@]}"))

# Booted nodes mostly wait, or keep one processor busy: everything else runs beside them, and the cluster, which takes
# longest, with the Raspberry Pi beside the other nodes.
cargo test --workspace --no-run
logs=target/tmp/pikube-test-logs
rm -rf "$logs"
mkdir -p "$logs"
beside=()
trap 'kill "${beside[@]}" 2>/dev/null || true' EXIT
cargo test --workspace --no-fail-fast "${cluster[@]}" >"$logs/cluster" 2>&1 &
beside+=($!)
cargo test --workspace --no-fail-fast "${nodes[@]}" >"$logs/nodes" 2>&1 &
beside+=($!)
status=0
cargo test --workspace --no-fail-fast --lib --bins "${others[@]}" || status=$?
for job in "${beside[@]}"; do
    wait "$job" || status=$?
done
trap - EXIT
cat "$logs"/*
[ "$status" = 0 ] || { echo "some tests failed: see 'FAILED' above"; exit 1; }
