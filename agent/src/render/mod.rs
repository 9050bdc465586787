//! Plan → files, pure. Everything is rendered before anything is written.
//!
//! Files that the image has already ([`hosts`], [`variables`], …) are merged: the functions here take what is there;
//! the list of [`files`] shows them as on a system that has none.

pub mod apt_sources;
pub mod authorized_keys;
pub mod block;
pub mod certificate_units;
pub mod draft;
pub mod flannel;
pub mod fstab;
pub mod hosts;
pub mod kube_vip;
pub mod kubeadm;
pub mod kubelet_units;
pub mod locale_gen;
pub mod network;
pub mod package_sources;
pub mod runtime;
pub mod variables;

use pikube_config::{FirstbootPlan, Role, Swap};

/// The host name's own file.
pub const HOSTNAME: &str = "/etc/hostname";
/// Static names.
pub const HOSTS: &str = "/etc/hosts";
/// Keeps cloud-init from putting its own host name back at each boot (`os-families.md` §2.6).
pub const CLOUD: &str = "/etc/cloud/cloud.cfg.d/99-pikube.cfg";
/// apt's proxy (apt-transport-http(1)).
pub const APT_PROXY: &str = "/etc/apt/apt.conf.d/90-pikube-proxy";
/// The time zone, a link into [`ZONES`].
pub const LOCALTIME: &str = "/etc/localtime";
/// The time zone's name; Debian 12 and earlier.
pub const TIMEZONE: &str = "/etc/timezone";
/// tzdata.
pub const ZONES: &str = "/usr/share/zoneinfo";
/// NTP servers (timesyncd.conf(5)).
pub const TIMESYNCD: &str = "/etc/systemd/timesyncd.conf.d/90-pikube.conf";
/// NTP servers (chrony.conf(5), `sourcedir`), of Debian's and Ubuntu's chrony 4.
pub const CHRONY: &str = "/etc/chrony/sources.d/90-pikube.sources";
/// Locales to generate (locale.gen(5)).
pub const LOCALE_GEN: &str = "/etc/locale.gen";
/// The system's locale; a link to [`LOCALE_CONF`] on trixie.
pub const LOCALE: &str = "/etc/default/locale";
/// The system's locale (locale.conf(5)), trixie.
pub const LOCALE_CONF: &str = "/etc/locale.conf";
/// Keyboard layout (keyboard(5)).
pub const KEYBOARD: &str = "/etc/default/keyboard";
/// Modules loaded at boot (modules-load.d(5)).
pub const MODULES: &str = "/etc/modules-load.d/pikube.conf";
/// Kernel settings (sysctl.d(5)).
pub const SYSCTL: &str = "/etc/sysctl.d/90-pikube.conf";
/// Limits of the system's log (journald.conf(5)).
pub const JOURNALD: &str = "/etc/systemd/journald.conf.d/90-pikube.conf";
/// rpi-swap's drop-in (swap.conf(5) of rpi-swap, example 2).
pub const RPI_SWAP: &str = "/etc/rpi/swap.conf.d/90-pikube.conf";
/// dphys-swapfile's settings.
pub const DPHYS: &str = "/etc/dphys-swapfile";
/// Where a link to `/dev/null` masks a unit (systemctl(1), `mask`).
pub const UNITS: &str = "/etc/systemd/system";

/// Modules that pods' networks need (`kubernetes-on-pi.md` §3.2 step 3). kube-proxy sets nf_conntrack's limits before
/// anything has loaded it, and does not start without them.
pub const MODULE_NAMES: [&str; 4] = ["overlay", "br_netfilter", "vxlan", "nf_conntrack"];

/// Kernel settings and their values (`kubernetes-on-pi.md` §3.2 step 3).
pub const SYSCTLS: [(&str, &str); 7] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("fs.inotify.max_user_instances", "512"),
    ("fs.inotify.max_user_watches", "262144"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
];

/// A log on the card stays small and is written in fewer, larger pieces; one in memory leaves the memory to pods. Which of
/// the two it is, is left as the image has it (Raspberry Pi OS trixie: in memory).
const JOURNALD_LIMITS: &str = "\
[Journal]
SystemMaxUse=64M
SystemMaxFileSize=8M
RuntimeMaxUse=32M
SyncIntervalSec=15min
";

