//! What is told, to whom, and in which order.

use super::*;
use crate::host::Look as _;
use crate::host::scripted::{Node, PLAN};
use crate::plan::steps;

fn reporter(node: &Node) -> Reporter<'_> {
    let plan = FirstbootPlan::from_toml(PLAN).unwrap();
    let mut reporter = Reporter::new(node, node, Some("/boot".to_owned()), &plan, &steps(&plan));
    reporter.begin(|_| 0.5);
    reporter
}

#[test]
fn a_run_begins_with_its_size_and_ready() {
    let node = Node::bare();
    let reporter = reporter(&node);
    let count = steps(&FirstbootPlan::from_toml(PLAN).unwrap()).len();
    assert_eq!(reporter.report().steps.len(), count);
    assert!((reporter.report().steps[0].seconds - 0.5).abs() < 1e-9);
    let said = node.said.borrow();
    assert!(
        said[0].starts_with("<5>pikube-agent ")
            && said[0].ends_with(&format!("`laperouse`, {count} steps"))
    );
    assert_eq!(said[1], "READY");
}

#[test]
fn states_follow_each_other_in_the_log_the_status_and_the_files() {
    let node = Node::bare();
    let mut reporter = reporter(&node);
    let state = |node: &Node| {
        let report: Report = serde_json::from_str(&node.get("/boot/pikube-report.json")).unwrap();
        let step = report.steps.into_iter().find(|step| step.id == "swap").unwrap();
        (report.state, report.message, step.state, step.message)
    };
    reporter.step("swap", StepState::Running, Some("zram0".to_owned()), None);
    let (run, message, step, why) = state(&node);
    assert_eq!((run, step, why.as_deref()), (RunState::Running, StepState::Running, Some("zram0")));
    assert_eq!(message, "swap off: zram0");
    reporter.step("swap", StepState::Waiting, Some("a lock".to_owned()), Some(2.0));
    assert_eq!(state(&node).0, RunState::Waiting);
    reporter.step("swap", StepState::Applied, None, Some(3.0));
    let (run, _, step, why) = state(&node);
    assert_eq!((run, step), (RunState::Running, StepState::Applied));
    assert_eq!(why.as_deref(), Some("a lock"), "why it was needed stays");
    let said = node.said.borrow();
    let swap: Vec<_> = said.iter().filter(|line| line.contains("swap off")).collect();
    assert_eq!(
        swap,
        [
            "<6>swap off: zram0",
            "STATUS=swap off: zram0",
            "<4>swap off: waiting: a lock",
            "STATUS=swap off: waiting: a lock",
            "<5>swap off: done in 3.0 s",
            "STATUS=swap off: done in 3.0 s"
        ]
    );
}

#[test]
fn a_wait_that_goes_on_is_said_once_and_written_once() {
    let node = Node::bare();
    let mut reporter = reporter(&node);
    reporter.step("swap", StepState::Waiting, Some("a lock".to_owned()), None);
    let operations = node.operations();
    for _ in 0..10 {
        reporter.step("swap", StepState::Running, Some("zram0".to_owned()), None);
        reporter.step("swap", StepState::Waiting, Some("a lock".to_owned()), None);
    }
    let said = node.said.borrow();
    let count = said.iter().filter(|line| line.starts_with("<4>")).count();
    assert!(count == 1 && node.operations() == operations, "{said:#?}");
}

#[test]
fn without_a_boot_partition_that_is_said() {
    let node = Node::bare();
    let plan = FirstbootPlan::from_toml(PLAN).unwrap();
    let mut reporter = Reporter::new(&node, &node, None, &plan, &[]);
    reporter.begin(|_| 0.0);
    assert!(node.said.borrow().iter().any(|line| line.contains("boot partition is not mounted")));
    assert!(node.exists(PATH).unwrap());
}
