#!/bin/bash
# root-native.sh RELEASE OUT.tar : what the amd64 roots of all families of a Debian release have in common, configured by
# its own maintainer scripts. root-layer.sh goes on from here.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
release=$1 out=$2

options=()
while IFS= read -r option; do options+=(--aptopt="$option"); done < <(mirror_options)
include=$(packages_of "$here/packages/base.list" | paste -sd,)

mode=root; [ "$(id -u)" = 0 ] || mode=unshare
# the locale that Raspberry Pi OS ships; any other has to be generated on the node
# shellcheck disable=SC2016 # mmdebstrap's shell expands it
locale='echo "en_GB.UTF-8 UTF-8" > "$1/etc/locale.gen"; chroot "$1" locale-gen > /dev/null; chroot "$1" update-locale LANG=en_GB.UTF-8'
mmdebstrap --quiet --mode="$mode" --variant=apt --components=main --dpkgopt=force-unsafe-io --include="$include" \
  "${options[@]}" --customize-hook="$locale" \
  "$release" "$out" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $release main"
