//! Lines that apt 2.6 (bookworm), apt 3.0 (trixie) and dpkg really said, of a server that misbehaved; its address and
//! the temporary names are changed.

use super::*;

const URL: &str = "http://203.0.113.1:8765/k";

fn one(said: &str) -> Trouble {
    let mut found = read(said);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn key(why: &str) -> Trouble {
    Trouble::Key(URL.to_owned(), why.to_owned())
}

#[test]
fn signatures() {
    let not_signed = "E: The repository 'http://203.0.113.1:8765/k  InRelease' is not signed.\n";
    let expired = "W: GPG error: http://203.0.113.1:8765/k  InRelease: The following signatures were invalid: EXPKEYSIG 6FB2CB6F85D40549 old@x\n";
    let sqv_sha1 = "W: OpenPGP signature verification failed: http://203.0.113.1:8765/k  InRelease: Sub-process /usr/bin/sqv returned an error code (1), error message is: Signing key on 59D62609E93C33B27A52588688FBDC01D0EA6294 is not bound:            No binding signature at time 2026-11-21T15:42:36Z   because: Policy rejected non-revocation signature (PositiveCertification) requiring second pre-image resistance   because: SHA1 is not considered secure since 2026-02-01T00:00:00Z\n";
    let sqv_other = "W: OpenPGP signature verification failed: http://203.0.113.1:8765/k  InRelease: Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 08B610E8CF05CDA676021B7E989F1081C24F93B3, which is needed to verify signature.\n";
    let gpg_other = "W: GPG error: http://203.0.113.1:8765/k  InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 989F1081C24F93B3\n";
    let gpg_sha1 = "W: GPG error: http://203.0.113.1:8765/k  InRelease: The following signatures were invalid: 59D62609E93C33B27A52588688FBDC01D0EA6294\n";
    // With lists of an earlier time apt goes on with those.
    let older = "W: An error occurred during the signature verification. The repository is not updated and the previous index files will be used. GPG error: http://203.0.113.1:8765/k  InRelease: The following signatures were invalid: EXPKEYSIG 6FB2CB6F85D40549 old@x\nW: Failed to fetch http://203.0.113.1:8765/k/InRelease  The following signatures were invalid: EXPKEYSIG 6FB2CB6F85D40549 old@x\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n";
    for (said, why) in [
        (expired.to_owned() + not_signed, "its key has expired"),
        (older.to_owned(), "its key has expired"),
        (sqv_other.to_owned() + not_signed, "it is signed with another key"),
        (gpg_other.to_owned() + not_signed, "it is signed with another key"),
        (gpg_sha1.to_owned() + not_signed, "its signature is not valid"),
        (
            sqv_sha1.to_owned() + not_signed,
            "the policy of its verifier rejects the signature: SHA1 is not considered secure since 2026-02-01T00:00:00Z",
        ),
        (not_signed.replace("InRelease", "Release"), UNSIGNED),
    ] {
        assert_eq!(one(&said), key(why));
    }
}

#[test]
fn lists() {
    let url = || URL.to_owned();
    for (said, trouble) in [
        (
            "E: Release file for http://203.0.113.1:8765/k/InRelease is not valid yet (invalid for another 4017d 14h 17min 7s). Updates for this repository will not be applied.",
            Trouble::Clock(url(), "not valid yet (invalid for another 4017d 14h 17min 7s)".into()),
        ),
        (
            "E: Release file for http://203.0.113.1:8765/k/InRelease is expired (invalid since 2184d 9h 42min 43s). Updates for this repository will not be applied.",
            Trouble::Stale(url(), "expired (invalid since 2184d 9h 42min 43s)".into()),
        ),
        (
            "E: Failed to fetch http://203.0.113.1:8765/k/InRelease  Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)\nE: The repository 'http://203.0.113.1:8765/k  InRelease' is not signed.",
            Trouble::Page(url()),
        ),
        (
            "E: The repository 'http://203.0.113.1:8765/k sid Release' does not have a Release file.",
            Trouble::NoRelease(url()),
        ),
        (
            "W: Failed to fetch http://203.0.113.1:8765/k/InRelease  503  Service Unavailable [IP: 203.0.113.1 8765]\nW: Some index files failed to download. They have been ignored, or old ones used instead.",
            Trouble::Passing(url(), "503  Service Unavailable [IP: 203.0.113.1 8765]".into()),
        ),
        (
            "W: Failed to fetch http://203.0.113.1:8765/k/InRelease  Connection failed [IP: 203.0.113.1 8765]",
            Trouble::Passing(url(), "Connection failed [IP: 203.0.113.1 8765]".into()),
        ),
        (
            "W: Failed to fetch http://203.0.113.1:8765/k/InRelease  Temporary failure resolving 'x'",
            Trouble::Passing(url(), "Temporary failure resolving 'x'".into()),
        ),
        (
            "E: Failed to fetch http://203.0.113.1:8765/k/Packages  File has unexpected size (3483 != 3482). Mirror sync in progress? [IP: 203.0.113.1 8765]\n   Hashes of expected file:\n    - Filesize:3482 [weak]\nE: Some index files failed to download. They have been ignored, or old ones used instead.",
            Trouble::Passing(
                format!("{URL}/Packages"),
                "File has unexpected size (3483 != 3482). Mirror sync in progress? [IP: 203.0.113.1 8765]".into(),
            ),
        ),
    ] {
        assert_eq!(one(said), trouble);
    }
    let fine = "Get:1 http://203.0.113.1:8765/k  InRelease [999 B]\nFetched 4481 B in 0s (74.8 kB/s)\nReading package lists...\n";
    assert_eq!(read(fine), []);
    // Warnings that are none of ours.
    assert_eq!(
        read(
            "W: Download is performed unsandboxed as root as file '/x' couldn't be accessed by user '_apt'. - pkgAcquire::Run (13: Permission denied)\n"
        ),
        []
    );
}

#[test]
fn packages() {
    let deb = format!("{URL}/pool/kubeadm_1.36.4-1.1.deb");
    for (said, trouble) in [
        (
            "E: Version '1.36.9-*' for 'kubelet' was not found",
            Trouble::NoVersion("kubelet".into(), "1.36.9-*".into()),
        ),
        ("E: Unable to locate package nosuch", Trouble::NoPackage("nosuch".into())),
        ("E: Package 'docker.io' has no installation candidate", Trouble::NoPackage("docker.io".into())),
        (
            "The following packages have unmet dependencies:\n needy : Depends: no-such-thing (>= 3) but it is not installable\nE: Unable to correct problems, you have held broken packages.\nE: The following information from --solver 3.0 may provide additional context:\n   Unable to satisfy dependencies. Reached two conflicting decisions:",
            Trouble::Conflict("needy : Depends: no-such-thing (>= 3) but it is not installable".into()),
        ),
        (
            "dpkg: error processing package failing (--configure):\n installed failing package post-installation script subprocess returned error exit status 1\nErrors were encountered while processing:\n failing\nE: Sub-process /usr/bin/dpkg returned an error code (1)",
            Trouble::Script("`failing` cannot be installed: installed failing package post-installation script subprocess returned error exit status 1".into()),
        ),
        (
            "E: Failed to fetch http://203.0.113.1:8765/k/pool/kubeadm_1.36.4-1.1.deb  404  File not found [IP: 203.0.113.1 8765]\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
            Trouble::Gone(deb.clone()),
        ),
        (
            "E: Failed to fetch http://203.0.113.1:8765/k/pool/kubeadm_1.36.4-1.1.deb  Hash Sum mismatch\n   Hashes of expected file:\n    - SHA256:00",
            Trouble::Passing(deb.clone(), "Hash Sum mismatch".into()),
        ),
        (
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ",
            Trouble::Interrupted,
        ),
        (
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
            Trouble::Lock("Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)".into()),
        ),
        (
            "dpkg: error: dpkg frontend lock was locked by another process with pid 812\nNote: removing the lock file is always wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.",
            Trouble::Lock("dpkg frontend lock was locked by another process with pid 812".into()),
        ),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            Trouble::Full("no space left on the device".into()),
        ),
    ] {
        let found = read(said);
        assert_eq!(found.first(), Some(&trouble), "{said}");
    }
    let new = "E: Something that nobody has seen";
    assert_eq!(one(new), Trouble::Other("Something that nobody has seen".into()));
}

#[test]
fn what_may_pass_is_waited_for_and_the_rest_has_its_help() {
    use Trouble as T;
    let text = || "x".to_owned();
    for trouble in [
        T::Lock(text()),
        T::Interrupted,
        T::Clock(text(), text()),
        T::Stale(text(), text()),
        T::Page(text()),
        T::Passing(text(), text()),
        T::Gone(text()),
    ] {
        assert!(matches!(trouble.stop("doing"), Stop::Again(what) if what.starts_with("doing: ")));
    }
    for trouble in [
        T::Full(text()),
        T::Key(text(), text()),
        T::NoRelease(text()),
        T::NoVersion(text(), text()),
        T::NoPackage(text()),
        T::Conflict(text()),
        T::Script(text()),
        T::Other(text()),
    ] {
        let Stop::Person { what, help } = trouble.stop("doing") else { panic!("{trouble:?}") };
        assert!(what.starts_with("doing: ") && !help.is_empty() && !help.ends_with('.'));
    }
}
