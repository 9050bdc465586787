//! The small steps: what they do with systems that are not as expected.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::{Node, PLAN};
use crate::plan::{Context, Facts};
use crate::render::{LOCALE, LOCALE_CONF};
use crate::step::{Check, Class, Stop};

fn context(change: impl Fn(&str) -> String) -> Context {
    let facts = Facts { boot: Some("/boot/firmware".to_owned()), ..Facts::default() };
    Context::new(FirstbootPlan::from_toml(&change(PLAN)).unwrap(), None, facts)
}

fn plain() -> Context {
    context(str::to_owned)
}

/// Applies, then checks.
fn make(step: &Step, context: &Context, node: &Node) {
    (step.apply)(context, node).unwrap();
    assert_eq!((step.check)(context, node).unwrap(), Check::Satisfied, "{}", step.id);
}

/// What a person is told.
fn person(step: &Step, context: &Context, node: &Node) -> (String, String) {
    assert!(matches!((step.check)(context, node), Ok(Check::Needed(_))), "{}", step.id);
    match (step.apply)(context, node) {
        Err(Stop::Person { what, help }) => {
            assert!(!what.is_empty() && !what.ends_with('.') && !help.ends_with('.'));
            assert!(!what.contains("failed to"), "{what}");
            (what, help)
        }
        other => panic!("{}: {other:?}", step.id),
    }
}

#[test]
fn the_clock_is_never_before_the_card() {
    let node = Node::pi();
    make(&clock::STEP, &plain(), &node);
    assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
    // A clock that is right, or ahead, is not set back: that is the step `time`'s.
    node.set_clock("2026-12-01T00:00:00Z".parse().unwrap()).unwrap();
    assert_eq!((clock::STEP.check)(&plain(), &node).unwrap(), Check::Satisfied);
    // One that somebody has set to where no card comes is.
    node.set_clock("2099-01-01T00:00:00Z".parse().unwrap()).unwrap();
    assert!(matches!((clock::STEP.check)(&plain(), &node), Ok(Check::Needed(_))));
    make(&clock::STEP, &plain(), &node);
    assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
}

/// A step that does without says so once, and is satisfied.
fn does_without(step: &Step, context: &Context, node: &Node) -> String {
    assert!(matches!((step.check)(context, node), Ok(Check::Needed(_))), "{}", step.id);
    let notes = (step.apply)(context, node).unwrap();
    assert_eq!((step.check)(context, node).unwrap(), Check::Satisfied, "{}", step.id);
    assert_eq!(step.class, Class::Comfort);
    let [note] = &notes[..] else { panic!("{notes:?}") };
    node.boot();
    assert_eq!((step.check)(context, node).unwrap(), Check::Satisfied, "{}", step.id);
    note.clone()
}

#[test]
fn a_zone_has_several_names_and_utc_takes_the_place_of_one_that_has_none() {
    const FOLDER: &str = "/usr/share/zoneinfo";
    // Debian 13 has the new names, Debian 11 the old ones.
    for (wanted, there) in
        [("US/Pacific", "America/Los_Angeles"), ("Europe/Kyiv", "Europe/Kiev"), ("Zulu", "Etc/UTC")]
    {
        let node = Node::pi();
        node.put(&format!("{FOLDER}/{there}"), "TZif2");
        let context = context(|plan| plan.replace("Europe/Paris", wanted));
        assert!((timezone::STEP.apply)(&context, &node).unwrap().is_empty());
        assert_eq!((timezone::STEP.check)(&context, &node).unwrap(), Check::Satisfied);
        assert_eq!(
            node.read_link("/etc/localtime").unwrap(),
            Some(format!("{FOLDER}/{there}")),
            "{wanted}"
        );
        assert_eq!(node.get("/etc/timezone"), format!("{there}\n"));
    }
    let context = context(|plan| plan.replace("Europe/Paris", "US/Pacific"));
    let node = Node::pi();
    node.link("/usr/share/zoneinfo/Europe/London", "/etc/localtime").unwrap();
    let note = does_without(&timezone::STEP, &context, &node);
    assert!(note.contains("`US/Pacific`") && note.contains("tzdata-legacy"), "{note}");
    assert_eq!(
        node.read_link("/etc/localtime").unwrap().as_deref(),
        Some("/usr/share/zoneinfo/Etc/UTC")
    );
    assert_eq!(node.get("/etc/timezone"), "Etc/UTC\n");
}

