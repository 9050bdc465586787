#!/bin/bash
# packages.sh PACKAGE|@SET...: installs the Debian packages that are missing, named or in a set of packages.list; says
# which where it may not.
# packages.sh --lists: only gets apt's lists.
set -euo pipefail
wanted=()
for word in "$@"; do
    case $word in
    --lists) ;;
    @*) mapfile -t -O ${#wanted[@]} wanted < <(awk -v set="${word#@}" '$1 == set { print $2 }' "$(dirname "$0")"/packages.list) ;;
    *) wanted+=("$word") ;;
    esac
done
missing=()
for package in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ "${1:-}" = --lists ] || [ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "needed here: ${missing[*]} (names of Debian packages)" >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo)
else
    echo "not installed, and there is no sudo without a password: ${missing[*]}" >&2
    echo "what needs them is skipped; install them with: sudo apt-get install ${missing[*]}" >&2
    exit 0
fi
lists() { "${as_root[@]}" apt-get update -q >/dev/null; }
[ "${1:-}" != --lists ] || { lists; exit 0; }
[ ${#missing[@]} -le 3 ] || echo "installing ${#missing[@]} packages" >&2
# Lists may be old or absent on a fresh machine; the second try has new ones.
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
"${install[@]}" >/dev/null 2>&1 || { lists && "${install[@]}" >/dev/null; }
