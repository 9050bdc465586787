#!/bin/bash
# build.sh [RELEASE...] : builds what booted nodes of these Debian releases (bookworm, trixie; all where none is named) find
# in place of the internet, in target/test-farm, to be served by the laptop of a switch (tests/src/web):
#
#   debian/         an archive with the packages that nodes install from Debian (packages.list), amd64
#   linux/debian/   a stand-in for download.docker.com: docker-ce and containerd.io, made of Debian's newest (docker.sh)
#   v2/             an image registry: every image that kubeadm and flannel want (images.sh)
#   archive.pgp     the key that signed both archives; a node has to be told to trust it with debian/
#
# What was built is kept in the cache of the test images under a hash of what decides it; a release that is missing there
# is added, signed with the same key.
set -euo pipefail
. "$(dirname "$0")/../images/settings.sh"
farm=$(cd "$(dirname "$0")" && pwd)
say() { printf 'farm: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'farm: %s\n' "$*" >&2; exit 1; }

[ $# -gt 0 ] || set -- bookworm trixie
missing=()
for command in gpg dpkg-scanpackages dpkg-deb apt-get gcc objdump flock xz; do
  command -v "$command" > /dev/null || missing+=("$command")
done
[ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]} (tests/setup/packages.list)"

key=$({ debian_mirror; mirror_options; cat "$farm"/* "$farm/../images/fetch.sh" "$farm/../images/settings.sh"; } | sha256sum | cut -c1-16)
store=$cache/farm/$key
mkdir -p "$cache/farm"
exec 9> "$cache/farm/lock"
flock 9                                # a second run waits, and then finds what the first one built
# Other clones link here: what none of them has asked for in two days goes.
[ ! -d "$store" ] || touch "$store"
find "$cache/farm" -mindepth 1 -maxdepth 1 -type d -mtime +1 -exec rm -rf {} +
todo=()
for release in "$@"; do [ -f "$store/.has-$release" ] || todo+=("$release"); done

if [ ${#todo[@]} -gt 0 ]; then
  work=$(mktemp -d "$cache/farm/work.XXXXXX")
  site=$work/site
  export GNUPGHOME=$work/gnupg
  trap 'gpgconf --kill all 2> /dev/null || true; rm -rf "$work"' EXIT
  mkdir -p "$site"
  if [ -d "$store" ]; then
    cp -a "$store/.gnupg" "$work/gnupg"
  else
    say "a key, and images"
    mkdir -m 700 "$work/gnupg"
    gpg --batch --quiet --passphrase '' --quick-generate-key 'pikube test archive <nobody@pikube.test>' rsa3072 sign 0
    gpg --batch --quiet --export --output "$site/archive.pgp"
    "$farm/images.sh" "$site/v2"
  fi
  say "packages of Debian: ${todo[*]}"
  jobs=()
  for release in "${todo[@]}"; do
    lists=("$farm/packages.list")
    [ ! -f "$farm/packages-$release.list" ] || lists+=("$farm/packages-$release.list")
    mapfile -t packages < <(packages_of "${lists[@]}")
    "$here/fetch.sh" "$release" amd64 "$work/$release" "${packages[@]}" & jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  for release in "${todo[@]}"; do
    mkdir -p "$site/debian/pool/$release"
    mv "$work/$release"/*.deb "$site/debian/pool/$release/"
    "$farm/archive.sh" "$site/debian" "$release" main "pool/$release" Debian
  done
  say "docker"
  "$farm/docker.sh" "$work/docker" "$site/debian/pool" "$site/linux/debian" "${todo[@]}"
  for release in "${todo[@]}"; do
    "$farm/archive.sh" "$site/linux/debian" "$release" stable "dists/$release/pool/stable/amd64" Docker
    touch "$site/.has-$release"
  done
  gpg --batch --quiet --armor --export --output "$site/linux/debian/gpg"
  gpgconf --kill all
  chmod -R a+rX "$site"
  if [ -d "$store" ]; then
    cp -a "$site/debian" "$site/linux" "$store/"
    cp -a "$site"/.has-* "$store/"     # last: a release that is there is whole
  else
    cp -a "$work/gnupg" "$site/.gnupg"
    mv "$site" "$store"                # last: what is there is whole
  fi
fi
target=$here/../../target
mkdir -p "$target"
ln -sfn "$store" "$target/test-farm"
say "in target/test-farm: $*"
