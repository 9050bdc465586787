#!/bin/bash
# readers.sh DIRECTORY: unpacks the programs that read network settings on a Pi below DIRECTORY, for the tests of what
# is written for them. Unpacked, not installed: no test may bring a second network manager to the computer it runs on.
set -euo pipefail
directory=$1
packages=(wpasupplicant network-manager libnm0 gir1.2-nm-1.0 libndp0 libteamdctl0 libmm-glib0 libbluetooth3 libjansson4 libpcsclite1
    libnl-3-200 libnl-genl-3-200 libnl-route-3-200 netplan.io libnetplan0 libnetplan1 python3-netplan netplan-generator
    libyaml-0-2 python3-netifaces python3-yaml python3-rich python3-dbus ifupdown dhcpcd-base libpolkit-gobject-1-0 libcurl3-gnutls libpsl5 libnghttp2-14
    librtmp1 libssh2-1 libbrotli1 libreadline8 readline-common libudev1 libaudit1)
if ! command -v apt-get >/dev/null; then
    echo "what needs readers of network settings is skipped: no apt-get here" >&2
    exit 0
fi
# Lists may be old or absent on a fresh machine; only names that this release has are asked for.
known() { apt-cache show --no-all-versions "${packages[@]}" 2>/dev/null | sed -n 's/^Package: //p' | sort -u; }
mapfile -t wanted < <(known)
printf '%s\n' "${wanted[@]}" | grep -qx ifupdown || { [ "$(id -u)" != 0 ] || apt-get update -q >/dev/null; mapfile -t wanted < <(known); }
stamp=$directory/.unpacked
[ "$(cat "$stamp" 2>/dev/null)" != "${wanted[*]}" ] || exit 0
rm -rf "$directory"
mkdir -p "$directory/packages"
(cd "$directory/packages" && apt-get download -q "${wanted[@]}" >/dev/null)
for package in "$directory"/packages/*.deb; do
    dpkg -x "$package" "$directory"
done
rm -rf "$directory/packages"
echo "${wanted[*]}" >"$stamp"
