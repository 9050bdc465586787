//! Keys and lists: what apt says, and what becomes of it.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::Node;
use crate::host::scripted::packages::{KEY, OLD_KEY};
use crate::plan::Facts;
use crate::render::package_sources::{DOCKER, DOCKER_KEY, KUBERNETES, KUBERNETES_KEY};

const RELEASE: &str = "web:https://packages.example.org/v1.36/deb/Release.key";
const GPG: &str = "web:https://docker.example.org/linux/debian/gpg";

fn context(change: impl Fn(&mut pikube_config::Kubernetes)) -> Context {
    let mut plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
    change(plan.kubernetes.as_mut().unwrap());
    Context::new(plan, None, Facts::default())
}

fn plain() -> Context {
    context(|_| ())
}

fn make(context: &Context, node: &Node) -> Notes {
    assert!(matches!(check(context, node), Ok(Check::Needed(_))));
    let notes = apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied, "{notes:?}");
    notes
}

fn waits(context: &Context, node: &Node) -> String {
    match apply(context, node) {
        Err(Stop::Again(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn person(context: &Context, node: &Node) -> (String, String) {
    // What a server does not have is asked for several times.
    let stop = (0..6).find_map(|_| match apply(context, node) {
        Err(Stop::Again(_)) => None,
        other => Some(other),
    });
    match stop {
        Some(Err(Stop::Person { what, help })) => (what, help),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sources_and_keys_are_in_place_and_apt_s_own_timers_are_quiet() {
    let node = Node::pi();
    assert!(make(&plain(), &node).is_empty());
    assert_eq!(node.get(KUBERNETES_KEY), KEY);
    assert!(
        node.get(DOCKER)
            .contains("URIs: https://docker.example.org/linux/debian\nSuites: trixie\n")
    );
    assert!(node.get(DOCKER).contains("Architectures: arm64\n"));
    assert!(node.get(KUBERNETES).contains("URIs: https://packages.example.org/v1.36/deb/\n"));
    assert!(!node.active.borrow().contains("apt-daily.timer"));
    assert!(!node.exists("/var/lib/pikube/fetched-key").unwrap());
    // Another version in the plan has another repository.
    let other = context(|kubernetes| {
        kubernetes.repository = Some("https://packages.example.org/v1.37/deb/".to_owned());
    });
    node.put("web:https://packages.example.org/v1.37/deb/Release.key", KEY);
    make(&other, &node);
    let own = context(|kubernetes| kubernetes.runtime_repository = None);
    make(&own, &node);
    assert!(!node.exists(DOCKER).unwrap());
}

/// What the network has in its place is not even asked for.
#[test]
fn the_card_s_key_comes_before_the_network_s() {
    let node = Node::pi();
    node.put(RELEASE, OLD_KEY);
    node.put(GPG, OLD_KEY);
    let with = context(|kubernetes| {
        kubernetes.repository_key = Some(KEY.to_owned());
        kubernetes.runtime_repository_key = Some(KEY.to_owned());
    });
    assert!(make(&with, &node).is_empty());
    assert_eq!((node.get(KUBERNETES_KEY), node.get(DOCKER_KEY)), (KEY.into(), KEY.into()));
    assert!(!node.log.borrow().iter().any(|line| line.contains("download-file")));
}

#[test]
fn a_key_is_never_taken_over_http() {
    let plaintext = |key: Option<&str>| {
        context(|kubernetes| {
            let url = kubernetes.repository.take().unwrap();
            kubernetes.repository = Some(url.replace("https:", "http:"));
            kubernetes.repository_key = key.map(str::to_owned);
        })
    };
    let node = Node::pi();
    node.put(&RELEASE.replace("https:", "http:"), KEY);
    let (what, help) = person(&plaintext(None), &node);
    assert!(what.contains("http://packages.example.org/v1.36/deb/Release.key"), "{what}");
    assert!(what.contains("not taken over http") && help.contains("write the card again"));
    assert!(!node.exists(KUBERNETES_KEY).unwrap());
    make(&plaintext(Some(KEY)), &node);

    // Nor in the place of one that has expired.
    let node = Node::pi();
    node.put(&RELEASE.replace("https:", "http:"), KEY);
    let notes = make(&plaintext(Some(OLD_KEY)), &node);
    assert!(notes[0].contains("plain binaries take its place"), "{notes:?}");
    assert!(
        !node
            .log
            .borrow()
            .iter()
            .any(|line| line.contains("download-file http:") || line.contains("Release.key"))
    );
}

#[test]
fn what_comes_in_the_place_of_a_key_is_told() {
    let node = Node::pi();
    node.put(RELEASE, "<!DOCTYPE html><html>Hotel</html>");
    assert!(waits(&plain(), &node).contains("a web page came in its place (a captive portal?)"));
    node.entries.borrow_mut().remove(RELEASE);
    let (what, help) = person(&plain(), &node);
    assert!(
        what.contains("Kubernetes 1.36") && what.contains("404") && help.contains("version"),
        "{what}"
    );
    assert!(!node.exists(KUBERNETES_KEY).unwrap(), "no page is ever taken for a key");
    node.put(RELEASE, KEY);
    make(&plain(), &node);
}

#[test]
fn an_expired_key_is_healed_by_the_repository_s_or_by_a_later_version_s() {
    let node = Node::pi();
    let old = context(|kubernetes| kubernetes.repository_key = Some(OLD_KEY.to_owned()));
    let notes = make(&old, &node);
    assert!(
        notes[0].contains("its key has expired; it takes the key that the repository has now"),
        "{notes:?}"
    );
    assert_eq!(node.get(KUBERNETES_KEY), KEY);

    let node = Node::pi();
    node.put(RELEASE, OLD_KEY);
    node.put("web:https://packages.example.org/v1.37/deb/Release.key", OLD_KEY);
    node.put("web:https://packages.example.org/v1.38/deb/Release.key", KEY);
    let notes = make(&plain(), &node);
    assert!(
        notes[0].contains("it takes the key of `https://packages.example.org/v1.38/deb/`"),
        "{notes:?}"
    );
    assert_eq!(node.get(KUBERNETES_KEY), KEY);
}

#[test]
fn a_repository_that_apt_refuses_for_good_gives_way_to_plain_binaries_or_to_a_person() {
    let node = Node::pi();
    node.put(RELEASE, OLD_KEY);
    let notes = make(&plain(), &node);
    assert!(notes[0].contains("its key has expired; plain binaries take its place"), "{notes:?}");
    assert!(!node.exists(KUBERNETES).unwrap() && node.exists(DOCKER).unwrap());
    let same = plain();
    assert_eq!(Origin::of(&same, &node).unwrap().unwrap().repository, None);
    assert!(!node.log.borrow().iter().any(|line| line.contains("trusted")));
    // Another repository is tried anew.
    let other = context(|kubernetes| kubernetes.repository = Some("https://x.example.org/".into()));
    assert!(Origin::of(&other, &node).unwrap().unwrap().repository.is_some());

    let node = Node::pi();
    node.put(RELEASE, OLD_KEY);
    let (what, help) = person(&context(|kubernetes| kubernetes.downloads = None), &node);
    assert!(what.contains("does not trust") && help.contains("kubernetes.downloads"), "{what}");
    let node = Node::pi();
    node.put(GPG, OLD_KEY);
    let (what, help) = person(&plain(), &node);
    assert!(what.contains("docker's repository") && help.contains("runtime_repository"), "{what}");
    node.put(DOCKER_KEY, "");
    node.put(GPG, KEY);
    let old = context(|kubernetes| kubernetes.runtime_repository_key = Some(OLD_KEY.to_owned()));
    assert!(apply(&old, &node).unwrap()[0].contains("the key that the repository has now"));
}

/// `apt-get update` says this of our repository, of the system's own archive, and of somebody else's.
#[test]
fn what_apt_says_of_a_source_is_waited_for_told_or_noted() {
    let says = |text: &str| {
        let node = Node::pi();
        node.fail("apt-get", 100, text, if text.contains("docker.example.org") { 9 } else { 1 });
        let stop = apply(&plain(), &node);
        if text.contains("docker.example.org") {
            assert!(matches!(stop, Err(Stop::Again(_))), "a mirror may be being updated");
            let (what, help) = person(&plain(), &node);
            return Err(Stop::Person { what, help });
        }
        stop
    };
    let again = |text: &str, part: &str| match says(text) {
        Err(Stop::Again(what)) => assert!(what.contains(part), "{what}"),
        other => panic!("{text}: {other:?}"),
    };
    let ours = "https://packages.example.org/v1.36/deb";
    again(&format!("W: Failed to fetch {ours}/InRelease  503  Service Unavailable [IP: x]"), "503");
    again(
        &format!(
            "E: Failed to fetch {ours}/Packages  File has unexpected size (3 != 2). Mirror sync in progress? [IP: x]"
        ),
        "Mirror sync",
    );
    again(
        &format!(
            "E: Release file for {ours}/InRelease is not valid yet (invalid for another 4017d). Updates for this repository will not be applied."
        ),
        "by the clock of this node",
    );
    again(
        &format!(
            "E: Failed to fetch {ours}/InRelease  Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)\nE: The repository '{ours}  InRelease' is not signed."
        ),
        "captive portal",
    );
    again(
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)",
        "process 812",
    );
    again(
        "W: Failed to fetch http://a.example.org/debian/dists/trixie/InRelease  Temporary failure resolving 'a.example.org'",
        "Temporary failure",
    );
    let Err(Stop::Person { what, help }) = says(
        "E: The repository 'https://docker.example.org/linux/debian trixie Release' does not have a Release file.",
    ) else {
        panic!()
    };
    assert!(what.contains("debian trixie") && help.contains("release"), "{what}");
    let Err(Stop::Person { help, .. }) =
        says("E: Write error - write (28: No space left on device)")
    else {
        panic!()
    };
    assert!(help.contains("room"));
    for other in [
        "E: The repository 'http://their.example.org/x stable Release' does not have a Release file.",
        "W: Failed to fetch http://their.example.org/x/InRelease  Could not connect",
        "E: The repository 'http://a.example.org/debian trixie-backports Release' does not have a Release file.",
    ] {
        assert_eq!(says(other).unwrap().len(), 1, "{other}");
    }
}

#[test]
fn a_32_bit_system_is_refused_before_anything_is_fetched_and_taken_by_the_legacy_line() {
    let node = Node::pi();
    node.put("/etc/other-architecture", "armhf\n");
    let (what, help) = person(&plain(), &node);
    assert!(what.contains("32-bit (armhf)") && help.contains("--legacy"), "{what}");
    assert!(!node.exists(KUBERNETES).unwrap());
    let legacy = context(|kubernetes| {
        kubernetes.legacy = true;
        kubernetes.version = "1.23.17".to_owned();
    });
    make(&legacy, &node);
    assert!(!node.exists(KUBERNETES).unwrap() && !node.exists(DOCKER).unwrap());
    // With docker on the image no mirror is asked at all.
    let node = Node::pi();
    node.put("/usr/bin/dockerd", "");
    assert_eq!(check(&legacy, &node).unwrap(), Check::Satisfied);
}

#[test]
fn certificates_come_first_where_there_are_none() {
    let node = Node::pi();
    node.entries.borrow_mut().remove("/etc/ssl/certs/ca-certificates.crt");
    make(&plain(), &node);
    assert!(node.exists("/etc/ssl/certs/ca-certificates.crt").unwrap());
}
