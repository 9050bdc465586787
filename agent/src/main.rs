//! `pikube-agent`: parse, run, print, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use pikube_agent::{cli::Cli, commands};

fn main() -> ExitCode {
    let ending = commands::execute(Cli::parse());
    // A reader that has gone away (`| head`) is no error.
    let _ = std::io::stdout().write_all(ending.stdout.as_bytes());
    let _ = std::io::stderr().write_all(ending.stderr.as_bytes());
    ExitCode::from(ending.code)
}
