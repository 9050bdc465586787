//! What the agent writes for a Pi's network, read by the programs that read it on a Pi. They are unpacked from Debian's
//! packages (`tests/setup/readers.sh`), never installed.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod addresses;
mod daemons;
mod networks;
mod programs;
mod supplicant;

use pikube_agent::render::network::{WIRELESS, Wanted};
use pikube_config::{FirstbootPlan, Secrets};

/// A plan with these tables besides the node's.
fn plan(tables: &str) -> FirstbootPlan {
    let text = format!("schema = 1\n[node]\nhostname = \"laperouse\"\nrole = \"worker\"\n{tables}");
    FirstbootPlan::from_toml(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn wanted<'a>(plan: &'a FirstbootPlan, secrets: Option<&'a Secrets>) -> Wanted<'a> {
    Wanted::new(plan, secrets, WIRELESS)
}
