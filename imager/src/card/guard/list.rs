//! Everything that could be meant, and whether it may be written.

use super::super::contents::Contents;
use super::super::error::Error;
use super::super::sysfs::{Bus, SysBlock, disks};
use super::super::system::System;
use super::{Request, Result, Target, check_block};

/// One disk of this computer, and the guard's word on it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// `/dev/sdb`.
    pub node: String,
    /// Size, where there is a medium.
    pub size_bytes: Option<u64>,
    /// Maker and model.
    pub model: Option<String>,
    /// Serial number of the card, or of the USB reader that it is in.
    pub serial: Option<String>,
    /// How it is connected.
    pub bus: Option<Bus>,
    /// Whether it can be taken out.
    pub removable: Option<bool>,
    /// What is on it; `None` where that cannot be read.
    pub contents: Option<Contents>,
    /// The target, or why it is none. A target with doubts wants `--force`.
    pub verdict: Result<Target>,
    /// Whether a person who looks for a card has no use for it: no medium, memory, no file behind it.
    pub is_noise: bool,
}

/// Every disk that the kernel knows, in its order.
pub fn list(system: &System) -> Vec<Listed> {
    disks(system).into_iter().filter_map(|disk| listed(system, &disk)).collect()
}

impl Listed {
    /// Whether it can be written as it is, without `--force`.
    pub fn is_writable(&self) -> bool {
        matches!(&self.verdict, Ok(target) if target.doubts.is_empty())
    }

    /// `can be written`, or why not, without the path that stands before it.
    pub fn verdict(&self) -> String {
        match &self.verdict {
            Ok(Target { doubts, .. }) => match doubts.first() {
                None => "can be written".into(),
                Some(doubt) => format!("{doubt}: only with --force"),
            },
            Err(Error::Refused(refusal)) => {
                let text = refusal.to_string();
                text.split_once("`: ").map_or(text.clone(), |(_, reason)| reason.to_owned())
            }
            Err(other) => other.to_string(),
        }
    }
}

fn listed(system: &System, disk: &SysBlock) -> Option<Listed> {
    let number = disk.number()?;
    let node = disk.node();
    // As this system has it: in a test `/dev` is elsewhere.
    let path = system.dev.join(node.strip_prefix("/dev/").unwrap_or(&node));
    let size_bytes = disk.size_bytes().filter(|size| *size > 0);
    let bus = disk.bus();
    let name = node.trim_start_matches("/dev/");
    let is_memory = ["ram", "zram"].iter().any(|prefix| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    });
    let verdict = check_block(system, node.as_ref(), path.clone(), number, &Request::default());
    let contents = match &verdict {
        Ok(target) => target.contents.clone(),
        Err(_) => size_bytes.and_then(|size| Contents::look(&path, size)),
    };
    let maker = [disk.vendor(), disk.model()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(Listed {
        size_bytes,
        model: (!maker.is_empty()).then_some(maker),
        serial: disk.serial(),
        bus,
        removable: disk.removable(),
        contents,
        verdict,
        is_noise: size_bytes.is_none() || is_memory,
        node,
    })
}
