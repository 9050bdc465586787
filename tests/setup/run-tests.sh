#!/bin/bash
# run-tests.sh: every test that this machine can run. As root nothing may be skipped; as an ordinary user each rung that
# is skipped is named, with the reason.
set -euo pipefail
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
exec cargo test --workspace
