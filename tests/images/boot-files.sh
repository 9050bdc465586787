#!/bin/bash
# boot-files.sh FAMILY RELEASE DISK_ID KERNEL INITRD OUT : the files of the FAT boot partition, as the operating system's
# image has them. KERNEL is what kernel.sh made. The amd64 twin of an image has the very same files except the initrd:
# its arm64 kernel is there and never started.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
family=$1 release=$2 disk_id=$3 kernel=$4 initrd=$5 out=$6
version=$(cat "$kernel/version")
template=$here/fat/$family
[ -d "$template" ] || template=$template-$release

mkdir -p "$out"
cp -R "$kernel/boot/." "$out/"
for file in "$template"/*; do
  sed "s/@DISK_ID@/$disk_id/g; s/@KERNEL@/$version/g" "$file" > "$out/${file##*/}"
done
overlays() {
  mkdir -p "$out/overlays"
  echo "Device tree overlays and their parameters." > "$out/overlays/README"
}
case $family in
  debian) cp "$initrd" "$out/initrd.img-$version" ;;
  ubuntu)
    mv "$out/vmlinuz-$version" "$out/vmlinuz"
    cp "$initrd" "$out/initrd.img"
    overlays ;;
  hypriot)
    # 32-bit kernels, which no machine of ours starts: as large as leaves 12 MiB free of 64, and empty. The real image has
    # no initrd; our machines need one.
    rm "$out/vmlinuz-$version"
    cp "$initrd" "$out/initramfs8"
    overlays
    touch "$out/kernel.img"
    truncate -s $(((52 << 20) - $(du -s --apparent-size -B 2048 "$out" | cut -f1) * 2048)) "$out/kernel7.img" ;;
  raspios)
    # names that Raspberry Pi's firmware looks for on its own
    mv "$out/vmlinuz-$version" "$out/kernel8.img"
    cp "$initrd" "$out/initramfs8"
    overlays ;;
esac
find "$out" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
