//! SHA-256 sums and what is kept in the cache: a wrong image ends in an error, on every way to it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use piflash::image::{Cache, Error, Expected, Sha256Sum, Wanted};
use piflash::person::Person;
use source::images::{Shape, xz};
use source::web::{Reply, Web, file};
use source::{Decoded, World, gzip, shown, sum, text};

const ETAG: &str = "\"v1\"";

fn image() -> Vec<u8> {
    Shape { root_sectors: 4096, ..Shape::default() }.build()
}

fn wrong_sum(result: Result<Decoded, Error>) -> String {
    match result.unwrap_err() {
        error @ Error::WrongSum { .. } => {
            assert!(error.is_mismatch());
            error.to_string()
        }
        other => panic!("{}", text(&other)),
    }
}

#[test]
fn a_sum_is_of_the_file_as_it_is_distributed() {
    let (world, image) = (World::new(), image());
    for bytes in [image.clone(), gzip(&image), xz(&image, None)] {
        let path = shown(&world.put("os.img", &bytes));
        assert!(world.read(&path, &sum(&bytes)).unwrap() == image);
        let message = wrong_sum(world.read(&path, &sum(b"another")));
        assert!(message.contains("--sha256 says") && message.contains("`"), "{message}");
    }
}

#[test]
fn a_sum_of_the_decoded_image_is_checked_too() {
    let (world, image) = (World::new(), image());
    let path = shown(&world.put("os.img", &gzip(&image)));
    let wanted = |sum: &[u8]| Wanted {
        decoded_sum: Some(Expected { sum: Sha256Sum::of(sum), origin: "the catalogue".into() }),
        ..Wanted::default()
    };
    assert!(world.read(&path, &wanted(&image)).unwrap() == image);
    assert!(wrong_sum(world.read(&path, &wanted(b"x"))).contains("decoded"));
}

#[test]
fn lists_beside_a_file_are_found() {
    let (world, image) = (World::new(), image());
    let path = shown(&world.put("os.img", &image));
    let (good, bad) = (Sha256Sum::of(&image), Sha256Sum::of(b"another"));
    for (name, text, works) in [
        ("os.img.sha256", format!("{good}  os.img\n"), Some(true)),
        ("os.img.sha256", format!("{bad}  os.img\n"), Some(false)),
        ("os.img.sha256", format!("{bad}\n"), Some(false)),
        ("os.img.sha256", "nothing\n".into(), None),
        ("SHA256SUMS", format!("{bad}  other.img\n{good} *os.img\n"), Some(true)),
        ("SHA256SUMS", format!("{good}  other.img\n{bad} *os.img\n"), Some(false)),
        ("SHA256SUMS", format!("{bad}  other.img\n"), Some(true)),
    ] {
        let list = world.put(name, text.as_bytes());
        let result = world.read(&path, &Wanted::default());
        match works {
            Some(true) => assert!(result.unwrap() == image, "{text}"),
            Some(false) => assert!(wrong_sum(result).contains(name), "{text}"),
            None => assert!(matches!(result.unwrap_err(), Error::NoSum { .. })),
        }
        // What is given wins.
        assert!(world.read(&path, &sum(&image)).unwrap() == image);
        fs::remove_file(list).unwrap();
    }
}

/// Path, content and ETag of each file.
type Files = Arc<Mutex<Vec<(String, Vec<u8>, String)>>>;

/// A server with an image and a list of sums, both of which can be changed.
struct Site {
    web: Web,
    files: Files,
}

impl Site {
    fn new() -> Self {
        let files: Files = Arc::default();
        let served = files.clone();
        let web = Web::start(move |request| {
            let files = served.lock().unwrap();
            match files.iter().find(|(path, _, _)| *path == request.path) {
                Some((_, bytes, etag)) => file(request, bytes, etag),
                None => Reply::new(404, "<html>not here</html>"),
            }
        });
        Self { web, files }
    }

    fn put(&self, path: &str, bytes: &[u8], etag: &str) {
        let mut files = self.files.lock().unwrap();
        files.retain(|(other, _, _)| other != path);
        files.push((path.into(), bytes.into(), etag.into()));
    }

    /// Requests for the image since the last look, and whether each got all of it.
    fn downloads(&self) -> usize {
        let mut log = self.web.log.lock().unwrap();
        let count =
            log.iter().filter(|r| r.path == "/os.img.gz" && r.header("if-none-match").is_none());
        let count = count.count();
        log.clear();
        count
    }
}

fn entries(world: &World) -> Vec<PathBuf> {
    let folder = world.path("cache").join("images");
    let files = fs::read_dir(folder).map(|files| files.map(|file| file.unwrap().path()).collect());
    let mut files: Vec<PathBuf> = files.unwrap_or_default();
    files.retain(|path| path.extension().is_none());
    files
}

#[test]
fn lists_on_a_server_are_found() {
    let (world, image, site) = (World::without_cache(), image(), Site::new());
    site.put("/os.img.gz", &gzip(&image), ETAG);
    let url = site.web.url("/os.img.gz");
    for list in ["/os.img.gz.sha256", "/SHA256SUMS"] {
        for good in [true, false] {
            let sum =
                Sha256Sum::of(if good { gzip(&image) } else { b"another".to_vec() }.as_slice());
            site.put(list, format!("{sum}  os.img.gz\n").as_bytes(), ETAG);
            let result = world.read(&url, &Wanted::default());
            match good {
                true => assert!(result.unwrap() == image, "{list}"),
                false => assert!(wrong_sum(result).contains(list), "{list}"),
            }
        }
        // A server that answers everything with a page has no list.
        site.put(list, b"<html>log in</html>", ETAG);
        assert!(world.read(&url, &Wanted::default()).unwrap() == image);
    }
}

