//! Swap in all its forms.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::{Node, PLAN};
use crate::plan::Facts;

fn context() -> Context {
    Context::new(FirstbootPlan::from_toml(PLAN).unwrap(), None, Facts::default())
}

fn off(node: &Node) {
    apply(&context(), node).unwrap();
    assert_eq!(check(&context(), node).unwrap(), Check::Satisfied);
    node.boot();
    assert_eq!(check(&context(), node).unwrap(), Check::Satisfied, "after a boot");
}

#[test]
fn all_of_it_goes_and_stays_away() {
    let node = Node::pi();
    assert_eq!(active(&node).unwrap(), ["/var/swap", "/dev/zram0", "/dev/sda3"]);
    let Check::Needed(why) = check(&context(), &node).unwrap() else { panic!() };
    for part in ["/etc/rpi/swap.conf.d", "dphys-swapfile.service", "CONF_SWAPSIZE", "/etc/fstab"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    off(&node);
    assert_eq!(node.get("/etc/rpi/swap.conf.d/90-pikube.conf"), "[Main]\nMechanism=none\n");
    assert!(!node.exists("/var/swap").unwrap());
    assert!(units::is_masked(&node, "dev-zram0.swap").unwrap());
    assert!(
        !units::is_masked(&node, "dev-sda3.swap").unwrap(),
        "fstab is the source, not the unit"
    );
}

#[test]
fn a_node_without_swap_is_left_alone() {
    let node = Node::bare();
    node.put("/proc/swaps", "Filename\tType\n");
    assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
    assert!(node.log.borrow().is_empty());
}

#[test]
fn a_swap_unit_of_the_owner_is_masked_and_its_file_kept() {
    let node = Node::bare();
    node.put("/proc/swaps", "Filename\tType\n");
    node.put("/etc/systemd/system/mnt-swap.swap", "[Swap]\nWhat=/mnt/swap\n");
    node.put("/mnt/swap", "mine");
    apply(&context(), &node).unwrap();
    assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
    assert!(node.get("/etc/systemd/system/mnt-swap.swap.pikube-off").contains("/mnt/swap"));
    assert_eq!(node.get("/mnt/swap"), "mine");
}

#[test]
fn swap_that_does_not_go_is_an_error_and_swap_that_comes_back_is_needed() {
    let node = Node::pi();
    node.fail("swapoff", 255, "swapoff: /var/swap: Cannot allocate memory", 1);
    assert!(matches!(apply(&context(), &node), Err(Stop::Person { .. })));
    off(&node);
    node.put("/proc/swaps", "Filename\n/dev/zram1 partition 1 0 5\n");
    assert_eq!(
        check(&context(), &node).unwrap(),
        Check::Needed("`/dev/zram1` is swapped to".to_owned())
    );
}

#[test]
fn a_swap_file_of_another_name_is_found_in_the_settings() {
    let node = Node::pi();
    node.put("/etc/dphys-swapfile", "CONF_SWAPSIZE=100\nCONF_SWAPFILE=\"/data/swap\"\n");
    node.put("/data/swap", "");
    apply(&context(), &node).unwrap();
    assert!(!node.exists("/data/swap").unwrap());
    assert!(node.get("/etc/dphys-swapfile").contains("CONF_SWAPFILE=\"/data/swap\""));
}
