//! Without a kernel to boot: a card, the plan that is on it, what the agent would do, and what `piflash diagnose` says of
//! a card whose node has not been on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pikube_tests::needs;

use crate::{about, show};

const SECTOR: u64 = 512;
/// First sector of the boot partition, and how many sectors both partitions have.
const BOOT: u64 = 8192;
const BOOT_SECTORS: u64 = 256 << 11;
const ROOT_SECTORS: u64 = 8 << 11;

/// Writes the card and shows what can be shown without booting it.
///
/// # Errors
/// What does not work.
pub fn run() -> Result<()> {
    about(
        "piflash; the card's boot partition; the plan; what pikube-agent would do",
        "a boot partition with the file names and settings of Raspberry Pi OS, and an empty root partition. Nothing is \
         booted here: that takes User Mode Linux and an image built from Debian's packages",
    );
    let folder = needs::clone_root().join("target/demo");
    fs::create_dir_all(&folder)?;
    let (image, card) = (folder.join("raspios.img"), folder.join("laperouse.img"));
    make_image(&image)?;
    let _ = fs::remove_file(&card);

    let agents = agents(&folder)?;
    let shared = [
        "--role",
        "master",
        "--hostname",
        "laperouse",
        "--address",
        "192.168.77.10/24",
        "--router",
        "192.168.77.1",
        "--dns",
        "192.168.77.1",
    ];
    let piflash = |words: &[&str], paths: &[&Path]| {
        let mut command = Command::new(needs::piflash()?);
        command.env("PIKUBE_STATE_DIR", folder.join("state")).args(words).args(paths);
        said(&mut command)
    };
    let receipt = piflash(
        &[&shared[..], &["--yes", "--agent-dir"]].concat(),
        &[&agents, Path::new("--image"), &image, &card],
    )?;
    show(&format!("laptop$ piflash {} card.img", shared.join(" ")), &receipt);

    let plan = folder.join("pikube.toml");
    fs::write(&plan, plan_of(&card)?)?;
    show(
        "laptop$ cat pikube.toml        # the plan, on the boot partition",
        &fs::read_to_string(&plan)?,
    );
    let agent = agents.join("pikube-agent-arm64");
    let steps = said(Command::new(agent).args(["plan", "--plan"]).arg(&plan))?;
    show("laptop$ pikube-agent plan --plan pikube.toml", &steps);
    show("laptop$ piflash diagnose card.img", &piflash(&["diagnose"], &[&card])?);
    Ok(())
}

/// The agent of this computer stands in for those of a Pi: nothing starts it but `pikube-agent plan` here.
fn agents(folder: &Path) -> Result<PathBuf> {
    let agents = folder.join("agents");
    fs::create_dir_all(&agents)?;
    let own = needs::clone_root().join("target/debug/pikube-agent");
    for name in ["pikube-agent-arm64", "pikube-agent-armv7"] {
        fs::copy(&own, agents.join(name)).with_context(|| format!("copying {}", own.display()))?;
    }
    Ok(agents)
}

/// What a program printed; both streams.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    Ok(text)
}

/// An image with a FAT that piflash takes for that of Raspberry Pi OS trixie.
fn make_image(path: &Path) -> Result<()> {
    let mut bytes = vec![0; ((BOOT + BOOT_SECTORS + ROOT_SECTORS) * SECTOR) as usize];
    bytes[440..444].copy_from_slice(&[0x03, 0xb0, 0x69, 0x50]);
    for (index, (kind, first, count)) in
        [(0x0c, BOOT, BOOT_SECTORS), (0x83, BOOT + BOOT_SECTORS, ROOT_SECTORS)]
            .into_iter()
            .enumerate()
    {
        let entry = &mut bytes[446 + index * 16..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&u32::try_from(first)?.to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(count)?.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let boot = (BOOT * SECTOR) as usize..((BOOT + BOOT_SECTORS) * SECTOR) as usize;
    fill(&mut bytes[boot])?;
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn fill(partition: &mut [u8]) -> Result<()> {
    let mut disk = std::io::Cursor::new(partition);
    let options = fatfs::FormatVolumeOptions::new().volume_label(*b"bootfs     ");
    fatfs::format_volume(&mut disk, options)?;
    let volume = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new())?;
    let root = volume.root_dir();
    let settings = needs::clone_root().join("tests/images/fat/raspios-trixie");
    for entry in fs::read_dir(settings)? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?.replace("@DISK_ID@", "5069b003");
        root.create_file(&entry.file_name().to_string_lossy())?.write_all(text.as_bytes())?;
    }
    for name in
        ["start4.elf", "kernel8.img", "kernel_2712.img", "initramfs8", "bcm2711-rpi-4-b.dtb"]
    {
        root.create_file(name)?.write_all(b"nothing boots this\n")?;
    }
    drop(root);
    volume.unmount()?;
    Ok(())
}

/// The plan on the boot partition of a card.
fn plan_of(card: &Path) -> Result<String> {
    let file = fs::File::open(card)?;
    let partition =
        fscommon::StreamSlice::new(file, BOOT * SECTOR, (BOOT + BOOT_SECTORS) * SECTOR)?;
    let volume = fatfs::FileSystem::new(partition, fatfs::FsOptions::new())?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut volume.root_dir().open_file("pikube.toml")?, &mut text)?;
    Ok(text)
}
