//! Which Kubernetes a node gets, from where.

use pikube_config::values::{cluster, host};
use pikube_config::{
    FIRST_LEGACY_MINOR, FirstbootPlan, Kubernetes, LAST_LEGACY_MINOR, PodNetwork, Problem,
    Problems, Runtime,
};

use super::PlanError;
use crate::boot::{Bits, Os, Release};
use crate::catalogue::{Releases, minor};

/// What a person asked for, still unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// A version, or `none`. Absent: the catalogue's.
    pub version: Option<String>,
    /// Out of support, for 32-bit systems.
    pub legacy: bool,
    /// Absent: flannel.
    pub pod_network: Option<PodNetwork>,
    /// Absent: the usual ones.
    pub pod_cidr: Option<String>,
    /// Absent: the usual ones.
    pub service_cidr: Option<String>,
    /// Absent: docker.
    pub runtime: Option<Runtime>,
    /// docker and containerd of the operating system instead of Docker's own packages.
    pub runtime_of_os: bool,
    /// Absent: the registries of the images' makers.
    pub image_repository: Option<String>,
    /// A control plane on less memory than kubeadm asks for.
    pub force_low_memory: bool,
    /// A Pi 5 keeps its kernel with pages of 16 KiB.
    pub keep_16k_pages: bool,
}

/// What `--kubernetes` takes for a node that is only prepared.
const NONE: &str = "none";

impl KubernetesSettings {
    /// Whether nothing is asked for: what a card has stays.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the node is only prepared.
    pub fn is_none(&self) -> bool {
        self.version.as_deref() == Some(NONE)
    }
}

/// The table of the plan; `None` for a node that is only prepared.
///
/// # Errors
/// All wrong settings at once; a 32-bit system without `--legacy`.
pub fn kubernetes(
    asked: &KubernetesSettings,
    releases: &Releases,
    os: &Os,
) -> Result<Option<Kubernetes>, PlanError> {
    if asked.is_none() {
        return Ok(None);
    }
    let (system, bits) = (os.name(), os.bits);
    if bits == Bits::ThirtyTwo && !asked.legacy {
        return Err(PlanError::ThirtyTwo(system));
    }
    let mut problems = Problems::default();
    let mut note = |option: &str, checked: Result<(), String>| {
        if let Err(message) = checked {
            problems.push(Problem::new(option, message));
        }
    };
    let usual = if asked.legacy { &releases.legacy } else { &releases.default };
    let version = asked.version.as_deref().unwrap_or(usual);
    note("--kubernetes", cluster::version(version).and_then(|()| known(asked, releases, version)));
    if asked.legacy && bits == Bits::SixtyFour {
        let why = format!("{system} is a 64-bit system, for which there is Kubernetes in support");
        note("--legacy", Err(why));
    }
    let optional = |value: &Option<String>, check: fn(&str) -> Result<(), String>| {
        value.as_deref().map_or(Ok(()), check)
    };
    note("--pod-cidr", optional(&asked.pod_cidr, cluster::pod_cidr));
    note("--service-cidr", optional(&asked.service_cidr, cluster::service_cidr));
    note("--image-repository", optional(&asked.image_repository, cluster::image_repository));
    let kubernetes = table(asked, releases, version);
    if host::overlap(&kubernetes.pod_cidr, &kubernetes.service_cidr) {
        let (pods, services) = (&kubernetes.pod_cidr, &kubernetes.service_cidr);
        note("--service-cidr", Err(format!("`{services}` overlaps with the pods', {pods}")));
    }
    if let Err(why) = runtime_of_os(&kubernetes, os) {
        note("--runtime-packages", Err(why));
    }
    if asked.legacy && kubernetes.pod_network == PodNetwork::Calico {
        note("--pod-network", Err("Calico has no 32-bit images; use flannel".to_owned()));
    }
    problems.or(()).map_err(PlanError::Settings)?;
    Ok(Some(kubernetes))
}

