//! `piflash`: parse, run, exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::CommandFactory as _;
use nix::sys::resource::{Resource, setrlimit};
use piflash::cli::{Cli, Command, OutputArgs};
use piflash::commands::{
    cluster, configure, devices, diagnose, images, inventory, kubeconfig, manual, token, verify,
    write,
};
use piflash::failure::{Exit, Failure};
use piflash::progress::Console;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

fn main() -> ExitCode {
    // A crash must not leave keys in a file. Where even that is forbidden, there are no core dumps either.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(misread(&error)),
    };
    let console = Console::new(cli.output);
    let exit = run(&cli, &console).unwrap_or_else(|failure| {
        console.fail(&failure);
        failure.exit
    });
    console.end(exit);
    ExitCode::from(exit as u8)
}

/// What clap has to say, help and version among it; a program that wants objects gets one for an error as well.
fn misread(error: &clap::Error) -> u8 {
    // Like clap itself: where nobody reads it, nothing is lost.
    let _ = error.print();
    let exit = error.exit_code();
    if exit != 0 && std::env::args_os().any(|arg| arg == "--json") {
        let console = Console::new(OutputArgs { json: true, ..OutputArgs::default() });
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        console.tell(&Failure::new(Exit::Usage, message).help("`piflash --help`"));
        console.end(Exit::Usage);
    }
    u8::try_from(exit).unwrap_or(Exit::Usage as u8)
}

fn run(cli: &Cli, console: &Console) -> Result<Exit, Failure> {
    let interrupted = interruptible()?;
    match (&cli.command, &cli.write) {
        (Some(Command::Devices), _) => devices::run(console),
        (Some(Command::Images(args)), _) => images::run(args, console, &interrupted),
        (Some(Command::Verify(args)), _) => verify::run(args, console, &interrupted),
        (Some(Command::Diagnose(args)), _) => diagnose::run(args, console),
        (Some(Command::Configure(args)), _) => configure::run(args, console, &interrupted),
        (Some(Command::Inventory(args)), _) => inventory::run(args, console),
        (Some(Command::Kubeconfig(args)), _) => kubeconfig::run(args, console),
        (Some(Command::Cluster(args)), _) => cluster::run(args, console, &interrupted),
        (Some(Command::Token(args)), _) => token::run(args, console),
        (Some(Command::Completions(args)), _) => manual::completions(args, Cli::command(), console),
        (Some(Command::Man), _) => manual::page(Cli::command(), console),
        (None, Some(args)) => write::run(args, console, &interrupted),
        // Clap has refused it: there is no card.
        (None, None) => Err(Failure::new(Exit::Usage, "there is no card to write")),
    }
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
