//! A virtual network: a switch with a cable for each node, a "laptop" in it that is also the router, a DHCP and DNS
//! server on that laptop, and an address beyond the router that stands for the internet.
//!
//! All of it lives in a network namespace without a name, held by a process that dies with the test thread
//! (`PR_SET_PDEATHSIG`). When the last process in it has ended, however that came about, the kernel removes the
//! namespace with the bridge and the taps: nothing is left to be swept.

mod dhcp;

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::needs::{self, Missing};

pub use dhcp::Lease;

/// The laptop: router, DHCP and DNS server of the network.
pub const LAPTOP: &str = "192.168.77.1";
/// The network, in the notation of CIDR. Addresses from .100 on are the DHCP server's; those below are free for tests.
pub const NETWORK: &str = "192.168.77.0/24";
/// The domain of the network: the DNS server answers `NAME.pikube.test` for the laptop and for whoever has told its
/// host name to the DHCP server, and sends nothing elsewhere.
pub const DOMAIN: &str = "pikube.test";
/// An address that is reached through the router only (TEST-NET-3 of RFC 5737).
pub const BEYOND: &str = "203.0.113.1";

/// What a terminal shows of the holder of the namespace.
const HOLDER: &str = "pikube-test-switch";

/// A switch with a laptop in it. Gone, with its network, when dropped.
#[derive(Debug)]
pub struct Switch {
    /// Nothing but a process inside the namespace.
    holder: Child,
    dhcp: Option<Child>,
    directory: TempDir,
    cables: AtomicU8,
}

/// One end of a cable, to be plugged into a machine.
#[derive(Debug, Clone)]
pub struct Cable {
    /// Path of the namespace, for setns(2).
    namespace: PathBuf,
    tap: String,
    mac: String,
}

impl Switch {
    /// What a switch needs: root and two programs.
    ///
    /// # Errors
    /// What is missing first.
    pub fn needs() -> Result<(), Missing> {
        for (command, package) in [
            ("ip", "iproute2"),
            ("dnsmasq", "dnsmasq-base"),
            ("nsenter", "util-linux"),
            ("ping", "iputils-ping"),
        ] {
            needs::command(command, package)?;
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Missing::new("a network namespace needs root", "sudo"));
        }
        // root in a container may not
        let allowed = Command::new("unshare").args(["--net", "true"]).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return Err(Missing::new("no network namespace can be made here", "man unshare"));
        }
        if !Path::new("/dev/net/tun").exists() {
            return Err(Missing::new("this kernel has no taps: no /dev/net/tun", "modprobe tun"));
        }
        Ok(())
    }

    /// A switch that is on, without any cable.
    ///
    /// # Errors
    /// When the namespace or what is in it cannot be made; see [`Switch::needs`].
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pikube-test-switch").tempdir()?;
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "bash", "-c"])
            .arg(format!("echo inside; exec -a {HOLDER} sleep infinity"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("making a network namespace")?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut switch = Self { holder, dhcp: None, directory, cables: AtomicU8::new(0) };
        ensure!(line == "inside\n", "no network namespace: see the message of unshare above");
        let laptop = format!("{LAPTOP}/24");
        let beyond = format!("{BEYOND}/32");
        for words in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", &beyond, "dev", "lo"],
            // without delay: a port forwards from its first frame on
            &["link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0"],
            &["address", "add", &laptop, "dev", "br0"],
            &["link", "set", "br0", "up"],
        ] {
            switch.run("ip", words)?;
        }
        switch.dhcp = Some(dhcp::start(&switch)?);
        Ok(switch)
    }

    /// A new cable. The machine at its other end has the same hardware address at every boot.
    ///
    /// # Errors
    /// When there are more than 200, or the tap cannot be made.
    pub fn cable(&self) -> Result<Cable> {
        let number = self.cables.fetch_add(1, Ordering::Relaxed);
        ensure!(number < 200, "the switch is full");
        let tap = format!("tap{number}");
        self.run("ip", &["tuntap", "add", "dev", &tap, "mode", "tap"])?;
        // User Mode Linux asks for frames that are longer than a wire's, and loses them once its system forwards packets
        // (`vector_kern.c`: "Incoming GSO frames and GRO disabled"): every download would wait for its repetitions.
        let plain = ["master", "br0", "gso_max_segs", "1", "up"];
        self.run("ip", &[&["link", "set", tap.as_str()][..], &plain].concat())?;
        Ok(Cable { namespace: self.namespace(), tap, mac: format!("52:54:00:70:6b:{number:02x}") })
    }

    /// A command that will run on the laptop.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        inside(&self.namespace(), program)
    }

    /// Runs a command on the laptop.
    ///
    /// # Errors
    /// When it cannot be started, or does not succeed; with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let output = self.command(program).args(arguments).stdin(Stdio::null()).output()?;
        ensure!(
            output.status.success(),
            "{program} {}: {}\n{}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output)
    }

    /// Whether somebody answers at an address within `limit`.
    ///
    /// # Errors
    /// When nobody does; with the laptop's table of neighbours.
    pub fn answers(&self, address: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.run("ping", &["-n", "-c", "1", "-W", "1", address]).is_ok() {
                return Ok(());
            }
        }
        let neighbours = self.run("ip", &["neighbour"])?;
        bail!(
            "nobody answers at {address} within {} s; neighbours:\n{}",
            limit.as_secs(),
            String::from_utf8_lossy(&neighbours.stdout)
        )
    }

    /// The addresses that the DHCP server has given away.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn leases(&self) -> Result<Vec<Lease>> {
        dhcp::leases(&self.directory.path().join(dhcp::LEASES))
    }

    /// What the DHCP and DNS server has logged.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn dhcp_log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.directory.path().join(dhcp::LOG))?)
    }

    /// What `make` returns, made on the laptop: a socket stays in the namespace where it was made.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `make` fails.
    pub fn within<T: Send>(
        &self,
        make: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        let namespace = std::fs::File::open(self.namespace())?;
        let inside = || {
            // of this thread alone, which ends here
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network)?;
            make()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
    }

    /// What the DNS server answers, from now on, for names beyond its own domain: an address each. What it does not
    /// know does not exist.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set_names(&self, names: &[(&str, &str)]) -> Result<()> {
        let lines: String =
            names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
        std::fs::write(self.directory.path().join(dhcp::NAMES), lines)?;
        if let Some(dhcp) = &self.dhcp {
            dhcp::read_again(dhcp, &self.directory.path().join(dhcp::LOG))?;
        }
        Ok(())
    }

    fn namespace(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in self.dhcp.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn inside(namespace: &Path, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace.display())).arg("--").arg(program);
    command
}

impl Cable {
    /// The hardware address of whatever it is plugged into, as `ip` writes it.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// What User Mode Linux calls this cable on its command line.
    pub(crate) fn uml_argument(&self) -> String {
        format!("vec0:transport=tap,ifname={},mac={}", self.tap, self.mac)
    }

    /// What QEMU calls this cable on its command line: a network card that it ends in.
    pub(crate) fn qemu_arguments(&self) -> [String; 4] {
        [
            "-netdev".to_owned(),
            format!("tap,id=cable,ifname={},script=no,downscript=no", self.tap),
            "-device".to_owned(),
            // without a ROM: nothing boots from here
            format!("virtio-net-pci,netdev=cable,romfile=,mac={}", self.mac),
        ]
    }

    /// A command that will run where this cable is.
    pub(crate) fn command(&self, program: &str) -> Command {
        inside(&self.namespace, program)
    }
}