/// Units of rpi-swap that are masked besides its drop-in (`os-families.md` §2.7).
pub const RPI_SWAP_UNITS: [&str; 3] =
    ["systemd-zram-setup@zram0.service", "dev-zram0.swap", "rpi-zram-writeback.timer"];

/// One file that a plan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path on the node.
    pub path: String,
    /// Permission bits; a link has none.
    pub mode: u32,
    /// What it holds.
    pub content: Content,
    /// Where it is written at all, if not everywhere.
    pub when: Option<&'static str>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(String),
    /// It is a symbolic link to this.
    Link(String),
}

impl File {
    /// The text; empty for a link.
    pub fn text(&self) -> &str {
        match &self.content {
            Content::Text(text) => text,
            Content::Link(_) => "",
        }
    }
}

/// Every file of a plan.
pub fn files(plan: &FirstbootPlan) -> Vec<File> {
    let mut files = time(plan);
    files.extend(names(plan));
    files.extend(network::shown(plan));
    files.extend(apt(plan));
    files.extend(language(plan));
    files.extend(login(plan));
    files.extend(swap(plan));
    files.extend([
        text(MODULES, modules(plan).map(|name| format!("{name}\n")).collect::<String>()),
        text(JOURNALD, JOURNALD_LIMITS),
        text(SYSCTL, SYSCTLS.map(|(key, value)| format!("{key} = {value}\n")).concat()),
    ]);
    files.extend(kubernetes(plan));
    files
}

/// The modules that a plan asks for, each once: those that pods' networks need, and its own.
pub fn modules(plan: &FirstbootPlan) -> impl Iterator<Item = &str> {
    let own = plan.system.modules.iter().map(String::as_str);
    MODULE_NAMES.into_iter().chain(own.filter(|own| !MODULE_NAMES.contains(own)))
}

fn text(path: impl Into<String>, content: impl Into<String>) -> File {
    File { path: path.into(), mode: 0o644, content: Content::Text(content.into()), when: None }
}

fn link(path: impl Into<String>, target: impl Into<String>) -> File {
    File { path: path.into(), mode: 0o777, content: Content::Link(target.into()), when: None }
}

fn when(file: File, when: &'static str) -> File {
    File { when: Some(when), ..file }
}

fn time(plan: &FirstbootPlan) -> Vec<File> {
    let mut files = Vec::new();
    if let Some(zone) = &plan.time.timezone {
        files.push(link(LOCALTIME, format!("{ZONES}/{zone}")));
        files.push(when(text(TIMEZONE, format!("{zone}\n")), "where the system has it"));
    }
    if !plan.time.ntp.is_empty() {
        let servers = &plan.time.ntp;
        files.push(when(
            text(TIMESYNCD, format!("[Time]\nNTP={}\n", servers.join(" "))),
            "where systemd-timesyncd is installed",
        ));
        // Those of the image stay: for when none of ours answers.
        let line = |server: &String| format!("server {server} iburst prefer\n");
        files.push(when(
            text(CHRONY, servers.iter().map(line).collect::<String>()),
            "where chrony is installed",
        ));
    }
    files
}

fn names(plan: &FirstbootPlan) -> Vec<File> {
    let name = &plan.node.hostname;
    vec![
        text(HOSTNAME, format!("{name}\n")),
        text(HOSTS, hosts::merge("", name)),
        when(text(CLOUD, cloud(plan)), "where cloud-init is installed"),
    ]
}

/// What cloud-init has to leave alone.
fn cloud(plan: &FirstbootPlan) -> String {
    let mut text = "#cloud-config\npreserve_hostname: true\nmanage_etc_hosts: false\n".to_owned();
    if !plan.system.apt_mirror.is_empty() {
        // With each new instance-id it would write the archive's own address again.
        text.push_str("apt_preserve_sources_list: true\n");
    }
    text
}

fn apt(plan: &FirstbootPlan) -> Option<File> {
    let proxy = plan.system.apt_proxy.as_ref()?;
    let line = |kind: &str| format!("Acquire::{kind}::Proxy \"{proxy}\";\n");
    Some(text(APT_PROXY, ["http", "https"].map(line).concat()))
}

fn language(plan: &FirstbootPlan) -> Vec<File> {
    let mut files = Vec::new();
    if let Some(locale) = &plan.system.locale {
        if locale_gen::is_generated(locale) {
            files.push(text(LOCALE_GEN, locale_gen::merge("", locale)));
        }
        files.push(when(
            text(LOCALE, variables::merge("", &[("LANG", locale)])),
            "on trixie its target, `/etc/locale.conf`",
        ));
    }
    if let Some(keyboard) = &plan.system.keyboard {
        files.push(text(KEYBOARD, keyboard_file("", keyboard)));
    }
    files
}

