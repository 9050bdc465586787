#!/bin/bash
# build.sh [NAME...] : builds the test images (all of them, or those named), from Debian's packages alone, and puts them
# where the tests look: target/test-images/nodes/NAME.img, and target/test-images/raspios-trixie-arm64.img.xz.
#
# What was built is kept in $PIKUBE_TEST_CACHE (else in the user's cache directory) under a hash of everything that
# decides it, so a fresh clone with unchanged scripts gets its images at once. --list prints the names.
set -euo pipefail
. "$(dirname "$0")/settings.sh"

[ "${1:-}" != --list ] || { printf '%s\n' "${all_images[@]}"; exit 0; }
[ $# -gt 0 ] || set -- "${all_images[@]}"
wanted=("$@")

# The command each package is there for; Debian's names are in tests/setup/packages.list.
require() {
  local missing=() command
  export PATH=$PATH:/usr/sbin:/sbin
  for command in mmdebstrap mke2fs debugfs mkfs.vfat mcopy sfdisk cpio depmod modinfo xz linux.uml apt-get dpkg-deb flock; do
    command -v "$command" > /dev/null || missing+=("$command")
  done
  [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=("debian-archive-keyring")
  [ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]} (tests/setup/packages.list)"
}

# Everything that decides an image, in one word.
key() {
  {
    debian_mirror
    mirror_options
    linux.uml --version
    cd "$here" && find . -type f -print0 | sort -z | xargs -0 sha256sum
    find . -type l -printf '%p %l\n' | sort
  } | sha256sum | cut -c1-16
}

disk_id_of() {   # one for each operating system, the same for its twin; real images have a random one
  case $1 in debian-*) echo 5069b001 ;; raspios-bookworm-*) echo 5069b002 ;; raspios-trixie-*) echo 5069b003 ;;
    ubuntu-*) echo 5069b004 ;; hypriot-*) echo 5069b005 ;; esac
}
# Neither Ubuntu nor the releases that HypriotOS is made of can be had from Debian's mirror: what looks like Ubuntu 24.04
# has the cloud-init of trixie (25.1.4), what looks like HypriotOS 1.12.3 that of bookworm (22.4.2; the real one is 18.3).
release_of() { case $1 in raspios-bookworm-* | hypriot-*) echo bookworm ;; *) echo trixie ;; esac; }

