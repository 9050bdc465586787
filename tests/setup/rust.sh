#!/bin/bash
# rust.sh: brings Rust where there is none that is new enough: by rustup's own installer, or, where that cannot be
# fetched, from the distribution. The distribution's programs then stand in target/toolchain/bin, which the Makefile puts
# first on PATH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
"$here"/enough-rust.sh && exit 0

installer=$(mktemp --tmpdir pikube-test-rustup.XXXXXX)
trap 'rm -f "$installer"' EXIT
if curl --proto '=https' --tlsv1.2 -fsS --max-time 60 https://sh.rustup.rs -o "$installer" 2>/dev/null &&
    sh "$installer" -y -q --profile minimal -c clippy -c rustfmt 2>/dev/null && "$here"/enough-rust.sh; then
    exit 0
fi
echo "rustup cannot be fetched: taking the distribution's Rust" >&2
bin=$("$here"/distribution-rust.sh)
mkdir -p target/toolchain/bin
for program in "$bin"/{cargo,cargo-clippy,cargo-fmt,clippy-driver,rustc,rustdoc,rustfmt}; do
    [ ! -x "$program" ] || ln -sfn "$program" target/toolchain/bin/
done
