//! Grown, growing, about to grow, never going to.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::{Node, PLAN};
use crate::plan::Facts;

fn context() -> Context {
    Context::new(FirstbootPlan::from_toml(PLAN).unwrap(), None, Facts::default())
}

fn small() -> Node {
    let node = Node::pi();
    node.root_bytes.set(2_600_000_000);
    node
}

fn again(node: &Node) -> String {
    assert!(matches!(check(&context(), node), Ok(Check::Needed(_))));
    match apply(&context(), node) {
        Err(Stop::Again(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_system_that_fills_its_partition_is_right() {
    assert_eq!(check(&context(), &Node::pi()).unwrap(), Check::Satisfied);
}

#[test]
fn growth_is_waited_for_and_told() {
    let node = small();
    let what = again(&node);
    assert!(what.contains("2479 MiB, its partition 30436 MiB"), "{what}");
    assert!(what.contains("may still grow"), "{what}");
    node.put("/proc/uptime", "1000.0 1.0\n");
    node.activating.borrow_mut().insert("resize2fs_once.service".to_owned());
    assert!(again(&node).contains("`resize2fs_once.service` is at work"));
    node.root_bytes.set(31_300_000_000);
    assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
}

#[test]
fn an_image_that_never_grows_is_accepted_once_with_a_note() {
    let node = small();
    node.put("/proc/uptime", "180.1 1.0\n");
    let notes = apply(&context(), &node).unwrap();
    assert!(notes[0].contains("stays as it is"), "{notes:?}");
    assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
    node.boot();
    node.root_bytes.set(2_600_000_000);
    assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied, "at the next boot too");
    node.put("/sys/dev/block/179:2/size", "124667904\n");
    assert!(matches!(check(&context(), &node), Ok(Check::Needed(_))), "a larger partition");
}

#[test]
fn a_root_that_is_no_partition_is_not_waited_for() {
    for mounts in ["", "24 1 0:25 / / rw - overlay overlay rw\n"] {
        let node = small();
        node.put("/proc/self/mountinfo", mounts);
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied, "{mounts}");
    }
}
