//! `render`: every file of a plan, under a folder of one's own.

use std::fmt::Write as _;
use std::path::Path;

use super::{Ending, plan_file};
use crate::host::{Access, Error, Host, Real};
use crate::render::{Content, File, files};

/// Renders all, then writes all, owned by whoever asks.
pub fn render(plan: &Path, to: &Path) -> Ending {
    let plan = match plan_file(plan) {
        Ok(plan) => plan,
        Err(ending) => return ending,
    };
    let host = Real::new(to);
    let mut listing = String::new();
    for file in &files(&plan) {
        if let Err(error) = place(file, &host) {
            let what = format!("{error} (under `{}`)", to.display());
            return Ending::failed(&what, "name a folder of your own with `--to DIR`");
        }
        let mode = match &file.content {
            Content::Text(_) => format!("{:04o}", file.mode),
            Content::Link(_) => "link".to_owned(),
        };
        let when = file.when.map_or_else(String::new, |when| format!("  ({when})"));
        // A String takes every write.
        let _ = writeln!(listing, "{mode} {}{when}", file.path);
    }
    Ending::said(listing)
}

fn place(file: &File, host: &dyn Host) -> Result<(), Error> {
    let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match &file.content {
        Content::Text(text) => {
            host.write(&file.path, text.as_bytes(), Access { mode: file.mode, owner })
        }
        Content::Link(target) => host.link(target, &file.path),
    }
}
