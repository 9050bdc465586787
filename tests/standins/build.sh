#!/bin/bash
# build.sh TARGET_DIRECTORY : what nodes install of Kubernetes in the tests, from the stand-ins and Debian's packages:
#
#   TARGET/kubernetes/   a flat, signed apt repository as pkgs.k8s.io serves at core:/stable:/v1.36/deb/ : Packages(.gz),
#                        Release, InRelease, Release.gpg, Release.key (ASCII-armoured), amd64/*.deb
#                        kubeadm kubelet kubectl 1.36.4-1.1 and 1.36.3-1.1, cri-tools 1.36.0-1.1, kubernetes-cni 1.9.1-1.1
#   TARGET/downloads/    plain files as other servers have them, each with its .sha256:
#                        v1.36.4/bin/linux/amd64/{kubeadm,kubelet,kubectl}, the same for v1.36.3 and v1.23.17  (dl.k8s.io)
#                        containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz  (GitHub)
#
# kubectl is Debian's, of sid (1.36.4), whatever the version of its package says; CNI plugins are Debian's too, in
# /opt/cni/bin. crictl is the stand-in. The key is made here and thrown away with the cache: its expiry is ten years off.
# PIKUBE_STANDIN names the program; else cargo builds it. What was built is kept in the cache of tests/images under a hash
# of everything that decides it.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/../images/settings.sh"
say() { printf 'standins: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'standins: %s\n' "$*" >&2; exit 1; }

[ $# = 1 ] || die "usage: build.sh TARGET_DIRECTORY"
target=$1
versions=(1.36.3 1.36.4)
legacy=1.23.17
cni=1.9.1

require() {
  local missing=() command
  for command in dpkg-deb apt-get gpg flock sha256sum gzip tar; do
    command -v "$command" > /dev/null || missing+=("$command")
  done
  [ -n "${PIKUBE_STANDIN:-}" ] || command -v cargo > /dev/null || missing+=(cargo)
  [ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]}"
}

# Static: the same file runs on every release.
program() {
  if [ -n "${PIKUBE_STANDIN:-}" ]; then printf '%s\n' "$PIKUBE_STANDIN"; return; fi
  local root=$folder/../.. where
  (cd "$root" && RUSTFLAGS="-C target-feature=+crt-static" cargo build -q --profile standin -p pikube-tests --bin standin \
    --target x86_64-unknown-linux-gnu >&2)
  where=${CARGO_TARGET_DIR:-$root/target}
  printf '%s\n' "$where/x86_64-unknown-linux-gnu/standin/standin"
}

# claiming VERSION FILE : the stand-in, claiming a version: it reads the end of its own file.
claiming() {
  cp "$standin" "$2"
  printf '\npikube-standin-version=v%s\n' "$1" >> "$2"
  chmod 755 "$2"
}

# control PACKAGE VERSION DEPENDS : its control file, in the tree $tree
control() {
  mkdir -p "$tree/DEBIAN"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nSection: net\nPriority: optional\n' "$1" "$2"
    [ -z "$3" ] || printf 'Depends: %s\n' "$3"
    printf 'Maintainer: pikube tests <nobody@example.org>\nDescription: stand-in for the tests of pikube\n'
  } > "$tree/DEBIAN/control"
}

# package PACKAGE VERSION : the tree $tree becomes a package
package() {
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb -Zgzip -z1 --root-owner-group --build "$tree" "$repository/amd64/${1}_${2}_amd64.deb" > /dev/null
  rm -rf "$tree"
}

packages_of_version() {
  local version=$1 revision=$1-1.1
  mkdir -p "$tree/usr/bin" "$tree/usr/lib/systemd/system/kubelet.service.d"
  claiming "$version" "$tree/usr/bin/kubeadm"
  install -m 600 "$folder/files/10-kubeadm.conf" "$tree/usr/lib/systemd/system/kubelet.service.d/"
  control kubeadm "$revision" ""
  package kubeadm "$revision"

  mkdir -p "$tree"/usr/{bin,lib/systemd/system} "$tree"/etc/{default,kubernetes/manifests} "$tree/var/lib/kubelet"
  claiming "$version" "$tree/usr/bin/kubelet"
  install -m 600 "$folder/files/kubelet.service" "$tree/usr/lib/systemd/system/"
  printf 'KUBELET_EXTRA_ARGS=\n' > "$tree/etc/default/kubelet"
  touch "$tree/var/lib/kubelet/.kubelet-keep" "$tree/etc/kubernetes/manifests/.kubelet-keep"
  control kubelet "$revision" "kubernetes-cni (>= 1.2.0), iptables (>= 1.4.21), mount, util-linux"
  printf '/etc/default/kubelet\n' > "$tree/DEBIAN/conffiles"
  install -m 755 "$folder/files/kubelet.postinst" "$tree/DEBIAN/postinst"
  install -m 755 "$folder/files/kubelet.prerm" "$tree/DEBIAN/prerm"
  package kubelet "$revision"

  mkdir -p "$tree/usr/bin"
  install -m 755 "$work/kubectl/usr/bin/kubectl" "$tree/usr/bin/"
  control kubectl "$revision" ""
  package kubectl "$revision"
}

