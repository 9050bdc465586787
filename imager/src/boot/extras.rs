//! What a person wants on the boot partition beyond the plan: a user-data of their own, lines of `config.txt`, files.

use pikube_config::{Problem, Problems};

use super::config_txt;
use super::user_data::UserData;

/// Sets the Pi 3's bit that lets it boot from USB and network; it cannot be unset (Raspberry Pi documentation,
/// "OTP register and bit definitions").
const USB_BOOT: &str = "program_usb_boot_mode=1";

/// All of it, looked at; the default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    user_data: Option<UserData>,
    config_txt: Option<Vec<String>>,
    files: Vec<ExtraFile>,
}

/// A file for the root directory of the boot partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// Its name there.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

impl Extras {
    /// Looks at everything.
    ///
    /// # Errors
    /// All problems at once; the key of each is `user-data`, `config.txt`, or the name of the file.
    pub fn new(
        user_data: Option<&[u8]>,
        config_txt: Vec<String>,
        usb_boot: bool,
        files: Vec<ExtraFile>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let user_data = user_data.map(UserData::new).and_then(|checked| match checked {
            Ok(user_data) => Some(user_data),
            Err(problem) => {
                problems.push(problem);
                None
            }
        });
        // One empty line says that none shall be there; none at all says nothing.
        let mut config_txt = match config_txt.as_slice() {
            [] => None,
            [empty] if empty.is_empty() => Some(Vec::new()),
            _ => Some(config_txt),
        };
        for line in config_txt.iter().flatten() {
            if let Err(message) = config_txt::check_line(line) {
                problems.push(Problem::new("config.txt", message));
            }
        }
        for (index, file) in files.iter().enumerate() {
            let twice = |other: &ExtraFile| other.name.eq_ignore_ascii_case(&file.name);
            if let Err(message) = check_name(&file.name) {
                problems.push(Problem::new(&file.name, message));
            } else if files[..index].iter().any(twice) {
                problems.push(Problem::new(
                    &file.name,
                    "is given twice; FAT knows no upper and lower case",
                ));
            }
        }
        if usb_boot && !config_txt.iter().flatten().any(|line| line == USB_BOOT) {
            config_txt.get_or_insert_default().push(USB_BOOT.to_owned());
        }
        problems.or(Self { user_data, config_txt, files })
    }

    /// A person's own `user-data`.
    pub fn user_data(&self) -> Option<&UserData> {
        self.user_data.as_ref()
    }

    /// Lines for `config.txt`; absent where a person says nothing about it, and what is there stays.
    pub fn config_txt(&self) -> Option<&[String]> {
        self.config_txt.as_deref()
    }

    /// Files.
    pub fn files(&self) -> &[ExtraFile] {
        &self.files
    }
}

/// Names that piflash, the operating systems or their first boot write or read, and what to use instead.
const TAKEN: [(&str, &str); 13] = [
    ("config.txt", "give its lines with `--config-txt`"),
    ("cmdline.txt", "piflash edits it"),
    ("user-data", "give it with `--user-data`"),
    ("meta-data", "piflash writes it"),
    ("ssh", "piflash writes it"),
    ("ssh.txt", "piflash turns ssh on"),
    ("userconf", "the agent makes the login user"),
    ("userconf.txt", "the agent makes the login user"),
    ("fake-hwclock.data", "piflash writes it"),
    ("issue.txt", "it tells which operating system this is"),
    ("os-release", "it tells which operating system this is"),
    ("overlays", "it is a folder of the firmware"),
    ("current", "it is a folder of the firmware"),
];

