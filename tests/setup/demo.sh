#!/bin/bash
# demo.sh: what `make demo` does, a line for each phase: sets the machine up, builds what the demonstration shows and
# nothing else, and shows it. REAL=1 puts a real Kubernetes on the node.
set -euo pipefail
setup=$(cd "$(dirname "$0")" && pwd)
cd "$setup/../.."
. "$setup"/phases.sh

sets=(@build @demo)
[ "${REAL:-}" != 1 ] || sets+=(@real)
phase "packages" "$setup"/packages.sh "${sets[@]}"
phase "Rust" "$setup"/rust.sh
# Downloads and packages of the image, while the processor compiles.
beside=()
if command -v mmdebstrap >/dev/null; then
    phase "image: Raspberry Pi OS trixie's twin" tests/images/build.sh raspios-trixie-amd64 & beside+=($!)
    phase "packages for the node: Debian, docker" tests/farm/build.sh trixie & beside+=($!)
fi
trap '[ ${#beside[@]} = 0 ] || kill "${beside[@]}" 2>/dev/null || true' EXIT
phase "piflash" cargo build -p piflash -p pikube-tests --bin piflash --bin demo
phase "pikube-agent" "$setup"/node-programs.sh target/test-agents
if [ ${#beside[@]} -gt 0 ]; then
    if [ "${REAL:-}" = 1 ]; then
        phase "Kubernetes, built from its Go modules" tests/kubernetes/build.sh node
    else
        phase "packages for the node: Kubernetes" tests/standins/build.sh target/test-standins
    fi
    for job in "${beside[@]}"; do wait "$job" || [ "$(id -u)" != 0 ] || exit 1; done
    if [ "${REAL:-}" = 1 ]; then
        phase "packages and images of Kubernetes" tests/kubernetes/nodes.sh
        phase "machine: QEMU" tests/kubernetes/machine.sh raspios-trixie-amd64
    fi
fi
beside=()
# Interrupted half-way, the demonstration leaves nothing of its card, some gigabytes, behind.
scratch=$(mktemp -d --tmpdir pikube-test-demo.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
echo
TMPDIR=$scratch PIKUBE_PIFLASH=$PWD/${CARGO_TARGET_DIR:-target}/debug/piflash target/debug/demo
