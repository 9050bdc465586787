//! One program: seconds, CPU seconds and peak memory of it and of what it starts.
//!
//! The system counts these for children that have ended, together. So each program is run by a process of its own, which
//! has no other children: this program, started as `bench --measure COMMAND...`.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::{Value, json};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Of the largest process among them.
    pub peak_bytes: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.peak_bytes as f64 / f64::from(1 << 20);
        write!(f, "{:7.2} s {:7.2} s CPU {mib:6.0} MiB", self.seconds, self.cpu_seconds)
    }
}

/// The process in between: runs the command and prints what it took as JSON.
pub fn child(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("--measure wants a command")?;
    let begin = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    let seconds = begin.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time() + usage.system_time();
    let cpu_seconds = cpu.num_microseconds() as f64 / 1e6;
    println!("{}", json!([seconds, cpu_seconds, usage.max_rss() * 1024]));
    Ok(())
}

/// Runs a command in such a process.
pub fn run(command: &[String]) -> Result<Measured> {
    let mut measuring = Command::new(std::env::current_exe()?);
    let output = measuring.arg("--measure").args(command).env("RUST_BACKTRACE", "0").output()?;
    if !output.status.success() {
        bail!("{}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let values: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    match values[..] {
        [ref seconds, ref cpu_seconds, ref peak] => Ok(Measured {
            seconds: seconds.as_f64().context("seconds")?,
            cpu_seconds: cpu_seconds.as_f64().context("CPU seconds")?,
            peak_bytes: peak.as_u64().context("peak")?,
        }),
        _ => bail!("three numbers expected"),
    }
}
