//! The power of a control plane goes: at the ends of its agent's steps, and in the middle of the long ones.
//! `PIKUBE_POWER_CUTS=all` cuts at the end of every step and at twenty moments (half an hour); without it a few are
//! tried. `PIKUBE_TEST_SEED` repeats the moments.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_agent::plan::steps;
use pikube_config::FirstbootPlan;
use pikube_tests::cluster::Member;
use pikube_tests::dice::{self, Dice};
use pikube_tests::machine::Ending;

use super::LIMIT;

/// Between two looks at the console.
const PAUSE: Duration = Duration::from_millis(50);
/// A system that has been up for so long without a word of the agent's has none.
const SILENCE: Duration = Duration::from_secs(60);
/// Steps that take long, and a time within which each of them does, in seconds, on an idle computer.
const LONG: [(&str, f64); 4] =
    [("packages", 60.0), ("runtime", 10.0), ("images", 10.0), ("init", 15.0)];
/// Moments in the middle of the long steps, if all are wanted: for each.
const MANY: u32 = 5;

/// When the power goes.
enum Moment {
    /// So long after the agent has begun a step.
    Middle(Duration),
    /// When the agent has said that a step is done.
    End,
}

/// Boots a node that has never been on and cuts its power, again and again, until there is nothing left to cut.
///
/// # Errors
/// When a boot hangs or crashes; with the seed.
pub fn cut(member: &Member) -> Result<()> {
    let all = std::env::var("PIKUBE_POWER_CUTS").is_ok_and(|wanted| wanted == "all");
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, 1);
    let plan = FirstbootPlan::from_toml(&member.node.card().boot_text("pikube.toml")?)?;
    let steps = steps(&plan);
    // The last one, the marker, ends the run: it has no end of its own.
    for (index, step) in steps.iter().enumerate().take(steps.len() - 1) {
        let mut moments = Vec::new();
        let long = LONG.iter().find(|(id, _)| *id == step.id);
        let middles = if all { MANY } else { u32::from(["packages", "init"].contains(&step.id)) };
        for (_, seconds) in long.into_iter().cycle().take(middles as usize) {
            moments.push(Moment::Middle(Duration::from_secs_f64(dice.fraction() * seconds)));
        }
        if all || step.id == "init" {
            moments.push(Moment::End);
        }
        // What tells that an earlier boot has been through with this step already.
        let later: Vec<&str> = steps[index + 1..].iter().map(|step| step.title).collect();
        for moment in moments {
            let (line, after, when) = match moment {
                Moment::Middle(after) => (format!("{}: ", step.title), after, "after the start of"),
                Moment::End => {
                    (format!("{}: done in", step.title), Duration::ZERO, "at the end of")
                }
            };
            let story = format!(
                "PIKUBE_TEST_SEED={seed}: cut {:.1} s {when} `{}`",
                after.as_secs_f64(),
                step.id
            );
            if cut_at(member, &line, &later, after).context(story)? == Left::Nothing {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What a cut leaves to be done.
#[derive(PartialEq, Eq)]
enum Left {
    Something,
    /// The agent was through: it does not start again.
    Nothing,
}

/// Boots until the agent says `line`, or something of a `later` step; waits, as long as none of those has begun; and cuts
/// the power.
fn cut_at(member: &Member, line: &str, later: &[&str], after: Duration) -> Result<Left> {
    loop {
        let mut running = member.boot()?;
        let (end, mut silent) = (Instant::now() + LIMIT, None);
        // the operating system's own first boots end in a reboot
        while !running.ends_within(PAUSE)? {
            let console = running.console().text();
            let goes_on = |console: &str| {
                later.iter().any(|title| console.contains(&format!("{title}: ")))
                    || console.contains("is ready")
            };
            if console.contains(line) || goes_on(&console) {
                let middle = Instant::now() + after;
                while Instant::now() < middle && !goes_on(&running.console().text()) {
                    std::thread::sleep(PAUSE);
                }
                let is_through = running.console().text().contains("is ready");
                running.power_cut();
                return Ok(if is_through { Left::Nothing } else { Left::Something });
            }
            if console.contains("Multi-User System")
                && !console.contains("pikube-agent[")
                && silent.get_or_insert_with(Instant::now).elapsed() > SILENCE
            {
                running.power_cut();
                return Ok(Left::Nothing);
            }
            ensure!(Instant::now() < end, "no {line:?} within {} s", LIMIT.as_secs());
        }
        let ending = running.wait_for_end(LIMIT)?;
        ensure!(ending == Ending::Reboot, "{ending:?} before {line:?}");
    }
}
