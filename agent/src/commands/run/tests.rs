//! The whole run on a node in memory, from first boot to the marker, with the power cut anywhere.

use pikube_config::{Report, RunState, Secrets, StepState};

use super::*;
use crate::host::Access;
use crate::host::scripted::{HASH, Node};
use crate::step::Check;

/// Steps that a node in order has nothing to do for.
const AS_IT_IS: [&str; 5] = ["board", "root", "cgroups", "internet", "time"];

const WIFI: &str = "/etc/NetworkManager/system-connections/pikube-wifi-1.nmconnection";
const MARKER: &str = "/var/lib/pikube/done";
const FAT_REPORT: &str = "/boot/firmware/pikube-report.json";

fn report(node: &Node, path: &str) -> Report {
    serde_json::from_str(&node.get(path)).unwrap()
}

fn finished() -> Node {
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    node
}

#[test]
fn a_first_boot_ends_in_what_the_plan_says() {
    let node = finished();
    assert_eq!(node.get("/etc/hostname"), "laperouse\n");
    assert_eq!(node.get("/proc/sys/kernel/hostname"), "laperouse\n");
    assert_eq!(node.get("/proc/swaps").lines().count(), 1);
    assert!(node.get("/etc/shadow").contains(&format!("captain:{HASH}:")));
    assert!(node.get("/home/captain/.ssh/authorized_keys").contains("me@laptop"));
    assert_eq!(node.access("/home/captain").unwrap(), Access { mode: 0o700, owner: (1001, 1001) });
    assert!(node.get("/etc/shadow").contains("pi:!:"), "another user is left as it is");
    assert!(node.get(WIFI).contains("\npsk=swordfishSECRET\n"));
    assert_eq!(node.access(WIFI), Some(Access::root(0o600)));
    assert!(node.get("/etc/apt/sources.list").contains("mirror.example.org"));
    assert!(!node.exists("/boot/firmware/pikube-secrets.toml").unwrap());
    assert!(!node.exists("/boot/firmware/userconf.txt").unwrap());
    assert!(!node.exists("/etc/pikube/pikube-secrets.toml").unwrap());
    assert!(node.exists(MARKER).unwrap());
    for path in [crate::report::PATH, FAT_REPORT] {
        let report = report(&node, path);
        assert_eq!(report.state, RunState::Done);
        assert!(report.steps.iter().all(|step| step.state == StepState::Applied
            || (AS_IT_IS.contains(&step.id.as_str()) && step.state == StepState::Satisfied)));
    }
    assert!(node.get("/boot/firmware/pikube-report.txt").starts_with("laperouse (master): done\n"));
}

#[test]
fn a_run_on_a_done_node_changes_nothing() {
    let node = finished();
    node.boot();
    let (entries, operations) = (node.entries.borrow().clone(), node.operations());
    assert!(run_on(&node, &node).unwrap().contains("nothing to do"));
    assert_eq!(*node.entries.borrow(), entries);
    assert_eq!(node.operations(), operations);
}

#[test]
fn without_the_marker_a_further_boot_finds_everything_satisfied() {
    let node = finished();
    let lasting = node.lasting();
    node.entries.borrow_mut().remove(MARKER);
    node.boot();
    node.log.borrow_mut().clear();
    run_on(&node, &node).unwrap();
    assert_eq!(node.lasting(), lasting);
    const QUESTIONS: [&str; 13] = [
        "systemctl is-active",
        "df ",
        "locale -a",
        "ip ",
        "getent ",
        "timedatectl show",
        "dpkg --print-architecture",
        "dpkg --audit",
        "dpkg-query ",
        "containerd --version",
        "kubeadm config images list",
        "crictl ",
        "kubectl --kubeconfig",
    ];
    for line in node.log.borrow().iter() {
        assert!(QUESTIONS.iter().any(|question| line.starts_with(question)), "{line}");
    }
}

/// As [`Node::pi`], only prepared, and without secrets: the user has no password and sudo without one, Wi-Fi is open.
fn without_secrets() -> Node {
    let node = Node::pi();
    node.entries.borrow_mut().remove("/etc/pikube/pikube-secrets.toml");
    let plan = node.get("/etc/pikube/pikube.toml");
    let open = plan.replace("ssid = \"harbour\"", "ssid = \"harbour\"\nsecurity = \"open\"");
    let (before, cluster) = open.split_once("[cluster]").unwrap();
    let (_, after) = cluster.split_once("[user]").unwrap();
    node.put("/etc/pikube/pikube.toml", format!("{before}[user]{after}"));
    node
}

/// The promise: whatever the moment at which the power goes, the next boot ends in the same place. Nodes of a cluster are
/// tried beside its steps.
#[test]
fn the_power_can_go_at_any_operation() {
    let whole = without_secrets();
    let before = whole.operations();
    run_on(&whole, &whole).unwrap();
    let (lasting, count) = (whole.lasting(), whole.operations() - before);
    assert!(count > 100, "{count} operations");
    for cut in 1..=count {
        let node = without_secrets();
        node.power_for(cut);
        assert!(run_on(&node, &node).is_err(), "cut at {cut}");
        node.boot();
        assert!(run_on(&node, &node).is_ok(), "cut at {cut}: {:#?}", node.said.borrow());
        assert_same(&node, &lasting, cut);
        assert_eq!(report(&node, FAT_REPORT).state, RunState::Done, "cut at {cut}");
    }
}

