#!/bin/bash
# agent.sh TARGET FILE: builds the agent for a target that targets.sh has made ready, and puts it into FILE. It has to be
# static and at most 4 MiB: there is little room on a card's boot partition.
set -euo pipefail
. "$(dirname "$0")"/zig.sh
target=$1 file=$2
cd "$setup/../.."
if has_target "$target"; then
    cargo build --profile agent -p pikube-agent --target "$target"
    built=${CARGO_TARGET_DIR:-target}/$target/agent/pikube-agent
else
    build_with_zig "$target"
fi
size=$(stat -c %s "$built")
echo "$size bytes  $(file "$built")"
[ "$size" -le $((4 << 20)) ] || { echo "$built is larger than 4 MiB" >&2; exit 1; }
file "$built" | grep -qE 'statically linked|static-pie linked' || { echo "$built is not static" >&2; exit 1; }
install -D -m 755 "$built" "$file"
