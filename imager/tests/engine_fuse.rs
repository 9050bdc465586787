//! The faulty cards, as the kernel sees them: a loop device over a FUSE file that does as it is told, written by the real
//! `piflash`. Each case prints what was injected and what piflash said.
//!
//! Rung 2: needs root and FUSE; without them each test says so and passes. The same faults without root, at every byte
//! and at every operation, are in `card_faults.rs`.
#![allow(clippy::print_stdout, reason = "each case says what it did")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fuse_card.rs"]
mod fuse_card;
mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fuse_card::{Faults, FuseCard, traces};
use piflash::card::{self, Error, Refusal, Request, System, guard};
use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// Large enough for the capacity to be probed.
const CARD_BYTES: u64 = 256 * MIB;

struct Desk {
    folder: TempDir,
    image: TestImage,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        std::fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        Self { folder, image: TestImage::raspberry_pi_os_trixie(Fat::Sixteen) }
    }

    fn piflash(&self, card: &FuseCard) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
            .env("PIKUBE_STATE_DIR", self.folder.path().join("state"))
            .env("PIKUBE_KUBERNETES", KUBERNETES);
        command.args(["--agent-dir", ".", "--role", "master", "--hostname", "laperouse"]);
        command.args(["--user", "captain", "--ssh-key", "key.pub", "--timezone", "UTC"]);
        command.args(["--locale", "C.UTF-8", "--keyboard", "us", "--yes", "--image"]);
        command.arg(self.image.path()).arg(&card.node);
        command
    }

    /// First byte behind the boot partition.
    fn stream(&self) -> u64 {
        self.image.boot_offset_bytes + self.image.boot_size_bytes
    }
}

/// A card that somebody has used, or a line that says why there is none.
fn used_card(faults: Faults) -> Option<FuseCard> {
    let card = FuseCard::new(CARD_BYTES, Faults::default());
    match &card {
        Some(card) => {
            // An old table, from which a half-written card would boot.
            let mut table = [0xa5; 4096];
            table[446..510].fill(0);
            table[510..512].copy_from_slice(&[0x55, 0xaa]);
            card.fill(0, &table);
            card.set(faults);
        }
        None => println!("skipped: FUSE under a loop device needs root and /dev/fuse"),
    }
    card
}

fn boots(card: &FuseCard) -> bool {
    card.read(510, 2) == [0x55, 0xaa]
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines =
        text.lines().filter(|line| line.starts_with("error: ") || line.starts_with("help: "));
    lines.collect::<Vec<_>>().join(" | ")
}

/// Nothing of the card is attached or mounted after it is gone, and piflash mounted nothing while it was there.
fn put_away(card: FuseCard) {
    let names = card.names();
    let node = format!("{} ", card.node.display());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&node), "piflash left {node} mounted");
    drop(card);
    let left = traces(&names);
    assert!(left.is_empty(), "left over: {left:?}");
}

/// What is wrong with the card, and what piflash shall make of it.
struct Case {
    injected: &'static str,
    faults: Faults,
    /// Exit codes that are right.
    exits: &'static [i32],
    /// In its message.
    words: &'static [&'static str],
    /// Whether the start can be cleared, so that the card certainly does not boot.
    clears: bool,
}

#[test]
fn every_fault_is_found_and_named() {
    let desk = Desk::new();
    let (boot, stream) = (desk.image.boot_offset_bytes + 2 * MIB + 77, desk.stream() + 3 * MIB + 5);
    let good = Faults::default;
    let case =
        |injected, faults, exits, words| Case { injected, faults, exits, words, clears: true };
    let cases = [
        case(
            "a write error behind the boot partition",
            Faults { write_error: Some(stream), ..good() },
            &[1],
            &["writing card", "at byte"],
        ),
        case(
            "a write error in the boot partition",
            Faults { write_error: Some(boot), ..good() },
            &[1],
            &["writing card", "at byte"],
        ),
        Case {
            clears: false,
            ..case(
                "a write error in the first sectors",
                Faults { write_error: Some(100), ..good() },
                &[1],
                &["writing card", "could not be cleared"],
            )
        },
        case(
            "a read error behind the boot partition",
            Faults { read_error: Some(stream), ..good() },
            &[1],
            &["reading card", "at byte"],
        ),
        case(
            "a read error in the boot partition",
            Faults { read_error: Some(boot), ..good() },
            &[1],
            &["reading card", "at byte"],
        ),
        case(
            "wrong data in the boot partition",
            Faults { flipped: Some(boot), ..good() },
            &[4],
            &["differs", "first at byte 6291533"],
        ),
        case(
            "wrong data behind the boot partition",
            Faults { flipped: Some(stream), ..good() },
            &[4],
            &["differs", "first at byte 24117253;"],
        ),
        case(
            "wrong data in the partition table",
            Faults { flipped: Some(450), ..good() },
            &[4],
            &["differs", "first at byte 450"],
        ),
        case(
            "writes of which only 4 KiB are taken",
            Faults { short_writes: Some(4096), ..good() },
            &[1, 4],
            &["card"],
        ),
        case(
            "128 MiB that say they are 256, and wrap around",
            Faults { wraps_at: Some(128 * MIB), ..good() },
            &[4],
            &["counterfeit", "keeps only the first 134217728 bytes"],
        ),
        case(
            "100 MiB that say they are 256, and forget the rest",
            Faults { ends_at: Some(100 * MIB), ..good() },
            &[4],
            &["counterfeit", "keeps only the first 1"],
        ),
        case(
            "all writes after the 30th are dropped",
            Faults { drops_after: Some(30), ..good() },
            &[4],
            &["card"],
        ),
        Case {
            clears: false,
            ..case(
                "all writes are dropped",
                Faults { drops_after: Some(0), ..good() },
                &[4],
                &["card"],
            )
        },
        Case {
            clears: false,
            ..case(
                "pulled out after 30 writes",
                Faults { gone_after: Some(30), ..good() },
                &[1],
                &["card"],
            )
        },
        Case {
            clears: false,
            ..case(
                "pulled out at the first write",
                Faults { gone_after: Some(0), ..good() },
                &[1],
                &["card"],
            )
        },
    ];
    for Case { injected, faults, exits, words, clears } in cases {
        let Some(card) = used_card(faults) else { return };
        let output = desk.piflash(&card).output().unwrap();
        let (code, text) = (output.status.code().unwrap_or(-1), said(&output));
        println!("injected: {injected}\n    exit {code}: {text}");
        assert!(exits.contains(&code), "{injected}: exit {code}\n{text}");
        for word in words {
            assert!(text.contains(word), "{injected}: `{word}` is not in: {text}");
        }
        if clears {
            assert!(!boots(&card), "{injected}: the card boots");
        }
        put_away(card);
    }
}

