//! One story per subcommand. None prints, but for the log of `run`: what is to be shown is handed to `main`.

pub(crate) mod certificates;
mod plan;
mod render;
pub(crate) mod reset;
pub(crate) mod run;
mod status;

use std::path::Path;

use pikube_config::{FirstbootPlan, Problems};

use crate::cli::{Cli, Command};
use crate::host::{Look as _, Real};
use crate::step::Stop;
use crate::steps::cluster;

/// How a command ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// 0 done, 1 failed, 2 usage (or, of `status`, running).
    pub code: u8,
}

impl Ending {
    fn said(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }

    fn failed(what: &str, help: &str) -> Self {
        let stderr = format!("error: {what}\nhelp: {help}\n");
        Self { stderr, code: 1, ..Self::default() }
    }

    /// Of an act that a person has started.
    fn of(result: Result<String, Stop>) -> Self {
        match result {
            Ok(stdout) => Self::said(stdout),
            Err(Stop::Person { what, help }) => Self::failed(&what, &help),
            Err(Stop::Again(what)) => Self::failed(&what, "run it again"),
        }
    }

    /// Refuses what only root may do, and only on the running system.
    fn unless_root(host: &Real, doing: &str) -> Result<(), Self> {
        if host.live() && rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let what = format!("{doing} as an ordinary user");
        Err(Self::failed(&what, "run it as root: `sudo` before it"))
    }
}

/// Runs what was asked for.
pub fn execute(cli: Cli) -> Ending {
    let host = Real::new(&cli.root);
    match cli.command {
        Command::Run => run::run(&host),
        Command::Plan { plan } => plan::plan(&host, plan.as_deref()),
        Command::Renew => certificates::act(&host, cluster::certificates::renew),
        Command::Approve => certificates::act(&host, cluster::certificates::approve),
        Command::Reset { yes } => reset::reset(&host, yes),
        Command::Render { plan, to } => render::render(&plan, &to),
        Command::Status { wait, format } => status::status(&host, wait, format),
    }
}

/// Reads a plan named on the command line: a path of this machine, whatever the root is.
fn plan_file(path: &Path) -> Result<FirstbootPlan, Ending> {
    let shown = path.display().to_string();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = match Real::new(Path::new("/")).text(&whole.to_string_lossy()) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Err(Ending::failed(
                &format!("reading the plan `{shown}`: it is not there"),
                "name a firstboot plan, as on the card: `pikube.toml`",
            ));
        }
        Err(error) => {
            return Err(Ending::failed(&error.to_string(), "name a file that you may read"));
        }
    };
    FirstbootPlan::from_toml(&text).map_err(|problems| invalid(&shown, &problems))
}

fn invalid(path: &str, problems: &Problems) -> Ending {
    let count = problems.0.len();
    let plural = if count == 1 { "" } else { "s" };
    Ending::failed(
        &format!("reading the plan `{path}`: {count} problem{plural}\n{problems}"),
        "correct the plan; `piflash configure` writes a new one to the card",
    )
}
