#!/bin/bash
# fetch.sh RELEASE ARCH OUT PACKAGE... : downloads packages of a Debian release, with what they depend on, into OUT.
# Nothing of this machine's own package state is read or changed: apt gets a root of its own. With --no-deps before
# RELEASE only the named packages come.
set -euo pipefail
. "$(dirname "$0")/settings.sh"

alone=
[ "$1" != --no-deps ] || { alone=1; shift; }
release=$1 arch=$2 out=$3; shift 3

apt_root=$(mktemp -d --tmpdir pikube-test-apt.XXXXXX)
trap 'rm -rf "$apt_root"' EXIT
mkdir -p "$apt_root"/{etc/apt.conf.d,etc/preferences.d,etc/sources.list.d,state/lists/partial,cache/archives/partial} "$out"
touch "$apt_root/state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=$arch] $(debian_mirror) $release main non-free-firmware" \
  > "$apt_root/etc/sources.list"
{
  printf 'Dir "/";\nDir::Etc "%s/etc";\nDir::State "%s/state";\nDir::State::status "%s/state/status";\nDir::Cache "%s/cache";\n' \
    "$apt_root" "$apt_root" "$apt_root" "$apt_root"
  printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; };\nAPT::Install-Recommends "false";\n' "$arch" "$arch"
  printf 'APT::Sandbox::User "";\nAcquire::Languages "none";\nAcquire::Retries "3";\n'
  # Mirrors that are snapshots have releases of testing and unstable that are past their date; their signatures count.
  printf 'Acquire::Check-Valid-Until "false";\n'
  mirror_options
} > "$apt_root/apt.conf"
export APT_CONFIG=$apt_root/apt.conf

apt-get -qq update
if [ -n "$alone" ]; then
  (cd "$out" && apt-get -qq download "$@")
else
  apt-get -qq --yes --download-only --no-install-recommends install "$@" > "$apt_root/log" || { cat "$apt_root/log" >&2; exit 1; }
  mv "$apt_root"/cache/archives/*.deb "$out/"
fi