#[test]
fn a_good_card_and_a_very_slow_one_are_written() {
    let desk = Desk::new();
    for (what, rate) in [("nothing", None), ("4 MB/s", Some(4_000_000))] {
        let Some(card) = used_card(Faults { rate, ..Faults::default() }) else { return };
        let begin = Instant::now();
        let output = desk.piflash(&card).output().unwrap();
        println!(
            "injected: {what}\n    exit {:?} after {:?}",
            output.status.code(),
            begin.elapsed()
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let image = std::fs::read(desk.image.path()).unwrap();
        let rest = desk.stream() as usize;
        assert!(card.read(rest as u64, image.len() - rest) == image[rest..]);
        assert!(boots(&card));
        // The markers of the capacity probe are gone.
        assert!(card.read(64 * MIB, 4096).iter().all(|byte| *byte == 0));
        put_away(card);
    }
}

#[test]
fn a_card_that_is_swapped_after_the_check_is_not_opened() {
    let Some(card) = used_card(Faults::default()) else { return };
    let Some(other) = used_card(Faults::default()) else { return };
    let target = guard::check(&System::default(), &card.node, &Request::default()).unwrap();
    let losetup = |arguments: &[&Path]| {
        assert!(Command::new("losetup").args(arguments).status().unwrap().success());
    };
    // Same node, same size, another card.
    card.detach();
    losetup(&[&card.node, &other.file()]);
    let refused = card::open(&System::default(), &target).unwrap_err();
    println!("injected: another card of the same size\n    {refused}");
    assert!(matches!(refused, Error::Refused(Refusal::Changed { .. })), "{refused}");
    assert!(boots(&card) && boots(&other), "something was written");
    card.detach();
    losetup(&[&card.node, &card.file()]);
    put_away(card);
    put_away(other);
}

#[test]
fn killed_at_any_moment_it_never_leaves_a_card_that_boots_half_written() {
    let desk = Desk::new();
    let seed = std::env::var("PIKUBE_SEED").ok().and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let mut random: u64 = seed.unwrap_or(now);
    println!("PIKUBE_SEED={random}");
    let rate = Some(40_000_000);
    let Some(card) = used_card(Faults { rate, ..Faults::default() }) else { return };
    let begin = Instant::now();
    assert!(desk.piflash(&card).output().unwrap().status.success());
    let whole = begin.elapsed();
    let right = card.read(0, 8 * MIB as usize);
    put_away(card);
    for round in 0..6 {
        let Some(card) = used_card(Faults { rate, ..Faults::default() }) else { return };
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = whole.mul_f64((random >> 33) as f64 / (1_u64 << 31) as f64);
        let mut child =
            desk.piflash(&card).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        // What the kernel had still in flight.
        std::thread::sleep(Duration::from_millis(100));
        let start = card.read(0, 4096);
        let state = match start {
            _ if start[0] == 0xa5 => "untouched",
            _ if start.iter().all(|byte| *byte == 0) => "zeros",
            _ if start[..440] == right[..440] => "complete",
            _ => "something else",
        };
        println!(
            "injected: kill -9 after {after:?}, round {round}\n    {status}; its start: {state}"
        );
        assert_ne!(state, "something else");
        assert!(state == "complete" || !status.success());
        // And it can be written again at once.
        card.set(Faults::default());
        let again = desk.piflash(&card).output().unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        put_away(card);
    }
}