other_packages() {
  mkdir -p "$tree/usr/bin"
  claiming "${versions[-1]}" "$tree/usr/bin/crictl"
  control cri-tools 1.36.0-1.1 ""
  package cri-tools 1.36.0-1.1

  mkdir -p "$tree/opt/cni/bin"
  install -m 755 "$work"/cni/usr/lib/cni/* "$tree/opt/cni/bin/"
  control kubernetes-cni "$cni-1.1" ""
  package kubernetes-cni "$cni-1.1"
}

# The lists of the repository, and their signatures. SHA-256 throughout: apt's sqv takes nothing weaker.
index() {
  local deb list
  cd "$repository"
  for deb in amd64/*.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
  done > Packages
  gzip -9nk Packages
  {
    printf 'Origin: isv:kubernetes:core:stable:v1.36\nLabel: isv:kubernetes:core:stable:v1.36\n'
    printf 'Archive: deb\nCodename: deb\nDate: %s\nArchitectures: amd64\nSHA256:\n' "$(date -u -R)"
    for list in Packages Packages.gz; do
      printf ' %s %16s %s\n' "$(sha256sum < "$list" | cut -d' ' -f1)" "$(stat -c %s "$list")" "$list"
    done
  } > Release
  export GNUPGHOME=$work/gnupg
  install -d -m 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --cert-digest-algo SHA512 --quick-generate-key \
    "isv:kubernetes OBS Project (stand-in) <nobody@example.org>" rsa3072 sign 10y 2> "$work/gpg.log" \
    || { cat "$work/gpg.log" >&2; die "gpg made no key"; }
  gpg --batch --quiet --armor --export > Release.key
  gpg --batch --quiet --digest-algo SHA512 --armor --detach-sign --output Release.gpg Release
  gpg --batch --quiet --digest-algo SHA512 --clearsign --output InRelease Release
  gpgconf --kill all
  cd - > /dev/null
}

# sum FILE : FILE.sha256 as dl.k8s.io has it: the hash and nothing else
sum() { sha256sum < "$1" | cut -d' ' -f1 | tr -d '\n' > "$1.sha256"; }

downloads() {
  local version place
  for version in "${versions[@]}" "$legacy"; do
    place=$store.new/downloads/v$version/bin/linux/amd64
    mkdir -p "$place"
    claiming "$version" "$place/kubeadm"
    claiming "$version" "$place/kubelet"
    install -m 755 "$work/kubectl/usr/bin/kubectl" "$place/"
    sum "$place/kubeadm"; sum "$place/kubelet"; sum "$place/kubectl"
  done
  place=$store.new/downloads/containernetworking/plugins/releases/download/v$cni
  mkdir -p "$place"
  tar -C "$work/cni/usr/lib/cni" --owner=0 --group=0 --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    -czf "$place/cni-plugins-linux-amd64-v$cni.tgz" .
  (cd "$place" && sha256sum "cni-plugins-linux-amd64-v$cni.tgz" > "cni-plugins-linux-amd64-v$cni.tgz.sha256")
}

# fetch NAME PACKAGE : a package of sid, unpacked into $work/NAME
fetch() {
  "$folder/../images/fetch.sh" --no-deps sid amd64 "$work/debs-$1" "$2"
  mkdir "$work/$1"
  dpkg-deb --extract "$work/debs-$1"/*.deb "$work/$1"
}

require
say "the program"
standin=$(program)
[ -x "$standin" ] || die "$standin is no program"
mkdir -p "$cache"
exec 9> "$cache/standins.lock"
flock 9                        # a second run waits, and then finds what the first one built
key=$({ sha256sum < "$standin"; debian_mirror; cat "${BASH_SOURCE[0]}" "$folder"/files/*; } | sha256sum | cut -c1-16)
store=$cache/standins/$key
if [ ! -d "$store" ]; then
  work=$(mktemp -d --tmpdir pikube-test-standins.XXXXXX)
  trap 'rm -rf "$work" "$store.new"' EXIT
  rm -rf "$store.new"
  tree=$work/tree repository=$store.new/kubernetes
  mkdir -p "$repository/amd64"
  say "kubectl and CNI plugins of Debian"
  fetch kubectl kubectl
  fetch cni containernetworking-plugins
  say "packages"
  for version in "${versions[@]}"; do packages_of_version "$version"; done
  other_packages
  index
  downloads
  chmod -R a+rX "$store.new"
  mv "$store.new" "$store"     # last: what is there is whole
  for old in "$cache"/standins/*; do [ "$old" = "$store" ] || rm -rf "$old"; done
fi
mkdir -p "$target"
for part in kubernetes downloads; do
  rm -rf "$target/.$part.new"
  cp -a --reflink=auto "$store/$part" "$target/.$part.new"
  rm -rf "${target:?}/$part"
  mv "$target/.$part.new" "$target/$part"
done
say "in $target: kubernetes, downloads"
