//! `status`: how far the node is, from what the last run wrote.

use std::time::Duration;

use pikube_config::{Report, RunState, SCHEMA, names};

use super::Ending;
use crate::cli::Format;
use crate::host::{Error, Host, Look};
use crate::report;

/// Between two looks of `--wait`.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the node stands.
enum Standing {
    /// No run has happened yet.
    Unbegun,
    /// A run has written this.
    Told(Box<Report>),
    /// The marker is there; its report, if that can be read.
    Done(Option<Box<Report>>),
}

/// Reads, and waits if asked.
pub fn status(host: &dyn Host, wait: bool, format: Format) -> Ending {
    loop {
        let standing = match look(host) {
            Ok(standing) => standing,
            Err(error) => return Ending::failed(&error.to_string(), "run it as root"),
        };
        let code = code(&standing);
        if code != 2 || !wait {
            let stdout = match format {
                Format::Text => text(&standing),
                Format::Json => json(&standing),
            };
            return Ending { stdout, stderr: String::new(), code };
        }
        host.sleep(PAUSE);
    }
}

fn look(host: &dyn Look) -> Result<Standing, Error> {
    let done = host.exists(&format!("{}/{}", names::STATE_DIR, names::DONE))?;
    // A report of another version, or cut off by a fault of the card, tells nothing.
    let report = host
        .read(report::PATH)?
        .and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok())
        .map(Box::new);
    Ok(match (done, report) {
        (true, report) => Standing::Done(report),
        (false, None) => Standing::Unbegun,
        (false, Some(mut report)) => {
            if report.state == RunState::Done {
                // Between the report and the marker; a power cut there means one more run.
                report.state = RunState::Running;
            }
            Standing::Told(report)
        }
    })
}

fn code(standing: &Standing) -> u8 {
    match standing {
        Standing::Done(_) => 0,
        Standing::Told(report) if report.state == RunState::Failed => 1,
        Standing::Told(_) | Standing::Unbegun => 2,
    }
}

fn text(standing: &Standing) -> String {
    match standing {
        Standing::Unbegun => "not begun: no run of pikube-agent has happened yet\n".to_owned(),
        Standing::Done(None) => "done\n".to_owned(),
        Standing::Told(report) | Standing::Done(Some(report)) => report.to_text(),
    }
}

fn json(standing: &Standing) -> String {
    let line = match standing {
        Standing::Unbegun => serde_json::json!({ "schema": SCHEMA, "state": "not-begun" }),
        Standing::Done(None) => serde_json::json!({ "schema": SCHEMA, "state": "done" }),
        Standing::Told(report) | Standing::Done(Some(report)) => {
            serde_json::to_value(report).unwrap_or_default()
        }
    };
    format!("{line}\n")
}
