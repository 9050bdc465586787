//! The only place that prints: results on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where printing lives")]

mod bars;
mod follow;
pub mod json;
mod visible;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

pub use follow::{Followed, Progress};
use json::{Message, Outcome, Trouble};

use crate::cli::OutputArgs;
use crate::failure::{Exit, Failure};

/// How often a question looks whether it was interrupted, in milliseconds.
const ASK_INTERVAL_MS: u16 = 100;

/// Where a person reads and answers, or a program reads.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    output: OutputArgs,
}

/// What a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `y` or `yes`.
    Yes,
    /// Anything else, the end of the input among it.
    No,
    /// Ctrl-C.
    Interrupted,
}

impl Console {
    /// `--quiet` leaves only errors and warnings; `--json` makes objects of results.
    pub fn new(output: OutputArgs) -> Self {
        Self { output }
    }

    /// What was asked for, as it is, on standard output.
    pub fn text(&self, text: &[u8]) {
        // A reader that went away (`| head`) is no reason to fail, here and below.
        let _ = io::stdout().write_all(text).and_then(|()| io::stdout().flush());
    }

    /// A result for people, on standard output.
    pub fn result(&self, text: &str) {
        if !self.output.quiet && !self.output.json {
            print_result(text.trim_end());
        }
    }

    /// The same for programs.
    pub fn emit(&self, message: &Message) {
        if self.output.json {
            print_result(&json::line(message));
        }
    }

    /// What a person may want to know while it happens.
    pub fn note(&self, text: &str) {
        if !self.output.quiet && !self.output.json {
            print_error(text);
        }
    }

    /// What only `--verbose` tells.
    pub fn detail(&self, text: &str) {
        if self.output.verbose {
            print_error(text);
        }
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.output.json
    }

    /// Whether `--verbose` was asked for.
    pub fn is_verbose(&self) -> bool {
        self.output.verbose
    }

    /// What a person must see.
    pub fn warn(&self, message: &str) {
        print_error(&format!("warning: {message}"));
        self.emit(&Message::Warning { message });
    }

    /// What stopped everything.
    pub fn fail(&self, failure: &Failure) {
        print_error(&failure.to_string());
        self.tell(failure);
    }

    /// The same for programs only, where people have been told.
    pub fn tell(&self, failure: &Failure) {
        self.emit(&Message::Error { exit: failure.exit as u8, trouble: Trouble::from(failure) });
    }

    /// The last object.
    pub fn end(&self, exit: Exit) {
        self.emit(&Message::End { exit: exit as u8 });
    }

    /// What stopped one card.
    pub fn fail_card(&self, card: &str, node: &str, failure: &Failure) {
        print_error(&failure.to_string());
        let outcome = Outcome::Trouble(Trouble::from(failure));
        let (card, exit) = (card.to_owned(), failure.exit as u8);
        self.emit(&Message::Result { card, node, ok: false, exit, outcome });
    }

    /// Whether there is somebody to ask.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question and waits for the answer, or for Ctrl-C.
    ///
    /// # Errors
    /// Reading the answer.
    pub fn ask(&self, question: &str, interrupted: &AtomicBool) -> io::Result<Answer> {
        let Some(line) = self.line(&format!("{question} [y/N] "), interrupted)? else {
            return Ok(Answer::Interrupted);
        };
        Ok(match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Answer::Yes,
            _ => Answer::No,
        })
    }

    /// Waits until a person has done something and presses Enter; the end of the input is a no.
    ///
    /// # Errors
    /// Reading the answer.
    pub fn wait(&self, request: &str, interrupted: &AtomicBool) -> io::Result<Answer> {
        Ok(match self.line(&format!("{request} "), interrupted)? {
            None => Answer::Interrupted,
            Some(line) if line.is_empty() => Answer::No,
            Some(_) => Answer::Yes,
        })
    }

    /// A line that a person types and nobody sees, without its end; `None` after Ctrl-C.
    ///
    /// # Errors
    /// Reading the answer.
    pub fn secret(
        &self,
        prompt: &str,
        interrupted: &AtomicBool,
    ) -> io::Result<Option<SecretString>> {
        let unseen = Unseen::begin()?;
        let line = self.line(prompt, interrupted);
        drop(unseen);
        // The end of the line was not seen either.
        eprintln!();
        let line = line?.map(Zeroizing::new);
        Ok(line.map(|line| SecretString::from(line.trim_end_matches(['\n', '\r']))))
    }

    /// A line that a person types, with its end; `None` after Ctrl-C.
    fn line(&self, prompt: &str, interrupted: &AtomicBool) -> io::Result<Option<String>> {
        eprint!("{}", visible::visible(prompt));
        io::stderr().flush()?;
        let stdin = io::stdin();
        // The flag's signal handler lets a read go on, so the read must not begin before there is something.
        loop {
            if interrupted.load(Ordering::Relaxed) {
                eprintln!();
                return Ok(None);
            }
            let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, ASK_INTERVAL_MS) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut line = String::new();
        if stdin.read_line(&mut line)? == 0 {
            eprintln!();
        }
        Ok(Some(line))
    }

    /// Follows cards while they are written: bars on a terminal, else plain lines; objects for programs.
    pub fn follow(&self, cards: Vec<Followed>) -> Progress {
        if self.output.json {
            Progress::json(cards)
        } else if self.output.quiet {
            Progress::silent()
        } else if io::stderr().is_terminal() {
            Progress::bars(&cards)
        } else {
            Progress::plain(cards)
        }
    }
}

/// Until it is dropped, a terminal does not show what is typed.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        unseen.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &unseen)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// One write per line, so that lines of several threads do not mix.
fn print_result(line: &str) {
    let _ = io::stdout().write_all(format!("{}\n", visible::visible(line)).as_bytes());
}

fn print_error(line: &str) {
    let _ = io::stderr().write_all(format!("{}\n", visible::visible(line)).as_bytes());
}
