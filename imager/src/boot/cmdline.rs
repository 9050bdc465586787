//! The kernel command line, `cmdline.txt`: one line, edited token by token.
//!
//! Facts: `os-families` of the design's reference: the firmware and the initramfs scripts read only the first line;
//! first boot rewrites PARTUUID in it on the Pi, so foreign tokens are kept as they are and in their order.

use thiserror::Error;

/// `COMMAND_LINE_SIZE` of 32-bit arm kernels (arch/arm/include/uapi/asm/setup.h), bytes, the smallest of a Pi's.
pub const MAX_BYTES: usize = 1024;

/// Why a command line is not edited.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CmdlineError {
    /// Another tool's first-boot hook.
    #[error(
        "`cmdline.txt` already runs `{0}` at first boot: the image was customised by another tool"
    )]
    ForeignHook(String),
    /// There is nothing to boot.
    #[error("`cmdline.txt` is empty")]
    Empty,
    /// Not text.
    #[error("`cmdline.txt` holds bytes that are not printable ASCII")]
    NotText,
    /// Whatever is added would become part of the quoted token.
    #[error("`cmdline.txt` has a double quote that is never closed")]
    OpenQuote,
    /// The kernel would cut it.
    #[error("`cmdline.txt` would have {0} bytes, and the kernel reads {MAX_BYTES}")]
    TooLong(usize),
}

/// What is added: flags that are tokens of their own, and the hook that starts the launcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Additions {
    /// Such as `cgroup_enable=memory`; added where the very token is absent.
    pub flags: Vec<&'static str>,
    /// Absolute path of the launcher as the booted system sees it; no blanks.
    pub launcher: String,
}

/// The edited line with its final newline.
///
/// # Errors
/// See [`CmdlineError`]; nothing is ever cut off to make it fit.
pub fn edit(original: &[u8], additions: &Additions) -> Result<String, CmdlineError> {
    let text = std::str::from_utf8(original).map_err(|_| CmdlineError::NotText)?;
    let line = text.split(['\n', '\0']).next().unwrap_or("").trim_end_matches(['\r', ' ', '\t']);
    if !line.bytes().all(|b| (32..127).contains(&b) || b == b'\t') {
        return Err(CmdlineError::NotText);
    }
    if !line.matches('"').count().is_multiple_of(2) {
        return Err(CmdlineError::OpenQuote);
    }
    let mut tokens = split(line);
    if tokens.is_empty() {
        return Err(CmdlineError::Empty);
    }
    // The launcher's name marks our own hook of an earlier run; its companions mean nothing without it.
    let launcher_name = additions.launcher.rsplit('/').next().unwrap_or_default();
    let hook = |token: &&str| token.trim_matches('"').starts_with("systemd.run=");
    if let Some(foreign) =
        tokens.iter().find(|token| hook(token) && !token.ends_with(launcher_name))
    {
        let command = foreign.trim_matches('"').trim_start_matches("systemd.run=");
        return Err(CmdlineError::ForeignHook(command.to_owned()));
    }
    tokens.retain(|token| !is_hook_token(token));
    for flag in &additions.flags {
        // Parameters apply in order: a later `cgroup_disable=memory` would undo the flag.
        let undone =
            flag.strip_prefix("cgroup_enable=").map(|name| format!("cgroup_disable={name}"));
        let position = tokens.iter().rposition(|token| token == flag);
        let undone_at = undone.and_then(|token| tokens.iter().rposition(|found| *found == token));
        if position.is_none() || position < undone_at {
            tokens.push(flag);
        }
    }
    let run = format!("systemd.run={}", additions.launcher);
    tokens.extend([
        run.as_str(),
        "systemd.run_success_action=reboot",
        "systemd.run_failure_action=reboot",
        "systemd.unit=kernel-command-line.target",
    ]);
    let line = tokens.join(" ") + "\n";
    if line.len() > MAX_BYTES { Err(CmdlineError::TooLong(line.len())) } else { Ok(line) }
}

/// The four tokens of the hook; they come and go together (a success action left alone reboots for ever).
fn is_hook_token(token: &str) -> bool {
    token.starts_with("systemd.run=")
        || token.starts_with("systemd.run_success_action=")
        || token.starts_with("systemd.run_failure_action=")
        || token == "systemd.unit=kernel-command-line.target"
}

