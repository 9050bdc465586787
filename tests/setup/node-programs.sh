#!/bin/bash
# node-programs.sh [FOLDER]: builds what machines of the tests run that boot on this computer's own processor: the agent
# and the stand-ins of Kubernetes, in one go because they share most of their crates; static, so that one file runs on
# every release. Puts the agent into FOLDER, where the twin of a card is looked for; prints where the programs are.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(uname -m)" = x86_64 ] || exit 0
target=x86_64-unknown-linux-gnu
RUSTFLAGS="-C target-feature=+crt-static" cargo build -q --profile node -p pikube-agent -p pikube-standin --bins --target $target >&2
built=${CARGO_TARGET_DIR:-$PWD/target}/$target/node
[ $# = 0 ] || install -D -m 755 "$built"/pikube-agent "$1"/pikube-agent-amd64
printf '%s\n' "$built"
