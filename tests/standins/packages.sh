# shellcheck shell=bash disable=SC2154
# The packages of pkgs.k8s.io, in a flat, signed apt repository as it is served there: kubeadm, kubelet and kubectl of any
# version, cri-tools, kubernetes-cni. Sourced by who has the programs; runs nothing. The caller has
#
#   $repository   the folder of the repository, with amd64/ in it
#   $tree         a path where no file is, for the files of one package
#   $work         a folder for what is not kept
#   program NAME VERSION FILE   a function that puts the program NAME of that version at FILE, executable
packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# control PACKAGE VERSION DEPENDS : its control file, in the tree $tree
control() {
  mkdir -p "$tree/DEBIAN"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nSection: net\nPriority: optional\n' "$1" "$2"
    [ -z "$3" ] || printf 'Depends: %s\n' "$3"
    printf 'Maintainer: pikube tests <nobody@example.org>\nDescription: for the tests of pikube\n'
  } > "$tree/DEBIAN/control"
}

# package PACKAGE VERSION : the tree $tree becomes a package
package() {
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb -Zgzip -z1 --root-owner-group --build "$tree" "$repository/amd64/${1}_${2}_amd64.deb" > /dev/null
  rm -rf "$tree"
}

# packages_of_version VERSION
packages_of_version() {
  local version=$1 revision=$1-1.1
  mkdir -p "$tree/usr/bin" "$tree/usr/lib/systemd/system/kubelet.service.d"
  program kubeadm "$version" "$tree/usr/bin/kubeadm"
  install -m 600 "$packaging/files/10-kubeadm.conf" "$tree/usr/lib/systemd/system/kubelet.service.d/"
  control kubeadm "$revision" ""
  package kubeadm "$revision"

  mkdir -p "$tree"/usr/{bin,lib/systemd/system} "$tree"/etc/{default,kubernetes/manifests} "$tree/var/lib/kubelet"
  program kubelet "$version" "$tree/usr/bin/kubelet"
  install -m 600 "$packaging/files/kubelet.service" "$tree/usr/lib/systemd/system/"
  printf 'KUBELET_EXTRA_ARGS=\n' > "$tree/etc/default/kubelet"
  touch "$tree/var/lib/kubelet/.kubelet-keep" "$tree/etc/kubernetes/manifests/.kubelet-keep"
  control kubelet "$revision" "kubernetes-cni (>= 1.2.0), iptables (>= 1.4.21), mount, util-linux"
  printf '/etc/default/kubelet\n' > "$tree/DEBIAN/conffiles"
  install -m 755 "$packaging/files/kubelet.postinst" "$tree/DEBIAN/postinst"
  install -m 755 "$packaging/files/kubelet.prerm" "$tree/DEBIAN/prerm"
  package kubelet "$revision"

  mkdir -p "$tree/usr/bin"
  program kubectl "$version" "$tree/usr/bin/kubectl"
  control kubectl "$revision" ""
  package kubectl "$revision"
}

# other_packages CRICTL CNI PLUGINS : cri-tools and kubernetes-cni of these versions, the latter of the files in PLUGINS
other_packages() {
  mkdir -p "$tree/usr/bin"
  program crictl "$1" "$tree/usr/bin/crictl"
  control cri-tools "$1-1.1" ""
  package cri-tools "$1-1.1"

  mkdir -p "$tree/opt/cni/bin"
  install -m 755 "$3"/* "$tree/opt/cni/bin/"
  control kubernetes-cni "$2-1.1" ""
  package kubernetes-cni "$2-1.1"
}

# index MINOR : the lists of the repository, and their signatures. SHA-256 throughout: apt's sqv takes nothing weaker.
index() (
  cd "$repository" || exit
  for deb in amd64/*.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
  done > Packages
  gzip -9nk Packages
  {
    printf '%s: isv:kubernetes:core:stable:v%s\n' Origin "$1" Label "$1"
    printf 'Archive: deb\nCodename: deb\nDate: %s\nArchitectures: amd64\nSHA256:\n' "$(date -u -R)"
    for list in Packages Packages.gz; do
      printf ' %s %16s %s\n' "$(sha256sum < "$list" | cut -d' ' -f1)" "$(stat -c %s "$list")" "$list"
    done
  } > Release
  export GNUPGHOME=$work/gnupg
  install -d -m 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --cert-digest-algo SHA512 --quick-generate-key \
    "isv:kubernetes OBS Project (stand-in) <nobody@example.org>" rsa3072 sign 10y 2> "$work/gpg.log" \
    || { cat "$work/gpg.log" >&2; die "gpg made no key"; }
  gpg --batch --quiet --armor --export > Release.key
  gpg --batch --quiet --digest-algo SHA512 --armor --detach-sign --output Release.gpg Release
  gpg --batch --quiet --digest-algo SHA512 --clearsign --output InRelease Release
  gpgconf --kill all
)
