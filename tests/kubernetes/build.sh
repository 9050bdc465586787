#!/bin/bash
# build.sh NAME... : builds programs of Kubernetes, and what runs on it, from their Go modules, into
# target/test-kubernetes/bin/FOLDER/PROGRAM. NAME is a program (kubeadm), one of another version (v1.35.4/kubeadm), a folder (etcd), or
#
#   native     a control plane without containers: the API server and its companions, etcd, kwok with its stages
#   node       what a booted node runs
#   contract   kubeadm and kubelet of every version
#   all        everything that is here
#
# --list prints all programs as FOLDER/PROGRAM VERSION. Each folder here is a Go module: its go.mod says which version is
# built. Kubernetes itself has one folder for each version; the first of `versions` is the one that is meant where none is
# named. What was built is kept in the cache of tests/images under a hash of everything that decides it.
#
# Exit codes: 1 a program does not build, 2 usage, 3 no Go, or its modules cannot be fetched from here: the tests that need
# these programs have to be skipped.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/../images/settings.sh"
say() { printf 'kubernetes: %4d s: %s\n' "$SECONDS" "$*" >&2; }
fail() { printf 'kubernetes: %s\n' "$2" >&2; exit "$1"; }

versions=(v1.36.3 v1.36.1 v1.35.4 v1.37.2)
of_kubernetes=(kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy)
# Oldest toolchain that builds all of this, and the one that an older Go is told to fetch.
least_go=1.26.6
bring_go=go1.27.3

# The package of a program that is not Kubernetes' own.
package_of() {
  case $1 in
    etcd/etcd) echo go.etcd.io/etcd/server/v3 ;;
    etcd/etcdctl | etcd/etcdutl) echo "go.etcd.io/etcd/${1#*/}/v3" ;;
    crictl/crictl) echo sigs.k8s.io/cri-tools/cmd/crictl ;;
    coredns/coredns) echo github.com/coredns/coredns ;;
    flannel/flanneld) echo github.com/flannel-io/flannel ;;
    flannel-cni/flannel) echo github.com/containernetworking/plugins/plugins/meta/flannel ;;
    kwok/kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
    registry/registry) echo github.com/distribution/distribution/v3/cmd/registry ;;
    v*/*) echo "k8s.io/kubernetes/cmd/${1#*/}" ;;
    *) return 1 ;;
  esac
}

# required FOLDER MODULE : the version of a module that the go.mod of FOLDER requires
required() { awk -v module="$2" '$1 == "require" { $0 = substr($0, 9) } $1 == module && $2 ~ /^v/ { print $2; exit }' "$folder/$1/go.mod"; }

version_of() {
  local package=$1 module
  case ${1#*/} in
    etcd) module=go.etcd.io/etcd/server/v3 ;;
    *) package=$(package_of "$1") module=${package%/cmd/*} module=${module%/plugins/meta/*} ;;
  esac
  required "${1%/*}" "$module"
}

# What the linker writes into a program, so that it says of which version it is.
stamps_of() {
  local version minor place
  version=$(version_of "$1")
  case $1 in
    v*/*)
      minor=${version#v1.}
      for place in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- '-X %s=%s ' "$place.gitVersion" "$version" "$place.gitMajor" 1 "$place.gitMinor" "${minor%.*}" \
          "$place.gitTreeState" clean
      done ;;
    crictl/*) printf -- '-X sigs.k8s.io/cri-tools/pkg/version.Version=%s' "$version" ;;
    kwok/*) printf -- '-X sigs.k8s.io/kwok/pkg/consts.Version=%s' "$version" ;;
    registry/*) printf -- '-X github.com/distribution/distribution/v3/version.version=%s' "$version" ;;
    flannel/*) printf -- '-X github.com/flannel-io/flannel/pkg/version.Version=%s -extldflags "-static"' "$version" ;;
    flannel-cni/*) printf -- '-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=%s' "$version" ;;
  esac
}

everything() {
  local version program
  for version in "${versions[@]}"; do for program in "${of_kubernetes[@]}"; do echo "$version/$program"; done; done
  printf '%s\n' etcd/etcd etcd/etcdctl etcd/etcdutl crictl/crictl coredns/coredns flannel/flanneld flannel-cni/flannel \
    kwok/kwok registry/registry
}

# Names as on the command line, one program a line.
programs() {
  local name version found
  for name in "$@"; do
    case $name in
      all) everything ;;
      native) printf "${versions[0]}/%s\n" kubeadm kubectl kube-apiserver kube-controller-manager kube-scheduler
        printf '%s\n' etcd/etcd etcd/etcdctl etcd/etcdutl kwok/kwok ;;
      node) printf "${versions[0]}/%s\n" "${of_kubernetes[@]}"
        printf '%s\n' etcd/etcd etcd/etcdctl etcd/etcdutl crictl/crictl coredns/coredns flannel/flanneld flannel-cni/flannel ;;
      contract) for version in "${versions[@]}"; do printf "$version/%s\n" kubeadm kubelet; done ;;
      *) found=$(everything | grep -E "^$name/" || everything | grep -m1 -E "(^|/)$name\$") \
          || fail 2 "no program named $name; see build.sh --list"
        printf '%s\n' "$found" ;;
    esac
  done | awk '!seen[$0]++'
}

# The stages that make kwok's nodes and pods Ready; without any it refuses to start.
stages_of_kwok() {
  local module file
  module=$(cd "$folder/kwok" && "$go" list -m -f '{{.Dir}}' sigs.k8s.io/kwok)
  for file in "$module"/kustomize/stage/{node/fast,node/heartbeat-with-lease,pod/fast}/*.yaml; do
    case $file in */kustomization.yaml) continue ;; esac
    printf -- '---\n'
    cat "$file"
  done
}

