#!/bin/bash
# go.sh: prints the path of a go command that can fetch newer toolchains itself (1.21 or later), and brings one where there
# is none: the distribution's package, or, where that is older, the package of Debian trixie, unpacked into the tests' cache.
# Fails, and says why, where neither works.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
least=1.21
. "$here"/cache.sh
unpacked=$cache/go/usr/lib/go-1.24/bin/go

# new_enough VERSION
new_enough() { printf '%s\n' "$least" "$1" | sort -CV; }
# usable COMMAND : prints its path where it is a Go of that age
usable() {
    local path version
    path=$(command -v "$1") || return 1
    version=$(GOTOOLCHAIN=local "$path" env GOVERSION 2>/dev/null) || return 1
    new_enough "${version#go}" || return 1
    printf '%s\n' "$path"
}
first() { usable go || usable /usr/local/go/bin/go || usable "$unpacked"; }
packaged() {
    local version
    version=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate: //p')
    version=${version#*:}
    [ -n "$version" ] && [ "$version" != "(none)" ] && new_enough "${version%%[~+-]*}"
}

! first || exit 0
"$here/packages.sh" ca-certificates >&2
if packaged; then
    "$here/packages.sh" golang-go >&2
elif command -v apt-get dpkg-deb >/dev/null; then
    new=$cache/go.new
    rm -rf "$new"
    mkdir -p "$new/packages"
    "$here/../images/fetch.sh" --no-deps trixie "$(dpkg --print-architecture)" "$new/packages" golang-1.24-go golang-1.24-src >&2
    for package in "$new"/packages/*.deb; do dpkg-deb --extract "$package" "$new"; done
    rm -rf "$new/packages" "$cache/go"
    mv "$new" "$cache/go"
fi
first || { echo "no Go $least or later here, and none could be brought" >&2; exit 1; }