#[test]
fn a_download_is_kept_and_asked_about() {
    let (world, image, site) = (World::new(), image(), Site::new());
    let url = site.web.url("/os.img.gz");
    site.put("/os.img.gz", &gzip(&image), ETAG);
    let read = || world.read(&url, &Wanted::default());
    assert!(read().unwrap() == image);
    assert_eq!((site.downloads(), entries(&world).len()), (1, 1));
    // The same version: not downloaded again.
    assert!(read().unwrap() == image);
    assert_eq!(site.downloads(), 0);
    assert!(world.was_told("in the cache"));
    // Another version replaces it.
    let newer = Shape { root_sectors: 2048, ..Shape::default() }.build();
    site.put("/os.img.gz", &gzip(&newer), "\"v2\"");
    assert!(read().unwrap() == newer);
    // The server would answer "not modified" to the old ETag only.
    assert!(read().unwrap() == newer);
    assert_eq!(entries(&world).len(), 1);
    // Nobody to ask: it is used, with a note.
    drop(site);
    world.notices();
    assert!(read().unwrap() == newer);
    assert!(world.was_told("may be old"));
}

#[test]
fn a_sum_that_is_in_the_cache_needs_no_network() {
    let (world, image, site) = (World::new(), image(), Site::new());
    let (url, bytes) = (site.web.url("/os.img.gz"), gzip(&image));
    site.put("/os.img.gz", &bytes, ETAG);
    assert!(world.read(&url, &sum(&bytes)).unwrap() == image);
    drop(site);
    assert!(world.read(&url, &sum(&bytes)).unwrap() == image);
    assert!(matches!(world.read(&url, &sum(b"another")).unwrap_err(), Error::Http(_)));
}

#[test]
fn what_is_wrong_is_not_kept() {
    let (world, image, site) = (World::new(), image(), Site::new());
    let (url, bytes) = (site.web.url("/os.img.gz"), gzip(&image));
    site.put("/os.img.gz", &bytes, ETAG);
    wrong_sum(world.read(&url, &sum(b"another")));
    assert_eq!(entries(&world), Vec::<PathBuf>::new());
    let left: Vec<_> = fs::read_dir(world.path("cache/images")).unwrap().collect();
    assert!(left.iter().all(|f| f.as_ref().unwrap().path().extension().unwrap() == "lock"));
}

#[test]
fn a_damaged_entry_is_dropped_and_fetched_again() {
    let (world, image, site) = (World::new(), image(), Site::new());
    let (url, bytes) = (site.web.url("/os.img.gz"), gzip(&image));
    site.put("/os.img.gz", &bytes, ETAG);
    for wanted in [Wanted::default(), sum(&bytes)] {
        assert!(world.read(&url, &wanted).unwrap() == image);
        let entry = entries(&world).pop().unwrap();
        for damage in ["flipped", "cut", "empty"] {
            let mut damaged = fs::read(&entry).unwrap();
            match damage {
                "flipped" => damaged[100_000] ^= 1,
                "cut" => damaged.truncate(50_000),
                _ => damaged.clear(),
            }
            fs::write(&entry, damaged).unwrap();
            world.notices();
            site.downloads();
            assert!(world.read(&url, &wanted).unwrap() == image, "{damage}");
            assert!(world.was_told("damaged"), "{damage}");
            assert_eq!(site.downloads(), 1, "{damage}");
        }
    }
}

#[test]
fn two_runs_at_once_both_get_the_image() {
    let (world, image, site) = (World::new(), image(), Site::new());
    let (url, bytes) = (site.web.url("/os.img.gz"), gzip(&image));
    site.put("/os.img.gz", &bytes, ETAG);
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..6).map(|_| scope.spawn(|| world.read(&url, &Wanted::default()))).collect();
        for run in runs {
            assert!(run.join().unwrap().unwrap() == image);
        }
    });
    assert_eq!(entries(&world).len(), 1);
    site.downloads();
    assert!(world.read(&url, &Wanted::default()).unwrap() == image);
    assert_eq!(site.downloads(), 0);
}

#[test]
fn a_cache_that_cannot_be_used_is_no_reason_to_fail() {
    let (mut world, image, site) = (World::new(), image(), Site::new());
    let url = site.web.url("/os.img.gz");
    site.put("/os.img.gz", &gzip(&image), ETAG);
    let in_the_way = world.put("file", b"");
    for cache in [
        Cache::new(in_the_way, 1 << 30, Person::of_this_process()),
        Cache::new("/proc/nowhere".into(), 1 << 30, Person::of_this_process()),
        Cache::new(world.path("small"), 1000, Person::of_this_process()),
    ] {
        world.surroundings.cache = Some(cache);
        assert!(world.read(&url, &Wanted::default()).unwrap() == image);
        assert!(world.was_told("not kept in the cache"));
    }
}
