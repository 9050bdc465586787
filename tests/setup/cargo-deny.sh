#!/bin/bash
# cargo-deny.sh: licences, sources and bans of all crates (.deny.toml); builds cargo-deny where it is missing. Where it does
# not build (a Rust that is too old for its newest release), says so and goes on.
set -euo pipefail
if ! command -v cargo-deny >/dev/null && ! cargo install --locked --quiet cargo-deny; then
    echo "skipped: cargo deny: it cannot be built here" >&2
    exit 0
fi
cargo deny --config .deny.toml check bans licenses sources
