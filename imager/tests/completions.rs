//! Help, completions and manual page say the same, because they are made from the same.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use piflash::cli::Cli;

fn piflash(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_piflash")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Long options of every command.
fn options() -> Vec<(Option<String>, String)> {
    let command = Cli::command();
    let of = |name: Option<&str>, command: &clap::Command| {
        let longs = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .map(|long| format!("--{long}"));
        longs.map(|long| (name.map(str::to_owned), long)).collect::<Vec<_>>()
    };
    let mut options = of(None, &command);
    options.extend(command.get_subcommands().flat_map(|sub| of(Some(sub.get_name()), sub)));
    assert!(options.len() > 25, "{options:?}");
    options
}

#[test]
fn completions_and_manual_know_every_option() {
    let manual = piflash(&["man"]).replace("\\-", "-");
    let shells: Vec<String> =
        ["bash", "zsh", "fish"].map(|shell| piflash(&["completions", shell])).into();
    for (command, long) in options() {
        let bare = long.trim_start_matches('-');
        for text in &shells {
            assert!(text.contains(bare), "{command:?} {long} in {}", &text[..20]);
        }
        assert!(manual.contains(&long), "{command:?} {long}");
    }
    for sub in Cli::command().get_subcommands() {
        assert!(manual.contains(sub.get_name()), "{}", sub.get_name());
    }
}

#[test]
fn shells_and_man_accept_them() {
    let fed = |program: &str, arguments: &[&str], text: &str| {
        use std::io::Write as _;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        // Not every computer has them.
        let Ok(mut child) = child else { return };
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{program}: {stderr}");
    };
    fed("bash", &["-n"], &piflash(&["completions", "bash"]));
    fed("zsh", &["-n"], &piflash(&["completions", "zsh"]));
    fed("groff", &["-man", "-ww", "-Tutf8"], &piflash(&["man"]));
}

#[test]
fn help_has_its_headings_and_at_most_100_columns() {
    let help = piflash(&["--help"]);
    let places: Vec<Option<usize>> =
        ["Commands:", "Arguments:", "Image:", "Node:", "Login:", "Card:", "Output:"]
            .iter()
            .map(|heading| help.find(&format!("\n{heading}\n")))
            .collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{help}");
    for text in [help, piflash(&["-h"]), piflash(&["verify", "--help"])] {
        let wide = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None);
    }
}
