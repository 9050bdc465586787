//! wpa_supplicant reads a file and says at its highest level of debugging what it has understood.

use std::path::Path;

use pikube_tests::needs::Missing;

use super::programs::{Readers, run, stdout};

/// One network as it was understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Understood {
    pub ssid: Vec<u8>,
    /// The pass phrase, where there was one.
    pub phrase: Option<Vec<u8>>,
    /// The key of WPA2, given or made from the pass phrase.
    pub key: Option<Vec<u8>>,
    /// The password of WPA3.
    pub sae: Option<Vec<u8>>,
    pub hidden: bool,
    pub priority: u32,
}

/// What it reads; the interface does not exist, so it ends after that.
pub fn read(readers: &Readers, file: &Path) -> Result<(Vec<Understood>, String), Missing> {
    let mut command = readers.program(&["sbin/wpa_supplicant", "usr/sbin/wpa_supplicant"])?;
    command.arg("-c").arg(file).args(["-i", "pikube-test-none", "-D", "none", "-dd", "-K"]);
    let said = stdout(&run(command, ""));
    Ok((networks(&said), said))
}

fn networks(said: &str) -> Vec<Understood> {
    let mut networks: Vec<Understood> = Vec::new();
    let mut lines = said.lines().peekable();
    while let Some(line) = lines.next() {
        if line.contains("start of a new network block") {
            networks.push(Understood::default());
        }
        let Some(network) = networks.last_mut() else { continue };
        let mut dump = |line: &str| {
            let mut bytes = Vec::new();
            let length = line.split("(len=").nth(1).and_then(|rest| rest.split(')').next());
            let length: usize = length.unwrap().parse().unwrap();
            while bytes.len() < length {
                // Sixteen bytes to a line, five blanks before them, the text behind them.
                let row = lines.next().unwrap();
                bytes.extend(hex(&row[5..row.len().min(5 + 48)], (length - bytes.len()).min(16)));
            }
            bytes
        };
        if line.starts_with("ssid - hexdump_ascii") {
            network.ssid = dump(line);
        } else if line.starts_with("PSK (ASCII passphrase) - hexdump_ascii") {
            network.phrase = Some(dump(line));
        } else if line.starts_with("sae_password - hexdump_ascii") {
            network.sae = Some(dump(line));
        } else if line.starts_with("PSK (from passphrase) - ") || line.starts_with("PSK - hexdump")
        {
            network.key = Some(hex(line.split("): ").nth(1).unwrap(), 32));
        } else if line.starts_with("scan_ssid=1") {
            network.hidden = true;
        } else if let Some(priority) = line.strip_prefix("priority=") {
            network.priority = priority.split(' ').next().unwrap().parse().unwrap();
        }
    }
    networks
}

pub fn hex(text: &str, count: usize) -> Vec<u8> {
    text.split_whitespace()
        .take(count)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("{text:?}")))
        .collect()
}
