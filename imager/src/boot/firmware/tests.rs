//! Which command lines may apply, from the text of `config.txt` and the names of what is there.

use std::convert::Infallible;

use super::*;

/// What may apply where these files are there.
fn lines(config: &str, files: &[(&str, &str)]) -> CommandLines {
    let read = |name: &str| -> Result<Option<String>, Infallible> {
        let found = files.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        Ok(found.map(|(_, text)| (*text).to_owned()))
    };
    let config = Config::new(config, read).unwrap();
    config.command_lines(|path| read(path).map(|found| found.is_some())).unwrap()
}

fn paths(config: &str, files: &[&str]) -> Vec<String> {
    let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "")).collect();
    lines(config, &files).paths
}

#[test]
fn the_list_of_boards_is_sound() {
    let boards: Boards = toml::from_str(BOARDS).unwrap();
    let mut numbers: Vec<u32> = boards.board.iter().map(|board| board.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), boards.board.len());
    assert!(boards.board.iter().all(|board| !board.sections.is_empty()));
}

#[test]
fn a_section_for_a_board_counts_for_that_board() {
    const BOTH: [&str; 2] = ["cmdline.txt", "four.txt"];
    for (config, expected) in [
        ("", vec!["cmdline.txt"]),
        ("cmdline=four.txt\n", vec!["four.txt"]),
        ("[pi4]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[pi400]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[board-type=0x11]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        // A later line wins, whatever section it is in.
        ("[pi4]\ncmdline=four.txt\n[all]\ncmdline=cmdline.txt\n", vec!["cmdline.txt"]),
        ("cmdline=four.txt\n[all]\ncmdline=cmdline.txt\n", vec!["cmdline.txt"]),
        // Boards that do not run the agent.
        ("[pi1]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[board-type=0x09]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[none]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[none]\n[pi4]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[tryboot]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[tryboot]\n[pi4]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        // One replaces the other, where both are of one kind.
        ("[pi1]\n[pi4]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[pi4]\n[pi1]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        // What only the board knows.
        ("[0x12345678]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[gpio4=1]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[EDID=VSC-TD2220]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[EDID=VSC-TD2220]\n[pi1]\ncmdline=four.txt\n", vec!["cmdline.txt"]),
        ("[partition=2]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
        ("[HDMI:1]\ncmdline=four.txt\n", vec!["cmdline.txt", "four.txt"]),
    ] {
        assert_eq!(paths(config, &BOTH), expected, "{config}");
    }
}

#[test]
fn spellings_that_are_not_settled_are_possible() {
    const BOTH: [&str; 2] = ["cmdline.txt", "o.txt"];
    for line in ["cmdline = o.txt", "CMDLINE=o.txt", " cmdline=o.txt", "cmdline= o.txt"] {
        assert_eq!(paths(line, &BOTH), BOTH, "{line}");
    }
    for line in ["#cmdline=o.txt", "# cmdline=o.txt", "xcmdline=o.txt", "cmdline.old=o.txt"] {
        assert_eq!(paths(line, &BOTH), ["cmdline.txt"], "{line}");
    }
    assert_eq!(paths("cmdline=o.txt \r\n", &BOTH), ["o.txt"]);
    assert_eq!(paths("cmdline=o.txt\ncmdline=\n", &BOTH), ["cmdline.txt"]);
    let long = format!("cmdline={}o.txt", "x".repeat(90));
    assert_eq!(cut(&long).len(), MAX_LINE);
    assert_eq!(paths("cmdline=CMDLINE.TXT\n[pi4]\ncmdline=cmdline.txt\n", &BOTH).len(), 1);
}

#[test]
fn included_files_count_and_their_sections_hold_on() {
    let files = [
        ("cmdline.txt", ""),
        ("o.txt", ""),
        ("extra.txt", "[pi4]\ncmdline=o.txt\n"),
        ("two.txt", "[pi1]\n"),
    ];
    assert_eq!(lines("include extra.txt\n", &files).paths, ["cmdline.txt", "o.txt"]);
    assert_eq!(lines("include EXTRA.txt\n", &files).paths, ["cmdline.txt", "o.txt"]);
    assert_eq!(lines("[none]\ninclude extra.txt\n", &files).paths, ["cmdline.txt"]);
    let all = [("cmdline.txt", ""), ("o.txt", ""), ("e.txt", "[all]\ncmdline=o.txt\n")];
    let perhaps = lines("[gpio4=1]\ninclude e.txt\n", &all).paths;
    assert_eq!(perhaps, ["cmdline.txt", "o.txt"]);
    assert_eq!(lines("include two.txt\ncmdline=o.txt\n", &files).paths, ["cmdline.txt"]);
    assert_eq!(lines("include gone.txt\ncmdline=o.txt\n", &files).paths, ["o.txt"]);
    let ring = [("cmdline.txt", ""), ("a.txt", "include a.txt\n")];
    assert_eq!(lines("include a.txt\n", &ring).paths, ["cmdline.txt"]);
}

#[test]
fn a_prefix_holds_where_its_kernel_is() {
    let config = "kernel=vmlinuz\n[all]\nos_prefix=current/\n[tryboot]\nos_prefix=new/\n";
    let all = ["cmdline.txt", "current/cmdline.txt", "new/cmdline.txt", "current/vmlinuz"];
    assert_eq!(paths(config, &all), ["current/cmdline.txt"]);
    // Without its kernel the firmware ignores the prefix, or the kernel has a name that is not known here.
    assert_eq!(paths(config, &all[..2]), ["current/cmdline.txt", "cmdline.txt"]);
    assert_eq!(paths(config, &all[..1]), ["cmdline.txt"]);
    assert_eq!(
        paths("os_prefix=test-\n", &["test-cmdline.txt", "test-kernel8.img"]),
        ["test-cmdline.txt"]
    );
    assert_eq!(paths("overlay_prefix=x/\n", &["cmdline.txt", "x/cmdline.txt"]), ["cmdline.txt"]);
}

#[test]
fn what_is_not_there_or_not_known_is_said() {
    let files = [("cmdline.txt", ""), ("four.txt", "")];
    assert!(lines("", &files).notes().is_empty());
    let notes = lines("[pi4]\ncmdline=four.txt\n", &files).notes();
    assert!(matches!(&notes[..], [one] if one.contains("`four.txt`")), "{notes:?}");
    let notes = lines("[pi5]\ncmdline=gone.txt\n", &files).notes();
    assert!(
        matches!(&notes[..], [one] if one.contains("`gone.txt`") && one.contains("Raspberry Pi 500")),
        "{notes:?}"
    );
    let none = lines("cmdline=gone.txt\n", &files);
    assert!(none.paths.is_empty() && none.missing[0].0 == "gone.txt");
}

#[test]
fn files_that_include_each_other_a_thousand_times_are_read_to_an_end() {
    let often = "include a.txt\ninclude b.txt\ncmdline=four.txt\n".repeat(1000);
    let files = [("a.txt", often.as_str()), ("b.txt", often.as_str()), ("four.txt", "")];
    assert_eq!(lines(&often, &files).paths, ["four.txt"]);
    let many: String = (0..5000).map(|n| format!("[gpio4=1]\ncmdline=line{n}.txt\n")).collect();
    assert!(lines(&many, &[("cmdline.txt", "")]).missing.is_empty());
}
