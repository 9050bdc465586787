//! Package sources of Kubernetes and docker (sources.list(5), deb822; `kubernetes-on-pi.md` §3.2 step 5). ASCII-armoured
//! keys need no gpg on the node.

use super::{File, text};

/// Key of the Kubernetes packages.
pub const KUBERNETES_KEY: &str = "/etc/apt/keyrings/kubernetes.asc";
/// Where the Kubernetes packages come from.
pub const KUBERNETES: &str = "/etc/apt/sources.list.d/kubernetes.sources";
/// Key of docker's packages.
pub const DOCKER_KEY: &str = "/etc/apt/keyrings/docker.asc";
/// Where docker's packages come from.
pub const DOCKER: &str = "/etc/apt/sources.list.d/docker.sources";

/// A flat repository: the suite is a folder, and there are no components.
pub fn kubernetes(repository: &str) -> File {
    let url = repository.trim_end_matches('/');
    text(KUBERNETES, format!("Types: deb\nURIs: {url}/\nSuites: /\nSigned-By: {KUBERNETES_KEY}\n"))
}

/// Docker's, for one distribution (`debian`, `ubuntu`), its code name and architecture.
pub fn docker(repository: &str, distribution: &str, codename: &str, architecture: &str) -> File {
    let url = docker_url(repository, distribution);
    text(
        DOCKER,
        format!(
            "Types: deb\nURIs: {url}\nSuites: {codename}\nComponents: stable\n\
             Architectures: {architecture}\nSigned-By: {DOCKER_KEY}\n"
        ),
    )
}

/// Docker's repository for a distribution; its key is below it, as `gpg`.
pub fn docker_url(repository: &str, distribution: &str) -> String {
    format!("{}/{distribution}", repository.trim_end_matches('/'))
}

/// The same repository for a later minor version, where its address names the version: it carries the newest key
/// (`kubernetes-on-pi.md` §4.1).
pub fn later(repository: &str, minor: u32, by: u32) -> Option<String> {
    let (this, that) = (format!("v1.{minor}/"), format!("v1.{}/", minor + by));
    let url = format!("{}/", repository.trim_end_matches('/'));
    url.contains(&this).then(|| url.replace(&this, &that))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_those_of_the_recipe() {
        assert_eq!(
            docker("https://d.example.org/linux/", "debian", "trixie", "arm64").text(),
            "Types: deb\nURIs: https://d.example.org/linux/debian\nSuites: trixie\n\
             Components: stable\nArchitectures: arm64\nSigned-By: /etc/apt/keyrings/docker.asc\n"
        );
        let url = "https://p.example.org/core:/stable:/v1.36/deb";
        assert_eq!(
            kubernetes(url).text(),
            format!(
                "Types: deb\nURIs: {url}/\nSuites: /\nSigned-By: /etc/apt/keyrings/kubernetes.asc\n"
            )
        );
        assert_eq!(later(url, 36, 1), Some(url.replace("36", "37") + "/"));
        assert_eq!(later("https://p.example.org/k8s/", 36, 1), None);
    }
}