#[test]
fn a_relative_link_to_the_zone_is_as_good_and_trixie_has_no_timezone_file() {
    let node = Node::pi();
    node.entries.borrow_mut().remove("/etc/timezone");
    node.link("../usr/share/zoneinfo/Europe/Paris", "/etc/localtime").unwrap();
    assert_eq!((timezone::STEP.check)(&plain(), &node).unwrap(), Check::Satisfied);
    assert!(!node.exists("/etc/timezone").unwrap());
}

#[test]
fn servers_go_to_whatever_keeps_the_clock() {
    let node = Node::pi();
    make(&ntp::STEP, &plain(), &node);
    let content = node.get("/etc/systemd/timesyncd.conf.d/90-pikube.conf");
    assert_eq!(content, "[Time]\nNTP=0.debian.pool.ntp.org 1.debian.pool.ntp.org\n");
    assert!(!node.exists("/etc/chrony/sources.d/90-pikube.sources").unwrap());

    let without = || {
        let node = Node::pi();
        node.entries.borrow_mut().remove("/lib/systemd/system/systemd-timesyncd.service");
        node.active.borrow_mut().clear();
        node
    };
    let note = does_without(&ntp::STEP, &plain(), &without());
    assert!(note.contains("neither `systemd-timesyncd` nor chrony 4"), "{note}");

    let node = without();
    node.put("/lib/systemd/system/chrony.service", "");
    node.put(
        "/etc/chrony/chrony.conf",
        "pool ntp.example.org\n# sourcedir /etc/chrony/sources.d\n",
    );
    does_without(&ntp::STEP, &plain(), &node);
    node.put("/etc/chrony/chrony.conf", "sourcedir /etc/chrony/sources.d\n");
    make(&ntp::STEP, &plain(), &node);
    assert_eq!(
        node.get("/etc/chrony/sources.d/90-pikube.sources"),
        "server 0.debian.pool.ntp.org iburst prefer\nserver 1.debian.pool.ntp.org iburst prefer\n"
    );
    assert!(node.active.borrow().contains("chrony.service"));
}

#[test]
fn the_host_name_leaves_the_rest_of_the_hosts_file() {
    let node = Node::pi();
    node.put("/etc/hosts", "127.0.0.1 localhost\n10.0.0.9 nas\n127.0.1.1 raspberrypi\n");
    node.entries.borrow_mut().remove("/etc/cloud/cloud.cfg");
    make(&hostname::STEP, &plain(), &node);
    assert_eq!(node.get("/etc/hosts"), "127.0.0.1 localhost\n10.0.0.9 nas\n127.0.1.1\tlaperouse\n");
    assert!(!node.exists("/etc/cloud/cloud.cfg.d/99-pikube.cfg").unwrap());
    assert!(
        node.log.borrow().iter().any(|line| line == "systemctl try-restart avahi-daemon.service")
    );
}

#[test]
fn trixie_keeps_its_link_to_locale_conf() {
    let node = Node::pi();
    node.link("../locale.conf", LOCALE).unwrap();
    node.put(LOCALE_CONF, "LANG=C.UTF-8\nLC_TIME=de_DE.UTF-8\n");
    make(&locale::STEP, &plain(), &node);
    assert_eq!(node.get(LOCALE_CONF), "LANG=en_GB.UTF-8\nLC_TIME=de_DE.UTF-8\n");
    assert_eq!(node.read_link(LOCALE).unwrap().as_deref(), Some("../locale.conf"));
}

#[test]
fn a_locale_that_is_there_or_built_in_is_not_generated() {
    let node = Node::pi();
    make(&locale::STEP, &context(|plan| plan.replace("en_GB.UTF-8", "C.UTF-8")), &node);
    node.put("/usr/lib/locale/locale-archive", "en_GB.utf8\n");
    make(&locale::STEP, &plain(), &node);
    assert!(!node.log.borrow().iter().any(|line| line == "locale-gen"));
    assert!(node.get("/etc/locale.gen").contains("\nen_GB.UTF-8 UTF-8\n"));
}

