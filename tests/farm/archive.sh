#!/bin/bash
# archive.sh ROOT SUITE COMPONENT POOL ORIGIN : makes ROOT/dists/SUITE of the packages in ROOT/POOL, amd64, signed with the
# key in $GNUPGHOME: InRelease, and Release with Release.gpg, as apt wants them (deb-repository format, Debian wiki).
set -euo pipefail
root=$1 suite=$2 component=$3 pool=$4 origin=$5
cd "$root"
dist=dists/$suite
index=$component/binary-amd64/Packages
mkdir -p "$dist/${index%/*}"
dpkg-scanpackages --multiversion "$pool" 2> /dev/null > "$dist/$index"
grep -q '^Package:' "$dist/$index"
xz --keep --force "$dist/$index"
gzip --keep --force -n "$dist/$index"
{
  printf '%s: %s\n' Origin "$origin" Label "$origin" Suite "$suite" Codename "$suite" \
    Date "$(LC_ALL=C date -u -d "@${SOURCE_DATE_EPOCH:?}" '+%a, %d %b %Y %H:%M:%S UTC')" Architectures amd64 Components "$component"
  echo SHA256:
  (cd "$dist" && for file in "$index" "$index.xz" "$index.gz"; do
    printf ' %s %s %s\n' "$(sha256sum < "$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
  done)
} > "$dist/Release"
rm -f "$dist/InRelease" "$dist/Release.gpg"
gpg --batch --quiet --digest-algo SHA512 --clear-sign --output "$dist/InRelease" "$dist/Release"
gpg --batch --quiet --digest-algo SHA512 --armor --detach-sign --output "$dist/Release.gpg" "$dist/Release"
