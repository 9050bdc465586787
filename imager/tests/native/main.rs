//! `piflash` and kubectl against a real control plane, made from the card that `piflash` has just written.
//!
//! Files and processes on loopback, no root; the programs are those of `tests/kubernetes/build.sh native`. Without them
//! each test says that it was skipped.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "../support/desk.rs"]
mod desk;
#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod hardening;
mod kubeconfig;
mod scale;
mod tokens;

use std::io::Write as _;
use std::time::{Duration, Instant};

use desk::Desk;
use pikube_tests::control_plane::{Card, ControlPlane, PROGRAMS};
use pikube_tests::kubernetes::{Programs, VERSION};

/// A desk with a master's card, and the control plane that the card makes, as it is in the middle of `kubeadm init`.
fn control_plane(test: &str, more: &[&str]) -> Option<(Desk, ControlPlane)> {
    let programs = Programs::or_skip(test, VERSION, &[&PROGRAMS[..], more].concat())?;
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let plane = started(test, &programs, &desk, "a.img");
    Some((desk, plane))
}

/// The same, at its end: administrators have their rights, the card's token lets nodes in.
fn cluster(test: &str, more: &[&str]) -> Option<(Desk, ControlPlane)> {
    let (desk, plane) = control_plane(test, more)?;
    plane.admit_administrators().unwrap();
    plane.admit_nodes().unwrap();
    Some((desk, plane))
}

fn card_of(desk: &Desk, card: &str) -> Card {
    let (plan, secrets) =
        (desk.on_card(card, "pikube.toml"), desk.on_card(card, "pikube-secrets.toml"));
    Card::new(&plan, &secrets).unwrap()
}

fn started(test: &str, programs: &Programs, desk: &Desk, card: &str) -> ControlPlane {
    let plane = ControlPlane::start(programs, &card_of(desk, card)).unwrap();
    // Written past the test harness's capture: how long it takes is what one wants to know.
    let seconds = plane.ready_after.as_secs_f64();
    let _ = writeln!(std::io::stderr(), "{test}: control plane ready after {seconds:.1} s");
    plane
}

/// Asks until the answer is there: controllers take a moment. The limit is for what never comes.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{what} did not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}