/// Splits at blanks outside double quotes, as the kernel's `next_arg` does (lib/cmdline.c).
pub fn split(line: &str) -> Vec<&str> {
    let mut quoted = false;
    line.split(move |c: char| {
        quoted ^= c == '"';
        !quoted && (c == ' ' || c == '\t')
    })
    .filter(|token| !token.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOOK: &str = "systemd.run=/boot/firmware/pikube-launch.sh systemd.run_success_action=reboot \
                        systemd.run_failure_action=reboot systemd.unit=kernel-command-line.target\n";

    fn additions() -> Additions {
        Additions {
            flags: vec!["cgroup_enable=memory"],
            launcher: "/boot/firmware/pikube-launch.sh".into(),
        }
    }

    #[test]
    fn raspberry_pi_os_keeps_its_tokens_and_gains_ours_at_the_end() {
        let shipped = b"console=serial0,115200 console=tty1 root=PARTUUID=d9b3a0f1-02 rootfstype=ext4 fsck.repair=yes rootwait resize\n";
        let shipped_line = std::str::from_utf8(shipped).unwrap().trim_end();
        assert_eq!(
            edit(shipped, &additions()).unwrap(),
            format!("{shipped_line} cgroup_enable=memory {HOOK}")
        );
    }

    #[test]
    fn editing_twice_changes_nothing_more() {
        let once = edit(b"root=/dev/mmcblk0p2", &additions()).unwrap();
        assert_eq!(edit(once.as_bytes(), &additions()).unwrap(), once);
    }

    #[test]
    fn carriage_returns_second_lines_and_doubled_blanks_go() {
        let edited = edit(b"a  b \r\nnot read by anyone\n", &additions()).unwrap();
        assert_eq!(edited, format!("a b cgroup_enable=memory {HOOK}"));
    }

    #[test]
    fn quoted_blanks_stay_in_their_token() {
        let edited = edit(b"x=\"a  b\" y", &additions()).unwrap();
        assert!(edited.starts_with("x=\"a  b\" y cgroup"), "{edited}");
    }

    #[test]
    fn a_flag_that_is_undone_later_is_added_again() {
        let edited = edit(b"cgroup_enable=memory cgroup_disable=memory", &additions()).unwrap();
        assert!(
            edited.starts_with("cgroup_enable=memory cgroup_disable=memory cgroup_enable=memory ")
        );
        let kept = edit(b"cgroup_disable=memory cgroup_enable=memory", &additions()).unwrap();
        assert!(kept.starts_with("cgroup_disable=memory cgroup_enable=memory systemd.run="));
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        let foreign = b"root=x systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot";
        assert_eq!(
            edit(foreign, &additions()),
            Err(CmdlineError::ForeignHook("/boot/firstrun.sh".into()))
        );
        let quoted = b"root=x \"systemd.run=/bin/sh /x\"";
        assert!(matches!(edit(quoted, &additions()), Err(CmdlineError::ForeignHook(_))));
        assert_eq!(edit(b"x=\"a b", &additions()), Err(CmdlineError::OpenQuote));
        assert_eq!(edit(b" \n", &additions()), Err(CmdlineError::Empty));
        assert_eq!(edit(b"root=\xff", &additions()), Err(CmdlineError::NotText));
        assert_eq!(edit("root=é".as_bytes(), &additions()), Err(CmdlineError::NotText));
        assert!(matches!(edit(&[b'a'; 1000], &additions()), Err(CmdlineError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn one_line_out_and_every_foreign_token_kept_in_order(line in "[ -~\\t\r\n]{0,300}") {
            if let Ok(edited) = edit(line.as_bytes(), &additions()) {
                prop_assert_eq!(edited.matches('\n').count(), 1);
                prop_assert!(edited.ends_with('\n'));
                let first = line.split('\n').next().unwrap().trim_end_matches(['\r', ' ', '\t']);
                let foreign: Vec<&str> = split(first).into_iter().filter(|token| !is_hook_token(token)).collect();
                let after = split(edited.trim_end());
                prop_assert_eq!(&after[..foreign.len()], &foreign[..]);
            }
        }

        #[test]
        fn any_bytes_are_edited_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = edit(&bytes, &additions());
        }
    }
}
