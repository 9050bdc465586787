//! The fuzz targets, each for a short time: `tests/fuzz/run.sh` for a longer one. What they have found before is read again
//! by the unit tests of `imager` and `agent` (`fuzzing.rs`).

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use pikube_tests::needs;

/// How long each target runs, in seconds.
const SECONDS: &str = "15";

#[test]
fn every_target_reads_whatever_it_is_given() -> Result<()> {
    let needed = needs::command("c++", "build-essential");
    if needs::or_skip("fuzz", needed).is_none() {
        return Ok(());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/run.sh");
    let output = Command::new(script).arg(SECONDS).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
