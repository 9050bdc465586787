//! The catalogue with and without a network: from a list that this test serves.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use piflash::catalogue::{Catalogue, CatalogueError, Freshness, List, entries, find};
use piflash::image::Sha256Sum;
use source::World;
use source::web::{Reply, Web, file};

fn list(web: &str) -> String {
    let sum = "ab".repeat(32);
    format!(
        r#"{{"os_list": [
        {{"name": "Raspberry Pi OS (other)", "subitems": [
            {{"name": "Raspberry Pi OS Lite (64-bit)", "url": "{web}/raspios_lite_arm64/2-raspios-trixie-arm64-lite.img.xz",
              "extract_size": 2977955840, "extract_sha256": "{sum}", "image_download_size": 524875608,
              "image_download_sha256": "{sum}", "release_date": "2026-09-15", "devices": ["pi4-64bit"]}},
            {{"name": "Raspberry Pi OS (32-bit)", "url": "{web}/raspios_armhf/1-raspios-trixie-armhf.img.xz", "devices": ["pi4-32bit"]}}]}},
        {{"name": "Others", "subitems_url": "{web}/others.json"}},
        {{"name": "Gone", "subitems_url": "{web}/gone.json"}}]}}"#
    )
}

fn site() -> (Web, Catalogue) {
    let web = Web::start(|request| {
        let host = format!("http://{}", request.header("host").unwrap());
        let others = format!(
            r#"{{"os_list": [{{"name": "Kodi 21", "url": "{host}/kodi.img.gz"}},
                {{"name": "Raspberry Pi OS Lite (64-bit)", "release_date": "2099-01-01",
                  "url": "{host}/raspios_lite_arm64/9-raspios-trixie-arm64-lite.img.xz"}},
                {{"name": "Raspberry Pi OS Lite 2", "release_date": "2099-01-01",
                  "url": "{host}/raspios_lite_arm64/9-raspios-trixie-arm64-lite.img.xz"}}]}}"#
        );
        match request.path.as_str() {
            "/list.json" => file(request, list(&host).as_bytes(), "\"v1\""),
            "/others.json" => file(request, others.as_bytes(), "\"v1\""),
            _ => Reply::new(404, ""),
        }
    });
    let mut catalogue = Catalogue::from_environment(|_| None).unwrap();
    catalogue.list = web.url("/list.json");
    let place = web.url("/raspios_lite_arm64/*-lite.img.xz");
    catalogue.image[0].in_list = Some(place.parse().unwrap());
    (web, catalogue)
}

#[test]
fn the_list_is_fetched_once_and_kept() {
    let (world, (web, catalogue)) = (World::new(), site());
    let first = List::refresh(&catalogue, &world.surroundings).unwrap();
    assert_eq!((first.images.len(), &first.freshness), (5, &Freshness::Fresh));
    let again = List::refresh(&catalogue, &world.surroundings).unwrap();
    assert_eq!(again, first);
    assert_eq!((web.count("/list.json"), web.count("/others.json")), (2, 1), "not modified");
    drop(web);
    let offline = List::refresh(&catalogue, &world.surroundings).unwrap();
    assert_eq!(offline.images, first.images);
    assert!(matches!(offline.freshness, Freshness::Kept(why) if why.contains("refused")));
}

