//! Commands: one way to name them, one way to run them.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::error::Error;

/// How much of what a command said an error keeps, in bytes.
const STDERR_KEPT_BYTES: usize = 1024;
/// How much of a command's standard error is heard, in bytes: apt-get explains each list and package that it cannot get.
const STDERR_HEARD_BYTES: usize = 32 << 10;

/// The most that a command may say on either output, in bytes: it is kept in memory, of which a Pi has little, and no
/// command here has a thousandth of it to say.
const MOST_SAID_BYTES: u64 = 16 << 20;

/// How long a command may take unless it says otherwise, in seconds: locale-gen takes minutes on a Pi Zero.
const LIMIT_S: u64 = 1200;

/// A program with its arguments; secrets go to its standard input, for arguments are readable in `/proc`.
#[derive(Clone)]
pub struct Command {
    /// Name, found in `PATH`.
    pub program: &'static str,
    /// Arguments; never a secret.
    pub args: Vec<String>,
    /// Standard input; without it the command reads from `/dev/null`.
    pub input: Option<Zeroizing<Vec<u8>>>,
    /// How long it may take; it is killed then, with all that it has started.
    pub limit: Duration,
}

impl Command {
    /// A command without standard input.
    pub fn new<S: Into<String>>(program: &'static str, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { program, args, input: None, limit: Duration::from_secs(LIMIT_S) }
    }

    /// Gives it a standard input, which no message ever shows.
    #[must_use]
    pub fn input(mut self, input: Zeroizing<Vec<u8>>) -> Self {
        self.input = Some(input);
        self
    }

    /// Gives it another limit.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl fmt::Display for Command {
    /// A line that can be pasted into a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for arg in &self.args {
            let plain = !arg.is_empty()
                && arg.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&b));
            if plain {
                write!(f, " {arg}")?;
            } else {
                write!(f, " '{}'", arg.replace('\'', "'\\''"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = if self.input.is_some() { " < (hidden)" } else { "" };
        write!(f, "Command({self}{input})")
    }
}

/// What a command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Exit status; 128 and the signal's number where a signal ended it, as a shell says it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// The last 32 KiB of standard error.
    pub stderr: String,
}

impl Answer {
    /// What tells most: standard error, or standard output where there is none.
    pub fn said(&self) -> &str {
        let stderr = self.stderr.trim();
        if stderr.is_empty() { self.stdout.trim() } else { stderr }
    }

    /// The last line of standard error.
    pub fn complaint(&self) -> &str {
        last_line(&self.stderr)
    }

    /// The last line of [`Answer::said`].
    pub fn last_word(&self) -> &str {
        last_line(self.said())
    }

    /// The answer itself where the status is 0.
    ///
    /// # Errors
    /// The command, its status and the end of what it said.
    pub fn ok(self, command: &Command) -> Result<Self, Error> {
        if self.status == 0 {
            return Ok(self);
        }
        Err(Error::Command {
            line: command.to_string(),
            status: self.status,
            said: tail(self.said(), STDERR_KEPT_BYTES).to_owned(),
        })
    }
}

fn last_line(said: &str) -> &str {
    said.trim().lines().last().unwrap_or("nothing said")
}

