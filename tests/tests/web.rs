//! The web server of a laptop, asked by curl on the same switch: files, ranges, dates, and everything that it breaks on
//! demand.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pikube_tests::needs;
use pikube_tests::switch::{BEYOND, Switch};
use pikube_tests::web::{Fault, Times, Web};
use tempfile::TempDir;

const PAGE: &str = "0123456789";
const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;

struct Desk {
    web: Web,
    switch: Switch,
    _folder: TempDir,
}

impl Desk {
    fn new() -> Result<Option<Self>> {
        let needed = Switch::needs().and_then(|()| needs::command("curl", "curl"));
        if needs::or_skip("web", needed).is_none() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("pikube-test-web").tempdir()?;
        let manifests = folder.path().join("v2/pause/manifests");
        std::fs::create_dir_all(&manifests)?;
        std::fs::write(manifests.join("3.10.2"), MANIFEST)?;
        std::fs::write(folder.path().join("a b.deb"), PAGE)?;
        let switch = Switch::new()?;
        let web = Web::start(&switch, folder.path())?;
        Ok(Some(Self { web, switch, _folder: folder }))
    }

    /// What curl makes of it, with `options`, and its exit status.
    fn curl(&self, options: &[&str], path: &str) -> Result<Output> {
        let url = format!("http://{BEYOND}{path}");
        let output =
            self.switch.command("curl").args(["-sS", "-m", "30"]).args(options).arg(url).output();
        output.context("starting curl")
    }

    fn get(&self, options: &[&str], path: &str) -> Result<String> {
        let output = self.curl(options, path)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl {path}: {}: {error}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    fn status(&self, options: &[&str], path: &str) -> Result<String> {
        self.get(&[&["-o", "/dev/null", "-w", "%{http_code}"], options].concat(), path)
    }
}

#[test]
fn files_ranges_and_dates() -> Result<()> {
    let Some(desk) = Desk::new()? else { return Ok(()) };
    ensure!(desk.get(&[], "/a%20b.deb")? == PAGE);
    ensure!(desk.get(&["-r", "7-"], "/a%20b.deb")? == "789");
    ensure!(desk.get(&["-r", "2-3"], "/a%20b.deb")? == "23");
    ensure!(desk.status(&["-r", "10-"], "/a%20b.deb")? == "416");
    let header = desk.get(&["-I"], "/a%20b.deb")?;
    let modified = header.lines().find(|line| line.starts_with("Last-Modified: "));
    let date = modified.and_then(|line| line.split_once(": ")).context("no date")?.1.trim();
    let since = format!("If-Modified-Since: {date}");
    ensure!(desk.status(&["-H", &since], "/a%20b.deb")? == "304");
    let other = "If-Range: Thu, 01 Jan 1970 00:00:00 GMT";
    ensure!(desk.get(&["-r", "7-", "-H", other], "/a%20b.deb")? == PAGE, "a part of another file");
    for path in ["/none", "/", "/../../etc/hostname", "/%2e%2e/%2e%2e/etc/hostname"] {
        ensure!(desk.status(&["--path-as-is"], path)? == "404", "{path}");
    }
    // two requests on one connection
    let both = desk.get(&[&format!("http://{BEYOND}/a%20b.deb")], "/a%20b.deb")?;
    ensure!(both == format!("{PAGE}{PAGE}"));
    let log = desk.web.log();
    let part = log.iter().find(|access| access.status == 206).context("no part in the log")?;
    ensure!(part.path == "/a%20b.deb" && part.body_bytes == 3 && part.method == "GET", "{part:?}");
    Ok(())
}

#[test]
fn a_registry_s_manifest() -> Result<()> {
    let Some(desk) = Desk::new()? else { return Ok(()) };
    ensure!(desk.status(&[], "/v2/")? == "200");
    let header = desk.get(&["-I"], "/v2/pause/manifests/3.10.2?ns=registry.k8s.io")?;
    ensure!(
        header.contains("Content-Type: application/vnd.oci.image.manifest.v1+json"),
        "{header}"
    );
    let digest = desk.get(&[], "/v2/pause/manifests/3.10.2").map(|text| sha256(&text))?;
    ensure!(header.contains(&format!("Docker-Content-Digest: sha256:{digest}")), "{header}");
    Ok(())
}

#[test]
fn faults_on_demand() -> Result<()> {
    let Some(desk) = Desk::new()? else { return Ok(()) };
    desk.web.fail("/a", Fault::Status(503), Times::Next(1));
    ensure!(desk.status(&[], "/a%20b.deb")? == "503");
    ensure!(desk.status(&[], "/a%20b.deb")? == "200");

    desk.web.fail("/", Fault::Html, Times::Always);
    ensure!(desk.get(&[], "/a%20b.deb")?.contains("<html>"));
    ensure!(desk.get(&[], "/none")?.contains("log in"));
    desk.web.heal();

    desk.web.fail("/a", Fault::CutHalfWay, Times::Next(1));
    let cut = desk.curl(&[], "/a%20b.deb")?;
    // 18: "Partial file", man curl
    ensure!(cut.status.code() == Some(18) && cut.stdout == b"01234", "{cut:?}");
    ensure!(desk.get(&["-r", "5-"], "/a%20b.deb")? == "56789");

    desk.web.fail("/a", Fault::Hang, Times::Always);
    let hung = desk.curl(&["-m", "1"], "/a%20b.deb")?;
    // 28: "Operation timeout"
    ensure!(hung.status.code() == Some(28) && hung.stdout.is_empty(), "{hung:?}");
    desk.web.heal();
    ensure!(desk.get(&[], "/a%20b.deb")? == PAGE);
    desk.web.wait_for(|access| access.path == "/a%20b.deb", Duration::from_secs(10))
}

#[test]
fn a_server_that_is_gone_leaves_its_port() -> Result<()> {
    let Some(desk) = Desk::new()? else { return Ok(()) };
    desk.web.fail("/", Fault::Hang, Times::Always);
    let Desk { web, switch, _folder: folder } = desk;
    let mut waiting = switch.command("curl").args(["-s", &format!("http://{BEYOND}/a")]).spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    drop(web);
    ensure!(!waiting.wait()?.success(), "answered by nobody");
    Web::start(&switch, folder.path()).map(drop)
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
