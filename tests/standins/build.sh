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
. "$folder/packages.sh"
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

standin() {
  if [ -n "${PIKUBE_STANDIN:-}" ]; then printf '%s\n' "$PIKUBE_STANDIN"; return; fi
  printf '%s/standin\n' "$("$folder/../setup/node-programs.sh")"
}

# program NAME VERSION FILE : for the packages
program() {
  case $1 in
    kubectl) install -m 755 "$work/kubectl/usr/bin/kubectl" "$3" ;;
    crictl) claiming "${versions[-1]}" "$3" ;;
    *) claiming "$2" "$3" ;;
  esac
}

# claiming VERSION FILE : the stand-in, claiming a version: it reads the end of its own file.
claiming() {
  cp "$standin" "$2"
  printf '\npikube-standin-version=v%s\n' "$1" >> "$2"
  chmod 755 "$2"
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
standin=$(standin)
[ -x "$standin" ] || die "$standin is no program"
mkdir -p "$cache"
exec 9> "$cache/standins.lock"
flock 9                        # a second run waits, and then finds what the first one built
key=$({ sha256sum < "$standin"; debian_mirror; cat "$folder"/*.sh "$folder"/files/*; } | sha256sum | cut -c1-16)
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
  other_packages 1.36.0 "$cni" "$work/cni/usr/lib/cni"
  index 1.36
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
