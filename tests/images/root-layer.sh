#!/bin/bash
# root-layer.sh RELEASE FAMILY BASE.tar OUT.tar : the amd64 root of a family: that of root-native.sh with the packages of
# packages/FAMILY.list and packages/FAMILY-RELEASE.list on top. The arm64 root of the same family takes its configuration
# from here (root-arm64.sh).
set -euo pipefail
. "$(dirname "$0")/settings.sh"
release=$1 family=$2 base=$3 out=$4

options=()
while IFS= read -r option; do options+=(--aptopt="$option"); done < <(mirror_options)
lists=("$here/packages/$family.list")
[ ! -f "$here/packages/$family-$release.list" ] || lists+=("$here/packages/$family-$release.list")
include=$(packages_of "${lists[@]}" | paste -sd,)

mode=root; [ "$(id -u)" = 0 ] || mode=unshare
mmdebstrap --quiet --mode="$mode" --variant=custom --components=main --dpkgopt=force-unsafe-io --include="$include" "${options[@]}" \
  --setup-hook="tar -x -p -C \"\$1\" -f '$base' --exclude='./dev/*'" \
  "$release" "$out" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $release main"
