#!/bin/bash
# build.sh : builds what booted nodes find in place of the internet, in target/test-farm, to be served by the laptop of a
# switch (tests/src/web):
#
#   debian/         an archive with the packages that nodes install from Debian (packages.list), bookworm and trixie, amd64
#   linux/debian/   a stand-in for download.docker.com: docker-ce and containerd.io, made of Debian's newest (docker.sh)
#   v2/             an image registry: every image that kubeadm and flannel want (images.sh)
#   archive.pgp     the key that signed both archives; a node has to be told to trust it with debian/
#
# What was built is kept in the cache of the test images under a hash of what decides it.
set -euo pipefail
. "$(dirname "$0")/../images/settings.sh"
farm=$(cd "$(dirname "$0")" && pwd)
say() { printf 'farm: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'farm: %s\n' "$*" >&2; exit 1; }

missing=()
for command in gpg dpkg-scanpackages dpkg-deb apt-get gcc objdump flock xz; do
  command -v "$command" > /dev/null || missing+=("$command")
done
[ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]} (make setup-tests)"

key=$({ debian_mirror; mirror_options; cat "$farm"/* "$farm/../images/fetch.sh" "$farm/../images/settings.sh"; } | sha256sum | cut -c1-16)
store=$cache/farm/$key
mkdir -p "$cache/farm"
exec 9> "$cache/farm/lock"
flock 9                                # a second run waits, and then finds what the first one built
if [ ! -d "$store" ]; then
  for old in "$cache"/farm/*; do [ ! -d "$old" ] || rm -rf "$old"; done
  work=$(mktemp -d "$cache/farm/work.XXXXXX")
  trap 'GNUPGHOME=$work/gnupg gpgconf --kill all 2> /dev/null || true; rm -rf "$work"' EXIT
  site=$work/site
  mkdir -m 700 "$work/gnupg"
  mkdir -p "$site"
  export GNUPGHOME=$work/gnupg
  say "a key"
  gpg --batch --quiet --passphrase '' --quick-generate-key 'pikube test archive <nobody@pikube.test>' rsa3072 sign 0
  gpg --batch --quiet --export --output "$site/archive.pgp"
  say "packages of Debian"
  jobs=()
  for release in bookworm trixie; do
    lists=("$farm/packages.list")
    [ ! -f "$farm/packages-$release.list" ] || lists+=("$farm/packages-$release.list")
    mapfile -t packages < <(packages_of "${lists[@]}")
    "$here/fetch.sh" "$release" amd64 "$work/$release" "${packages[@]}" & jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  for release in bookworm trixie; do
    mkdir -p "$site/debian/pool/$release"
    mv "$work/$release"/*.deb "$site/debian/pool/$release/"
    "$farm/archive.sh" "$site/debian" "$release" main "pool/$release" Debian
  done
  say "docker"
  "$farm/docker.sh" "$work/docker" "$site/debian/pool" "$site/linux/debian"
  for release in bookworm trixie; do
    "$farm/archive.sh" "$site/linux/debian" "$release" stable "dists/$release/pool/stable/amd64" Docker
  done
  gpg --batch --quiet --armor --export --output "$site/linux/debian/gpg"
  say "images"
  "$farm/images.sh" "$site/v2"
  chmod -R a+rX "$site"
  mv "$site" "$store"                  # last: what is there is whole
fi
target=$here/../../target
mkdir -p "$target"
ln -sfn "$store" "$target/test-farm"
say "in target/test-farm"
