//! The secrets on a card, judged by the programs that others use to make them.
//!
//! Rung 1: files, no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

/// The secrets file of a card that was written with these files of passwords.
fn secrets(password: &str, wifi: &[(&str, &str)]) -> toml::Table {
    let folder = TempDir::with_prefix("pikube-test-").unwrap();
    let image = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
    support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
    fs::write(folder.path().join("password"), format!("{password}\n")).unwrap();
    let lines: String = wifi.iter().map(|(_, password)| format!("{password}\n")).collect();
    fs::write(folder.path().join("wifi"), lines).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
    command.current_dir(folder.path()).stdin(Stdio::null()).args(["--agent-dir", ".", "--image"]);
    command
        .env("PIKUBE_STATE_DIR", folder.path().join("state"))
        .env("PIKUBE_KUBERNETES", KUBERNETES);
    command.arg(image.path()).args(["--hostname", "a", "--user", "captain", "--yes"]);
    command.args(["--password-file", "password", "--wifi-password-file", "wifi"]);
    command.args(["--wifi-country", "FR", "card.img"]);
    for (ssid, _) in wifi {
        command.arg("--wifi").arg(ssid);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    for secret in wifi.iter().map(|(_, secret)| *secret).chain([password]) {
        assert!(!said.contains(secret), "{said}");
    }
    let place =
        format!("{}@@{}", folder.path().join("card.img").display(), image.boot_offset_bytes);
    let mut mtype = Command::new("mtype");
    let output = mtype.args(["-i", &place, "::pikube-secrets.toml"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

/// What the program prints, without its line end.
fn printed(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn the_password_opens_the_hash_in_libcrypt_and_in_openssl() {
    for password in ["swordfish", " two words ", "pässwörd $6$ 'x'"] {
        let table = secrets(password, &[("harbour", "sea and salt")]);
        let hash = table["user"]["password_hash"].as_str().unwrap();
        // perl's crypt is libcrypt's, which is what logs in on a Debian.
        let crypt = "use utf8; my ($p, $h) = @ARGV; print crypt($p, $h)";
        assert_eq!(printed("perl", &["-e", crypt, password, hash]), hash, "{password}");
        let salt = hash.split('$').nth_back(1).unwrap();
        let by_openssl = printed("openssl", &["passwd", "-6", "-salt", salt, password]);
        assert_eq!(by_openssl, hash.replace("rounds=5000$", ""), "{password}");
    }
}
