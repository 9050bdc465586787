#!/bin/bash
# Stand-in for two init scripts: raspberrypi-sys-mods' firstboot of bookworm, raspi-config's init_resize.sh of HypriotOS.
# PID 1 of the very first boot, systemd comes with the second. The initrd grew the partition; this grows the file system
# and makes host keys (firstboot only: cloud-init does it for HypriotOS), gives the disk a new id and writes it to fstab
# and cmdline.txt, takes itself and ` quiet` off the command line, and reboots. Survives a power cut at any line, see
# initrd/init.
export PATH=/usr/sbin:/usr/bin
say() { echo "firstboot: $*" > /dev/kmsg; }

mount -t tmpfs tmp /run
mount -o remount,rw /
root=$(findmnt -n -o SOURCE /) name=${root#/dev/}
disk=$(readlink -f "/sys/class/block/$name/..") disk=${disk##*/}
boot=$(findmnt --fstab --noheadings --output TARGET --types vfat)
case $0 in */firstboot)
  resize2fs -f "$root" > /dev/null 2>&1 || say "resize2fs failed"
  mkdir -p /run/sshd
  ssh-keygen -A > /dev/null ;;
esac
mount -t vfat "/dev/${name%2}1" "$boot" || say "no boot partition"

old=$(od -An -tx4 -j440 -N4 "/dev/$disk" | tr -d ' ')
new=$(od -An -tx4 -N4 /dev/urandom | tr -d ' ')
dd if="/dev/$disk" of=/run/mbr bs=512 count=1 status=none
# shellcheck disable=SC2059
printf "\\x${new:6:2}\\x${new:4:2}\\x${new:2:2}\\x${new:0:2}" | dd of=/run/mbr bs=1 seek=440 conv=notrunc status=none
dd if=/run/mbr of="/dev/$disk" bs=512 conv=notrunc,fsync status=none
sed -E "s/[0-9a-f]{8}-0/$new-0/" /etc/fstab > /etc/fstab.new && sync && mv /etc/fstab.new /etc/fstab && sync
line=$(sed -E "s/PARTUUID=[0-9a-f]{8}/PARTUUID=$new/; s/ quiet//; s# init=$0##" "$boot/cmdline.txt")
size=$(stat -c %s "$boot/cmdline.txt")
printf '%-*s\n' $((size - 1)) "$line" > /run/cmdline
dd if=/run/cmdline of="$boot/cmdline.txt" conv=notrunc,fsync status=none
say "disk id $new (was $old), rebooting"
umount "$boot"
mount -o remount,ro /
sync
reboot -f
