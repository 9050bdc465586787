//! `piflash`: parse, run, exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use piflash::cli::Args;
use piflash::commands::write;
use piflash::failure::{Exit, Failure};
use piflash::progress::Console;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new(args.quiet);
    let exit = interruptible()
        .and_then(|interrupted| write::run(&args, &console, &interrupted))
        .unwrap_or_else(|failure| {
            console.fail(&failure);
            failure.exit
        });
    ExitCode::from(exit as u8)
}

/// A flag that the first signal sets; the second ends the program at once, which leaves the card unbootable as well.
fn interruptible() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, Exit::Failed as i32, Arc::clone(&interrupted))
            .and_then(|_| flag::register(signal, Arc::clone(&interrupted)))
            .map_err(|error| Failure::new(Exit::Failed, format!("waiting for signals: {error}")))?;
    }
    Ok(interrupted)
}