fn known(asked: &KubernetesSettings, releases: &Releases, version: &str) -> Result<(), String> {
    let minor = minor(version);
    if asked.legacy {
        let number = Kubernetes::new(version).minor();
        let known = FIRST_LEGACY_MINOR..=LAST_LEGACY_MINOR;
        if !known.contains(&number) || !version.starts_with("1.") {
            return Err(format!(
                "`{version}` is not of the legacy line, 1.{FIRST_LEGACY_MINOR} to 1.{LAST_LEGACY_MINOR}"
            ));
        }
        if version == minor {
            return Err(format!(
                "`{version}`: the legacy line needs a patch version, as in {}",
                releases.legacy
            ));
        }
        return Ok(());
    }
    if releases.supported.iter().any(|known| known == minor) {
        return Ok(());
    }
    Err(format!("`{version}` is not one of those in support: {}", releases.supported.join(", ")))
}

/// Whether the operating system's own containerd serves this Kubernetes: Debian 12 has 1.6, later ones have 1.7, and from
/// Kubernetes 1.37 on it takes 2 (containerd's `RELEASES.md`; kubeadm's `ContainerRuntimeVersion`).
fn runtime_of_os(kubernetes: &Kubernetes, os: &Os) -> Result<(), String> {
    const FIRST_WITH_CONTAINERD_2: u32 = 37;
    let old = matches!(os.release, Release::Buster | Release::Bullseye | Release::Bookworm);
    if kubernetes.legacy || kubernetes.runtime_repository.is_some() {
        return Ok(());
    }
    if old || kubernetes.minor() >= FIRST_WITH_CONTAINERD_2 {
        let (system, version) = (os.name(), &kubernetes.version);
        return Err(format!(
            "{system} has a containerd that is too old for Kubernetes {version}; use Docker's"
        ));
    }
    Ok(())
}

fn table(asked: &KubernetesSettings, releases: &Releases, version: &str) -> Kubernetes {
    let usual = Kubernetes::new(version);
    let pod_network = asked.pod_network.unwrap_or_default();
    Kubernetes {
        legacy: asked.legacy,
        pod_network,
        pod_cidr: asked.pod_cidr.clone().unwrap_or(usual.pod_cidr),
        service_cidr: asked.service_cidr.clone().unwrap_or(usual.service_cidr),
        runtime: asked.runtime.unwrap_or_default(),
        force_low_memory: asked.force_low_memory,
        keep_16k_pages: asked.keep_16k_pages,
        repository: (!asked.legacy).then(|| releases.repository_of(version)),
        // The systems of the legacy line bring their docker; Docker's repositories have nothing for them any more.
        runtime_repository: releases
            .runtime_repository
            .clone()
            .filter(|_| !asked.legacy && !asked.runtime_of_os),
        downloads: Some(releases.downloads.clone()),
        cni_plugins: Some(releases.cni_plugins.clone()),
        image_repository: asked.image_repository.clone(),
        pod_network_manifest: (pod_network == PodNetwork::Calico).then(|| releases.calico.clone()),
        pod_network_manifest_sha256: releases
            .calico_sha256
            .clone()
            .filter(|_| pod_network == PodNetwork::Calico),
        ..usual
    }
}