/// Runs a command to its end.
pub(super) fn run(command: &Command) -> Result<Answer, Error> {
    let mut begun = Begun::new(command)?;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = begun.answer()? {
            return Ok(answer);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// A command that has been started. Output goes to memory files, not pipes: a daemon that keeps them open, or more
/// output than a pipe holds, cannot block the agent.
#[derive(Debug)]
pub(super) struct Begun {
    child: Child,
    stdout: File,
    stderr: File,
    line: String,
    began: Instant,
    limit: Duration,
}

impl Begun {
    /// Starts it, in a process group of its own.
    pub fn new(command: &Command) -> Result<Self, Error> {
        let line = command.to_string();
        let start = |source| Error::Start { line: line.clone(), source };
        let (stdout, stderr) = (memory("stdout").map_err(start)?, memory("stderr").map_err(start)?);
        let stdin = match &command.input {
            None => Stdio::null(),
            Some(input) => {
                let mut file = memory("stdin").map_err(start)?;
                file.write_all(input)
                    .and_then(|()| file.seek(SeekFrom::Start(0)))
                    .map_err(start)?;
                Stdio::from(file)
            }
        };
        let child = std::process::Command::new(command.program)
            .args(&command.args)
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Ubuntu's needrestart would restart what it finds with old libraries, in the middle of it all.
            .env("NEEDRESTART_SUSPEND", "1")
            .env_remove("NOTIFY_SOCKET")
            .stdin(stdin)
            .stdout(stdout.try_clone().map_err(start)?)
            .stderr(stderr.try_clone().map_err(start)?)
            .process_group(0)
            .spawn()
            .map_err(start)?;
        Ok(Self { child, stdout, stderr, line, began: Instant::now(), limit: command.limit })
    }

    /// What it said, once it has ended.
    ///
    /// # Errors
    /// It has not ended in time, or says too much, and is killed.
    pub fn answer(&mut self) -> Result<Option<Answer>, Error> {
        let line = self.line.clone();
        let start = |source| Error::Start { line: line.clone(), source };
        let ended = self.child.try_wait().map_err(start)?;
        let said = |file: &File| file.metadata().map(|metadata| metadata.len());
        let most = said(&self.stdout).map_err(start)?.max(said(&self.stderr).map_err(start)?);
        if most > MOST_SAID_BYTES {
            self.kill();
            return Err(Error::Flood { line, most_bytes: MOST_SAID_BYTES });
        }
        if let Some(status) = ended {
            let stdout = contents(&mut self.stdout).map_err(start)?;
            let stderr = contents(&mut self.stderr).map_err(start)?;
            let stderr = tail(&stderr, STDERR_HEARD_BYTES).to_owned();
            return Ok(Some(Answer { status: number(status), stdout, stderr }));
        }
        if self.began.elapsed() < self.limit {
            return Ok(None);
        }
        self.kill();
        Err(Error::Timeout { line, after_s: self.limit.as_secs() })
    }

    /// Ends it with all that it has started. Whatever the outcome: the error that the caller tells is the one that counts.
    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn memory(name: &str) -> std::io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?))
}

fn contents(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The last bytes of `text`, from the start of a character.
fn tail(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_a_line_for_the_shell_and_hides_its_input() {
        let command = Command::new("chpasswd", ["-e", "a b", "it's"])
            .input(Zeroizing::new(b"pi:$6$secret".to_vec()));
        assert_eq!(command.to_string(), r"chpasswd -e 'a b' 'it'\''s'");
        assert!(!format!("{command:?}").contains("secret"));
    }

    #[test]
    fn status_output_and_input_are_those_of_the_command() {
        let command = Command::new("sh", ["-c", "cat; echo no >&2; exit 3"])
            .input(Zeroizing::new(b"in".to_vec()));
        let answer = run(&command).unwrap();
        assert_eq!((answer.status, answer.stdout.as_str()), (3, "in"));
        let error = answer.ok(&command).unwrap_err();
        assert!(error.to_string().contains("status 3") && error.to_string().contains("no"));
    }

    #[test]
    fn a_child_that_stays_behind_does_not_block() {
        let answer = run(&Command::new("sh", ["-c", "sleep 1000 & echo $!"])).unwrap();
        let pid = answer.stdout.trim().to_owned();
        assert_eq!(run(&Command::new("kill", [pid])).unwrap().status, 0);
    }

    #[test]
    fn a_command_that_does_not_end_is_killed() {
        let endless = Command::new("sh", ["-c", "sleep 1000"]).within(Duration::from_millis(20));
        let error = run(&endless).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_command_that_says_too_much_is_killed() {
        for script in ["yes", "yes >&2", "head -c 17M /dev/zero"] {
            let error = run(&Command::new("sh", ["-c", script])).unwrap_err();
            assert!(matches!(error, Error::Flood { .. }), "{script}: {error}");
        }
    }

    #[test]
    fn only_the_end_of_a_long_error_is_kept() {
        let script = "i=0; while [ $i -lt 4000 ]; do echo line-é-$i >&2; i=$((i+1)); done; exit 1";
        let command = Command::new("sh", ["-c", script]);
        let answer = run(&command).unwrap();
        assert!(answer.stderr.len() <= STDERR_HEARD_BYTES && answer.stderr.ends_with("3999\n"));
        let Err(Error::Command { said, .. }) = answer.ok(&command) else { panic!() };
        assert!(said.len() <= STDERR_KEPT_BYTES && said.ends_with("3999"));
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let error = run(&Command::new("pikube-no-such-program", ["x"])).unwrap_err();
        assert!(error.to_string().contains("`pikube-no-such-program x`"), "{error}");
    }
}
