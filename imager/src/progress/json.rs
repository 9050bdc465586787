//! What `--json` prints: one object per line on standard output, a contract with the programs that read it.
//!
//! Every object has `v`, the version of this contract, and `event`. Version 1 grows by new events and new keys, which
//! a reader skips; nothing is renamed or taken away in it. Keys whose value is unknown are `null`. Sizes are bytes.
//!
//! | event | when | keys |
//! |---|---|---|
//! | `image` | the image has been looked at | `path`, `os`, `size_bytes` |
//! | `target` | per card, before anything is written | `card`, `node`, `role`, `kind` (`block`, `file`, `new_file`), `model`, `serial`, `size_bytes`, `contents` |
//! | `dry_run` | per card, with `--dry-run` | `card`, `node`, `text` |
//! | `phase` | per card | `card`, `phase` (`erase`, `write`, `boot_partition`, `verify`, `finish`) |
//! | `progress` | per card, 5 times a second at most | `card`, `phase`, `done_bytes`, `total_bytes` |
//! | `result` | per card, the last word on it | `card`, `node`, `ok`, `exit`; where it is `ok`: `receipt`, or of `configure` `changed` (names of files); else `class`, `message`, `help` |
//! | `operating_system` | per entry of `piflash images` | `alias`, `name`, `released`, `download_bytes`, `default`, `why_not`, `no_kubernetes`, … |
//! | `device` | per disk of `piflash devices` | `path`, `size_bytes`, `model`, `serial`, `bus`, `removable`, `contents`, `writable`, `verdict` |
//! | `difference` | per partition that differs, of `piflash verify` | `card`, `partition` (`null`: none), `bytes`, `first_byte`, `expected` |
//! | `diagnosis` | `piflash diagnose` | `card`, `booted`, `summary`, `report` (`pikube-report.json` as it is), `launch_log` |
//! | `node` | per node of `piflash inventory` | `cluster`, `node`, `role`, `addresses`, `user`, `image`, `image_sha256`, `card_serial`, `written_at` |
//! | `kubeconfig` | `piflash kubeconfig` | `context`, `server`, `valid_until`; `kubeconfig` (the text), or with `--merge` `path` and `backup` |
//! | `cluster` | per cluster of `piflash cluster list` | `cluster`, `created_at`, `endpoint`, `nodes` (their number), `token_expires` |
//! | `token` | per token of `piflash token list`, and the new one of `create` | `cluster`, `id`, `expires` (`null`: never), `description`, `joins`, `own` (cards get it), `token` (`null` without `--show-secrets`) |
//! | `left` | `--all`, where nodes have no card yet | `cluster`, `nodes` (names) |
//! | `warning` | | `message` |
//! | `error` | what stopped everything | `exit`, `class`, `message`, `help` |
//! | `end` | always last | `exit` |
//!
//! `class` goes with `exit`: `failed` 1, `usage` 2, `refused` 3, `mismatch` 4. `exit` of `end` is the exit code, that of
//! the worst card. A receipt has `user`, `ssh_keys` (fingerprint, comment, type of each),
//! `model`, `serial`, `image`, `image_sha256` (of the file as it is distributed), `kubernetes`, `in_support`,
//! `bytes`, `seconds`, `write_seconds`, `verify_seconds`,
//! `megabytes_per_second`, `verified`, `ejected`, `kubernetes` (version; absent where none), `in_support`.

use pikube_config::Role;
use serde::Serialize;

use crate::card::Phase;
use crate::catalogue::Entry;
use crate::failure::Failure;

/// Version of the contract.
const VERSION: u8 = 1;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    message: &'a Message<'a>,
}

