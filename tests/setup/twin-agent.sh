#!/bin/bash
# twin-agent.sh DIRECTORY: puts the agent for this computer's own processor into DIRECTORY, where the twin of a card can
# boot here.
set -euo pipefail
[ "$(uname -m)" = x86_64 ] || exit 0
"$(dirname "$0")"/agent.sh x86_64-unknown-linux-gnu "$1"/pikube-agent-amd64
