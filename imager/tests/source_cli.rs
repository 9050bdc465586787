//! `piflash --image` as a person uses it: from a server, from a pipe, by name; and what a wrong image leaves behind.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;
mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use piflash::image::Sha256Sum;
use source::images::xz;
use source::web::{Reply, Web, file};
use source::{World, bzip2, gzip, zip, zstd};
use support::{Fat, KUBERNETES, TestImage};

struct Desk {
    world: World,
    image: Vec<u8>,
}

impl Desk {
    fn new() -> Self {
        let world = World::new();
        let image = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
        support::write_agents(world.folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        world.put("key.pub", support::KEY.as_bytes());
        let image = fs::read(image.path()).unwrap();
        Self { world, image }
    }

    fn piflash(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.world.folder.path()).stdin(Stdio::null());
        command.env("PIKUBE_CACHE_DIR", self.world.path("cache"));
        command
            .env("PIKUBE_STATE_DIR", self.world.path("state"))
            .env("PIKUBE_KUBERNETES", KUBERNETES);
        command.env("PIKUBE_IMAGES", self.world.path("images.toml"));
        command
    }

    fn write(&self, image: &[&str], hostname: &str, cards: &[&str]) -> Command {
        let mut command = self.piflash();
        command.args(["--agent-dir", ".", "--user", "captain", "--yes"]);
        command.args(["--ssh-key", "key.pub", "--hostname", hostname]);
        command.args(image).args(cards);
        command
    }

