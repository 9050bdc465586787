#!/bin/bash
# root-arm64.sh NATIVE DEBS OUT : the arm64 tree OUT from the configured amd64 tree NATIVE and the arm64 packages in DEBS.
#
# Emulating a few thousand maintainer scripts takes half an hour; unpacking takes seconds. The files of OUT are those of
# the arm64 packages, byte for byte. What maintainer scripts add (users, /etc, alternatives, enabled units) does not
# depend on the architecture and comes from NATIVE, where these scripts ran. The package database is written for the
# arm64 packages, so apt and dpkg go on from there. Run through in_tree: owners matter.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
native=$1 debs=$2 out=$3
work=$(mktemp -d --tmpdir pikube-test-graft.XXXXXX)
trap 'rm -rf "$work"' EXIT

merged='s#^/(bin|sbin|lib|lib64)(/|$)#/usr/\1\2#'    # bookworm's packages still name the paths before the /usr merge

unpack() {
  local deb path
  mkdir -p "$out"/usr/{bin,sbin,lib}
  for path in bin sbin lib; do ln -sfn "usr/$path" "$out/$path"; done
  for deb in "$debs"/*.deb; do
    deb_tar "$deb" -x -p -C "$out" --keep-directory-symlink --delay-directory-restore
  done
}

# Everything in NATIVE that no package owns was made by maintainer scripts.
graft() {
  sed -E "$merged" "$native"/var/lib/dpkg/info/*.list | sort -u > "$work/owned"
  (cd "$native" && find . -mindepth 1 -path ./var/lib/dpkg -prune -o -path ./var/cache -prune -o -path ./var/lib/apt -prune \
    -o -path ./dev -prune -o -path ./boot -prune -o -path ./usr/share/doc -prune -o -path './etc/ld.so.cache' -prune \
    -o -print) | sed 's/^\.//' | grep -vE '/(lib64|x86_64-linux-gnu)(/|$)' | sort > "$work/present"
  comm -13 "$work/owned" "$work/present" | sed 's#^/##' > "$work/made"
  tar -c -C "$native" --no-recursion -T "$work/made" -f - | tar -x -p -C "$out" --keep-directory-symlink -f -
}

# Owners and modes that maintainer scripts gave to packaged files (dpkg-statoverride, chgrp).
owners() {
  local format='%p %U %G %m\n'
  (cd "$native" && find . -printf "$format" | sed 's/x86_64-linux-gnu/aarch64-linux-gnu/' | sort) > "$work/native"
  (cd "$out" && find . ! -type l -printf "$format" | sort) > "$work/out"
  join "$work/native" "$work/out" | awk '$2 != $5 || $3 != $6 || $4 != $7 { print $1, $2, $3, $4 }' > "$work/differ"
  while read -r path user group mode; do
    chown -h "$user:$group" "$out/$path"; chmod "$mode" "$out/$path"
  done < "$work/differ"
}

# One package's part of the database: its entry in `status`, its list, sums and scripts in `info`.
register() {
  local deb=$1 package arch name file
  package=$(dpkg-deb -f "$deb" Package) arch=$(dpkg-deb -f "$deb" Architecture) name=$package
  [ "$(dpkg-deb -f "$deb" Multi-Arch)" != same ] || name=$package:$arch
  rm -rf "$work/control"; dpkg-deb -e "$deb" "$work/control"
  {
    sed -E '/^(Status|Conffiles):/d' "$work/control/control" | sed '1a Status: install ok installed'
    if [ -s "$work/control/conffiles" ]; then
      echo Conffiles:
      while read -r file; do
        [ ! -f "$out$file" ] || printf ' %s %s\n' "$file" "$(md5sum < "$out$file" | cut -d' ' -f1)"
      done < "$work/control/conffiles"
    fi
    echo
  } >> "$database/status"
  deb_tar "$deb" -t | sed -E 's#^\./#/#; s#(.)/$#\1#; s#^/$#/.#' > "$database/info/$name.list"
  for file in "$work"/control/*; do
    [ "${file##*/}" = control ] || cp "$file" "$database/info/$name.${file##*/}"
  done
}

database=$out/var/lib/dpkg
unpack
graft
owners
mkdir -p "$database"/{info,updates,parts,alternatives,triggers}
echo 1 > "$database/info/format"
for kept in alternatives arch diversions statoverride triggers; do
  [ ! -e "$native/var/lib/dpkg/$kept" ] || cp -a "$native/var/lib/dpkg/$kept" "$database/"
done
touch "$database/available"
for deb in "$debs"/*.deb; do register "$deb"; done
mkdir -p "$out"/var/lib/apt/lists/partial "$out"/var/cache/apt/archives/partial
if [ -e "$native/var/lib/apt/extended_states" ]; then
  sed 's/amd64/arm64/' "$native/var/lib/apt/extended_states" > "$out/var/lib/apt/extended_states"
fi
