#!/bin/bash
# kernel.sh RELEASE OUT : the arm64 kernel of a Debian release and the Pi's firmware, as files:
#   OUT/boot/      what raspi-firmware puts on the FAT: vmlinuz, device trees, start*.elf, fixup*.dat, bootcode.bin
#   OUT/modules/   lib/modules of this kernel, cut down to what a headless node in an emulator can use
#   OUT/version    its release, as uname -r tells it
# The kernel is not registered as a package in the root: its hooks would ask for initramfs-tools at every upgrade.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
release=$1 out=$2
work=$(mktemp -d --tmpdir pikube-test-kernel.XXXXXX)
trap 'rm -rf "$work"' EXIT

kept='^(arch|block|crypto|lib|mm|drivers/(block|bluetooth/none|char/hw_random|clk|clocksource|dma|firmware|gpio|i2c|input/none|irqchip|mailbox|mfd|mmc|net/(bonding|dummy|ethernet/broadcom|ipvlan|macvlan|macvtap|mdio|phy|tap|tun|usb|veth|virtio_net|vxlan|wireguard)|nvmem|of|phy|pinctrl|pwm|regulator|reset|rtc|soc|thermal|usb/(common|core|dwc2|gadget/udc/udc-core|host|phy|storage)|virtio|watchdog)|fs/(autofs|binfmt|configfs|crypto|ext4|fat|fuse|jbd2|mbcache|nls|overlayfs|squashfs)|net/(8021q|bridge|core|ipv4|ipv6|llc|802|netfilter|packet|sched|unix|vmw_vsock|xfrm))([/.]|$)'

"$here/fetch.sh" "$release" arm64 "$work/meta" linux-image-arm64
rm -f "$work"/meta/linux-image-arm64_*.deb
"$here/fetch.sh" --no-deps "$release" arm64 "$work" raspi-firmware
deb_tar "$(ls "$work"/meta/linux-image-*_arm64.deb)" -x -C "$work" --wildcards \
  './boot/vmlinuz-*' './usr/lib/linux-image-*/broadcom/*' './*lib/modules/*'
deb_tar "$(ls "$work"/raspi-firmware_*_all.deb)" -x -C "$work" --wildcards './usr/lib/raspi-firmware/*'

version=$(cd "$work/boot" && ls vmlinuz-*); version=${version#vmlinuz-}
modules=$(echo "$work"/*lib/modules "$work"/usr/lib/modules | tr ' ' '\n' | while read -r dir; do [ ! -d "$dir" ] || echo "$dir"; done)
(cd "$modules/$version/kernel" && find . -type f | sed 's#^\./##' | grep -vE "$kept" | tr '\n' '\0' | xargs -0 rm -f)
find "$modules" -type d -empty -delete
mkdir -p "$out/boot" "$out/modules/lib/modules"
mv "$modules/$version" "$out/modules/lib/modules/"
depmod -b "$out/modules" "$version"
cp "$work/boot/vmlinuz-$version" "$work"/usr/lib/linux-image-*/broadcom/bcm*.dtb "$out/boot/"
cp -R "$work"/usr/lib/raspi-firmware/. "$out/boot/"
printf '%s\n' "$version" > "$out/version"