#[test]
fn names_are_found_with_and_without_a_list() {
    let (world, (web, catalogue)) = (World::new(), site());
    let list = List::refresh(&catalogue, &world.surroundings).unwrap();
    let known = entries(&catalogue, &list.images);
    let default = find(&known, &catalogue.default).unwrap();
    assert!(default.default && default.why_not.is_none());
    assert_eq!(default.released.as_deref(), Some("2026-09-15"));
    let (location, wanted) = default.wanted().unwrap();
    assert!(location.to_string().starts_with(&web.url("/raspios_lite_arm64/")));
    assert_eq!(wanted.sum.unwrap().sum, Sha256Sum([0xab; 32]));
    assert_eq!(wanted.decoded_bytes, Some(2_977_955_840));
    let kodi = find(&known, "kodi-21").unwrap();
    assert!(kodi.why_not.as_ref().is_some_and(|why| why.contains("does not prepare")), "{kodi:?}");
    assert_eq!(kodi.list, Some(web.url("/others.json")), "whose it is");
    // Of two with one name, Raspberry Pi's own is the one; the other is not that of another name.
    assert_eq!(find(&known, "raspberry-pi-os-lite-2").unwrap().list, Some(web.url("/others.json")));
    assert!(
        known.iter().filter(|entry| entry.list.is_none()).all(|entry| !entry.url.contains("/9-"))
    );
    // Prepared, and marked where Kubernetes has nothing for it.
    for (alias, marked) in [
        ("hypriotos-1.12.3", true),
        ("raspberry-pi-os-32-bit", true),
        ("ubuntu-24.04", false),
        ("raspios-lite", false),
    ] {
        let entry = find(&known, alias).unwrap();
        assert!(entry.why_not.is_none(), "{entry:?}");
        assert_eq!(entry.no_kubernetes.is_some(), marked, "{entry:?}");
    }
    // Without a list, what has an address of its own is still there.
    let bare = entries(&catalogue, &[]);
    let lite = find(&bare, "raspios-lite").unwrap();
    assert!(lite.url.starts_with("https://downloads.raspberrypi.com/") && lite.sha256.is_none());
    match find(&known, "raspios-lit").unwrap_err() {
        CatalogueError::Unknown { near, .. } => assert_eq!(near[0], "raspios-lite"),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_pinned_is_what_is_taken() {
    let (world, (web, mut catalogue)) = (World::new(), site());
    let list = List::refresh(&catalogue, &world.surroundings).unwrap();
    let url = web.url("/raspios_lite_arm64/2-raspios-trixie-arm64-lite.img.xz");
    let named = &mut catalogue.image[0];
    for (url, sum, released) in [
        // The list knows this very file.
        (&url, "ab", Some("2026-09-15")),
        // It says another sum of it, or has a newer one.
        (&url, "cd", None),
        (&web.url("/raspios_lite_arm64/1-raspios-trixie-arm64-lite.img.xz"), "ab", None),
    ] {
        named.url.clone_from(url);
        named.sha256 = Some(sum.repeat(32));
        let known = entries(&catalogue_with(named), &list.images);
        assert_eq!(known[0].url, *url);
        assert_eq!(known[0].sha256, named.sha256);
        assert_eq!(known[0].released.as_deref(), released, "{sum}");
        assert_eq!(known[0].image_sha256.is_some(), released.is_some());
    }
}

fn catalogue_with(named: &piflash::catalogue::Named) -> Catalogue {
    let embedded = Catalogue::from_environment(|_| None).unwrap();
    Catalogue { image: vec![named.clone()], ..embedded }
}

#[test]
fn a_list_that_cannot_be_used_hides_nothing() {
    for body in ["<html>log in first</html>", "{}", ""] {
        let world = World::new();
        let web = Web::start(move |_| Reply::new(200, body));
        let mut catalogue = Catalogue::from_environment(|_| None).unwrap();
        catalogue.list = web.url("/list.json");
        let list = List::refresh(&catalogue, &world.surroundings).unwrap();
        assert!(list.images.is_empty() && matches!(list.freshness, Freshness::Missing(_)));
    }
}

#[test]
fn another_catalogue_can_be_given() {
    let world = World::new();
    let text = "default = \"a\"\nlist = \"http://127.0.0.1:1/\"\n[[image]]\nalias = \"a\"\nname = \"A\"\nurl = \"/a.img\"\n";
    let path = world.put("images.toml", text.as_bytes());
    let path = path.to_str().unwrap().to_owned();
    let read =
        || Catalogue::from_environment(|name| (name == "PIKUBE_IMAGES").then(|| path.clone()));
    assert_eq!(read().unwrap().image[0].alias, "a");
    world.put("images.toml", text.replace("url =", "in_list = \"/a/\"\nurl =").as_bytes());
    let error = read().unwrap_err().to_string();
    assert!(error.contains("`/a/`"), "{error}");
    world.put("images.toml", b"defualt = \"a\"\n");
    let error = read().unwrap_err().to_string();
    assert!(error.contains("images.toml") && error.contains("defualt"), "{error}");
}

/// A list of 16 MiB in which next to nothing is of use takes no more memory than itself several times over: as a tree of
/// values it was 1.3 GiB.
#[test]
fn a_large_list_fits_into_little_memory() {
    let web = Web::start(|request| {
        let entries = "{\"a\":[0]},".repeat((16 << 20) / 10 - 100);
        let image = r#"{"name": "Kodi 21", "url": "https://h/kodi.img.gz"}"#;
        file(request, format!("[{entries}{image}]").as_bytes(), "\"v1\"")
    });
    let world = World::new();
    let list = web.url("/list.json");
    let images = world.put("images.toml", format!("default = 'x'\nlist = '{list}'\n").as_bytes());
    // Of address space, in KiB.
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -v 900000; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_piflash"),
            "images",
        ])
        .env("PIKUBE_IMAGES", images)
        .env("PIKUBE_CACHE_DIR", world.path("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = std::fs::read_dir(world.path("cache/catalogue")).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read_to_string(kept.path()).unwrap().contains("Kodi 21"));
}
