//! A terminal with a program on it: script(1), whose keys and screen are pipes.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// What has been shown, behind what was waited for.
    shown: String,
}

impl Terminal {
    /// Runs a call. Where there is no script(1), that is told, and the test ends.
    pub fn run(call: &Command) -> Option<Self> {
        if Command::new("script").arg("--version").output().is_err() {
            println!("SKIPPED: no script(1)");
            return None;
        }
        let words: Vec<String> = [call.get_program()]
            .into_iter()
            .chain(call.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
        script.current_dir(call.get_current_dir().unwrap());
        for (name, value) in call.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        Some(Self { script, keys, screen, shown: String::new() })
    }

    /// Waits until it shows this.
    pub fn until(&mut self, part: &str) {
        let mut piece = [0; 256];
        while !self.shown.contains(part) {
            let len = self.screen.read(&mut piece).unwrap();
            assert!(len > 0, "`{part}` did not come: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&piece[..len]));
        }
        self.shown = self.shown.split_once(part).unwrap().1.to_owned();
    }

    pub fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    /// How the program ended, and what it showed at last.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.screen.read_to_string(&mut self.shown).unwrap();
        (self.script.wait().unwrap().code(), self.shown)
    }
}