#[test]
fn a_locale_that_cannot_be_had_leaves_the_image_s_own() {
    let node = Node::pi();
    let before = node.get(LOCALE);
    let unknown = context(|plan| plan.replace("en_GB.UTF-8", "xx_XX.UTF-8"));
    assert!(does_without(&locale::STEP, &unknown, &node).contains("SUPPORTED"));
    node.entries.borrow_mut().remove("/usr/sbin/locale-gen");
    assert!(does_without(&locale::STEP, &plain(), &node).contains("package `locales`"));
    assert_eq!(node.get(LOCALE), before);
    assert!(!node.log.borrow().iter().any(|line| line == "locale-gen"));
}

#[test]
fn a_console_that_does_not_listen_is_a_note() {
    let node = Node::pi();
    let notes = (keyboard::STEP.apply)(&plain(), &node).unwrap();
    assert!(notes[0].contains("not on a console"), "{notes:?}");
    assert_eq!((keyboard::STEP.check)(&plain(), &node).unwrap(), Check::Satisfied);
    assert!(node.get("/etc/default/keyboard").contains("XKBLAYOUT=\"gb\""));
}

#[test]
fn ssh_is_for_those_who_can_log_in() {
    let node = Node::pi();
    make(&ssh::STEP, &plain(), &node);
    node.put("/etc/ssh/ssh_host_rsa_key", "");
    make(&ssh::STEP, &plain(), &node);
    let nobody = context(|plan| plan[..plan.find("ssh_keys").unwrap()].to_owned());
    node.active.borrow_mut().clear();
    assert_eq!((ssh::STEP.check)(&nobody, &node).unwrap(), Check::Satisfied);
    node.entries.borrow_mut().remove("/lib/systemd/system/ssh.service");
    assert!(person(&ssh::STEP, &plain(), &node).0.contains("not installed"));
}

#[test]
fn a_missing_memory_cgroup_names_the_flag_and_the_file() {
    let node = Node::pi();
    node.put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n");
    node.put("/proc/cmdline", "console=tty1 root=PARTUUID=a-02\n");
    let (_, help) = person(&cgroups::STEP, &plain(), &node);
    assert!(help.contains("`cgroup_enable=memory`") && help.contains("/boot/firmware/cmdline.txt"));
    node.put("/etc/default/raspi-firmware", "");
    assert!(person(&cgroups::STEP, &plain(), &node).1.contains("raspi-extra-cmdline"));
    node.put("/proc/cmdline", "cgroup_enable=memory\n");
    assert!(person(&cgroups::STEP, &plain(), &node).1.contains("6.12.47+rpt-rpi-v8 ignores"));
    node.drop_below("/sys/fs");
    let (what, help) = person(&cgroups::STEP, &plain(), &node);
    assert!(what.contains("cgroup v2") && help.contains("unified_cgroup_hierarchy=1"));
}

#[test]
fn modules_may_be_built_in_and_missing_ones_are_named() {
    let node = Node::pi();
    node.put(
        "/lib/modules/6.12.47+rpt-rpi-v8/modules.builtin",
        "kernel/fs/overlayfs/overlay.ko\nkernel/net/bridge/br_netfilter.ko\n",
    );
    node.load("br_netfilter");
    make(&kernel::STEP, &plain(), &node);
    assert!(!node.log.borrow().iter().any(|line| line == "modprobe overlay"));
    node.drop_below("/sys/module/vxlan");
    node.fail("modprobe vxlan", 1, "modprobe: FATAL: Module vxlan not found in directory", 9);
    let (what, help) = person(&kernel::STEP, &plain(), &node);
    assert!(what.contains("`modprobe vxlan`") && help.contains("`vxlan`"));
}