/// The agent alone dies (killed, out of memory) and is started again without a boot.
#[test]
fn the_agent_can_be_killed_at_any_operation() {
    let whole = Node::pi();
    let before = whole.operations();
    run_on(&whole, &whole).unwrap();
    let (lasting, count) = (whole.lasting(), whole.operations() - before);
    for cut in 1..=count {
        let node = Node::pi();
        node.power_for(cut);
        assert!(run_on(&node, &node).is_err(), "killed at {cut}");
        node.restore_power();
        assert!(run_on(&node, &node).is_ok(), "killed at {cut}: {:#?}", node.said.borrow());
        assert_same(&node, &lasting, cut);
        assert!(node.list("/run/pikube/owed").unwrap().is_empty(), "killed at {cut}");
        assert!(node.active.borrow().contains("ssh.service"), "killed at {cut}");
    }
}

#[test]
fn the_power_can_go_twice() {
    let lasting = finished().lasting();
    for cut in (1..400).step_by(13) {
        for again in [1, 2, 5, 20, 60] {
            let node = Node::pi();
            node.power_for(cut);
            let _ = run_on(&node, &node);
            node.boot();
            node.power_for(again);
            let _ = run_on(&node, &node);
            node.boot();
            run_on(&node, &node).unwrap();
            assert_same(&node, &lasting, cut);
        }
    }
}

pub(crate) fn assert_same(
    node: &Node,
    lasting: &std::collections::BTreeMap<String, (String, u32, (u32, u32))>,
    cut: usize,
) {
    let found = node.lasting();
    for (path, value) in lasting {
        assert_eq!(found.get(path), Some(value), "{path}, cut at {cut}");
    }
    for path in found.keys() {
        assert!(lasting.contains_key(path), "{path} is left over, cut at {cut}");
    }
}

#[test]
fn no_secret_is_said_or_written_anywhere_else() {
    let node = Node::pi();
    node.fail("chpasswd", 1, "chpasswd: bad line", 1);
    assert!(run_on(&node, &node).is_err());
    run_on(&node, &node).unwrap();
    let secrets = Secrets::from_toml(crate::host::scripted::SECRETS).unwrap();
    let plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
    let context = Context::new(plan, Some(secrets), Facts::default());
    let told =
        [format!("{context:?}"), node.said.borrow().join("\n"), node.log.borrow().join("\n")];
    for text in told {
        assert!(!text.contains("SECRET") && !text.contains("$6$"), "{text}");
    }
    for (path, (content, _, _)) in node.lasting() {
        assert!(
            ["/etc/shadow", WIFI].contains(&path.as_str())
                || path.starts_with("/etc/kubernetes/pki/")
                || !content.contains("SECRET"),
            "{path}"
        );
    }
    for path in [crate::journal::PATH, crate::report::PATH, FAT_REPORT] {
        assert!(!node.get(path).contains("SECRET"), "{path}");
    }
}

#[test]
fn all_problems_of_a_plan_are_told_at_once_on_the_card() {
    let node = Node::pi();
    let wrong =
        "schema = 1\n[node]\nhostname = \"fregate\"\nrole = \"boss\"\n[time]\ntimezon = \"UTC\"\n";
    node.put("/etc/pikube/pikube.toml", wrong);
    node.put("/etc/pikube/pikube-secrets.toml", "schema = 1\n[user]\npassword_hash = \"SECRET\"\n");
    assert!(matches!(run_on(&node, &node), Err(Refusal::Told)));
    let report = report(&node, FAT_REPORT);
    assert_eq!(
        (report.state, report.node.as_str(), report.role),
        (RunState::Failed, "fregate", None)
    );
    for part in ["node.role", "time.timezon", "time.timezone", "user.password_hash"] {
        assert!(report.message.contains(part), "{part}: {}", report.message);
    }
    assert!(report.help.is_some() && !report.message.contains("SECRET"));
    assert!(!node.exists(MARKER).unwrap() && !node.exists("/etc/pikube/../hostname").unwrap());
    assert_eq!(node.get("/etc/hostname"), "raspberrypi\n");
}

/// An image that has none of what makes a node comfortable, and a plan that wants all of it.
#[test]
fn comfort_that_the_image_lacks_stops_nothing() {
    let node = Node::pi();
    for path in ["/usr/sbin/locale-gen", "/lib/systemd/system/systemd-timesyncd.service"] {
        node.entries.borrow_mut().remove(path);
    }
    node.active.borrow_mut().remove("systemd-timesyncd.service");
    let plan = node.get("/etc/pikube/pikube.toml").replace("Europe/Paris", "US/Pacific");
    node.put("/etc/pikube/pikube.toml", plan);
    run_on(&node, &node).unwrap();
    let report = report(&node, FAT_REPORT);
    assert_eq!(report.state, RunState::Done);
    for part in ["US/Pacific", "package `locales`", "chrony"] {
        assert!(report.notes.iter().any(|note| note.contains(part)), "{part}: {report:#?}");
    }
    assert!(node.exists(MARKER).unwrap() && node.active.borrow().contains("ssh.service"));
}

