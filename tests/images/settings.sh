# shellcheck shell=bash disable=SC2034
# Everything that is the same for all images: sourced by the other scripts, runs nothing.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Time stamps inside the images never lie after this (2026-06-18); the clock of a node whose card was just flashed is
# therefore in the past, as that of a real Pi.
export SOURCE_DATE_EPOCH=1781740800
export TZ=UTC LC_ALL=C.UTF-8

all_images=(debian-amd64 debian-arm64 raspios-bookworm-amd64 raspios-bookworm-arm64 raspios-trixie-amd64 raspios-trixie-arm64
  ubuntu-amd64 hypriot-amd64)

. "$here/../setup/cache.sh"

say() { printf 'images: %4d s: %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'images: %s\n' "$*" >&2; exit 1; }

# Debian's mirror: this machine's own one, so that no address has to be written down here.
debian_mirror() {
  local uri=${PIKUBE_DEBIAN_MIRROR:-}
  if [ -z "$uri" ] && grep -q '^ID=debian' /etc/os-release; then
    # mawk ends at the first file that is not there; other vendors' archives may come first
    uri=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null |
      awk '/^URIs:/ { print $2 } /^deb / { sub(/\[[^]]*\] */, ""); print $2 }' | grep -m 1 -E '/debian/?$' || true)
  fi
  [ -n "$uri" ] || die "no Debian mirror in this machine's apt configuration: set PIKUBE_DEBIAN_MIRROR=URL"
  printf '%s\n' "${uri%/}"
}

# The apt options of this machine that decide whether its mirror can be used at all.
mirror_options() {
  apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|http::Proxy|https::Proxy) ' || true
}

# The words of a package list: comments and blank lines out.
packages_of() { sed 's/#.*//' "$@" | tr -s ' \t' '\n' | sed '/^$/d' | sort -u; }

# Files of another owner than ours need either root or a user namespace with subordinate ids.
in_tree() { if [ "$(id -u)" = 0 ]; then "$@"; else mmdebstrap --unshare-helper "$@"; fi; }

# deb_tar DEB TAR-ARGUMENT... : runs tar over the files of a package. tar stops reading at the archive's end mark; what
# follows has to be read all the same, or dpkg-deb now and then dies of SIGPIPE.
deb_tar() {
  local deb=$1; shift
  dpkg-deb --fsys-tarfile "$deb" | { tar "$@" -f - && cat > /dev/null; }
}