    fn catalogue(&self, list: &str, image: &str) {
        let text = format!(
            "default = \"os\"\nlist = \"{list}\"\n[[image]]\nalias = \"os\"\nname = \"An OS\"\n{image}\n"
        );
        self.world.put("images.toml", text.as_bytes());
    }
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn every_compression_makes_the_same_card() {
    let desk = Desk::new();
    let packed = [
        desk.image.clone(),
        xz(&desk.image, None),
        gzip(&desk.image),
        bzip2(&desk.image),
        zstd(&desk.image),
        zip(&[("os.img", &desk.image)], 8, true),
    ];
    let mut first: Option<Vec<u8>> = None;
    for (n, bytes) in packed.iter().enumerate() {
        desk.world.put("os.img", bytes);
        let name = format!("card{n}.img");
        let mut command = desk.write(&["--image", "os.img"], "a", &[&name]);
        // What is written says when: at the same moment, every byte is the same.
        let (code, _, errors) = run(command.env("SOURCE_DATE_EPOCH", "1763700000"));
        assert_eq!(code, Some(0), "{n}: {errors}");
        let card = fs::read(desk.world.path(&name)).unwrap();
        assert!(card.len() == desk.image.len() && card[510..512] == [0x55, 0xaa], "{n}");
        assert!(*first.get_or_insert_with(|| card.clone()) == card, "{n}");
    }
}

#[test]
fn eight_cards_are_one_download() {
    let desk = Desk::new();
    let bytes = xz(&desk.image, None);
    let web = Web::start(move |request| match (request.path.as_str(), request.range()) {
        ("/os.img.xz", None) => file(request, &bytes, "\"v1\"").cut_at(bytes.len() / 2),
        ("/os.img.xz", _) => file(request, &bytes, "\"v1\""),
        _ => Reply::new(404, ""),
    });
    let cards: Vec<String> = (1..=8).map(|n| format!("card{n}.img")).collect();
    let cards: Vec<&str> = cards.iter().map(String::as_str).collect();
    let url = web.url("/os.img.xz");
    let (code, _, errors) = run(&mut desk.write(&["--image", &url], "pi[01-08]", &cards));
    assert_eq!(code, Some(0), "{errors}");
    let ranges = web.requests().into_iter().filter(|request| request.path == "/os.img.xz");
    let ranges: Vec<bool> = ranges.map(|request| request.range().is_some()).collect();
    assert_eq!(ranges, [false, true], "once, and once more for its second half");
    for card in cards {
        let bytes = fs::read(desk.world.path(card)).unwrap();
        assert!(bytes.len() == desk.image.len() && bytes[510..512] == [0x55, 0xaa]);
    }
}

#[test]
fn a_wrong_image_leaves_no_card_that_boots() {
    let desk = Desk::new();
    let bytes = gzip(&desk.image);
    let served = bytes.clone();
    let web = Web::start(move |request| match request.path.as_str() {
        "/os.img.gz" => file(request, &served, "\"v1\""),
        _ => Reply::new(404, ""),
    });
    desk.world.put("os.img", &desk.image);
    desk.world.put("os.img.gz", &bytes);
    let wrong = Sha256Sum::of(b"another").to_string();
    for image in ["os.img".to_owned(), "os.img.gz".to_owned(), web.url("/os.img.gz")] {
        // A used card, which would boot.
        desk.world.put("card.img", &desk.image);
        let options = ["--image", &image, "--sha256", &wrong];
        let (code, _, errors) = run(&mut desk.write(&options, "a", &["card.img"]));
        assert_eq!(code, Some(4), "{errors}");
        assert!(errors.contains("--sha256 says") && errors.contains(&wrong), "{errors}");
        let card = fs::read(desk.world.path("card.img")).unwrap();
        assert!(card[..1 << 20].iter().all(|byte| *byte == 0), "{image}");
    }
    let options = ["--image", "os.img", "--sha256", "12"];
    let (code, _, errors) = run(&mut desk.write(&options, "a", &["card.img"]));
    assert_eq!(code, Some(2), "{errors}");
}

#[test]
fn an_image_may_come_through_a_pipe() {
    let desk = Desk::new();
    let mut child = desk
        .write(&["--image", "-"], "a", &["card.img"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&zstd(&desk.image)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(desk.world.path("card.img")).unwrap().len(), desk.image.len());
    let (code, _, errors) = run(&mut desk.write(&["--image", "-"], "a", &["card.img"]));
    assert!(code == Some(1) && errors.contains("empty"), "{errors}");
}

#[test]
fn names_work_without_a_network_once_they_were_used() {
    let desk = Desk::new();
    let bytes = gzip(&desk.image);
    let sum = Sha256Sum::of(&bytes);
    let web = Web::start(move |request| match request.path.as_str() {
        "/os.img.gz" => file(request, &bytes, "\"v1\""),
        "/list.json" => Reply::new(
            200,
            format!(
                r#"{{"os_list": [{{"name": "X", "url": "http://{}/os.img.gz", "release_date": "2026-01-02", "image_download_sha256": "{sum}"}}]}}"#,
                request.header("host").unwrap(),
            ),
        ),
        _ => Reply::new(404, ""),
    });
    let list = web.url("/list.json");
    let place = web.url("/*.img.gz");
    desk.catalogue(&list, &format!("in_list = \"{place}\"\nurl = \"http://127.0.0.1:1/\""));
    let (code, _, errors) = run(&mut desk.write(&[], "a", &["card.img"]));
    assert_eq!(code, Some(0), "the default: {errors}");
    drop(web);
    fs::remove_file(desk.world.path("card.img")).unwrap();
    let (code, _, errors) = run(&mut desk.write(&["--image", "os"], "a", &["card.img"]));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("in the cache"), "{errors}");
    let (code, table, _) = run(desk.piflash().arg("images"));
    assert!(code == Some(0) && table.contains("os ") && table.contains("2026-01-02"), "{table}");
    assert!(table.contains("(default)"), "{table}");
    let (code, lines, _) = run(desk.piflash().args(["images", "--json"]));
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(code == Some(0) && line["alias"] == "os" && line["default"] == true, "{lines}");
    assert!(line["v"] == 1 && line["event"] == "operating_system", "{lines}");
    let (code, _, errors) = run(&mut desk.write(&["--image", "oss"], "a", &["card.img"]));
    assert!(code == Some(1) && errors.contains("is `os` meant?"), "{errors}");
    // In the list, and nothing that the catalogue says is prepared.
    desk.catalogue(&list, "url = \"http://127.0.0.1:1/\"");
    let (code, _, errors) = run(&mut desk.write(&["--image", "x"], "a", &["card.img"]));
    assert!(code == Some(1) && errors.contains("does not prepare it"), "{errors}");
}

/// A server that speaks TLS, and its certificate, which nobody trusts by itself.
fn secure(
    answer: impl Fn(&source::web::Request) -> Reply + Send + Sync + 'static,
) -> (Web, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let wrap = move |stream| -> Box<dyn source::web::Stream> {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    };
    let web = Web::wrapped("127.0.0.1:0".parse().unwrap(), Arc::new(wrap), answer);
    (web, made.cert.pem())
}

#[test]
fn https_needs_a_certificate_that_is_trusted() {
    let desk = Desk::new();
    let bytes = xz(&desk.image, None);
    let (web, pem) = secure(move |request| match request.path.as_str() {
        "/os.img.xz" => file(request, &bytes, "\"v1\""),
        "/down" => Reply::new(302, "").header("Location", "http://127.0.0.1:1/os.img.xz"),
        _ => Reply::new(404, ""),
    });
    let certificate = desk.world.put("ca.pem", pem.as_bytes());
    let url = format!("https://{}/os.img.xz", web.address);
    let (code, _, errors) = run(&mut desk.write(&["--image", &url], "a", &["card.img"]));
    assert!(code == Some(1) && errors.contains("certificate"), "{errors}");
    assert!(!desk.world.path("card.img").exists());
    let mut command = desk.write(&["--image", &url], "a", &["card.img"]);
    let (code, _, errors) = run(command.env("SSL_CERT_FILE", &certificate));
    assert_eq!(code, Some(0), "{errors}");
    let down = format!("https://{}/down", web.address);
    let mut command = desk.write(&["--image", &down], "a", &["card.img"]);
    let (code, _, errors) = run(command.env("SSL_CERT_FILE", &certificate));
    assert!(code == Some(1) && errors.contains("from https to http"), "{errors}");
}

#[test]
fn a_list_over_https_names_none_over_http() {
    let desk = Desk::new();
    let open = Web::start(|_| {
        Reply::new(200, r#"{"os_list": [{"name": "Forged", "url": "https://h/os.img"}]}"#)
    });
    let forged = open.url("/others.json");
    let place = forged.clone();
    let (web, pem) = secure(move |request| {
        let host = request.header("host").unwrap();
        let list = match request.path.as_str() {
            "/list.json" => format!(
                r#"{{"os_list": [{{"name": "Other", "subitems_url": "{place}"}},
                    {{"name": "More", "subitems_url": "https://{host}/more.json"}},
                    {{"name": "X", "url": "https://h/x.img"}}]}}"#
            ),
            _ => {
                r#"{"os_list": [{"name": "Y", "url": "https://127.0.0.1:1/1-raspios-trixie-y.img"}]}"#.into()
            }
        };
        Reply::new(200, list)
    });
    let certificate = desk.world.put("ca.pem", pem.as_bytes());
    let catalogue = format!(
        "default = \"os\"\nlist = \"https://{}/list.json\"\nprepares = [\"-raspios-trixie-\"]\n\
         [[image]]\nalias = \"os\"\nname = \"An OS\"\nurl = \"https://h/os.img\"\n",
        web.address
    );
    desk.world.put("images.toml", catalogue.as_bytes());
    let mut command = desk.piflash();
    let (code, table, notes) =
        run(command.args(["images", "--all"]).env("SSL_CERT_FILE", &certificate));
    assert!(code == Some(0) && table.contains("x "), "{table}{notes}");
    assert!(!table.contains("forged") && open.requests().is_empty(), "{table}");
    assert!(notes.contains(&forged) && notes.contains("https"), "{notes}");
    // Somebody else's is told as such, where it is listed and where it is taken.
    let more = format!("https://{}/more.json", web.address);
    let line = table.lines().find(|line| line.starts_with("y ")).unwrap();
    assert!(line.contains("third party") && line.contains(&more), "{table}");
    let line = table.lines().find(|line| line.starts_with("x ")).unwrap();
    assert!(!line.contains("third party"), "{table}");
    let mut command = desk.write(&["--image", "y"], "a", &["card.img"]);
    let (_, _, errors) = run(command.env("SSL_CERT_FILE", &certificate));
    assert!(errors.contains("warning: `y`") && errors.contains(&more), "{errors}");
}
