#!/bin/bash
# initrd.sh BUSYBOX.deb MODULES VERSION OUT [MODULE...] : an initrd of our own (initrd/init) with a static busybox and
# the named kernel modules of MODULES/lib/modules/VERSION, with what they need, in loading order.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
busybox=$1 modules=$2 version=$3 out=$4; shift 4
work=$(mktemp -d --tmpdir pikube-test-initrd.XXXXXX)
trap 'rm -rf "$work"' EXIT

tree=$work/tree
mkdir -p "$tree/bin" "$tree/modules"
deb_tar "$busybox" -x -C "$work" --wildcards './*bin/busybox'
find "$work" -path "$tree" -prune -o -name busybox -type f -exec install -m 755 {} "$tree/bin/busybox" \;
install -m 755 "$here/initrd/init" "$tree/init"

# Loading order: modprobe's own, once for each file. A module that is built in has no file.
: > "$tree/modules/order"
for module in "$@"; do
  modprobe -d "$modules" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
done | awk '!seen[$0]++' | while read -r file; do
  name=${file##*/} name=${name%%.ko*}.ko
  case $file in
    *.xz) xz -dc "$file" > "$tree/modules/$name" ;;
    *) cp "$file" "$tree/modules/$name" ;;
  esac
  printf '%s\n' "$name" >> "$tree/modules/order"
done

find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$tree" && find . -mindepth 1 | sort | cpio --quiet --reproducible -o -H newc -R 0:0) | gzip -n -6 > "$out"
