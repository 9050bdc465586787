//! The engine's own rules, with steps made for the purpose.

use std::sync::atomic::{AtomicUsize, Ordering};

use pikube_config::{FirstbootPlan, Report};

use super::*;
use crate::host::Look;
use crate::host::scripted::Node;
use crate::plan::Facts;

const NEVER: Step = Step {
    id: "never",
    title: "never satisfied",
    class: Class::Essential,
    wanted: |_| true,
    check: |_, _| Ok(Check::Needed("the tide is out".to_owned())),
    apply: |_, _| Ok(vec!["paddled".to_owned()]),
    ahead: None,
};

const MARKER: Step = Step {
    id: "done",
    title: "done",
    class: Class::Essential,
    wanted: |_| true,
    check: |_, host| {
        Ok(if host.exists("/done")? { Check::Satisfied } else { Check::Needed(String::new()) })
    },
    apply: |_, host| {
        host.write_plain("/done", b"")?;
        Ok(Notes::new())
    },
    ahead: None,
};

fn run(node: &Node, steps: &[Step]) -> Result<(), Stop> {
    let text = "schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n";
    let plan = FirstbootPlan::from_toml(text).unwrap();
    let context = Context::new(plan, None, Facts::default());
    let journal = Journal::open(node).unwrap();
    let boot = Some("/boot".to_owned());
    let mut reporter = Reporter::new(node, node, boot, &context.plan, steps);
    reporter.begin(|step| journal.seconds(step));
    Engine { host: node, context: &context, journal, reporter }.run(steps)
}

fn report(node: &Node) -> Report {
    serde_json::from_str(&node.get("/boot/pikube-report.json")).unwrap()
}

#[test]
fn a_step_that_is_still_needed_after_apply_is_tried_again_and_has_failed() {
    let node = Node::bare();
    let Err(Stop::Person { what, help }) = run(&node, &[NEVER, MARKER]) else { panic!() };
    assert_eq!(what, "applying `never`: still needed afterwards: the tide is out");
    let report = report(&node);
    assert_eq!((report.state, report.message), (RunState::Failed, what.clone()));
    assert_eq!(report.help, Some(help));
    assert_eq!(report.steps[0].state, StepState::Failed);
    assert_eq!(report.steps[1].state, StepState::Pending);
    assert!(!node.exists("/done").unwrap());
    let said = node.said.borrow();
    assert!(said.contains(&format!("<3>{what}")) && said.iter().any(|l| l.starts_with("<3>help:")));
    assert!(said.contains(&format!("STATUS=stopped: {what}")));
    let pauses: Vec<_> =
        node.log.borrow().iter().filter(|line| line.starts_with("sleep")).cloned().collect();
    assert_eq!(pauses, ["2.00", "4.00", "8.00", "16.00"].map(|s| format!("sleep {s}")));
}

#[test]
fn what_others_undo_once_is_done_again() {
    static CHECKS: AtomicUsize = AtomicUsize::new(0);
    const CONTESTED: Step = Step {
        id: "contested",
        title: "contested",
        class: Class::Essential,
        wanted: |_| true,
        // needed, and still needed after it was applied; needed again, and then it lasts
        check: |_, _| {
            Ok(match CHECKS.fetch_add(1, Ordering::Relaxed) {
                ..3 => Check::Needed("somebody wrote over it".to_owned()),
                _ => Check::Satisfied,
            })
        },
        apply: |_, _| Ok(Notes::new()),
        ahead: None,
    };
    let node = Node::bare();
    run(&node, &[CONTESTED, MARKER]).unwrap();
    assert_eq!(report(&node).state, RunState::Done);
    let told = "contested: waiting: applying `contested`: still needed afterwards: somebody";
    let said = node.said.borrow();
    assert!(said.iter().any(|line| line.contains(told)), "{said:#?}");
}

#[test]
fn a_stop_that_repeats_itself_does_not_grow_the_journal() {
    let node = Node::bare();
    let _ = run(&node, &[NEVER, MARKER]);
    let once = node.get(crate::journal::PATH).lines().count();
    for _ in 0..5 {
        let _ = run(&node, &[NEVER, MARKER]);
    }
    let lines = node.get(crate::journal::PATH).lines().count();
    assert!(lines <= once + 10, "{lines}");
}

