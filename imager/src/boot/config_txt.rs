//! The firmware's `config.txt`: lines of ours go into one marked block at the end; everything else stays as it is.
//!
//! The format is the firmware's own (Raspberry Pi documentation, "config.txt"): `name=value` per line, `[filter]`
//! lines that hold until the next one, lines cut after 98 characters, `include FILE`.

use thiserror::Error;

/// The firmware reads that many characters of a line.
pub(super) const MAX_LINE: usize = 98;
const BEGIN: &str = "# pikube begin";
const END: &str = "# pikube end";
/// Settings on which piflash itself relies: it has looked for the command line where these point.
const RELIED_ON: [&str; 2] = ["os_prefix", "cmdline"];

/// Why `config.txt` is not edited.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Cut by hand, perhaps.
    #[error("`config.txt` has a line `{BEGIN}` without the line `{END}` that belongs to it")]
    OpenBlock,
}

/// Looks at one line that a person gave.
///
/// # Errors
/// What is wrong with it and what to do, as one line.
pub fn check_line(line: &str) -> Result<(), String> {
    if line.contains(['\n', '\r']) {
        return Err("holds more than one line; give each line by itself".into());
    }
    if !line.bytes().all(|byte| (32..127).contains(&byte)) {
        return Err(format!("`{line}` is not ASCII, which is all that the firmware reads"));
    }
    if line.len() > MAX_LINE {
        return Err(format!(
            "has {} characters, and the firmware cuts lines after {MAX_LINE}",
            line.len()
        ));
    }
    if line.trim_start().starts_with('[') {
        return Err(format!(
            "`{line}` would begin a section of `config.txt`; lines of piflash hold for every board, under [all]"
        ));
    }
    let Some((name, _)) = line.split_once('=') else {
        return Err(format!("`{line}` is not of the form name=value"));
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b)) {
        return Err(format!("`{name}` is not the name of a setting; write name=value"));
    }
    if RELIED_ON.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Err(format!("`{name}` decides which command line is read; leave it as it is"));
    }
    Ok(())
}

/// Lines of ours in the file, between two comments.
pub(super) struct Block {
    pub(super) begin: &'static str,
    pub(super) end: &'static str,
}

/// What a person asks for.
const ASKED: Block = Block { begin: BEGIN, end: END };

impl Block {
    /// What is before the block and what is behind it.
    ///
    /// # Errors
    /// [`ConfigError::OpenBlock`].
    pub(super) fn around<'a>(
        &self,
        original: &'a [u8],
    ) -> Result<(&'a [u8], &'a [u8]), ConfigError> {
        let mut start = None;
        let mut at = 0;
        for line in original.split_inclusive(|byte| *byte == b'\n') {
            let next = at + line.len();
            match (line.trim_ascii(), start) {
                (text, None) if text == self.begin.as_bytes() => start = Some(at),
                (text, Some(start)) if text == self.end.as_bytes() => {
                    return Ok((&original[..start], &original[next..]));
                }
                _ => {}
            }
            at = next;
        }
        if start.is_some() {
            Err(ConfigError::OpenBlock)
        } else {
            Ok((original, &original[original.len()..]))
        }
    }

    /// Puts the block with these lines, each with its end, behind what is there.
    pub(super) fn push(&self, config: &mut Vec<u8>, lines: &str) {
        if !config.is_empty() && !config.ends_with(b"\n") {
            config.push(b'\n');
        }
        let block = format!("{}\n{lines}{}\n", self.begin, self.end);
        config.extend_from_slice(block.as_bytes());
    }
}

/// The file with exactly these lines in our block; without lines, without the block.
///
/// # Errors
/// [`ConfigError`].
pub fn edit(original: &[u8], lines: &[String]) -> Result<Vec<u8>, ConfigError> {
    let (before, after) = ASKED.around(original)?;
    let mut edited = before.to_vec();
    if !lines.is_empty() {
        ASKED.push(&mut edited, &format!("[all]\n{}\n", lines.join("\n")));
    }
    edited.extend_from_slice(after);
    Ok(edited)
}

