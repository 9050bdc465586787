//! The kernel command line, `cmdline.txt`: one line, edited token by token.
//!
//! Facts: `os-families` of the design's reference: the firmware and the initramfs scripts read only the first line;
//! first boot rewrites PARTUUID in it on the Pi, so foreign tokens are kept as they are and in their order.

use pikube_config::names;
use thiserror::Error;

/// `COMMAND_LINE_SIZE` of 32-bit arm kernels (arch/arm/include/uapi/asm/setup.h), bytes, the smallest of a Pi's.
pub const MAX_BYTES: usize = 1024;

/// Why a command line is not edited.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CmdlineError {
    /// Another tool's first-boot hook.
    #[error("already runs `{0}` at first boot: the image was customised by another tool")]
    ForeignHook(String),
    /// There is nothing to boot.
    #[error("is empty")]
    Empty,
    /// Not text.
    #[error("holds bytes that are not printable ASCII")]
    NotText,
    /// Whatever is added would become part of the quoted token.
    #[error("has a double quote that is never closed")]
    OpenQuote,
    /// The kernel would cut it.
    #[error("would have {0} bytes, and the kernel reads {MAX_BYTES}")]
    TooLong(usize),
}

/// What the line shall have of ours: flags that are tokens of their own, and the hook that starts the launcher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Such as `cgroup_enable=memory`; added where the very token is absent.
    pub flags: Vec<String>,
    /// Flags of an earlier plan; removed where they are not wanted any more.
    pub outdated: Vec<String>,
    /// The hook.
    pub hook: HookTokens,
}

/// What becomes of the hook's four tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HookTokens {
    /// Without them: the launcher is started otherwise, or its work is done.
    #[default]
    Without,
    /// As they are: it may not have run yet.
    Keep,
    /// With them, for this absolute path of the launcher as the booted system sees it; no blanks.
    With(String),
}

/// Parameters that have one value: a later one replaces an earlier one of anybody.
const SINGLE: [&str; 2] = ["cfg80211.ieee80211_regdom=", "systemd.zram="];

/// The edited line with its final newline.
///
/// # Errors
/// See [`CmdlineError`]; nothing is ever cut off to make it fit.
pub fn edit(original: &[u8], wanted: &Wanted) -> Result<String, CmdlineError> {
    let line = first_line(original)?;
    let mut tokens: Vec<&str> = split(line);
    if tokens.is_empty() {
        return Err(CmdlineError::Empty);
    }
    let ours = format!("/{}", names::LAUNCHER);
    let runs = |token: &&str| token.trim_matches('"').starts_with("systemd.run=");
    if let Some(foreign) = tokens.iter().find(|token| runs(token) && !token.ends_with(&ours)) {
        let command = foreign.trim_matches('"').trim_start_matches("systemd.run=");
        return Err(CmdlineError::ForeignHook(command.to_owned()));
    }
    let (hook, mut tokens): (Vec<&str>, Vec<&str>) =
        tokens.drain(..).partition(|token| is_hook_token(token));
    let has = |flags: &[String], token: &str| flags.iter().any(|flag| flag == token);
    tokens.retain(|token| !has(&wanted.outdated, token) || has(&wanted.flags, token));
    for flag in &wanted.flags {
        add(&mut tokens, flag);
    }
    let run;
    match &wanted.hook {
        HookTokens::Without => {}
        HookTokens::Keep => tokens.extend(hook),
        HookTokens::With(launcher) => {
            run = format!("systemd.run={launcher}");
            tokens.extend([
                run.as_str(),
                "systemd.run_success_action=reboot",
                "systemd.run_failure_action=reboot",
                "systemd.unit=kernel-command-line.target",
            ]);
        }
    }
    let line = tokens.join(" ") + "\n";
    if line.len() > MAX_BYTES { Err(CmdlineError::TooLong(line.len())) } else { Ok(line) }
}

/// What the firmware and the initramfs read of the file.
fn first_line(original: &[u8]) -> Result<&str, CmdlineError> {
    let text = std::str::from_utf8(original).map_err(|_| CmdlineError::NotText)?;
    let line = text.split(['\n', '\0']).next().unwrap_or("").trim_end_matches(['\r', ' ', '\t']);
    if !line.bytes().all(|b| (32..127).contains(&b) || b == b'\t') {
        return Err(CmdlineError::NotText);
    }
    if !line.matches('"').count().is_multiple_of(2) {
        return Err(CmdlineError::OpenQuote);
    }
    Ok(line)
}

