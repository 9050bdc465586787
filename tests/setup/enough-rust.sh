#!/bin/bash
# enough-rust.sh [DIRECTORY]: whether cargo and rustc (those in DIRECTORY, else those on PATH) work and are new enough.
set -euo pipefail
[ $# = 0 ] || PATH=$1:$PATH
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml")
for program in cargo rustc; do
    version=$("$program" --version 2>/dev/null | cut -d' ' -f2) || exit 1
    [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" = "$oldest" ] || exit 1
done