#[test]
fn modules_of_the_plan_are_loaded_at_each_boot_and_one_that_is_not_there_is_named() {
    let wanted = "[system]\nmodules = [\"dm_thin_pool\", \"dm-mirror\", \"vxlan\"]";
    let asked = context(|plan| plan.replace("[system]", wanted));
    let node = Node::pi();
    node.put("/sys/module/dm_mirror", "");
    make(&kernel::STEP, &asked, &node);
    let loaded = "overlay\nbr_netfilter\nvxlan\nnf_conntrack\ndm_thin_pool\ndm-mirror\n";
    assert_eq!(node.get("/etc/modules-load.d/pikube.conf"), loaded);
    let log = node.log.borrow().join("\n");
    assert!(log.contains("modprobe dm_thin_pool") && !log.contains("modprobe dm-mirror"), "{log}");
    let node = Node::pi();
    node.fail("modprobe dm_thin_pool", 1, "modprobe: FATAL: Module dm_thin_pool not found", 9);
    let (what, help) = person(&kernel::STEP, &asked, &node);
    assert!(what.contains("dm_thin_pool") && help.contains("`system.modules`"), "{what}: {help}");
}

#[test]
fn the_system_s_log_is_bounded_and_journald_reads_it_even_after_a_kill_in_between() {
    let node = Node::pi();
    let context = plain();
    make(&log::STEP, &context, &node);
    let limits = node.get("/etc/systemd/journald.conf.d/90-pikube.conf");
    assert!(limits.contains("SystemMaxUse=64M\n") && limits.contains("RuntimeMaxUse=32M\n"));
    let restarts = |node: &Node| {
        let log = node.log.borrow();
        log.iter().filter(|line| *line == "systemctl restart systemd-journald.service").count()
    };
    assert_eq!(restarts(&node), 1);
    assert_eq!((log::STEP.check)(&context, &node).unwrap(), Check::Satisfied);
    let node = Node::pi();
    node.fail("systemctl restart systemd-journald.service", 1, "killed", 1);
    assert!((log::STEP.apply)(&context, &node).is_err());
    assert!(matches!((log::STEP.check)(&context, &node), Ok(Check::Needed(_))));
    make(&log::STEP, &context, &node);
}

#[test]
fn the_sysctl_file_is_the_recipe() {
    let node = Node::pi();
    make(&kernel::STEP, &plain(), &node);
    assert_eq!(
        node.get("/etc/sysctl.d/90-pikube.conf"),
        "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n\
         net.bridge.bridge-nf-call-ip6tables = 1\nfs.inotify.max_user_instances = 512\n\
         fs.inotify.max_user_watches = 262144\nkernel.panic = 10\nkernel.panic_on_oops = 1\n"
    );
    // Somebody else sets it back while the node runs.
    node.put("/proc/sys/net/ipv4/ip_forward", "0\n");
    assert!(matches!((kernel::STEP.check)(&plain(), &node), Ok(Check::Needed(_))));
    make(&kernel::STEP, &plain(), &node);
}

#[test]
fn secrets_go_from_everywhere() {
    let node = Node::pi();
    node.put("/boot/firmware/failed_userconf.txt", "pi:$6$x");
    node.put("/boot/firmware/wpa_supplicant.conf", "psk=\"x\"");
    make(&scrub::STEP, &plain(), &node);
    assert!(!node.exists("/boot/firmware/wpa_supplicant.conf").unwrap());
    let without = context(|plan| {
        plan.replace("[wifi]\ncountry = \"FR\"\n[[wifi.networks]]\nssid = \"harbour\"\n", "")
    });
    node.put("/boot/firmware/wpa_supplicant.conf", "the owner's");
    assert_eq!((scrub::STEP.check)(&without, &node).unwrap(), Check::Satisfied);
    assert!(node.exists("/etc/pikube/pikube.toml").unwrap());
}

#[test]
fn a_card_that_is_write_protected_keeps_its_secrets_and_says_so() {
    let node = Node::pi();
    node.refuse("/boot/firmware/", 30);
    let (what, help) = person(&scrub::STEP, &plain(), &node);
    assert!(what.contains("read-only") && help.contains("write protected"), "{what}: {help}");
}
