#!/bin/bash
# targets.sh TARGET...: gets ready what agent.sh needs for these targets: the standard library that rustup has for them or,
# where rustup cannot fetch it, what builds it from source (zig.sh).
set -euo pipefail
. "$(dirname "$0")"/zig.sh
for target in "$@"; do
    has_target "$target" || rustup target add "$target" 2>/dev/null && continue
    echo "rustup cannot fetch the standard library for $target: it is built from source"
    install_zig
done
