//! What was done to a card, for the record: to people as lines, to programs as an object.

use pikube_config::FirstbootPlan;

use crate::card::eject::{self, Ejected};
use crate::card::{Target, Written};
use crate::image::ByteSize;
use crate::plan::shown_keys;
use crate::progress::json::Receipt;

/// What all cards of one run have in common.
pub(super) struct Source {
    /// The image as it was asked for.
    pub(super) name: String,
    /// SHA-256 of the file as it is distributed, in hexadecimal.
    pub(super) sha256: Option<String>,
}

/// The receipt of one card.
pub(super) fn of(
    target: &Target,
    written: &Written,
    source: &Source,
    ejected: Ejected,
    plan: &FirstbootPlan,
) -> Receipt {
    let (user, kubernetes) = (plan.user.as_ref(), plan.kubernetes.as_ref());
    let keys = user.map(|user| user.ssh_keys.as_slice()).unwrap_or_default();
    Receipt {
        user: user.map(|user| user.name.clone()),
        ssh_keys: shown_keys(keys),
        model: target.model_name(),
        serial: target.serial.clone(),
        image: source.name.clone(),
        image_sha256: source.sha256.clone(),
        bytes: written.bytes,
        seconds: written.seconds,
        write_seconds: written.write_seconds,
        verify_seconds: written.verify_seconds,
        megabytes_per_second: written.bytes as f64 / 1e6 / written.seconds.max(0.001),
        verified: written.verified,
        ejected: ejected == eject::Ejected::Yes,
        kubernetes: kubernetes.map(|kubernetes| kubernetes.version.clone()),
        in_support: kubernetes.map(|kubernetes| !kubernetes.legacy),
    }
}

/// The receipt in lines.
pub(super) fn describe(target: &Target, node: &str, receipt: &Receipt, ejected: Ejected) -> String {
    let mut lines = vec![format!(
        "{}: {}, {} in {:.1} s ({:.1} MB/s)",
        target.path.display(),
        if receipt.verified { "written and verified" } else { "written, not verified" },
        ByteSize(receipt.bytes).short(),
        receipt.seconds,
        receipt.megabytes_per_second,
    )];
    lines.push(format!("  node   {node}"));
    lines.extend(receipt.user.iter().map(|user| format!("  login  {user}")));
    lines.extend(receipt.ssh_keys.iter().map(|key| format!("  key    {key}")));
    let serial = receipt.serial.as_ref().map(|serial| format!("serial {serial}"));
    let card: Vec<String> = receipt.model.iter().cloned().chain(serial).collect();
    if !card.is_empty() {
        lines.push(format!("  card   {}", card.join(", ")));
    }
    lines.push(format!("  image  {}", receipt.image));
    lines.extend(receipt.image_sha256.iter().map(|sum| format!("  sha256 {sum}")));
    if let Some(version) = &receipt.kubernetes {
        let fate =
            if receipt.in_support == Some(false) { ", out of support: no fixes" } else { "" };
        lines.push(format!("  gets   Kubernetes {version}{fate}"));
    }
    if ejected != Ejected::NotRemovable {
        lines.push("  you can take the card out".into());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use pikube_config::{Kubernetes, User};

    use super::*;
    use crate::card::{Request, System, guard};
    use crate::plan::SshKey;

    #[test]
    fn a_receipt_says_what_is_known() {
        let folder = tempfile::TempDir::with_prefix("pikube-test-").unwrap();
        let path = folder.path().join("card.img");
        let mut target = guard::check(&System::default(), &path, &Request::default()).unwrap();
        target.path = "/dev/sdb".into();
        let written = Written {
            bytes: 2_000_000_000,
            left_bytes: 0,
            verified: true,
            seconds: 20.0,
            write_seconds: 12.0,
            verify_seconds: Some(8.0),
        };
        let source = Source { name: "os.img.xz".into(), sha256: None };
        let plan = "schema = 1\n[node]\nhostname = 'pi01'\nrole = 'worker'\n";
        let mut plan = FirstbootPlan::from_toml(plan).unwrap();
        let receipt = of(&target, &written, &source, Ejected::NotRemovable, &plan);
        assert_eq!(
            describe(&target, "pi01", &receipt, Ejected::NotRemovable),
            "/dev/sdb: written and verified, 1.9 GiB in 20.0 s (100.0 MB/s)\n  node   pi01\n  image  os.img.xz"
        );
        target.serial = Some("0x1234".into());
        target.model = Some("SC32G".into());
        plan.kubernetes = Some(Kubernetes { legacy: true, ..Kubernetes::new("1.23.17") });
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me";
        plan.user = Some(User { name: "pi".into(), ssh_keys: vec![key.into()] });
        let source = Source { sha256: Some("ab12".into()), ..source };
        let receipt = of(&target, &written, &source, Ejected::Yes, &plan);
        let text = describe(&target, "pi01", &receipt, Ejected::Yes);
        assert!(text.contains("\n  card   SC32G, serial 0x1234\n"), "{text}");
        let shown = SshKey::decode(key).unwrap();
        assert!(text.contains(&format!("\n  login  pi\n  key    {shown}\n")), "{text}");
        assert!(text.contains("  key    SHA256:"), "{text}");
        assert!(text.ends_with("\n  sha256 ab12\n  gets   Kubernetes 1.23.17, out of support: no fixes\n  you can take the card out"), "{text}");
    }
}
