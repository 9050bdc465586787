#!/bin/bash
# root-native.sh RELEASE OUT.tar : the amd64 root of a Debian release, configured by its own maintainer scripts.
# The arm64 root of the same release takes its configuration from here (root-arm64.sh).
set -euo pipefail
. "$(dirname "$0")/settings.sh"
release=$1 out=$2

options=()
while IFS= read -r option; do options+=(--aptopt="$option"); done < <(mirror_options)
include=$(packages_of "$here/packages/base.list" "$here/packages/$release.list" | paste -sd,)

mode=root; [ "$(id -u)" = 0 ] || mode=unshare
# the locale that Raspberry Pi OS ships; any other has to be generated on the node
# shellcheck disable=SC2016 # mmdebstrap's shell expands it
locale='echo "en_GB.UTF-8 UTF-8" > "$1/etc/locale.gen"; chroot "$1" locale-gen > /dev/null; chroot "$1" update-locale LANG=en_GB.UTF-8'
mmdebstrap --quiet --mode="$mode" --variant=apt --components=main --include="$include" \
  "${options[@]}" --customize-hook="$locale" \
  "$release" "$out" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $release main"