/// Adds one flag where it is needed; the first of several values of a single-valued parameter is where it goes.
fn add<'a>(tokens: &mut Vec<&'a str>, flag: &'a str) {
    if let Some(name) = SINGLE.into_iter().find(|name| flag.starts_with(name)) {
        let same: Vec<usize> =
            (0..tokens.len()).filter(|at| tokens[*at].starts_with(name)).collect();
        let Some((&first, others)) = same.split_first() else {
            return tokens.push(flag);
        };
        tokens[first] = flag;
        for at in others.iter().rev() {
            tokens.remove(*at);
        }
        return;
    }
    // Parameters apply in order: a later `cgroup_disable=memory` would undo the flag.
    let undone = flag.strip_prefix("cgroup_enable=").map(|name| format!("cgroup_disable={name}"));
    let position = tokens.iter().rposition(|token| *token == flag);
    let undone_at = undone.and_then(|token| tokens.iter().rposition(|found| *found == token));
    if position.is_none() || position < undone_at {
        tokens.push(flag);
    }
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

    fn additions() -> Wanted {
        Wanted {
            flags: vec!["cgroup_enable=memory".into()],
            hook: HookTokens::With("/boot/firmware/pikube-launch.sh".into()),
            ..Wanted::default()
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
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

    #[test]
    fn another_country_replaces_the_first_and_there_is_one() {
        let wanted =
            Wanted { flags: words(&["cfg80211.ieee80211_regdom=FR"]), ..Wanted::default() };
        let edit = |line: &str| edit(line.as_bytes(), &wanted).unwrap();
        assert_eq!(edit("a b"), "a b cfg80211.ieee80211_regdom=FR\n");
        assert_eq!(
            edit("a cfg80211.ieee80211_regdom=GB b cfg80211.ieee80211_regdom=DE"),
            "a cfg80211.ieee80211_regdom=FR b\n"
        );
    }

    #[test]
    fn the_hook_is_kept_put_back_or_left_out_and_its_tokens_go_together() {
        let armed = edit(b"a resize", &additions()).unwrap();
        let with = |hook| Wanted { hook, ..additions() };
        assert_eq!(edit(armed.as_bytes(), &with(HookTokens::Keep)).unwrap(), armed);
        let run = edit(armed.as_bytes(), &with(HookTokens::Without)).unwrap();
        assert_eq!(run, "a resize cgroup_enable=memory\n");
        assert_eq!(edit(run.as_bytes(), &with(HookTokens::Keep)).unwrap(), run);
        assert_eq!(edit(run.as_bytes(), &additions()).unwrap(), armed);
    }

    /// Any flags that a plan may lead to.
    fn some_flags() -> impl Strategy<Value = Vec<String>> {
        let one = prop_oneof![
            Just("cgroup_enable=memory".to_owned()),
            Just("cgroup_enable=cpuset".to_owned()),
            Just("cgroup_memory=1".to_owned()),
            Just("systemd.zram=0".to_owned()),
            "[A-Z]{2}".prop_map(|country| format!("cfg80211.ieee80211_regdom={country}")),
        ];
        prop::collection::vec(one, 0..4)
    }

    fn some_hook() -> impl Strategy<Value = HookTokens> {
        prop_oneof![
            Just(HookTokens::Without),
            Just(HookTokens::Keep),
            Just(HookTokens::With("/boot/pikube-launch.sh".into())),
        ]
    }

    fn is_single(token: &str) -> bool {
        SINGLE.iter().any(|name| token.starts_with(name))
    }

    proptest! {
        #[test]
        fn one_line_out_and_every_foreign_token_kept_in_order(
            line in "([ -~\\t\r\n]{0,60}(cgroup_disable=memory|cgroup_enable=memory|systemd\\.run_x_action=1| )){0,5}",
            flags in some_flags(),
            hook in some_hook(),
        ) {
            let wanted = Wanted { flags: flags.clone(), outdated: vec![], hook: hook.clone() };
            if let Ok(edited) = edit(line.as_bytes(), &wanted) {
                prop_assert_eq!(edited.matches('\n').count(), 1);
                prop_assert!(edited.ends_with('\n'));
                let first = line.split('\n').next().unwrap().trim_end_matches(['\r', ' ', '\t']);
                let foreign: Vec<&str> = split(first)
                    .into_iter()
                    .filter(|token| !is_hook_token(token) && !is_single(token))
                    .collect();
                let after = split(edited.trim_end());
                let kept: Vec<&str> = after.iter().copied().filter(|token| !is_single(token)).collect();
                prop_assert_eq!(&kept[..foreign.len()], &foreign[..]);
                for flag in flags.iter().filter(|flag| !is_single(flag)) {
                    prop_assert!(after.contains(&flag.as_str()));
                }
                let has_hook = after.iter().filter(|token| is_hook_token(token)).count();
                if matches!(hook, HookTokens::With(_)) {
                    prop_assert_eq!(has_hook, 4);
                    prop_assert!(after[after.len() - 4..].iter().all(|token| is_hook_token(token)));
                }
                prop_assert_eq!(edit(edited.as_bytes(), &wanted), Ok(edited.clone()));
            }
        }

        #[test]
        fn other_settings_end_as_if_they_had_been_the_first(
            line in "[a-z]{1,9}( [a-z=0-9.]{1,20}){0,8}",
            first in some_flags(),
            second in some_flags(),
            hook in some_hook(),
        ) {
            let wanted = |flags: &[String], outdated: &[String]| Wanted {
                flags: flags.to_vec(), outdated: outdated.to_vec(), hook: hook.clone(),
            };
            let once = edit(line.as_bytes(), &wanted(&first, &[])).unwrap();
            let again = edit(once.as_bytes(), &wanted(&second, &first)).unwrap();
            let direct = edit(line.as_bytes(), &wanted(&second, &[])).unwrap();
            let sorted = |line: &str| {
                let mut tokens: Vec<String> = split(line.trim_end()).into_iter().map(str::to_owned).collect();
                tokens.sort();
                tokens
            };
            prop_assert_eq!(sorted(&again), sorted(&direct));
            prop_assert!(again.starts_with(line.as_str()));
        }

        #[test]
        fn any_bytes_are_edited_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = edit(&bytes, &additions());
        }
    }
}
