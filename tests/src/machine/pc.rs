//! QEMU as an ordinary computer: boots the amd64 twin of a card with a kernel of Debian, which runs what User Mode Linux
//! cannot: a real API server, kubelet and pod network. `kubernetes/machine.sh` makes kernel, initrd and images. With KVM
//! where that works, else without: slow, minutes for a boot.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::Running;
use super::{Machine, PATIENCE, config_txt};
use crate::card::Card;
use crate::needs::{self, Missing};
use crate::switch::Cable;

/// kubeadm wants two for a control plane.
const PROCESSORS: &str = "2";
/// A processor without AVX: its instructions are slow where they are emulated. With those for SHA-256 and random numbers,
/// which are not: every image that a node pulls is hashed.
const EMULATED: &str = "Westmere,+sha-ni,+rdrand";
/// How long a kernel may take to find that it has no root where KVM works: there it takes two seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// A QEMU computer with a network card.
#[derive(Debug, Clone)]
pub struct Pc {
    parts: Parts,
    memory_mib: u32,
    /// Where the console logs go, one per boot.
    logs: PathBuf,
    cable: Cable,
}

/// QEMU, and what it starts.
#[derive(Debug, Clone)]
struct Parts {
    program: PathBuf,
    /// Of a QEMU that is not installed: where its firmware is.
    firmware: Vec<PathBuf>,
    kernel: PathBuf,
    initrd: PathBuf,
}

/// The image of that name with a kernel's modules in it, to be copied, never written to.
///
/// # Errors
/// When it has not been built.
pub fn image(name: &str) -> Result<PathBuf, Missing> {
    part(&format!("{name}.img"), name)
}

fn part(file: &str, image: &str) -> Result<PathBuf, Missing> {
    let path = needs::clone_root().join("target/test-kubernetes/machine").join(file);
    if path.is_file() {
        Ok(path)
    } else {
        let remedy = format!("tests/kubernetes/machine.sh {image}");
        Err(Missing::new(format!("no {}", path.display()), remedy))
    }
}

impl Parts {
    fn find() -> Result<Self, Missing> {
        needs::command("setpriv", "util-linux")?;
        let (kernel, initrd) = (part("vmlinuz", "IMAGE")?, part("initrd", "IMAGE")?);
        let unpacked = needs::clone_root().join("target/test-kubernetes/machine/qemu/usr");
        let newer = unpacked.join("bin/qemu-system-x86_64");
        if newer.is_file() {
            let firmware = ["share/qemu", "share/seabios"].map(|folder| unpacked.join(folder));
            return Ok(Self { program: newer, firmware: firmware.to_vec(), kernel, initrd });
        }
        let program = needs::command("qemu-system-x86_64", "qemu-system-x86")?;
        Ok(Self { program, firmware: Vec::new(), kernel, initrd })
    }

    /// The arguments of any computer, with the messages of its kernel on standard output.
    fn arguments(&self, kvm: bool, memory_mib: u32) -> Vec<String> {
        let (accelerator, processor) =
            if kvm { ("kvm", "host") } else { ("tcg,thread=multi,tb-size=512", EMULATED) };
        let memory = format!("{memory_mib}");
        let mut arguments: Vec<String> =
            self.firmware.iter().flat_map(|path| ["-L".to_owned(), text(path)]).collect();
        for word in ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"] {
            arguments.push(word.to_owned());
        }
        for (option, value) in [
            ("-accel", accelerator),
            ("-cpu", processor),
            ("-smp", PROCESSORS),
            ("-m", &memory),
            ("-kernel", &text(&self.kernel)),
        ] {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
        arguments
    }

    /// Whether KVM works here: there are computers that have it and run the kernel of a guest a thousand times too slowly, or
    /// not at all. A kernel without a root says so and ends.
    fn kvm_works(&self) -> bool {
        static WORKS: OnceLock<bool> = OnceLock::new();
        *WORKS.get_or_init(|| {
            Path::new("/dev/kvm").exists() && self.probe_kvm().is_ok_and(|works| works)
        })
    }

    fn probe_kvm(&self) -> Result<bool> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program).args(self.arguments(true, 512));
        command.args(["-append", "console=ttyS0 panic=-1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut output = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut console = Vec::new();
            let _ = output.as_mut().map(|pipe| std::io::Read::read_to_end(pipe, &mut console));
            String::from_utf8_lossy(&console).contains("Unable to mount root fs")
        });
        let end = Instant::now() + PROBE_LIMIT;
        while child.try_wait()?.is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
        let _ = child.wait();
        Ok(reader.join().unwrap_or(false))
    }
}

impl Pc {
    /// A computer with `memory_mib` of memory and this cable in its network card, which is `eth0`; it writes its console
    /// logs into the directory `logs`.
    ///
    /// # Errors
    /// When QEMU, or what it starts, is not there.
    pub fn new(memory_mib: u32, logs: impl Into<PathBuf>, cable: Cable) -> Result<Self, Missing> {
        Ok(Self { parts: Parts::find()?, memory_mib, logs: logs.into(), cable })
    }

    /// What computers of this kind need.
    ///
    /// # Errors
    /// What is missing first.
    pub fn needs() -> Result<(), Missing> {
        Parts::find().map(|_| ())
    }

    /// How it runs, for a person who reads times.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.parts.kvm_works() { "QEMU with KVM" } else { "QEMU without KVM" }
    }
}

impl Machine for Pc {
    fn boot(&self, card: &Card) -> Result<Running> {
        let scratch = tempfile::Builder::new().prefix("pikube-test-pc").tempdir()?;
        let mut command = self.cable.command(&text(&self.parts.program));
        command.args(self.parts.arguments(self.parts.kvm_works(), self.memory_mib));
        command.arg("-initrd").arg(&self.parts.initrd);
        // A power cut is the end of this process: what the guest has written by then is with the kernel of this computer,
        // flushed or not, and what it has not is gone. So its flushes need not wait for this computer's disk.
        let drive = format!("file={},format=raw,if=virtio,cache=unsafe", card.path().display());
        command.args(["-drive", &drive, "-device", "virtio-rng-pci"]);
        command.args(self.cable.qemu_arguments());
        // The names of network cards that Pis have. There is no screen, and nobody logs in.
        let line = config_txt::command_line(card, "ttyS0")?;
        let line = line.replace("console=tty1", "console=ttyS0,115200");
        let harness = format!(
            "console=ttyS0,115200 net.ifnames=0 systemd.mask=getty@tty1.service \
             systemd.mask=serial-getty@ttyS0.service {PATIENCE}"
        );
        command.args(["-append", &format!("{harness} {line}")]);
        let log = super::process::new_log(&self.logs, "pc")?;
        Running::start(&command, scratch, log, super::qemu::ending)
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
