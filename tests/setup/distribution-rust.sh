#!/bin/bash
# distribution-rust.sh: installs the newest Rust of this distribution, with the source of its standard library, and prints
# the directory of its programs. Debian 12 and 13 have a new one for their browsers (rustc-web), Ubuntu several, each with
# its version in its name; other releases may have it under the plain name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# The names that apt knows, each with the version it would install.
known() {
    local names
    mapfile -t names < <(apt-cache pkgnames rustc 2>/dev/null | grep -xE 'rustc(-web|-[0-9.]+)?')
    [ ${#names[@]} = 0 ] || apt-cache show --no-all-versions "${names[@]}" | sed -n 's/^Package: //p; s/^Version: //p' | paste - - |
        sort -k 2,2V
}
command -v apt-get >/dev/null || { echo "no Rust is here that is new enough, and no apt-get to bring one" >&2; exit 1; }
[ -n "$(known)" ] || "$here"/packages.sh --lists
# shellcheck disable=SC2034 # the version is what the list was sorted by
read -r rustc version < <(known | tail -n 1) || { echo "apt has no package with rustc" >&2; exit 1; }
suffix=${rustc#rustc}
case $suffix in
-[0-9]*) src=rust$suffix-src clippy=rust$suffix-clippy bin=/usr/lib/rust$suffix/bin ;;
*) src=rust$suffix-src clippy=rust$suffix-clippy bin=/usr/bin ;;
esac
"$here"/packages.sh "cargo$suffix" "$rustc" "$src" "$clippy" "rustfmt$suffix" >&2
"$here"/enough-rust.sh "$bin" || { echo "$rustc $version is older than this project needs (Cargo.toml, rust-version)" >&2; exit 1; }
echo "$bin"