#[test]
fn what_may_pass_is_tried_again_with_longer_and_longer_pauses() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    const LATE: Step = Step {
        id: "late",
        title: "late",
        class: Class::Essential,
        wanted: |_| true,
        check: |_, host: &dyn Look| {
            let needed = Check::Needed("not yet".to_owned());
            Ok(if host.exists("/late")? { Check::Satisfied } else { needed })
        },
        apply: |_, host| {
            if TRIES.fetch_add(1, Ordering::Relaxed) < 7 {
                return Err(Stop::Again("the lock is taken".to_owned()));
            }
            host.write_plain("/late", b"")?;
            Ok(Notes::new())
        },
        ahead: None,
    };
    let node = Node::bare();
    run(&node, &[LATE, MARKER]).unwrap();
    let log = node.log.borrow();
    assert_eq!(
        *log,
        ["2.00", "4.00", "8.00", "16.00", "32.00", "60.00", "60.00"].map(|s| format!("sleep {s}"))
    );
    let journal = node.get(crate::journal::PATH);
    assert_eq!(journal.matches("\"waiting\"").count(), 1, "{journal}");
    let said = node.said.borrow();
    assert!(said.contains(&"STATUS=late: waiting: the lock is taken".to_owned()), "{said:#?}");
    assert_eq!(report(&node).state, RunState::Done);
}

#[test]
fn a_satisfied_step_is_not_applied_and_is_journalled_once() {
    const FINE: Step = Step {
        id: "fine",
        title: "fine",
        class: Class::Essential,
        wanted: |_| true,
        check: |_, _| Ok(Check::Satisfied),
        apply: |_, _| panic!("applied"),
        ahead: None,
    };
    let node = Node::bare();
    run(&node, &[FINE, MARKER]).unwrap();
    run(&node, &[FINE, MARKER]).unwrap();
    assert_eq!(node.get(crate::journal::PATH).matches("\"fine\"").count(), 1);
    assert_eq!(report(&node).steps[0].state, StepState::Satisfied);
}

#[test]
fn the_report_says_done_before_the_marker_and_the_log_after_it() {
    let node = Node::bare();
    node.refuse("/done", 5);
    assert!(run(&node, &[MARKER]).is_err());
    assert!(!node.said.borrow().iter().any(|line| line.contains("ready")));
    assert_eq!(report(&node).state, RunState::Failed);
    let node = Node::bare();
    run(&node, &[MARKER]).unwrap();
    let said = node.said.borrow();
    assert_eq!(said.last().map(String::as_str), Some("STATUS=done"));
}

#[test]
fn a_journal_that_cannot_be_written_stops_with_its_reason() {
    let node = Node::bare();
    node.refuse(crate::journal::PATH, 28);
    let Err(Stop::Person { what, help }) = run(&node, &[NEVER, MARKER]) else { panic!() };
    assert!(what.contains("journal.jsonl") && what.contains("no space left"), "{what}");
    assert!(help.contains("room"), "{help}");
}

#[test]
fn pauses_double_up_to_a_minute_and_are_jittered_by_a_quarter() {
    let seconds = |attempt, fraction| backoff(attempt, fraction).as_secs_f64();
    assert!((seconds(0, 0.0) - 1.5).abs() < 1e-9 && seconds(0, 0.999_999) < 2.5);
    for attempt in 5..100 {
        assert!((45.0..75.0).contains(&seconds(attempt, 0.3)));
    }
}

#[test]
fn what_can_run_ahead_is_begun_early_waited_for_and_free_to_fail() {
    const LONG: Step = Step {
        id: "long",
        title: "begun ahead",
        class: Class::Essential,
        wanted: |_| true,
        check: |_, host| {
            Ok(if host.exists("/far")? { Check::Satisfied } else { Check::Needed("far".into()) })
        },
        apply: |_, host| {
            host.run(&crate::host::Command::new("modprobe", ["late"]))?;
            host.write_plain("/far", b"")?;
            Ok(Notes::new())
        },
        ahead: Some(crate::step::Ahead {
            after: "first",
            command: |_, _| Ok(Some(crate::host::Command::new("modprobe", ["early"]))),
        }),
    };
    const FIRST: Step = Step {
        id: "first",
        title: "first",
        class: Class::Essential,
        wanted: |_| true,
        check: |_, _| Ok(Check::Satisfied),
        apply: |_, _| Ok(Notes::new()),
        ahead: None,
    };
    const BETWEEN: Step = Step {
        id: "between",
        check: |_, host| {
            let _ = host.ask(&crate::host::Command::new("modprobe", ["between"]));
            Ok(Check::Satisfied)
        },
        ..FIRST
    };
    for failing in [false, true] {
        let node = Node::bare();
        if failing {
            node.fail("modprobe early", 1, "first\nno such tide", 1);
        }
        node.job_looks.set(9);
        run(&node, &[FIRST, BETWEEN, LONG, MARKER]).unwrap();
        let waits = node
            .said
            .borrow()
            .iter()
            .filter(|line| line.contains("begun beside other steps ends"))
            .count();
        assert_eq!(waits, 2, "a line of the log and one of the status, whatever it takes");
        let order: Vec<String> =
            node.log.borrow().iter().filter(|l| l.starts_with("modprobe")).cloned().collect();
        assert_eq!(order, ["modprobe early", "modprobe between", "modprobe late"]);
        let told = node.said.borrow().iter().any(|line| line.contains("no such tide"));
        assert_eq!(told, failing);
        assert!(node.exists("/done").unwrap());
    }
}

