#!/bin/bash
# images.sh OUT : the images of images.list as the files of a registry, OUT/NAME/{manifests,blobs}/…. Each holds the pause
# program and nothing else: as the pause image it works, as any other it can be pulled and started.
set -euo pipefail
farm=$(cd "$(dirname "$0")" && pwd)
. "$farm/oci.sh"
out=$1
work=$(mktemp -d --tmpdir pikube-test-images.XXXXXX)
trap 'rm -rf "$work"' EXIT

mkdir "$work/root"
gcc -Os -static -s -Wall -Wextra -Werror -o "$work/root/pause" "$farm/pause.c"
oci_layer "$work/root" "$work/layer.tar"
gzip -n -9 "$work/layer.tar"

while read -r name tag; do
  oci_image "$out" "$name" "$tag" "\"Entrypoint\":[\"/pause\"],\"Labels\":{\"name\":\"$name:$tag\"}" "$work/layer.tar.gz"
done < <(sed 's/#.*//; /^ *$/d' "$farm/images.list")
