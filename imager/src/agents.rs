//! The agents that travel on the card: built in at compile time, or from a folder.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use pikube_config::names;
use thiserror::Error;

use crate::boot::Bits;
use crate::small_file;

/// Largest agent, bytes: four times what one with debugging symbols has.
const MAX_BYTES: u64 = 256 << 20;

/// Built in by `build.rs`: architecture and binary; empty in a build without `make agents`.
static BUILT_IN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// One agent binary.
pub struct Agent {
    /// As in [`names::AGENT_ARCHITECTURES`].
    pub architecture: &'static str,
    /// The ELF file.
    pub binary: Cow<'static, [u8]>,
}

impl Agent {
    /// Its name on the card.
    pub fn file_name(&self) -> String {
        format!("{}{}", names::AGENT_PREFIX, self.architecture)
    }
}

/// The agents at hand.
pub struct Agents(Vec<Agent>);

/// Why agents cannot be used.
#[derive(Debug, Error)]
pub enum AgentsError {
    /// Reading one.
    #[error("reading the agent `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Not a program for that architecture.
    #[error("the agent `{0}` is not an ELF program for {1}")]
    NotElf(PathBuf, &'static str),
    /// An empty folder.
    #[error(
        "the folder `{0}` holds no file named pikube-agent-arm64, pikube-agent-armv7 or pikube-agent-amd64"
    )]
    None(PathBuf),
}

impl Agents {
    /// Those in the folder, where there is one; else those inside this program.
    ///
    /// # Errors
    /// As [`Agents::from_folder`].
    pub fn of(folder: Option<&Path>) -> Result<Self, AgentsError> {
        folder.map_or_else(|| Ok(Self::built_in()), Self::from_folder)
    }

    /// Those inside this program.
    pub fn built_in() -> Self {
        let agents = BUILT_IN.iter().filter_map(|(name, binary)| {
            let architecture =
                names::AGENT_ARCHITECTURES.into_iter().find(|known| known == name)?;
            Some(Agent { architecture, binary: Cow::Borrowed(*binary) })
        });
        Self(agents.collect())
    }

    /// Those in a folder, `pikube-agent-ARCH`.
    ///
    /// # Errors
    /// [`AgentsError`]: none there, unreadable, or not a program of that architecture.
    pub fn from_folder(folder: &Path) -> Result<Self, AgentsError> {
        let mut agents = Vec::new();
        for architecture in names::AGENT_ARCHITECTURES {
            let path = folder.join(format!("{}{architecture}", names::AGENT_PREFIX));
            match small_file::read(&path, MAX_BYTES) {
                Ok(binary) if elf_machine(&binary) == Some(machine(architecture)) => {
                    agents.push(Agent { architecture, binary: Cow::Owned(binary) });
                }
                Ok(_) => return Err(AgentsError::NotElf(path, architecture)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(AgentsError::Read { path, source }),
            }
        }
        if agents.is_empty() { Err(AgentsError::None(folder.to_owned())) } else { Ok(Self(agents)) }
    }

    /// Every one.
    pub fn all(&self) -> Vec<&Agent> {
        self.0.iter().collect()
    }

    /// Those that a system of this word size runs.
    pub fn for_bits(&self, bits: Bits) -> Vec<&Agent> {
        let able = |agent: &&Agent| (agent.architecture == "armv7") == (bits == Bits::ThirtyTwo);
        self.0.iter().filter(able).collect()
    }
}

/// `e_machine` of elf(5): EM_AARCH64, EM_ARM, EM_X86_64.
fn machine(architecture: &str) -> u16 {
    match architecture {
        "arm64" => 183,
        "armv7" => 40,
        _ => 62,
    }
}

fn elf_machine(binary: &[u8]) -> Option<u16> {
    let field = binary.get(18..20)?;
    binary.starts_with(b"\x7fELF").then(|| u16::from_le_bytes([field[0], field[1]]))
}
