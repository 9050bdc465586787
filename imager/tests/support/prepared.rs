//! Cards as the tests of families prepare them: one plan, and what must hold whatever the operating system.

use std::fmt::Write as _;
use std::path::Path;

use piflash::boot::{self, Edit, Extras, Hook, NodeFiles, Prepared, Show};
use pikube_config::{FirstbootPlan, Secrets, names};

use super::boot_partition::BootImage;

const SECRETS: &str = "schema = 1\n[user]\npassword_hash = '$6$saltsalt$0123456789abcdef'\n[wifi]\n\
                       networks = [{ ssid = 'Atelier', password = 'correct horse' }]\n";

pub fn plan() -> String {
    format!(
        "schema = 1\nflashed_at = '2026-11-21T12:00:00Z'\n[node]\nhostname = 'laperouse'\nrole = 'master'\n\
         [user]\nname = 'captain'\nssh_keys = ['{}']\n[wifi]\ncountry = 'FR'\nnetworks = [{{ ssid = 'Atelier' }}]\n",
        super::KEY
    )
}

pub fn node(plan: &str) -> NodeFiles {
    NodeFiles {
        plan: FirstbootPlan::from_toml(plan).unwrap(),
        secrets: Secrets::from_toml(SECRETS).unwrap(),
    }
}

pub fn agents() -> piflash::agents::Agents {
    super::agents(&[("arm64", 1 << 20), ("armv7", 700_001)])
}

pub fn prepare(image: &BootImage, node: &NodeFiles, extras: &Extras) -> Prepared {
    let head = image.head();
    let os = boot::survey(&head).unwrap().os;
    boot::prepare(&head, &os, node, &agents(), extras).unwrap()
}

/// Prepares the card, and checks what holds for every one of them: the volume is clean, every edit is there, every
/// other file is as it was, and the same once more changes nothing.
pub fn prepare_card(image: &BootImage, node: &NodeFiles, extras: &Extras) -> Prepared {
    let before = image.files();
    let prepared = prepare(image, node, extras);
    image.apply(&prepared.patch);
    image.assert_clean();
    let after = image.files();
    let edited = |name: &str| prepared.edits.iter().find(|edit| edit.name == name);
    for (name, content) in &before {
        if edited(name).is_none() {
            assert!(after.contains(&(name.clone(), content.clone())), "{name} has changed");
        }
    }
    for (name, content) in &after {
        match edited(name) {
            Some(edit) => assert!(edit.after[..] == content[..], "{name}"),
            None => assert!(before.iter().any(|(known, _)| known == name), "{name} is new"),
        }
    }
    let again = prepare(image, node, extras);
    let names: Vec<&str> = again.edits.iter().map(|edit| edit.name.as_str()).collect();
    assert!(again.is_unchanged() && again.patch.is_empty(), "written again: {names:?}");
    prepared
}

/// The edits as a person reads them.
pub fn listing(edits: &[Edit]) -> String {
    let mut text = String::new();
    for edit in edits {
        let verb = if edit.replaces { "changed" } else { "new" };
        // The plan, the launcher and the unit are the same on every family, and change with every release.
        let ours = [names::PLAN, names::LAUNCHER, names::UNIT].contains(&edit.name.as_str());
        if ours || edit.show == Show::Secret {
            let _ = writeln!(text, "{verb:<8} {}", edit.name);
            continue;
        }
        let _ = writeln!(text, "{verb:<8} {}, {} bytes", edit.name, edit.after.len());
        if edit.show == Show::Text {
            let (gone, come) = edit.changed_lines();
            for (mark, lines) in [('-', gone), ('+', come)] {
                for line in lines {
                    let _ = writeln!(
                        text,
                        "{}",
                        format!("         {mark} {}", masked(&line)).trim_end()
                    );
                }
            }
        }
    }
    text
}

/// The hash in the name of an instance depends on every key of the plan; that it does is tested elsewhere.
fn masked(line: &str) -> String {
    match line.strip_prefix("instance-id: pikube-") {
        Some(name) => format!("instance-id: pikube-{}{}", "#".repeat(12), &name[12..]),
        None => line.to_owned(),
    }
}

pub fn describe(image: &BootImage) -> String {
    let survey = boot::survey(&image.head()).unwrap();
    let os = &survey.os;
    let hook = match os.hook {
        Hook::SystemdRun => "systemd.run",
        Hook::CloudInit => "cloud-init",
    };
    format!(
        "{}\n{} `{}`, mounted at {}, {hook} in {}, {}\n\n",
        os.name(),
        survey.fat,
        survey.label,
        os.mount,
        os.cmdlines.join(", "),
        if os.booted { "booted before" } else { "never booted" }
    )
}

pub fn assert_golden(name: &str, text: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("PIKUBE_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text == golden, "{} differs; this is what came out:\n{text}", path.display());
}

/// What the first boot and the launcher do to the boot partition.
pub fn boot_once(image: &BootImage) {
    let path = boot::survey(&image.head()).unwrap().os.cmdlines.remove(0);
    let line = image.text(&path);
    let width = line.trim_end().len();
    let gone = [
        "systemd.run",
        "systemd.unit=kernel-command-line",
        "resize",
        "quiet",
        "init=/usr/lib/rasp",
    ];
    let kept: Vec<String> = line
        .split_whitespace()
        .filter(|token| !gone.iter().any(|gone| token.starts_with(gone)))
        .map(|token| token.replace("d9b3a0f1", "0badcafe"))
        .collect();
    // Overwritten in place, so blanks remain where the tokens were.
    image.put(&path, format!("{:<width$}\n", kept.join(" ")).as_bytes());
    image.put("pikube-launch.log", b"started\n");
    for taken in ["pikube-secrets.toml", "ssh"] {
        if image.read(taken).is_some() {
            image.remove(taken);
        }
    }
}
