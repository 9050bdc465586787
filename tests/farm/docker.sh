#!/bin/bash
# docker.sh WORK DEBIAN_POOL OUT RELEASE... : the packages of download.docker.com for these releases, made of Debian's
# newest containerd and docker, whose binaries run on bookworm and trixie alike; with what is peculiar to the real packages
# (docker/packaging): containerd.io brings runc and a configuration that switches CRI off, and takes the place of Debian's
# containerd and runc.
set -euo pipefail
farm=$(cd "$(dirname "$0")" && pwd)
work=$1 pool=$2 out=$3; shift 3
# The release that has containerd 2; its Go binaries need no newer C library than bookworm's, which is checked below.
newest=forky

"$farm/../images/fetch.sh" --no-deps "$newest" amd64 "$work/debs" containerd runc docker.io docker-cli
deb() { ls "$work/debs/$1"_*.deb; }
upstream() { dpkg-deb -f "$(deb "$1")" Version | sed -E 's/^[0-9]+://; s/[+~-].*//'; }
for package in containerd runc docker.io docker-cli; do dpkg-deb -x "$(deb "$package")" "$work/newest"; done

# needs BINARY LIBC : nothing newer than that version of the C library
needs() {
  local newest
  newest=$(objdump -T "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -1)
  [ "$(printf '%s\nGLIBC_%s\n' "$newest" "$2" | sort -V | tail -1)" = "GLIBC_$2" ] || { echo "farm: $1 needs $newest" >&2; exit 1; }
}

# build PACKAGE VERSION SUITE : from $work/tree, whose DEBIAN/control lacks what every package has
build() {
  local package=$1 version=$2 suite=$3 tree=$work/tree directory=$out/dists/$3/pool/stable/amd64
  { printf '%s: %s\n' Package "$package" Version "$version" Architecture amd64 Section admin Priority optional \
      Maintainer 'pikube tests <nobody@pikube.test>'
    cat "$tree/DEBIAN/control"; } > "$work/control"
  mv "$work/control" "$tree/DEBIAN/control"
  chmod -R u=rwX,go=rX "$tree"
  find "$tree/DEBIAN" -name 'p*' -exec chmod 755 {} +
  mkdir -p "$directory"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$directory/${package}_${version#*:}_amd64.deb" > /dev/null
  rm -rf "$tree"
}

# units UNIT... : the scripts that a package with services has; they start when they are installed
units() {
  local tree=$work/tree unit
  mkdir -p "$tree/usr/lib/systemd/system"
  for unit in "$@"; do cp "$farm/$unit" "$tree/usr/lib/systemd/system/"; done
  cat > "$tree/DEBIAN/postinst" << EOF
#!/bin/sh
set -e
[ "\$1" = configure ] || exit 0
${before:-:}
for unit in $*; do deb-systemd-helper enable "\$unit" > /dev/null; done
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload > /dev/null
  deb-systemd-invoke start $* > /dev/null
fi
EOF
  cat > "$tree/DEBIAN/prerm" << EOF
#!/bin/sh
set -e
[ "\$1" != remove ] || [ ! -d /run/systemd/system ] || deb-systemd-invoke stop $* > /dev/null
EOF
}

tree=$work/tree
for suite in "$@"; do
  case $suite in
    bookworm) release=12 libc=2.36 ;;
    trixie) release=13 libc=2.41 ;;
    *) echo "farm: no Debian release of that name: $suite" >&2; exit 1 ;;
  esac
  tail=1~debian.$release~$suite
  mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$tree/etc/containerd"

  cp "$work/newest"/usr/bin/{containerd,ctr,containerd-shim-runc-v2} "$tree/usr/bin/"
  # runc is C in part, and needs the C library of its release
  mkdir -p "$work/runc-$suite"
  dpkg-deb -x "$(ls "$pool/$suite"/runc_*.deb)" "$work/runc-$suite"
  cp "$work/runc-$suite/usr/sbin/runc" "$tree/usr/bin/"
  for binary in containerd ctr containerd-shim-runc-v2 runc; do needs "$tree/usr/bin/$binary" "$libc"; done
  cp "$farm/containerd.toml" "$tree/etc/containerd/config.toml"
  echo /etc/containerd/config.toml > "$tree/DEBIAN/conffiles"
  printf '%s: %s\n' Depends 'libc6 (>= 2.34), libseccomp2 (>= 2.5.0)' Provides 'containerd, runc' Conflicts 'containerd, runc' \
    Replaces 'containerd, runc' Description 'An open and reliable container runtime' > "$tree/DEBIAN/control"
  units containerd.service
  build containerd.io "$(upstream containerd)-$tail" "$suite"

  mkdir -p "$tree/DEBIAN" "$tree/usr/bin"
  cp "$work/newest"/usr/sbin/{dockerd,docker-proxy} "$tree/usr/bin/"
  dpkg-deb -x "$(ls "$pool/$suite"/tini_*.deb)" "$work/tini-$suite"
  cp "$work/tini-$suite/usr/bin/tini-static" "$tree/usr/bin/docker-init"
  needs "$tree/usr/bin/dockerd" "$libc"
  printf '%s: %s\n' Depends 'containerd.io (>= 1.7.27), docker-ce-cli, iptables, libc6 (>= 2.34), libsystemd0' \
    Recommends 'ca-certificates, docker-ce-rootless-extras, git, pigz, procps, xz-utils' Conflicts 'docker (<< 1.5~), docker.io' \
    Replaces docker-engine Description 'Docker: the open-source application container engine' > "$tree/DEBIAN/control"
  before='getent group docker >/dev/null || groupadd --system docker' units docker.socket docker.service
  build docker-ce "5:$(upstream docker.io)-$tail" "$suite"

  mkdir -p "$tree/DEBIAN" "$tree/usr/bin"
  cp "$work/newest/usr/bin/docker" "$tree/usr/bin/"
  needs "$tree/usr/bin/docker" "$libc"
  printf '%s: %s\n' Depends 'libc6 (>= 2.34)' Recommends 'docker-buildx-plugin, docker-compose-plugin' \
    Conflicts 'docker (<< 1.5~)' Breaks 'docker.io, docker-cli' Replaces 'docker.io, docker-cli' \
    Description 'Docker CLI: the open-source application container engine' > "$tree/DEBIAN/control"
  build docker-ce-cli "5:$(upstream docker-cli)-$tail" "$suite"

  # no node of ours builds images: the name is there, the program is not
  mkdir -p "$tree/DEBIAN"
  printf '%s: %s\n' Description 'Docker Buildx plugin (a stand-in without contents)' > "$tree/DEBIAN/control"
  build docker-buildx-plugin "0.29.1-$tail" "$suite"
done
