#!/bin/bash
# nodes.sh : what booted nodes find of a real Kubernetes, in target/test-kubernetes, beside target/test-farm:
#
#   kubernetes/   a flat, signed apt repository as pkgs.k8s.io has it: kubeadm, kubelet, kubectl, cri-tools, kubernetes-cni
#                 (packaged by tests/standins/packages.sh; the CNI plugins are Debian's)
#   v2/           an image registry: the control plane, kube-proxy, etcd, CoreDNS, pause, flannel, and `tools:1` for pods of
#                 the tests: busybox, and nothing that has to be pulled from elsewhere (images.sh)
#   machine/      what a machine of QEMU needs beyond the card (machine.sh)
#
# Versions and exit codes are those of build.sh, which makes the programs. Kept in the cache of the tests.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/../images/settings.sh"
. "$folder/../standins/packages.sh"
say() { printf 'kubernetes: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'kubernetes: %s\n' "$*" >&2; exit 1; }
target=$folder/../../target/test-kubernetes
cni=1.9.1

missing=()
for command in dpkg-deb apt-get gpg flock gcc gzip tar depmod modprobe cpio debugfs; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$command" > /dev/null || missing+=("$command")
done
[ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]} (make setup-tests)"

"$folder/build.sh" node
version=$("$folder/build.sh" --list | sed -n '1s/.* v//p')
crictl=$("$folder/build.sh" --list | sed -n 's#^crictl/crictl v##p')
bin=$target/bin

# program NAME VERSION FILE : for the packages
program() {
  case $1 in crictl) install -m 755 "$bin/crictl/crictl" "$3" ;; *) install -m 755 "$bin/v$2/$1" "$3" ;; esac
}

mkdir -p "$cache/nodes"
exec 9> "$cache/nodes.lock"
flock 9                        # a second run waits, and then finds what the first one built
key=$({
  debian_mirror
  cat "$folder"/{nodes,images}.sh "$folder"/../standins/{packages.sh,files/*} "$folder"/../farm/{oci.sh,pause.c}
  find "$bin/v$version" "$bin"/{etcd,crictl,coredns,flannel,flannel-cni} -type f -printf '%p %s\n' | sed "s#^$bin##" | sort
  for module in "v$version" etcd crictl coredns flannel flannel-cni; do cat "$folder/$module/go.sum"; done
} | sha256sum | cut -c1-16)
store=$cache/nodes/$key
if [ ! -d "$store" ]; then
  for old in "$cache"/nodes/*; do rm -rf "$old"; done
  work=$(mktemp -d "$cache/nodes/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  tree=$work/tree repository=$work/store/kubernetes
  mkdir -p "$repository/amd64"
  say "packages"
  "$folder/../images/fetch.sh" --no-deps sid amd64 "$work/cni" containernetworking-plugins
  dpkg-deb --extract "$work"/cni/*.deb "$work/cni"
  packages_of_version "$version"
  other_packages "$crictl" "$cni" "$work/cni/usr/lib/cni"
  minor=${version%.*}
  index "$minor"
  say "images"
  "$folder/images.sh" "$version" "$bin" "$work/store/v2"
  chmod -R a+rX "$work/store"
  mv "$work/store" "$store"            # last: what is there is whole
fi
# hard links where the cache is on the same file system: another clone may clear the cache while this one runs its tests
for part in kubernetes v2; do
  rm -rf "$target/.$part.new"
  cp -al "$store/$part" "$target/.$part.new" 2> /dev/null || cp -a "$store/$part" "$target/.$part.new"
  rm -rf "${target:?}/$part"
  mv "$target/.$part.new" "$target/$part"
done
say "in target/test-kubernetes: kubernetes, v2"
