# shellcheck shell=bash
# Container images as the files of a registry, OUT/NAME/{manifests,blobs}/... (OCI image and distribution specifications
# 1.1). Sourced by other scripts; runs nothing. $SOURCE_DATE_EPOCH must be set.

oci_digest() { sha256sum "$1" | cut -d' ' -f1; }
# oci_descriptor TYPE FILE
oci_descriptor() { printf '{"mediaType":"%s","digest":"sha256:%s","size":%d}' "$1" "$(oci_digest "$2")" "$(stat -Lc %s "$2")"; }
# oci_layers FILE... : JSON list of the layers' descriptors
oci_layers() {
  local file separator='' type=application/vnd.oci.image.layer.v1.tar
  for file in "$@"; do
    printf %s "$separator"
    case $file in *.gz) oci_descriptor "$type+gzip" "$file" ;; *) oci_descriptor "$type" "$file" ;; esac
    separator=,
  done
}
# oci_contents FILE... : JSON list of the digests of the layers' contents
oci_contents() {
  local file separator='' digest
  for file in "$@"; do
    case $file in *.gz) digest=$(gzip -dc "$file" | sha256sum | cut -d' ' -f1) ;; *) digest=$(oci_digest "$file") ;; esac
    printf '%s"sha256:%s"' "$separator" "$digest"
    separator=,
  done
}

# oci_layer DIRECTORY FILE.tar : a layer of what is in the directory, all of it root's
oci_layer() {
  tar -c -C "$1" --owner=0 --group=0 --sort=name --mode=u+rw,go+r,go-w --mtime="@${SOURCE_DATE_EPOCH:?}" -f "$2" .
}

# oci_image OUT NAME TAG CONFIG LAYER... : one image of these layers (.tar or .tar.gz), the lowest first. CONFIG is the
# members of its `config` object.
oci_image() {
  local out=$1 name=$2 tag=$3 config=$4 layer type=application/vnd.oci.image place work
  shift 4
  work=$(mktemp -d --tmpdir pikube-test-image.XXXXXX)
  place=$out/$name
  mkdir -p "$place/manifests" "$place/blobs"
  printf '{"architecture":"amd64","os":"linux","config":{%s},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
    "$config" "$(oci_contents "$@")" > "$work/config"
  printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":%s,"layers":[%s]}' "$type" \
    "$(oci_descriptor "$type.config.v1+json" "$work/config")" "$(oci_layers "$@")" > "$work/manifest"
  cp "$work/manifest" "$place/manifests/$tag"
  cp "$work/manifest" "$place/manifests/sha256:$(oci_digest "$work/manifest")"
  cp "$work/config" "$place/blobs/sha256:$(oci_digest "$work/config")"
  for layer in "$@"; do ln -f "$layer" "$place/blobs/sha256:$(oci_digest "$layer")" 2> /dev/null \
    || cp "$layer" "$place/blobs/sha256:$(oci_digest "$layer")"; done
  rm -rf "$work"
}
