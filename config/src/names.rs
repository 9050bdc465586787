//! File names on the card and paths on the Pi: the one place where they are spelled.

/// The firstboot plan, TOML, on the boot partition and (same name) in [`CONFIG_DIR`].
pub const PLAN: &str = "pikube.toml";
/// The secrets, TOML; the launcher moves them to [`CONFIG_DIR`] and overwrites the copy on the card.
pub const SECRETS: &str = "pikube-secrets.toml";
/// The POSIX sh script that `systemd.run=` starts at first boot.
pub const LAUNCHER: &str = "pikube-launch.sh";
/// The agent's unit.
pub const UNIT: &str = "pikube-agent.service";
/// What the agent writes back, for programs.
pub const REPORT_JSON: &str = "pikube-report.json";
/// What the agent writes back, for people.
pub const REPORT_TEXT: &str = "pikube-report.txt";
/// What the launcher did, appended at each of its runs.
pub const LAUNCH_LOG: &str = "pikube-launch.log";
/// Agent binaries are `pikube-agent-ARCH`, ARCH as in [`AGENT_ARCHITECTURES`].
pub const AGENT_PREFIX: &str = "pikube-agent-";
/// Debian's names of the architectures an agent can be built for; `amd64` is used by tests only.
pub const AGENT_ARCHITECTURES: [&str; 3] = ["arm64", "armv7", "amd64"];

/// Configuration on the Pi (0700): plan and, until they are scrubbed, secrets.
pub const CONFIG_DIR: &str = "/etc/pikube";
/// Journal, report and the marker `done`.
pub const STATE_DIR: &str = "/var/lib/pikube";
/// Marker in [`STATE_DIR`]: first boot is complete; the unit's condition looks at it.
pub const DONE: &str = "done";
/// The agent's binary.
pub const AGENT_PATH: &str = "/usr/local/lib/pikube/pikube-agent";