/// The lines that are in our block.
///
/// # Errors
/// [`ConfigError`].
pub fn block(config: &[u8]) -> Result<Vec<String>, ConfigError> {
    let (before, after) = ASKED.around(config)?;
    let block = String::from_utf8_lossy(&config[before.len()..config.len() - after.len()]);
    let ours = |line: &&str| ![BEGIN, END, "[all]", ""].contains(line);
    Ok(block.lines().map(str::trim).filter(ours).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn one_block_at_the_end_which_is_replaced_and_removed() {
        let shipped = b"dtparam=audio=on\r\n[pi4]\narm_boost=1";
        let once =
            edit(shipped, &lines(&["dtparam=i2c_arm=on", "program_usb_boot_mode=1"])).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&once),
            "dtparam=audio=on\r\n[pi4]\narm_boost=1\n# pikube begin\n[all]\ndtparam=i2c_arm=on\n\
             program_usb_boot_mode=1\n# pikube end\n"
        );
        assert_eq!(block(&once).unwrap(), ["dtparam=i2c_arm=on", "program_usb_boot_mode=1"]);
        assert!(block(shipped).unwrap().is_empty());
        let mut by_hand = once.clone();
        by_hand.extend_from_slice(b"gpu_mem=16\n");
        let other = edit(&by_hand, &lines(&["dtparam=spi=on"])).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&other),
            "dtparam=audio=on\r\n[pi4]\narm_boost=1\n# pikube begin\n[all]\ndtparam=spi=on\n# pikube end\ngpu_mem=16\n"
        );
        assert_eq!(
            edit(&other, &[]).unwrap(),
            b"dtparam=audio=on\r\n[pi4]\narm_boost=1\ngpu_mem=16\n"
        );
        assert_eq!(edit(b"a=1\n# pikube begin\n", &[]), Err(ConfigError::OpenBlock));
    }

    #[test]
    fn lines_that_break_the_file_are_refused() {
        for (line, part) in [
            ("[pi4]", "section"),
            ("  [all]", "section"),
            ("a=1\nb=2", "more than one line"),
            ("a=é", "not ASCII"),
            ("include extra.txt", "not of the form"),
            ("", "not of the form"),
            ("=1", "not the name"),
            ("a b=1", "not the name"),
            ("os_prefix=new/", "command line"),
            ("cmdline=other.txt", "command line"),
            ("CmdLine=other.txt", "command line"),
            (&format!("a={}", "1".repeat(97)), "99 characters"),
        ] {
            let message = check_line(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        for line in
            ["dtparam=i2c_arm=on", "dtoverlay=dwc2,dr_mode=host", "gpio=4=op,dh", "arm_freq=900"]
        {
            assert_eq!(check_line(line), Ok(()), "{line}");
        }
        assert_eq!(check_line(&format!("a={}", "1".repeat(96))), Ok(()));
    }

    proptest! {
        #[test]
        fn every_other_byte_survives(
            before in "([ -~]{0,30}\r?\n){0,5}",
            given in prop::collection::vec("[a-z_]{1,9}=[ -~]{0,40}", 0..4),
            other in prop::collection::vec("[a-z_]{1,9}=[ -~]{0,40}", 0..4),
        ) {
            prop_assume!(!before.contains("# pikube"));
            let edited = edit(before.as_bytes(), &given).unwrap();
            prop_assert!(edited.starts_with(before.as_bytes()));
            prop_assert_eq!(&edit(&edited, &given).unwrap(), &edited);
            prop_assert_eq!(edit(&edited, &other).unwrap(), edit(before.as_bytes(), &other).unwrap());
            prop_assert_eq!(edit(&edited, &[]).unwrap(), before.as_bytes());
        }
    }
}