/// keyboard(5) with this layout; model, options and comments are kept.
pub fn keyboard_file(now: &str, keyboard: &str) -> String {
    let (layout, variant) = keyboard.split_once(':').unwrap_or((keyboard, ""));
    let mut wanted = Vec::new();
    if variables::get(now, "XKBMODEL").is_none_or(|model| model.is_empty()) {
        wanted.push(("XKBMODEL", "pc105"));
    }
    wanted.extend([("XKBLAYOUT", layout), ("XKBVARIANT", variant)]);
    variables::merge(now, &wanted)
}

fn login(plan: &FirstbootPlan) -> Vec<File> {
    let Some(user) = &plan.user else { return Vec::new() };
    let mut files = Vec::new();
    if !user.ssh_keys.is_empty() {
        let path = format!("/home/{}/.ssh/authorized_keys", user.name);
        let content = authorized_keys::merge("", &user.ssh_keys);
        files.push(File { mode: 0o600, ..text(path, content) });
    }
    files.push(sudoers(&user.name));
    files
}

/// Passwordless sudo: a user without a password could not use sudo at all.
pub fn sudoers(user: &str) -> File {
    let file = text(
        format!("/etc/sudoers.d/010_pikube-{user}"),
        format!("{user} ALL=(ALL) NOPASSWD: ALL\n"),
    );
    when(File { mode: 0o440, ..file }, "where the user has no password and sudo is installed")
}

fn swap(plan: &FirstbootPlan) -> Vec<File> {
    if plan.system.swap == Swap::Keep {
        return Vec::new();
    }
    let rpi = "where rpi-swap is installed";
    let dphys = "where dphys-swapfile is installed";
    let mut files = vec![
        when(text(RPI_SWAP, "[Main]\nMechanism=none\n"), rpi),
        when(text(DPHYS, variables::merge("", &[("CONF_SWAPSIZE", "0")])), dphys),
        when(mask("dphys-swapfile.service"), dphys),
    ];
    files.extend(RPI_SWAP_UNITS.map(|unit| when(mask(unit), rpi)));
    files
}

/// What comes with Kubernetes. Docker's source needs the system's name, and is not shown.
fn kubernetes(plan: &FirstbootPlan) -> Vec<File> {
    let Some(kubernetes) = &plan.kubernetes else { return Vec::new() };
    let mut files = Vec::new();
    if let Some(repository) = &kubernetes.repository {
        files.push(package_sources::kubernetes(repository));
    }
    let plain = "where Kubernetes comes as plain binaries";
    files.extend(kubelet_units::files().map(|file| when(file, plain)));
    files.extend(runtime::shown(plan));
    files.extend(kubeadm::patch(plan));
    files.extend(kubeadm::shown(plan));
    if plan.node.role != Role::Worker {
        files.extend(kubeadm::control_plane::files(kubernetes));
        files.extend(certificate_units::files());
    }
    files
}

/// The link that masks a unit.
pub fn mask(unit: &str) -> File {
    link(format!("{UNITS}/{unit}"), "/dev/null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_files_have_one_path_and_none_is_a_secret() {
        let plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
        let files = files(&plan);
        for (index, file) in files.iter().enumerate() {
            assert!(files[..index].iter().all(|other| other.path != file.path), "{}", file.path);
            assert!(file.path.starts_with('/') && !file.text().contains("$6$"), "{}", file.path);
        }
    }

    #[test]
    fn keyboard_keeps_the_model() {
        let now = "# KEYBOARD\nXKBMODEL=\"pc104\"\nXKBLAYOUT=\"us\"\nXKBOPTIONS=\"compose:ralt\"\n";
        assert_eq!(
            keyboard_file(now, "de:nodeadkeys"),
            "# KEYBOARD\nXKBMODEL=\"pc104\"\nXKBLAYOUT=\"de\"\nXKBOPTIONS=\"compose:ralt\"\n\
             XKBVARIANT=\"nodeadkeys\"\n"
        );
        assert_eq!(
            keyboard_file("", "gb"),
            "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"gb\"\nXKBVARIANT=\"\"\n"
        );
    }
}
