#!/bin/bash
# machine.sh IMAGE... : what QEMU needs to boot amd64 twins of tests/images with a kernel of Debian, whose API server, kubelet
# and pod network User Mode Linux cannot run; in target/test-kubernetes/machine:
#
#   vmlinuz, initrd   Debian's kernel for virtual machines, and the initrd of the test images with its modules
#   IMAGE.img         the image with this kernel's modules and its /boot/config-*, which kubeadm's preflight reads
#   qemu/             a newer QEMU, unpacked, where this computer's own is of version 7: guests crashed in that one when the
#                     network was busy
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/../images/settings.sh"
export PATH=$PATH:/usr/sbin:/sbin
say() { printf 'machine: %4d s: %s\n' "$SECONDS" "$*" >&2; }
[ $# -gt 0 ] || { echo "usage: machine.sh IMAGE..." >&2; exit 2; }
images=$folder/../../target/test-images/nodes target=$folder/../../target/test-kubernetes/machine
release=trixie

mkdir -p "$cache/machine" "$target"
exec 9> "$cache/machine.lock"
flock 9                        # a second run waits, and then finds what the first one built
work=$(mktemp -d "$cache/machine/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

kernel=$cache/machine/kernel-$(cat "${BASH_SOURCE[0]}" "$folder"/../images/{initrd.sh,initrd/init} | sha256sum | cut -c1-16)
if [ ! -d "$kernel" ]; then
  say "kernel"
  for old in "$cache"/machine/*; do [ "$old" = "$work" ] || rm -rf "$old"; done
  "$folder/../images/fetch.sh" --no-deps $release amd64 "$work/meta" linux-image-cloud-amd64
  package=$(dpkg-deb -f "$work"/meta/*.deb Depends | sed 's/ .*//')
  "$folder/../images/fetch.sh" --no-deps $release amd64 "$work/deb" "$package"
  "$folder/../images/fetch.sh" --no-deps $release amd64 "$work/busybox" busybox-static
  dpkg-deb --extract "$work"/deb/*.deb "$work/files"
  version=$(cd "$work/files/boot" && echo vmlinuz-*) version=${version#vmlinuz-}
  mkdir -p "$work/modules" "$work/kernel"
  ln -s "../files/usr/lib" "$work/modules/lib"
  depmod -b "$work/modules" "$version"
  "$folder/../images/initrd.sh" "$work"/busybox/*.deb "$work/modules" "$version" "$work/kernel/initrd" \
    virtio_pci virtio_blk ext4 vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
  mv "$work/files/boot/vmlinuz-$version" "$work/kernel/vmlinuz"
  mkdir -p "$work/kernel/root/boot" "$work/kernel/root/usr/lib"
  mv "$work/files/boot/config-$version" "$work/kernel/root/boot/"
  mv "$work/files/usr/lib/modules" "$work/kernel/root/usr/lib/"
  rm -f "$work/kernel/root/usr/lib/modules/$version"/{build,source}
  mv "$work/kernel" "$kernel"          # last: what is there is whole
fi

# commands DIRECTORY : commands of debugfs that put what is in the directory, all of it root's, at the root of a file system
commands() {
  cd "$1"
  find . -mindepth 1 -type d -printf 'mkdir /%P\n' | LC_ALL=C sort
  find . -type f -printf 'write %p /%P\nset_inode_field /%P mode 0100644\nset_inode_field /%P uid 0\nset_inode_field /%P gid 0\n'
  cd - > /dev/null
}

# put FILE PLACE : a hard link where the cache is on the same file system; another clone may clear the cache at any time
put() { ln -f "$1" "$2" 2> /dev/null || cp --sparse=always --reflink=auto "$1" "$2"; }

for image in "$@"; do
  source=$images/$image.img
  [ -f "$source" ] || { echo "machine: no $source (tests/images/build.sh $image)" >&2; exit 1; }
  key=$({ echo "$kernel"; grep " $image.img\$" "$images/../SHA256SUMS"; } | sha256sum | cut -c1-16)
  kept=$cache/machine/$image-$key.img
  if [ ! -f "$kept" ]; then
    say "$image"
    rm -f "$cache/machine/$image"-*.img
    cp --sparse=always --reflink=auto "$source" "$work/image"
    chmod u+w "$work/image"
    offset=$(($(sfdisk --json "$source" | sed -n 's/.*"start": *\([0-9]*\).*/\1/p' | sed -n 2p) * 512))
    commands "$kernel/root" > "$work/commands"
    (cd "$kernel/root" && debugfs -w -f "$work/commands" "$work/image?offset=$offset") > "$work/log" 2>&1
    # directories that are there already are no error
    ! grep -vE '^(debugfs.*|Allocated inode:.*|(ext2fs_mkdir|mkdir): Ext2 directory already exists.*)?$' "$work/log" | grep . || exit 1
    e2fsck -fn "$work/image?offset=$offset" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    chmod 444 "$work/image"
    mv "$work/image" "$kept"
  fi
  put "$kept" "$target/$image.img"
done
put "$kernel/vmlinuz" "$target/vmlinuz"
put "$kernel/initrd" "$target/initrd"

rm -rf "$target/qemu"
if qemu-system-x86_64 --version 2> /dev/null | grep -q 'version [1-8]\.'; then
  qemu=$cache/machine/qemu
  if [ ! -d "$qemu" ]; then
    say "a newer QEMU"
    "$folder/../images/fetch.sh" --no-deps bookworm-backports amd64 "$work/qemu-debs" qemu-system-x86 qemu-system-common qemu-system-data seabios
    for deb in "$work"/qemu-debs/*.deb; do dpkg-deb --extract "$deb" "$work/qemu"; done
    mv "$work/qemu" "$qemu"
  fi
  cp -al "$qemu" "$target/qemu" 2> /dev/null || cp -a "$qemu" "$target/qemu"
fi
say "in target/test-kubernetes/machine: $*"
