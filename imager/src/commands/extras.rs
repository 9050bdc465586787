//! `--config-txt`, `--file`, `--user-data` → what else goes onto the boot partition: reads the files and judges them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pikube_config::{Problem, Problems};

use super::images;
use crate::boot::{ExtraFile, Extras};
use crate::cli::ExtrasArgs;
use crate::failure::{Exit, Failure};
use crate::image::{self, Location};
use crate::progress::Console;

/// Largest file for the boot partition, bytes: more than any has free.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// What the arguments ask for.
///
/// # Errors
/// A file that cannot be read; all other problems at once.
pub(super) fn of(
    args: &ExtrasArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Extras, Failure> {
    let files = args.file.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let user_data = match &args.user_data {
        None => None,
        Some(user_data) => {
            let location = Location::parse(user_data).map_err(image::Error::from)?;
            Some(image::read_small(&location, &images::surroundings(console, interrupted))?)
        }
    };
    Extras::new(user_data.as_deref(), args.config_txt.clone(), args.usb_boot, files).map_err(
        |problems| {
            let problems = problems.0.into_iter().map(|problem| {
                let option = match problem.key.as_str() {
                    "user-data" => "--user-data".to_owned(),
                    "config.txt" => "--config-txt".to_owned(),
                    name => format!("--file {name}"),
                };
                Problem { key: option, ..problem }
            });
            Failure::new(Exit::Usage, Problems(problems.collect()).to_string())
        },
    )
}

fn read(path: &Path) -> Result<ExtraFile, Failure> {
    let failed = |why: String| {
        Failure::new(
            Exit::Usage,
            format!("reading `{}` for the boot partition: {why}", path.display()),
        )
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(failed("it is not a file".into())),
        0..=MAX_FILE_BYTES => {
            let content = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            Ok(ExtraFile { name: name.unwrap_or_default(), content })
        }
        _ => Err(failed("it is larger than any boot partition".into())),
    }
}
