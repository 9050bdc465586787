#!/bin/bash
# targets.sh TARGET...: asks rustup for the Rust targets whose standard library is missing.
set -euo pipefail
sysroot=$(rustc --print sysroot)
for target in "$@"; do
    ls "$sysroot/lib/rustlib/$target/lib/"libcore-*.rlib >/dev/null 2>&1 || rustup target add "$target"
done
