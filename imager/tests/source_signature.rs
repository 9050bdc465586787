//! Detached OpenPGP signatures, made by GnuPG: keys of every kind of badness, and an image that was changed.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use piflash::image::{Error, Location, SignatureError, Wanted};
use source::images::Shape;
use source::{World, gzip, shown, text};

/// A key ring of its own, in the test's folder.
struct Gpg {
    home: PathBuf,
}

impl Gpg {
    /// `None` where there is no GnuPG.
    fn new(world: &World) -> Option<Self> {
        let home = world.path("gpg");
        std::fs::create_dir(&home).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&home, permissions).unwrap();
        let there = Command::new("gpg").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !there {
            eprintln!("skipped: there is no gpg");
        }
        there.then_some(Self { home })
    }

    fn run(&self, time: Option<&str>, args: &[&str]) {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", &self.home).current_dir(self.home.parent().unwrap());
        command.args([
            "--batch",
            "--quiet",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        if let Some(time) = time {
            command.args(["--faked-system-time", time]);
        }
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn key(&self, time: Option<&str>, user: &str, algorithm: &str, expires: &str) {
        self.run(time, &["--quick-generate-key", user, algorithm, "sign", expires]);
        self.run(time, &["--armor", "--output", &format!("{user}.asc"), "--export", user]);
    }

    fn sign(&self, time: Option<&str>, user: &str, output: &str, options: &[&str]) {
        let mut args = vec!["--local-user", user, "--output", output];
        args.extend(options);
        args.extend(["--detach-sign", "os.img.gz"]);
        self.run(time, &args);
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ =
            Command::new("gpgconf").env("GNUPGHOME", &self.home).args(["--kill", "all"]).status();
    }
}

#[test]
fn only_the_right_signature_of_the_right_key_is_believed() {
    let world = World::new();
    let Some(gpg) = Gpg::new(&world) else {
        return;
    };
    let image = Shape { root_sectors: 2048, ..Shape::default() }.build();
    let path = shown(&world.put("os.img.gz", &gzip(&image)));
    let read = |signature: &str, key: &str| {
        let signature = Location::File(world.path(signature));
        let wanted = Wanted { signature: Some((signature, world.path(key))), ..Wanted::default() };
        world.read(&path, &wanted)
    };
    let problem = |signature: &str, key: &str| match read(signature, key).unwrap_err() {
        Error::Signature { problem, .. } => problem,
        other => panic!("{}", text(&other)),
    };
    let old = Some("20200101T000000");
    // The faked clock goes on from there while a key is made: what it signs is signed a day later.
    let next_day = Some("20200102T000000");

    gpg.key(None, "maker", "ed25519", "never");
    gpg.sign(None, "maker", "binary.sig", &[]);
    gpg.sign(None, "maker", "armored.asc", &["--armor"]);
    gpg.run(None, &["--output", "maker.gpg", "--export", "maker"]);
    for signature in ["binary.sig", "armored.asc"] {
        for key in ["maker.asc", "maker.gpg"] {
            assert!(read(signature, key).unwrap() == image, "{signature} {key}");
        }
    }

    gpg.key(None, "other", "rsa3072", "never");
    let error = problem("binary.sig", "other.asc");
    assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");
    gpg.sign(None, "other", "other.sig", &[]);
    assert!(read("other.sig", "other.asc").unwrap() == image, "RSA");

    // Of several signatures one is enough, and of a great many the first are looked at.
    let bytes = |name: &str| std::fs::read(world.path(name)).unwrap();
    let (own, foreign) = (bytes("binary.sig"), bytes("other.sig"));
    world.put("several.sig", &[foreign.repeat(31), own.clone()].concat());
    assert!(read("several.sig", "maker.asc").unwrap() == image, "the last of several");
    world.put("many.sig", &[foreign.repeat(32), own].concat());
    let error = problem("many.sig", "maker.asc");
    assert!(matches!(error, SignatureError::OtherKey { .. }), "{error}");

    gpg.key(old, "expired", "ed25519", "1y");
    gpg.sign(next_day, "expired", "expired.sig", &[]);
    let error = problem("expired.sig", "expired.asc").to_string();
    assert!(error.contains("has expired"), "{error}");

    gpg.key(old, "lasting", "ed25519", "never");
    gpg.sign(next_day, "lasting", "short.sig", &["--default-sig-expire", "30d"]);
    let error = problem("short.sig", "lasting.asc").to_string();
    assert!(error.contains("signature has expired"), "{error}");
    gpg.sign(None, "lasting", "weak.sig", &["--digest-algo", "SHA1"]);
    assert!(problem("weak.sig", "lasting.asc").to_string().contains("forged"));

    // A subkey that signs, as distributors use it.
    gpg.key(None, "primary", "ed25519", "never");
    let fingerprint = {
        let output = Command::new("gpg")
            .env("GNUPGHOME", &gpg.home)
            .args(["--with-colons", "--list-keys", "primary"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("fpr")).unwrap().to_owned();
        line.split(':').nth(9).unwrap().to_owned()
    };
    gpg.run(None, &["--quick-add-key", &fingerprint, "ed25519", "sign", "never"]);
    gpg.run(None, &["--armor", "--output", "primary.asc", "--export", "primary"]);
    gpg.sign(None, "primary", "subkey.sig", &[]);
    assert!(read("subkey.sig", "primary.asc").unwrap() == image, "subkey");

    assert_eq!(problem("os.img.gz", "maker.asc"), SignatureError::NoSignature);
    assert_eq!(problem("binary.sig", "binary.sig"), SignatureError::NoKey);
    assert!(matches!(read("missing.sig", "maker.asc").unwrap_err(), Error::Io { .. }));

    // Another image, whose own checksums are right.
    let changed = Shape { root_sectors: 2048, tail_bytes: 1, ..Shape::default() }.build();
    world.put("os.img.gz", &gzip(&changed));
    for (signature, key) in
        [("binary.sig", "maker.asc"), ("other.sig", "other.asc"), ("subkey.sig", "primary.asc")]
    {
        assert_eq!(problem(signature, key), SignatureError::Mismatch);
    }
}