# Kernel and initrds of one release, for all families and both architectures.
release_parts() {
  local release=$1
  [ ! -f "$work/$release/initrd-arm64" ] || return 0
  say "$release: kernel, firmware, initrds"
  "$here/kernel.sh" "$release" "$work/$release/kernel"
  fetch_busybox "$release" amd64; fetch_busybox "$release" arm64
  local fat=(vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8)
  "$here/initrd.sh" "$work/$release/busybox-amd64"/*.deb "$work/uml" "$(linux.uml --version)" "$work/$release/initrd-amd64" "${fat[@]}"
  "$here/initrd.sh" "$work/$release/busybox-arm64"/*.deb "$work/$release/kernel/modules" "$(cat "$work/$release/kernel/version")" \
    "$work/$release/initrd-arm64" bcm2835_dma bcm2835 sdhci_iproc mmc_block virtio_pci virtio_mmio virtio_blk ext4 "${fat[@]}"
}

# The amd64 root of a family, as a tree: $work/RELEASE/amd64-FAMILY. One debootstrap for all families of a release.
root_amd64() {
  local release=$1 family=$2 parts=$work/$1
  [ ! -d "$parts/amd64-$family" ] || return 0
  if [ ! -f "$store/base-$release.tar" ]; then
    say "$release: amd64 root"
    "$here/root-native.sh" "$release" "$work/base-$release.tar"
    mv "$work/base-$release.tar" "$store/"     # kept: a later run may build other images of this release
  fi
  say "$release: amd64 root of $family"
  "$here/root-layer.sh" "$release" "$family" "$store/base-$release.tar" "$parts/$family.tar"
  in_tree mkdir "$parts/amd64-$family"
  in_tree tar -x -p -C "$parts/amd64-$family" -f "$parts/$family.tar"
  rm -f "$parts/$family.tar"
}

# The same for arm64, out of the amd64 one.
root_arm64() {
  local release=$1 family=$2 parts=$work/$1 packages
  [ ! -d "$parts/arm64-$family" ] || return 0
  say "$release: arm64 root of $family"
  packages=$(sed -n 's/^Package: //p' "$parts/amd64-$family/var/lib/dpkg/status")
  # shellcheck disable=SC2086 # one word per package
  "$here/fetch.sh" "$release" arm64 "$parts/debs-$family" $packages
  in_tree "$here/root-arm64.sh" "$parts/amd64-$family" "$parts/debs-$family" "$parts/arm64-$family"
}

fetch_busybox() { "$here/fetch.sh" --no-deps "$1" "$2" "$work/$1/busybox-$2" busybox-static; }

image() {
  local name=$1 family=${1%%-*} release arch=${1##*-} disk_id tree parts
  release=$(release_of "$name") disk_id=$(disk_id_of "$name") tree=$work/$name.tree
  mkdir -p "$work/$release"
  release_parts "$release" & parts=$!        # mostly downloads, while packages are configured
  root_amd64 "$release" "$family"
  wait "$parts"
  [ "$arch" = amd64 ] || root_arm64 "$release" "$family"
  say "$name"
  in_tree cp -a --reflink=auto "$work/$release/$arch-$family" "$tree"
  in_tree "$here/flavour.sh" "$family" "$release" "$disk_id" "$tree"
  in_tree mkdir -p "$tree/usr/lib/modules"
  if [ "$arch" = arm64 ]; then in_tree cp -R "$work/$release/kernel/modules/lib/modules/." "$tree/usr/lib/modules/"
  else in_tree cp -R /usr/lib/uml/modules/. "$tree/usr/lib/modules/"; fi
  "$here/boot-files.sh" "$family" "$release" "$disk_id" "$work/$release/kernel" "$work/$release/initrd-$arch" "$work/$name.boot"
  in_tree "$here/card.sh" "$name" "$tree" "$work/$name.boot" "$disk_id" "$work/$name.img"
  in_tree rm -rf "$tree"
  if [ "$name" = raspios-trixie-arm64 ]; then
    say "$name.img.xz"
    xz -T2 -1 --block-size=16MiB --keep "$work/$name.img"
    mv "$work/$name.img.xz" "$store/"
  fi
  chmod 444 "$work/$name.img"          # tests and demo work on copies; the clone has a hard link
  mv "$work/$name.img" "$store/"       # last: an image that is there is whole
}

# Those images of `todo` that stem from one release.
images_of() {
  local name
  for name in "${todo[@]}"; do
    [ "$(release_of "$name")" = "$1" ] || continue
    image "$name"
    (cd "$store" && sha256sum "$name".img* > "$work/$name.sums" && mv "$work/$name.sums" "$name.sha256")
  done
}

# Into the clone: hard links where the cache is on the same file system.
place() {
  local target=$here/../../target/test-images name
  mkdir -p "$target/nodes"
  for name in "${wanted[@]}"; do
    put "$store/$name.img" "$target/nodes/$name.img"
    [ ! -f "$store/$name.img.xz" ] || put "$store/$name.img.xz" "$target/$name.img.xz"
  done
  (cd "$store" && cat ./*.sha256) > "$target/SHA256SUMS.new"
  mv "$target/SHA256SUMS.new" "$target/SHA256SUMS"
}
put() {
  if [ -f "$2" ] && [ "$1" -ef "$2" ]; then return; fi
  ln -f "$1" "$2" 2>/dev/null || { cp --sparse=always --reflink=auto "$1" "$2.new" && mv "$2.new" "$2"; }
}

require
for name in "${wanted[@]}"; do
  case " ${all_images[*]} " in *" $name "*) ;; *) die "no image named $name; there are: ${all_images[*]}" ;; esac
done
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9                                # a second run waits, and then finds what the first one built
key=$(key) store=$cache/$key
mkdir -p "$store"
todo=()
for name in "${wanted[@]}"; do
  [ -f "$store/$name.img" ] && [ -f "$store/$name.sha256" ] || todo+=("$name")
done
if [ ${#todo[@]} -gt 0 ]; then
  # of a run that was killed
  for old in "$cache"/work.*; do [ ! -d "$old" ] || in_tree rm -rf "$old"; done
  work=$(mktemp -d "$cache/work.XXXXXX")
  jobs=() failed=
  trap 'kill "${jobs[@]}" 2> /dev/null || true; in_tree rm -rf "$work"' EXIT
  chmod 755 "$work"
  # the releases have nothing in common but the kernel of User Mode Linux, so they are built side by side
  mkdir -p "$work/uml/lib"
  ln -sfn /usr/lib/uml/modules "$work/uml/lib/modules"
  for release in trixie bookworm; do images_of "$release" & jobs+=($!); done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  [ -z "$failed" ] || die "an image could not be built, see above"
fi
for old in "$cache"/????????????????; do [ "$old" = "$store" ] || rm -rf "$old"; done
place
say "in target/test-images: ${wanted[*]}"