const COMFORT: Step = Step { id: "comfort", title: "a comfort", class: Class::Comfort, ..NEVER };
const LATER: Step = Step {
    id: "later",
    title: "later",
    class: Class::Essential,
    wanted: |_| true,
    check: |_, host| {
        Ok(if host.exists("/later")? { Check::Satisfied } else { Check::Needed(String::new()) })
    },
    apply: |_, host| {
        host.write_plain("/later", b"")?;
        Ok(vec!["took another way".to_owned()])
    },
    ahead: None,
};

#[test]
fn a_comfort_that_fails_or_waits_is_noted_and_tried_again_by_the_next_boot() {
    const WAITS: Step =
        Step { check: |_, _| Err(Stop::Again("the lock is taken".to_owned())), ..COMFORT };
    const FAILS: Step =
        Step { check: |_, _| Err(Stop::person("no such tide", "ask the moon")), ..COMFORT };
    for (step, what) in [(COMFORT, "the tide is out"), (WAITS, "lock"), (FAILS, "the moon")] {
        let node = Node::bare();
        run(&node, &[step, LATER, MARKER]).unwrap();
        let report = report(&node);
        assert_eq!(report.state, RunState::Done);
        assert!(report.message.contains("a comfort") && report.message.contains("next boot"));
        assert_eq!(report.steps[0].state, StepState::Failed);
        assert!(report.steps[0].message.as_ref().unwrap().contains(what));
        assert_eq!(report.notes, ["`later`: took another way"]);
        assert!(node.exists("/later").unwrap() && !node.exists("/done").unwrap());
        assert!(node.log.borrow().len() <= 4, "no more than four pauses");
        let lines = node.get(crate::journal::PATH).lines().count();
        run(&node, &[step, LATER, MARKER]).unwrap();
        assert!(node.get(crate::journal::PATH).lines().count() <= lines + 2);
        run(&node, &[Step { check: |_, _| Ok(Check::Satisfied), ..step }, LATER, MARKER]).unwrap();
        assert!(node.exists("/done").unwrap());
    }
}

#[test]
fn each_way_to_reach_the_node_has_its_turn_before_a_failure_stops_the_run() {
    const NETWORK: Step = Step {
        id: "network",
        title: "network",
        class: Class::Access,
        check: |_, _| Err(Stop::person("no such network", "name another one")),
        ..LATER
    };
    const SSH: Step = Step { id: "ssh", title: "ssh", class: Class::Access, ..LATER };
    let node = Node::bare();
    let essential = Step { check: |_, _| panic!("taken"), ..NEVER };
    let Err(Stop::Person { what, .. }) = run(&node, &[NETWORK, SSH, essential, MARKER]) else {
        panic!()
    };
    assert_eq!(what, "no such network");
    assert!(node.exists("/later").unwrap(), "ssh");
    let report = report(&node);
    assert_eq!((report.state, report.message.as_str()), (RunState::Failed, "no such network"));
    assert_eq!(report.help.as_deref(), Some("name another one"));
    let states: Vec<_> = report.steps.iter().map(|step| step.state).collect();
    assert_eq!(states[..2], [StepState::Failed, StepState::Applied]);
}

#[test]
fn one_way_that_waits_does_not_hold_up_another() {
    const SLOW: Step = Step {
        id: "slow",
        title: "slow",
        class: Class::Access,
        check: |_, host| {
            // The other one is there when this one is looked at again.
            Ok(if host.exists("/later")? { Check::Satisfied } else { Check::Needed(String::new()) })
        },
        apply: |_, _| Err(Stop::Again("no cable".to_owned())),
        ..LATER
    };
    let node = Node::bare();
    run(&node, &[SLOW, Step { class: Class::Access, ..LATER }, MARKER]).unwrap();
    assert!(node.exists("/done").unwrap());
    assert_eq!(node.log.borrow().len(), 1, "one pause: {:?}", node.log.borrow());
}
