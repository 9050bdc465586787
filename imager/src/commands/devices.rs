//! `piflash devices`: what could be written here, and why the rest could not.

use crate::card::System;
use crate::card::guard::{self, Listed};
use crate::failure::{Exit, Failure};
use crate::image::ByteSize;
use crate::progress::Console;
use crate::progress::json::{Device, Message};

/// Lists the disks, those that can be written first.
///
/// # Errors
/// None: a computer that shows no disks has an empty list.
pub fn run(console: &Console) -> Result<Exit, Failure> {
    let mut listed = guard::list(&System::default());
    // Without `--verbose`, only what a person could mean.
    listed.retain(|device| console.is_verbose() || !device.is_noise);
    listed.sort_by_key(|device| !device.is_writable());
    for device in &listed {
        console.emit(&Message::Device(object(device, &device.verdict())));
    }
    if listed.is_empty() {
        console.note("there is no disk here; is the card in its reader?");
    } else {
        console.result(&table(&listed));
    }
    Ok(Exit::Done)
}

fn object<'a>(device: &'a Listed, verdict: &'a str) -> Device<'a> {
    Device {
        path: &device.node,
        size_bytes: device.size_bytes,
        model: device.model.as_deref(),
        serial: device.serial.as_deref(),
        bus: device.bus.map(|bus| bus.to_string()),
        removable: device.removable,
        contents: device.contents.as_ref().map(ToString::to_string),
        writable: device.is_writable(),
        verdict,
    }
}

/// One line each, in columns; what is on a card and the verdict have no end that could be lined up.
fn table(listed: &[Listed]) -> String {
    let rows: Vec<[String; 6]> = listed.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>() + &row[5]
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(device: &Listed) -> [String; 6] {
    let or_dash = |fact: Option<String>| fact.unwrap_or_else(|| "-".into());
    let removable = match device.removable {
        Some(true) => "removable",
        Some(false) => "fixed",
        None => "-",
    };
    let contents = device.contents.as_ref().map(|contents| format!("; {contents}"));
    [
        device.node.clone(),
        or_dash(device.size_bytes.map(|size| ByteSize(size).short())),
        or_dash(device.model.clone())
            + &device.serial.as_ref().map_or(String::new(), |s| format!(" {s}")),
        or_dash(device.bus.map(|bus| bus.to_string())),
        removable.into(),
        device.verdict() + &contents.unwrap_or_default(),
    ]
}
