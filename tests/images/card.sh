#!/bin/bash
# card.sh NAME TREE BOOT DISK_ID OUT.img : one image from a root tree and the files of its boot partition; MBR, FAT,
# ext4, with files only: no loop device, no mount. Run through in_tree: mke2fs copies the owners that it sees.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
name=$1 tree=$2 boot=$3 disk_id=$4 out=$5

case $name in
  debian-*) fat_label=RASPIFIRM root_label=RASPIROOT first=8192 fat_mib=508 fat=(-F 32 -s 8) ;;
  ubuntu-*) fat_label=system-boot root_label=writable first=2048 fat_mib=512 fat=(-F 32 -s 8) ;;
  hypriot-*) fat_label=HypriotOS root_label=root first=2048 fat_mib=64 fat=(-F 16 -s 4) ;;
  *) fat_label=bootfs root_label=rootfs first=16384 fat_mib=512 fat=(-F 32 -s 8) ;;
esac
root_first=$((first + fat_mib * 2048))
# used, a quarter more for inodes and journal, and 192 MiB to work in before the file system has grown
used_mib=$(du -s --apparent-size -m "$tree" | cut -f1)
root_mib=$(((used_mib * 5 / 4 + 192 + 63) / 64 * 64))

find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# mke2fs before 1.47.1 copies the change and access times of TREE, which nobody can set: each used inode gets ours.
settle_times() {
  dumpe2fs "$1" 2>/dev/null | awk -v time="@$SOURCE_DATE_EPOCH" '
    /^Inode count:/ { count = $3 }
    /^  Free inodes: / {
      sub(/^  Free inodes: /, ""); n = split($0, ranges, ", ")
      for (r = 1; r <= n; r++) { split(ranges[r], ends, "-"); last = ends[2] ? ends[2] : ends[1]
        for (i = ends[1]; i <= last; i++) free[i] = 1 }
    }
    END { for (i = 2; i <= count; i++) if (!(i in free) && (i == 2 || i >= 11)) {
      print "set_inode_field <" i "> ctime " time; print "set_inode_field <" i "> atime " time } }' > "$1.times"
  debugfs -w -f "$1.times" "$1" > /dev/null 2>&1
  rm -f "$1.times"
}

# The same names, ids and hash seeds each time: an image depends on its files only.
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
uuid=5069b007-0000-4000-8000-0000$disk_id
rm -f "$out.root" "$out.fat"
mke2fs -q -F -t ext4 -T default -b 4096 -O '^metadata_csum_seed,^orphan_file' -L "$root_label" -U "$uuid" \
  -E "hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,nodiscard" -d "$tree" "$out.root" "${root_mib}M" > /dev/null
settle_times "$out.root"
# it warns of the lower-case label that Raspberry Pi OS has
mkfs.vfat --invariant "${fat[@]}" -n "$fat_label" -i "$disk_id" -C "$out.fat" $((fat_mib * 1024)) 2>&1 > /dev/null |
  { grep -v 'lowercase labels' >&2 || true; }
# shellcheck disable=SC2016 # the inner shell expands them
(cd "$boot" && find . -mindepth 1 -maxdepth 1 -print0 | sort -z | xargs -0 sh -c 'mcopy -s -m -Q -i "$0" "$@" ::' "$out.fat")

rm -f "$out"
truncate -s $(((root_first + root_mib * 2048) * 512)) "$out"
printf 'label: dos\nlabel-id: 0x%s\nstart=%d, size=%d, type=c\nstart=%d, size=%d, type=83\n' \
  "$disk_id" "$first" $((fat_mib * 2048)) "$root_first" $((root_mib * 2048)) | sfdisk --quiet --no-reread --no-tell-kernel "$out"
dd if="$out.fat" of="$out" bs=1M seek=$((first / 2048)) conv=sparse,notrunc status=none
dd if="$out.root" of="$out" bs=1M seek=$((root_first / 2048)) conv=sparse,notrunc status=none
rm -f "$out.root" "$out.fat"
