#!/bin/bash
# images.sh VERSION BIN OUT : images of the programs that build.sh put into BIN, as the files of a registry, under the names
# that kubeadm and flannel's manifest ask for where an image repository of one's own is named. What needs more than its own
# program (iptables, cp) stands on packages of Debian trixie, which are unpacked and not configured.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/../images/settings.sh"
. "$folder/../farm/oci.sh"
version=$1 bin=$2 out=$3
mkdir -p "$out"
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# with IMAGE... : the tag of each is the one that kubeadm of this version asks for
"$bin/v$version/kubeadm" config images list --kubernetes-version "v$version" > "$work/images"
tag_of() { sed -n "s#.*/$1:##p" "$work/images" | grep . || { echo "kubeadm asks for no image $1" >&2; exit 1; }; }

# layer NAME [FILE PATH]... : $work/NAME.tar with these files at these paths
layer() {
  local root=$work/$1.root name=$1
  shift
  while [ $# -gt 0 ]; do install -D -m 755 "$1" "$root/$2"; shift 2; done
  oci_layer "$root" "$work/$name.tar"
  rm -rf "$root"
}
path='"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]'

for name in kube-apiserver kube-controller-manager kube-scheduler; do
  layer $name "$bin/v$version/$name" usr/local/bin/$name
  oci_image "$out" $name "$(tag_of $name)" "$path" "$work/$name.tar"
done
layer etcd "$bin/etcd/etcd" usr/local/bin/etcd "$bin/etcd/etcdctl" usr/local/bin/etcdctl "$bin/etcd/etcdutl" usr/local/bin/etcdutl
oci_image "$out" etcd "$(tag_of etcd)" "$path" "$work/etcd.tar"
layer coredns "$bin/coredns/coredns" coredns
oci_image "$out" coredns "$(tag_of coredns)" "$path,\"Entrypoint\":[\"/coredns\"]" "$work/coredns.tar"
gcc -Os -static -s -Wall -Wextra -Werror -o "$work/pause" "$folder/../farm/pause.c"
layer pause "$work/pause" pause
oci_image "$out" pause "$(tag_of pause)" "$path,\"Entrypoint\":[\"/pause\"]" "$work/pause.tar"

# A busybox under all its names, without a C library.
"$folder/../images/fetch.sh" --no-deps trixie amd64 "$work/busybox" busybox-static
deb_tar "$work"/busybox/*.deb -x -C "$work/busybox" --wildcards './*bin/busybox'
busybox=$(find "$work/busybox" -name busybox -type f)
mkdir -p "$work/tools.root/bin" "$work/tools.root/tmp" "$work/tools.root/etc"
install -m 755 "$busybox" "$work/tools.root/bin/busybox"
for name in $("$busybox" --list); do [ "$name" = busybox ] || ln -s busybox "$work/tools.root/bin/$name"; done
layer tools
oci_image "$out" tools 1 "$path,\"Cmd\":[\"sh\"]" "$work/tools.tar"

# Debian's iptables and conntrack with the libraries that they need.
packages=(libc6 libgcc-s1 iptables libxtables12 libip4tc2 libip6tc2 libnfnetlink0 libnetfilter-conntrack3 libnftnl11 libmnl0
  libnftables1 libedit2 libtinfo6 libbsd0 libmd0 libgmp10 libjansson4 nftables conntrack kmod libkmod2 libzstd1 liblzma5 libssl3t64
  zlib1g)
"$folder/../images/fetch.sh" --no-deps trixie amd64 "$work/debs" "${packages[@]}"
root=$work/base.root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{run,tmp,etc}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
for deb in "$work"/debs/*.deb; do
  deb_tar "$deb" -x -C "$root" --keep-directory-symlink --exclude='./usr/share/*' --exclude='./usr/lib/*/gconv/*' --exclude='./usr/libexec/*'
done
for name in {,ip6}tables{,-save,-restore}; do ln -s xtables-nft-multi "$root/usr/sbin/${name/#tables/iptables}"; done
install -m 755 "$busybox" "$root/usr/bin/busybox"
for name in sh cp cat ls mkdir rm; do [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/usr/bin/$name"; done
layer base

layer kube-proxy "$bin/v$version/kube-proxy" usr/local/bin/kube-proxy
oci_image "$out" kube-proxy "$(tag_of kube-proxy)" "$path" "$work/base.tar" "$work/kube-proxy.tar"
# the tags that the agent's manifest has
flannel=$(sed -n 's/^const IMAGE: &str = "flannel:\(.*\)";/\1/p' "$folder/../../agent/src/render/flannel.rs")
plugin=$(sed -n 's/^const PLUGIN_IMAGE: &str = "flannel-cni-plugin:\(.*\)";/\1/p' "$folder/../../agent/src/render/flannel.rs")
layer flanneld "$bin/flannel/flanneld" opt/bin/flanneld
oci_image "$out" flannel "${flannel:?}" "$path,\"Entrypoint\":[\"/opt/bin/flanneld\"]" "$work/base.tar" "$work/flanneld.tar"
layer plugin "$bin/flannel-cni/flannel" flannel "$busybox" bin/cp
oci_image "$out" flannel-cni-plugin "${plugin:?}" "$path" "$work/plugin.tar"