/// First and last parts of the names of what the firmware loads, or of what rewrites its flash memory.
const FIRMWARE: [(&str, &str); 19] = [
    ("bootcode", ".bin"),
    ("start", ".elf"),
    ("fixup", ".dat"),
    ("kernel", ".img"),
    ("vmlinuz", ""),
    ("initrd", ""),
    ("initramfs", ""),
    ("uboot", ".bin"),
    ("armstub", ".bin"),
    ("", ".dtb"),
    ("autoboot", ".txt"),
    ("tryboot", ".txt"),
    ("boot", ".img"),
    ("boot", ".sig"),
    ("recovery", ".bin"),
    ("pieeprom", ""),
    ("vl805", ""),
    ("sysconf", ".txt"),
    ("wpa_supplicant", ".conf"),
];

/// Whether a file may have this name.
fn check_name(name: &str) -> Result<(), String> {
    const FORBIDDEN: &str = "\"*/:<>?\\|";
    if name.is_empty() || name.chars().all(|c| c == '.' || c == ' ') {
        return Err("is not a name for a file".into());
    }
    if let Some(c) = name.chars().find(|c| FORBIDDEN.contains(*c)) {
        return Err(format!(
            "has `{c}` in its name, which FAT does not allow; folders are not made"
        ));
    }
    if name.contains('~') {
        return Err("has `~` in its name, with which FAT shortens the names of other files".into());
    }
    if !name.bytes().all(|byte| (32..127).contains(&byte)) {
        return Err("has letters in its name that are not ASCII; rename it".into());
    }
    if name.len() > 255 || name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return Err(
            "has a name that FAT does not keep; no blank or dot at its ends, 255 letters at most"
                .into(),
        );
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("pikube") {
        return Err(
            "has a name that belongs to piflash; use one that does not begin with `pikube`".into(),
        );
    }
    if let Some((_, instead)) = TAKEN.iter().find(|(taken, _)| lower == *taken) {
        return Err(format!("cannot be an extra file: {instead}"));
    }
    let needed = |(first, last): &&(&str, &str)| lower.starts_with(first) && lower.ends_with(last);
    match FIRMWARE.iter().find(needed) {
        Some(_) => {
            Err("has a name that the firmware or the first boot acts on; use another".into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> ExtraFile {
        ExtraFile { name: name.into(), content: b"x".to_vec() }
    }

    #[test]
    fn all_problems_come_at_once() {
        let files = vec![file("Config.txt"), file("a.txt"), file("A.TXT")];
        let lines = vec!["[pi4]".into(), "dtparam=spi=on".into()];
        let problems = Extras::new(Some(b"hello\n"), lines, false, files).unwrap_err();
        let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["user-data", "config.txt", "Config.txt", "A.TXT"]);
    }

    #[test]
    fn the_usb_boot_bit_is_one_line_more() {
        let extras = Extras::new(None, vec!["a=1".into()], true, vec![]).unwrap();
        assert_eq!(extras.config_txt().unwrap(), ["a=1", USB_BOOT]);
        let twice = Extras::new(None, vec![USB_BOOT.into()], true, vec![]).unwrap();
        assert_eq!(twice.config_txt().unwrap(), [USB_BOOT]);
        let alone = Extras::new(None, vec![], true, vec![]).unwrap();
        assert_eq!(alone.config_txt().unwrap(), [USB_BOOT]);
    }

    #[test]
    fn names_that_clash_or_that_fat_cannot_keep() {
        for name in [
            "",
            ".",
            "..",
            " ",
            "a/b",
            "a\\b",
            "a:b",
            "ä.txt",
            "a.",
            "a ",
            " a",
            "pikube.toml",
            "PIKUBE-x",
            "SSH",
            "user-data",
            "USER-D~1",
            "start4.elf",
            "fixup.dat",
            "kernel8.img",
            "bcm2711-rpi-4-b.dtb",
            "vmlinuz",
            "initrd.img",
            "overlays",
            "recovery.bin",
            "pieeprom.upd",
            "userconf.txt",
            "a\u{7f}",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in [
            "network-config",
            "notes.txt",
            "logo.png",
            "firstrun notes.txt",
            ".hidden",
            "kernel.txt",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }
}