# compile PROGRAM FILE
compile() {
  local package cgo=0
  package=$(package_of "$1")
  case $1 in flannel/*) cgo=1 ;; esac          # of its udp backend
  cd "$folder/${1%/*}"
  # fetches what is missing, so that a failure to fetch is told from one to build
  if ! "$go" list -deps "$package" > /dev/null 2> "$work/error"; then
    grep -v '^go: downloading' "$work/error" | tail -n 3 >&2 || true
    fail 3 "the Go modules of $1 cannot be fetched from here"
  fi
  CGO_ENABLED=$cgo "$go" build -trimpath -buildvcs=false -ldflags "-s -w $(stamps_of "$1")" -o "$2" "$package" \
    || fail 1 "$1 does not build"
  cd - > /dev/null
}

build() {
  local program=$1 key kept started=$SECONDS
  key=$({
    cat "$folder/${program%/*}/go.mod" "$folder/${program%/*}/go.sum"
    printf '%s\n' "$toolchain" "$(package_of "$program")" "$(stamps_of "$program")"
    declare -f compile stages_of_kwok
  } | sha256sum | cut -c1-16)
  kept=$store/${program//\//-}-$key
  if [ ! -e "$kept" ]; then
    compile "$program" "$work/program"
    [ "$program" != kwok/kwok ] || stages_of_kwok > "$kept.stages.yaml"
    mv "$work/program" "$kept"                 # last: what is there is whole
    for old in "$store/${program//\//-}"-????????????????*; do case $old in "$kept"*) ;; *) rm -f "$old" ;; esac; done
    say "$program $(version_of "$program"), $((SECONDS - started)) s, $(($(stat -c %s "$kept") >> 20)) MiB"
  fi
  put "$kept" "$target/$program"
  [ "$program" != kwok/kwok ] || put "$kept.stages.yaml" "$target/kwok/stages.yaml"
}
put() {
  [ ! "$1" -ef "$2" ] || return 0
  mkdir -p "${2%/*}"
  ln -f "$1" "$2" 2> /dev/null || { cp --reflink=auto "$1" "$2.new" && mv "$2.new" "$2"; }
}

[ $# -gt 0 ] || fail 2 "usage: build.sh NAME..."
if [ "$1" = --list ]; then
  for program in $(everything); do echo "$program $(version_of "$program")"; done
  exit 0
fi
wanted=$(programs "$@") || exit 2
go=$("$folder/../setup/go.sh") || fail 3 "no Go here: what needs a real Kubernetes is skipped"
toolchain=$("$go" env GOVERSION)
if ! printf '%s\n' "go$least_go" "$toolchain" | sort -CV; then
  export GOTOOLCHAIN=$bring_go
  toolchain=$("$go" env GOVERSION 2> /dev/null) || fail 3 "the Go here is too old, and $bring_go cannot be fetched from here"
fi
store=$cache/kubernetes target=$folder/../../target/test-kubernetes/bin
mkdir -p "$store" "$target"
exec 9> "$cache/kubernetes.lock"
flock 9                        # a second run waits, and then finds what the first one built
work=$(mktemp -d "$store/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
for program in $wanted; do build "$program"; done
say "in target/test-kubernetes/bin: $*"