/// See the table above.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub enum Message<'a> {
    Image {
        path: String,
        os: &'a str,
        size_bytes: Option<u64>,
    },
    Target {
        card: String,
        node: &'a str,
        role: Role,
        kind: &'a str,
        model: Option<&'a str>,
        serial: Option<&'a str>,
        size_bytes: Option<u64>,
        contents: Option<String>,
    },
    DryRun {
        card: String,
        node: &'a str,
        text: &'a str,
    },
    Phase {
        card: &'a str,
        phase: &'a str,
    },
    Progress {
        card: &'a str,
        phase: &'a str,
        done_bytes: u64,
        total_bytes: Option<u64>,
    },
    Result {
        card: String,
        node: &'a str,
        ok: bool,
        exit: u8,
        #[serde(flatten)]
        outcome: Outcome<'a>,
    },
    OperatingSystem(&'a Entry),
    Device(Device<'a>),
    Difference {
        card: String,
        partition: Option<u32>,
        bytes: u64,
        first_byte: u64,
        expected: bool,
    },
    Diagnosis {
        card: String,
        booted: bool,
        summary: &'a str,
        report: Option<serde_json::Value>,
        launch_log: Option<&'a str>,
    },
    Node(Node<'a>),
    Kubeconfig(Kubeconfig<'a>),
    Cluster {
        cluster: &'a str,
        created_at: String,
        endpoint: String,
        nodes: usize,
        token_expires: String,
    },
    Token(Token<'a>),
    Left {
        cluster: &'a str,
        nodes: &'a [String],
    },
    Warning {
        message: &'a str,
    },
    Error {
        exit: u8,
        #[serde(flatten)]
        trouble: Trouble<'a>,
    },
    End {
        exit: u8,
    },
}

/// How a card ended.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub enum Outcome<'a> {
    Done {
        receipt: &'a Receipt,
    },
    Configured {
        changed: &'a [&'a str],
    },
    Trouble(Trouble<'a>),
    /// Of a command that leaves no receipt.
    Plain {},
}

/// What went wrong.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Trouble<'a> {
    pub class: &'a str,
    pub message: &'a str,
    pub help: Option<&'a str>,
}

impl<'a> From<&'a Failure> for Trouble<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            class: failure.exit.word(),
            message: &failure.message,
            help: failure.help.as_deref(),
        }
    }
}

/// One disk.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Device<'a> {
    pub path: &'a str,
    pub size_bytes: Option<u64>,
    pub model: Option<&'a str>,
    pub serial: Option<&'a str>,
    pub bus: Option<String>,
    pub removable: Option<bool>,
    pub contents: Option<String>,
    pub writable: bool,
    pub verdict: &'a str,
}

/// One node of the inventory.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Node<'a> {
    pub cluster: &'a str,
    pub node: &'a str,
    pub role: Role,
    pub addresses: &'a [std::net::IpAddr],
    pub user: Option<&'a str>,
    pub image: Option<&'a str>,
    pub image_sha256: Option<&'a str>,
    pub card_serial: Option<&'a str>,
    pub written_at: Option<String>,
}

/// One bootstrap token. It has no `Debug` of its content.
#[derive(Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Token<'a> {
    pub cluster: &'a str,
    pub id: &'a str,
    pub expires: Option<String>,
    pub description: Option<&'a str>,
    pub joins: bool,
    pub own: bool,
    pub token: Option<&'a str>,
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Token").field(&self.id).finish()
    }
}

/// A kubeconfig, or where it went. It has no `Debug` of its content.
#[derive(Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Kubeconfig<'a> {
    pub context: &'a str,
    pub server: &'a str,
    pub valid_until: &'a str,
    pub kubeconfig: Option<&'a str>,
    pub path: Option<&'a str>,
    pub backup: Option<&'a str>,
}

impl std::fmt::Debug for Kubeconfig<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kubeconfig").field(&self.context).finish()
    }
}

/// What was done to a card, for the record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Receipt {
    /// Login user; `None` where the image's users are left alone.
    pub user: Option<String>,
    /// The keys that open it: fingerprint, comment and type of each.
    pub ssh_keys: Vec<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub image: String,
    pub image_sha256: Option<String>,
    pub bytes: u64,
    pub seconds: f64,
    pub write_seconds: f64,
    pub verify_seconds: Option<f64>,
    pub megabytes_per_second: f64,
    pub verified: bool,
    pub ejected: bool,
    /// Version that the node gets; `None` where it is only prepared.
    pub kubernetes: Option<String>,
    /// Whether that version still gets fixes.
    pub in_support: Option<bool>,
}

/// One object, without the end of the line.
pub fn line(message: &Message) -> String {
    // Text keys and plain values: there is nothing that JSON could not hold.
    serde_json::to_string(&Line { v: VERSION, message }).unwrap_or_default()
}

/// Name of a phase in the contract.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Erase => "erase",
        Phase::Write => "write",
        Phase::BootPartition => "boot_partition",
        Phase::Verify => "verify",
        Phase::Finish => "finish",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_line_is_one_object_with_its_version() {
        let failure = Failure::new(Exit::Refused, "writing `a\nb`").help("do not");
        let trouble = Trouble::from(&failure);
        assert_eq!(
            line(&Message::Error { exit: 3, trouble }),
            r#"{"v":1,"event":"error","exit":3,"class":"refused","message":"writing `a\nb`","help":"do not"}"#
        );
        let outcome = Outcome::Trouble(Trouble::from(&failure));
        let card = "/dev/sdb".to_owned();
        let text = line(&Message::Result { card, node: "pi01", ok: false, exit: 3, outcome });
        assert!(text.starts_with(
            r#"{"v":1,"event":"result","card":"/dev/sdb","node":"pi01","ok":false,"exit":3,"class":"refused","#
        ));
    }
}