/// What the networks of pods and services must not touch: the addresses of the node itself.
///
/// # Errors
/// Which overlap.
pub(super) fn clashes(plan: &FirstbootPlan) -> Result<(), PlanError> {
    let Some(kubernetes) = &plan.kubernetes else { return Ok(()) };
    let mut problems = Problems::default();
    for address in &plan.network.addresses {
        for (option, cidr) in
            [("--pod-cidr", &kubernetes.pod_cidr), ("--service-cidr", &kubernetes.service_cidr)]
        {
            if host::overlap(&address.address, cidr) {
                let why = format!("`{cidr}` overlaps with the node's network, {}", address.address);
                problems.push(Problem::new(option, why));
            }
        }
    }
    problems.or(()).map_err(PlanError::Settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Family;

    fn plan(asked: &KubernetesSettings, bits: Bits) -> Result<Option<Kubernetes>, PlanError> {
        let releases = Releases::from_environment(|_| None).unwrap();
        kubernetes(asked, &releases, &os(bits, Release::Trixie))
    }

    fn os(bits: Bits, release: Release) -> Os {
        Os { bits, ..Os::example(Family::Debian, release) }
    }

    #[test]
    fn a_containerd_that_is_too_old_is_refused_here_and_not_on_the_node() {
        let releases = Releases::from_environment(|_| None).unwrap();
        let own =
            |version: &str| KubernetesSettings { runtime_of_os: true, ..self::version(version) };
        for (version, release, good) in [
            ("1.36", Release::Trixie, true),
            ("1.37", Release::Trixie, false),
            ("1.36", Release::Bookworm, false),
        ] {
            let found = kubernetes(&own(version), &releases, &os(Bits::SixtyFour, release));
            assert_eq!(found.is_ok(), good, "{version} {release:?}");
        }
    }

    fn version(version: &str) -> KubernetesSettings {
        KubernetesSettings { version: Some(version.into()), ..KubernetesSettings::default() }
    }

    #[test]
    fn nothing_asked_is_the_catalogue_s_with_docker_and_flannel() {
        let silent = KubernetesSettings::default();
        let table = plan(&silent, Bits::SixtyFour).unwrap().unwrap();
        assert_eq!(table.version, "1.36.4");
        assert_eq!(
            table.repository.as_deref(),
            Some("https://pkgs.k8s.io/core:/stable:/v1.36/deb/")
        );
        assert!(table.runtime_repository.is_some() && table.pod_network_manifest.is_none());
        assert_eq!((table.runtime, table.pod_network), (Runtime::Docker, PodNetwork::Flannel));
        let own = KubernetesSettings { runtime_of_os: true, ..silent };
        assert_eq!(plan(&own, Bits::SixtyFour).unwrap().unwrap().runtime_repository, None);
        assert_eq!(plan(&version("none"), Bits::SixtyFour).unwrap(), None);
        assert_eq!(plan(&version("1.35"), Bits::SixtyFour).unwrap().unwrap().version, "1.35");
    }

    #[test]
    fn a_manifest_goes_with_its_sum() {
        let sum = "0a".repeat(32);
        let releases = Releases {
            calico_sha256: Some(sum.clone()),
            ..Releases::from_environment(|_| None).unwrap()
        };
        let table = |network| {
            let asked =
                KubernetesSettings { pod_network: Some(network), ..KubernetesSettings::default() };
            let os = os(Bits::SixtyFour, Release::Trixie);
            kubernetes(&asked, &releases, &os).unwrap().unwrap().pod_network_manifest_sha256
        };
        assert_eq!(table(PodNetwork::Calico), Some(sum));
        assert_eq!(table(PodNetwork::Flannel), None);
    }

    #[test]
    fn thirty_two_bits_need_to_be_asked_for() {
        let silent = KubernetesSettings::default();
        let error = plan(&silent, Bits::ThirtyTwo).unwrap_err();
        assert!(
            error.to_string().contains("Debian for Raspberry Pi trixie, 32 bit")
                && error.help().unwrap().contains("--legacy")
        );
        let legacy = KubernetesSettings { legacy: true, ..silent };
        let table = plan(&legacy, Bits::ThirtyTwo).unwrap().unwrap();
        assert!(table.legacy && table.repository.is_none() && table.runtime_repository.is_none());
        assert_eq!(table.version, "1.23.17");
        assert!(plan(&legacy, Bits::SixtyFour).unwrap_err().to_string().contains("--legacy"));
        for (wrong, part) in [("1.27.1", "1.22 to 1.26"), ("1.23", "needs a patch version")] {
            let asked = KubernetesSettings { legacy: true, ..version(wrong) };
            assert!(plan(&asked, Bits::ThirtyTwo).unwrap_err().to_string().contains(part));
        }
    }

    #[test]
    fn all_wrong_settings_come_at_once() {
        let asked = KubernetesSettings {
            pod_cidr: Some("10.244.0.0/24".into()),
            service_cidr: Some("10.0.0.0/8".into()),
            image_repository: Some("Registry".into()),
            ..version("1.30")
        };
        let said = plan(&asked, Bits::SixtyFour).unwrap_err().to_string();
        for part in ["--kubernetes", "1.35, 1.36, 1.37", "--pod-cidr", "--service-cidr", "--image-"]
        {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }
}
