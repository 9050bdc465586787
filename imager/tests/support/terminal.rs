//! A terminal with a program on it (pty(7)).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::pty::openpty;

pub struct Terminal {
    program: Child,
    /// Keys go in, the screen comes out.
    master: File,
    /// What has been shown, behind what was waited for.
    shown: String,
}

impl Terminal {
    /// Runs a call as a shell does: the terminal is its controlling one, whose Ctrl-C reaches it.
    pub fn run(call: &Command) -> Self {
        let pty = openpty(None, None).unwrap();
        let slave = File::from(pty.slave);
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(call.get_program()).args(call.get_args());
        session.current_dir(call.get_current_dir().unwrap());
        for (name, value) in call.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
        let program = session.spawn().unwrap();
        // `session` goes here, and with it the test's own ends of what the program alone shall hold.
        Self { program, master: File::from(pty.master), shown: String::new() }
    }

    /// What comes next on the screen; false once nobody holds the terminal any more.
    fn reads(&mut self) -> bool {
        let mut piece = [0; 256];
        let len = match self.master.read(&mut piece) {
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => 0,
            len => len.unwrap(),
        };
        self.shown.push_str(&String::from_utf8_lossy(&piece[..len]));
        len > 0
    }

    /// Waits until it shows this.
    pub fn until(&mut self, part: &str) {
        while !self.shown.contains(part) {
            assert!(self.reads(), "`{part}` did not come: {}", self.shown);
        }
        self.shown = self.shown.split_once(part).unwrap().1.to_owned();
    }

    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// How the program ended, and what it showed at last.
    pub fn end(mut self) -> (Option<i32>, String) {
        while self.reads() {}
        (self.program.wait().unwrap().code(), self.shown)
    }
}
