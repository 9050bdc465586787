//! The readers of bytes from outside, each as a function of bytes: for the fuzz targets in `tests/fuzz`, and for the test
//! below, which reads what they found again. In no program: only under `cfg(fuzzing)` and `cfg(test)`.

use pikube_config::{FirstbootPlan, Problems, Report, Secrets};

use crate::cluster_file::ClusterFile;
use crate::{boot, catalogue, cluster, image, yaml};

/// Reads bytes, whatever they are: it may refuse them, and neither panics nor takes long.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("bmap", image::fuzzing::bmap),
    ("boot_partition", boot::fuzzing::boot_partition),
    ("boot_texts", boot::fuzzing::texts),
    ("bzip2", image::fuzzing::bzip2),
    ("cluster_file", cluster_file),
    ("ext4", image::fuzzing::ext4),
    ("firstboot_plan", firstboot_plan),
    ("gzip", image::fuzzing::gzip),
    ("image_list", image_list),
    ("kubeconfig", cluster::fuzzing::kubeconfig),
    ("location", image::fuzzing::location),
    ("partition_table", image::fuzzing::partition_table),
    ("report", report),
    ("secrets", secrets),
    ("signature", image::fuzzing::signature),
    ("sums", image::fuzzing::sums),
    ("user_data", boot::fuzzing::user_data),
    ("xz", image::fuzzing::xz),
    ("yaml", yaml),
    ("zip", image::fuzzing::zip),
    ("zstd", image::fuzzing::zstd),
];

/// Reads bytes as a target does.
///
/// # Panics
/// There is no such target; the reader has a fault.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.unwrap_or_else(|| panic!("there is no target `{target}`")).1(data);
}

/// A sparse volume, so that a few hundred bytes are a file system: pieces, each of which has its place (four bytes), its
/// length (two), and its bytes. Everything else is zeros.
pub(crate) fn volume(mut data: &[u8], most_bytes: usize) -> Vec<u8> {
    let mut volume = Vec::new();
    while let Some((head, rest)) = data.split_first_chunk::<6>() {
        let at = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize % most_bytes;
        let len = usize::from(u16::from_le_bytes([head[4], head[5]]));
        let (piece, rest) = rest.split_at(len.min(rest.len()).min(most_bytes - at));
        volume.resize(volume.len().max(at + piece.len()), 0);
        volume[at..at + piece.len()].copy_from_slice(piece);
        data = rest;
    }
    volume
}

fn cluster_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What it names is looked for here, and is not there.
    let (folder, home) = ("/nonexistent".into(), Some("/nonexistent".as_ref()));
    let _ = ClusterFile::parse(text, folder, home, &mut Problems::default());
}

fn firstboot_plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = FirstbootPlan::identity(text);
    if let Ok(plan) = FirstbootPlan::from_toml(text) {
        let again = plan.to_toml().and_then(|text| FirstbootPlan::from_toml(&text));
        assert_eq!(again, Ok(plan));
    }
}

fn secrets(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Secrets::from_toml(text);
}

fn image_list(data: &[u8]) {
    let _ = catalogue::parse_list(data);
}

fn report(data: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<Report>(data) {
        let _ = report.to_text();
    }
}

fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = yaml::load(text);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_corpus_is_read_without_a_fault() {
        let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus"));
        for (name, target) in TARGETS {
            let folder = corpus.join(name);
            let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
            let inputs: Vec<_> =
                files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
            assert!(!inputs.is_empty(), "{}", folder.display());
            inputs.iter().for_each(|input| target(input));
        }
    }

    #[test]
    fn a_volume_is_made_of_pieces() {
        let pieces =
            [&[2, 0, 0, 0, 3, 0][..], b"abc", &[0, 0, 0, 0, 1, 0], b"x", &[9, 0, 0, 0, 9, 0], b"z"];
        assert_eq!(volume(&pieces.concat(), 10), b"x\0abc\0\0\0\0z");
    }
}
