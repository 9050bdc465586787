//! Which kernel a Pi 5 starts. Raspberry Pi OS brings two for 64 bit, and by itself the firmware of a Pi 5 takes the one with
//! pages of 16 KiB. Many container images fail there: what was built for pages of 4 KiB (jemalloc, older allocators of Go and
//! Rust, databases) ends with "unsupported system page size" or crashes. The other kernel runs on every board, and a Pi 5
//! loses a few per cent of speed with it.

use pikube_config::FirstbootPlan;

use super::config_txt::{Block, ConfigError};
use super::edits::Found;
use super::os::{Family, Os};

/// The kernel with pages of 4 KiB.
pub const SMALL: &str = "kernel8.img";
/// The one with pages of 16 KiB, for a Pi 5 only.
pub const LARGE: &str = "kernel_2712.img";

const BLOCK: Block = Block { begin: "# pikube pages begin", end: "# pikube pages end" };
/// The filter `[pi5]` holds for all boards with its chip. `auto_initramfs=1` finds the initramfs that goes with the kernel.
const LINES: &str = "[pi5]\nkernel=kernel8.img\n[all]\n";

/// `config.txt` with the choice of the kernel, or without it where it is not for this card.
///
/// # Errors
/// A block of ours that somebody has cut.
pub fn edit(
    config: &[u8],
    os: &Os,
    plan: &FirstbootPlan,
    found: &Found,
    warnings: &mut Vec<String>,
) -> Result<Vec<u8>, ConfigError> {
    let mut edited = config.to_vec();
    loop {
        let (before, after) = BLOCK.around(&edited)?;
        if after.is_empty() && before.len() == edited.len() {
            break;
        }
        edited = [before, after].concat();
    }
    let had_block = edited.len() < config.len();
    let runs_containers =
        plan.kubernetes.as_ref().is_some_and(|kubernetes| !kubernetes.keep_16k_pages);
    if os.family != Family::RaspberryPiOs || !found.both_page_sizes || !runs_containers {
        return Ok(edited);
    }
    if names_kernel(&edited) {
        warnings.push(format!(
            "`config.txt` names a kernel of its own, which is left as it is; container images need pages of 4 KiB on a Pi 5: `{SMALL}`"
        ));
        return Ok(edited);
    }
    BLOCK.push(&mut edited, LINES);
    if !had_block {
        warnings.push(
            "a Pi 5 starts the kernel with pages of 4 KiB, for many container images do not run on its own one with 16 KiB; \
             `--keep-16k-pages` keeps that"
                .to_owned(),
        );
    }
    Ok(edited)
}

/// Whether any line chooses a kernel, for whatever board.
fn names_kernel(config: &[u8]) -> bool {
    config.split(|byte| *byte == b'\n').any(|line| line.trim_ascii().starts_with(b"kernel="))
}

#[cfg(test)]
mod tests {
    use pikube_config::Kubernetes;

    use super::*;
    use crate::boot::os::Release;

    const PLAN: &str = "schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n";

    fn os(family: Family) -> Os {
        Os::example(family, Release::Trixie)
    }

    fn edited(config: &str, family: Family, keep: Option<bool>, both: bool) -> (String, usize) {
        let mut plan = FirstbootPlan::from_toml(PLAN).unwrap();
        plan.kubernetes =
            keep.map(|keep_16k_pages| Kubernetes { keep_16k_pages, ..Kubernetes::new("1.36") });
        let found = Found { both_page_sizes: both, ..Found::default() };
        let mut notes = Vec::new();
        let bytes = edit(config.as_bytes(), &os(family), &plan, &found, &mut notes).unwrap();
        (String::from_utf8(bytes).unwrap(), notes.len())
    }

    #[test]
    fn a_node_of_a_cluster_gets_small_pages_once_and_a_person_can_keep_the_large_ones() {
        let shipped = "arm_64bit=1\n[cm4]\notg_mode=1";
        let (once, notes) = edited(shipped, Family::RaspberryPiOs, Some(false), true);
        let block = "# pikube pages begin\n[pi5]\nkernel=kernel8.img\n[all]\n# pikube pages end\n";
        assert_eq!((once.as_str(), notes), (&*format!("{shipped}\n{block}"), 1));
        let again = edited(&once, Family::RaspberryPiOs, Some(false), true);
        assert_eq!(again, (once.clone(), 0));
        let kept = edited(&once, Family::RaspberryPiOs, Some(true), true);
        assert_eq!(kept, (format!("{shipped}\n"), 0));
    }

    #[test]
    fn other_systems_other_nodes_and_a_person_s_own_kernel_are_left_alone() {
        let shipped = "arm_64bit=1\n";
        for (family, keep, both) in [
            (Family::Ubuntu, Some(false), true),
            (Family::Debian, Some(false), true),
            (Family::Hypriot, Some(false), true),
            (Family::RaspberryPiOs, None, true),
            (Family::RaspberryPiOs, Some(false), false),
        ] {
            assert_eq!(edited(shipped, family, keep, both), (shipped.to_owned(), 0), "{family:?}");
        }
        let own = "[pi5]\n kernel=mine.img\n";
        assert_eq!(
            edited(own, Family::RaspberryPiOs, Some(false), true),
            (own.to_owned(), 1),
            "their kernel stays, and they are told"
        );
    }
}