#[test]
fn a_refused_login_user_keeps_neither_network_nor_ssh_away_and_stops_the_rest() {
    let node = Node::pi();
    let plan = node.get("/etc/pikube/pikube.toml").replace("\"captain\"", "\"games\"");
    node.put("/etc/pikube/pikube.toml", plan);
    let games = "games:x:5:60:games:/usr/games:/usr/sbin/nologin\n";
    node.put("/etc/passwd", format!("{}{games}", node.get("/etc/passwd")));
    assert!(matches!(run_on(&node, &node), Err(Refusal::Told)));
    let report = report(&node, FAT_REPORT);
    assert_eq!(report.state, RunState::Failed);
    assert!(report.message.contains("`games` is an account of the system"), "{}", report.message);
    assert!(report.help.unwrap().contains("piflash configure --user"));
    assert!(node.exists(WIFI).unwrap() && node.active.borrow().contains("ssh.service"));
    assert!(node.get("/etc/passwd").ends_with(games) && !node.get("/etc/group").contains("games"));
    assert!(!node.exists("/etc/sudoers.d/010_pikube-games").unwrap());
    assert_eq!(report.steps.iter().find(|s| s.id == "root").unwrap().state, StepState::Pending);
}

#[test]
fn a_plan_that_is_not_there_is_told_too() {
    let node = Node::pi();
    node.entries.borrow_mut().remove("/etc/pikube/pikube.toml");
    assert!(matches!(run_on(&node, &node), Err(Refusal::Told)));
    assert!(report(&node, FAT_REPORT).message.contains("there is no plan"));
}

#[test]
fn secrets_that_a_power_cut_left_as_zeros_are_none() {
    let node = without_secrets();
    node.put("/etc/pikube/pikube-secrets.toml", [0; 80]);
    run_on(&node, &node).unwrap();
    assert!(!node.exists("/etc/pikube/pikube-secrets.toml").unwrap());
}

#[test]
fn a_second_run_is_refused_while_one_runs() {
    let node = Node::pi();
    node.put("/run/pikube/lock-held", "");
    let Err(Refusal::Untold(Stop::Person { what, .. })) = run_on(&node, &node) else { panic!() };
    assert!(what.contains("another"));
    assert_eq!(node.get("/etc/hostname"), "raspberrypi\n");
}

#[test]
fn a_marker_that_cannot_be_written_is_an_error() {
    let node = Node::pi();
    node.refuse(MARKER, 28);
    assert!(matches!(run_on(&node, &node), Err(Refusal::Told)));
    let report = report(&node, FAT_REPORT);
    assert_eq!(report.state, RunState::Failed);
    assert!(report.message.contains("no space left") && report.message.contains(MARKER));
}

#[test]
fn a_card_that_cannot_be_written_is_told_once_and_does_not_stop() {
    let node = Node::pi();
    for name in ["pikube-secrets.toml", "userconf.txt"] {
        node.entries.borrow_mut().remove(&format!("/boot/firmware/{name}"));
    }
    node.refuse("/boot/firmware/pikube-report", 30);
    run_on(&node, &node).unwrap();
    let said = node.said.borrow();
    let told = said.iter().filter(|line| line.contains("pikube-report.json")).count();
    assert_eq!(told, 1, "{said:#?}");
    assert!(node.exists(MARKER).unwrap());
}

#[test]
fn every_step_is_needed_then_satisfied_and_checks_change_nothing() {
    let node = Node::pi();
    let read = |node: &Node| {
        let plan = FirstbootPlan::from_toml(&node.get("/etc/pikube/pikube.toml")).unwrap();
        let secrets = Secrets::from_toml(crate::host::scripted::SECRETS).ok();
        Context::new(plan, secrets, Facts::of(node, false).unwrap())
    };
    let context = read(&node);
    for step in steps(&context.plan) {
        let before = node.entries.borrow().clone();
        let first = (step.check)(&context, &node).unwrap();
        assert_eq!(*node.entries.borrow(), before, "{} changes something", step.id);
        if !AS_IT_IS.contains(&step.id) {
            assert!(matches!(first, Check::Needed(_)), "{}: {first:?}", step.id);
        }
        (step.apply)(&context, &node).unwrap();
        assert_eq!((step.check)(&context, &node).unwrap(), Check::Satisfied, "{}", step.id);
    }
}

#[test]
fn under_a_test_root_no_check_asks_the_running_system() {
    let node = finished();
    node.foreign.set(true);
    node.drop_below("/proc/");
    node.drop_below("/sys/");
    let plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
    let context = Context::new(plan, None, Facts::of(&node, true).unwrap());
    for step in steps(&context.plan) {
        let found = (step.check)(&context, &node).unwrap();
        assert!(!matches!(found, Check::Needed(_)), "{}: {found:?}", step.id);
    }
}
