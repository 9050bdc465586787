//! Puts the agents into piflash: those of `make agents` (`target/agents`, or the folder in `$PIKUBE_AGENTS`).
//! A build without them works for everything but writing a card without `--agent-dir`.
#![allow(clippy::print_stdout, reason = "cargo reads a build script's standard output")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=PIKUBE_AGENTS");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = env::var_os("PIKUBE_AGENTS")
        .map_or_else(|| manifest.join("../target/agents"), PathBuf::from);
    let mut table = String::from("&[\n");
    for architecture in ["arm64", "armv7"] {
        let path = folder.join(format!("pikube-agent-{architecture}"));
        println!("cargo::rerun-if-changed={}", path.display());
        match fs::canonicalize(&path) {
            Ok(path) => {
                let _ = writeln!(table, "({architecture:?}, include_bytes!({path:?})),");
            }
            Err(_) => println!("cargo::warning=no agent `{}`: run `make agents`", path.display()),
        }
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("agents.rs");
    if let Err(error) = fs::write(&out, table) {
        println!("cargo::error=writing `{}`: {error}", out.display());
    }
}
