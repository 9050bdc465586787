#!/bin/bash
# images.sh OUT : the images of images.list as the files of a registry, OUT/NAME/{manifests,blobs}/… (OCI image and
# distribution specifications 1.1). Each holds the pause program and nothing else: as the pause image it works, as any
# other it can be pulled and started.
set -euo pipefail
farm=$(cd "$(dirname "$0")" && pwd)
out=$1
work=$(mktemp -d --tmpdir pikube-test-images.XXXXXX)
trap 'rm -rf "$work"' EXIT

digest() { sha256sum "$1" | cut -d' ' -f1; }
# of TYPE FILE : a descriptor
descriptor() { printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$1" "$(digest "$2")" "$(stat -c %s "$2")"; }

mkdir "$work/root"
gcc -Os -static -s -Wall -Wextra -Werror -o "$work/root/pause" "$farm/pause.c"
tar -c -C "$work/root" --owner=0 --group=0 --mode=755 --mtime="@${SOURCE_DATE_EPOCH:?}" -f "$work/layer.tar" pause
gzip -n -9 < "$work/layer.tar" > "$work/layer"
type=application/vnd.oci.image

while read -r name tag; do
  printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"],"Labels":{"name":"%s:%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$name" "$tag" "$(digest "$work/layer.tar")" > "$work/config"
  printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":%s,"layers":[%s]}' "$type" \
    "$(descriptor "$type.config.v1+json" "$work/config")" "$(descriptor "$type.layer.v1.tar+gzip" "$work/layer")" > "$work/manifest"
  mkdir -p "$out/$name/manifests" "$out/$name/blobs"
  cp "$work/manifest" "$out/$name/manifests/$tag"
  cp "$work/manifest" "$out/$name/manifests/sha256:$(digest "$work/manifest")"
  cp "$work/config" "$out/$name/blobs/sha256:$(digest "$work/config")"
  cp "$work/layer" "$out/$name/blobs/sha256:$(digest "$work/layer")"
done < <(sed 's/#.*//; /^ *$/d' "$farm/images.list")
