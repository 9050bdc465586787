#!/bin/bash
# cargo-deny.sh: builds cargo-deny where it is missing.
set -euo pipefail
command -v cargo-deny >/dev/null || cargo install --locked --quiet cargo-deny
