//! Images from a server that fails in every way it can: what comes out is the image or an error, never something else.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use piflash::image::http::HttpError;
use piflash::image::{Error, Location, Notice, Wanted, open_from};
use source::images::{Shape, xz};
use source::web::{Reply, Request, Web, file};
use source::{Decoded, World, sum, text};

const ETAG: &str = "\"v1\"";

fn image() -> Vec<u8> {
    Shape::default().build()
}

/// A server for one file; the closure sees the requests for it.
fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Web {
    Web::start(move |request| match request.path.as_str() {
        "/os.img.xz" => answer(request),
        _ => Reply::new(404, "not here"),
    })
}

fn fetch(world: &World, web: &Web) -> Result<Decoded, Error> {
    world.read(&web.url("/os.img.xz"), &Wanted::default())
}

fn http_error(result: Result<Decoded, Error>) -> HttpError {
    match result.unwrap_err() {
        Error::Http(error) => error,
        other => panic!("{}", text(&other)),
    }
}

#[test]
fn a_good_server_is_asked_once() {
    let (world, image) = (World::without_cache(), image());
    let bytes = xz(&image, None);
    let web = serve(move |request| file(request, &bytes, ETAG));
    assert!(fetch(&world, &web).unwrap() == image);
    assert_eq!(web.count("/os.img.xz"), 1);
    let agent = web.requests()[0].header("user-agent").unwrap().to_owned();
    assert_eq!(agent, format!("piflash/{}", env!("CARGO_PKG_VERSION")));
    assert!(world.was_told("no checksum"));
}

#[test]
fn a_broken_connection_goes_on_where_it_was() {
    let (world, image) = (World::without_cache(), image());
    let bytes = xz(&image, None);
    let len = bytes.len();
    // Each connection gives a third of what is left and is cut.
    let web = serve(move |request| {
        let reply = file(request, &bytes, ETAG);
        let cut = reply.body.len() / 3;
        if reply.body.len() > 10_000 { reply.cut_at(cut) } else { reply }
    });
    assert!(fetch(&world, &web).unwrap() == image);
    let ranges: Vec<Option<usize>> =
        web.requests().iter().filter(|r| r.path == "/os.img.xz").map(Request::range).collect();
    assert!(ranges.len() > 5 && ranges[0].is_none() && ranges[1] == Some(len / 3), "{ranges:?}");
    assert!(ranges.is_sorted(), "{ranges:?}");
    assert!(web.requests().last().unwrap().header("if-range") == Some(ETAG));
    assert!(world.notices().iter().any(|notice| matches!(notice, Notice::Resumed { .. })));
}

#[test]
fn a_server_without_ranges_is_read_again_from_its_beginning() {
    for etag in [None, Some("\"v1\""), Some("W/\"weak\"")] {
        let (world, image) = (World::without_cache(), image());
        let bytes = xz(&image, None);
        let web = serve(move |request| {
            let reply = Reply::new(200, bytes.clone());
            let reply = match etag {
                Some(etag) => reply.header("ETag", etag),
                None => reply,
            };
            match request.number {
                0..5 => reply.cut_at(300_000 * (request.number + 1)),
                _ => reply,
            }
        });
        assert!(fetch(&world, &web).unwrap() == image, "{etag:?}");
    }
}

#[test]
fn two_versions_are_never_mixed() {
    let (old, new) = (image(), Shape { tail_bytes: 54_321, ..Shape::default() }.build());
    let (old, new) = (xz(&old, None), xz(&new, None));
    // With ranges and an ETag, without ranges, with ranges that ignore If-Range.
    for kind in ["range", "whole", "careless", "smaller"] {
        let world = World::without_cache();
        let (old, mut new) = (old.clone(), new.clone());
        new[5000] ^= 1;
        let web = serve(move |request| match (kind, request.range()) {
            (_, None) if request.number < 3 => file(request, &old, ETAG).cut_at(500_000),
            ("range", _) => file(request, &new, "\"v2\""),
            ("whole", _) => Reply::new(200, new.clone()),
            ("smaller", _) => file(request, &new[..100_000], ETAG),
            (_, range) => {
                let from = range.unwrap_or(0);
                let range = format!("bytes {from}-{}/{}", new.len() - 1, new.len());
                Reply::new(206, &new[from..])
                    .header("Content-Range", &range)
                    .header("ETag", "\"v2\"")
            }
        });
        let error = http_error(fetch(&world, &web));
        assert!(matches!(error, HttpError::Changed { .. }), "{kind}: {error}");
        assert!(error.to_string().contains("changed after"), "{error}");
    }
}

#[test]
fn a_range_that_the_server_does_not_have_is_settled_by_the_whole_file() {
    for (kind, works) in [("same", true), ("other", false), ("gone", false)] {
        let (world, image) = (World::without_cache(), image());
        let bytes = xz(&image, None);
        let mut other = bytes.clone();
        other[5000] ^= 1;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let web =
            serve(move |request| match (request.range(), count.fetch_add(1, Ordering::Relaxed)) {
                (Some(_), _) => Reply::new(416, "").header("Content-Range", "bytes */*"),
                (None, 0) => file(request, &bytes, ETAG).cut_at(600_000),
                (None, _) => match kind {
                    "same" => file(request, &bytes, ETAG),
                    "other" => file(request, &other, "\"v2\""),
                    _ => Reply::new(404, ""),
                },
            });
        match (fetch(&world, &web), kind) {
            (Ok(decoded), _) => assert!(works && decoded == image, "{kind}"),
            (Err(Error::Http(HttpError::Changed { .. })), "other") => {}
            (Err(Error::Http(HttpError::Status { code: 404, .. })), "gone") => {}
            (Err(error), _) => panic!("{kind}: {}", text(&error)),
        }
        let ranges: Vec<bool> = web
            .requests()
            .iter()
            .filter(|request| request.path == "/os.img.xz")
            .map(|request| request.range().is_some())
            .collect();
        assert_eq!(ranges, [false, true, false], "{kind}");
    }
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let (world, bytes) = (World::without_cache(), xz(&image(), None));
    let web = serve(move |request| match request.range() {
        None => file(request, &bytes, ETAG).cut_at(200_000),
        Some(from) => {
            let range = format!("bytes {}-{}/{}", from - 7, bytes.len() - 1, bytes.len());
            Reply::new(206, &bytes[from - 7..]).header("Content-Range", &range).header("ETag", ETAG)
        }
    });
    assert!(matches!(http_error(fetch(&world, &web)), HttpError::Changed { .. }));
}

#[test]
fn a_server_that_was_killed_and_comes_back_is_resumed() {
    let (world, image) = (World::without_cache(), image());
    let bytes = xz(&image, None);
    let again = bytes.clone();
    let web = serve(move |request| Reply {
        pause: Some(Duration::from_millis(20)),
        ..file(request, &bytes, ETAG)
    });
    let (address, url) = (web.address, web.url("/os.img.xz"));
    let done = std::thread::spawn(move || world.read(&url, &Wanted::default()));
    while web.count("/os.img.xz") == 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    // By now it is somewhere in the middle.
    std::thread::sleep(Duration::from_millis(400));
    drop(web);
    std::thread::sleep(Duration::from_millis(100));
    let web = Web::at(address, move |request| file(request, &again, ETAG));
    assert!(done.join().unwrap().unwrap() == image);
    assert!(web.requests()[0].range().is_some());
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let (world, bytes) = (World::without_cache(), xz(&image(), None));
    let web = serve(move |request| match request.range() {
        None => file(request, &bytes, ETAG).cut_at(600_000),
        Some(_) => Reply::new(503, "tired"),
    });
    let error = http_error(fetch(&world, &web));
    match &error {
        HttpError::GaveUp { at_bytes, attempts, .. } => {
            assert_eq!((*at_bytes, *attempts), (600_000, 8));
        }
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("503"), "{error}");
}

#[test]
fn the_first_answer_is_waited_for_but_not_for_ever() {
    let image = image();
    for (status, times, works) in [
        (503, 3, true),
        (503, 4, false),
        (429, 1, true),
        (408, 1, true),
        (404, 1, false),
        (403, 1, false),
    ] {
        let (world, bytes) = (World::without_cache(), xz(&image, None));
        let (count, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = count.clone();
        let web = serve(move |request| match counted.fetch_add(1, Ordering::Relaxed) {
            n if n < times => Reply::new(status, "<html>sorry</html>"),
            _ => file(request, &bytes, ETAG),
        });
        let result = fetch(&world, &web);
        seen.store(count.load(Ordering::Relaxed), Ordering::Relaxed);
        match works {
            true => assert!(result.unwrap() == image, "{status}"),
            false => {
                let error = http_error(result);
                assert!(error.to_string().contains(&status.to_string()), "{error}");
                let attempts = if status == 503 { 4 } else { 1 };
                assert_eq!(seen.load(Ordering::Relaxed), attempts, "{status}");
            }
        }
    }
}

#[test]
fn a_page_instead_of_an_image_is_named() {
    let world = World::without_cache();
    let web = serve(|_| Reply::new(200, "<!DOCTYPE html><title>log in first</title>"));
    let error = fetch(&world, &web).unwrap_err();
    assert!(error.to_string().contains("web page"), "{error}");
}

#[test]
fn nobody_there_is_said_at_once() {
    let world = World::without_cache();
    let web = serve(|_| Reply::new(200, ""));
    let url = web.url("/os.img.xz");
    drop(web);
    let error = http_error(world.read(&url, &Wanted::default()));
    assert!(matches!(error, HttpError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("refused") && error.help().is_some(), "{error}");
}

#[test]
fn redirects_are_followed_and_end() {
    let (world, image) = (World::without_cache(), image());
    let bytes = xz(&image, None);
    let web = Web::start(move |request| match request.path.as_str() {
        "/latest" => Reply::new(302, "").header("Location", "/a/os.img.xz"),
        "/a/os.img.xz" => file(request, &bytes, ETAG).cut_at(900_000 + request.number * 900_000),
        "/loop" => Reply::new(302, "").header("Location", "/loop"),
        _ => Reply::new(404, ""),
    });
    assert!(world.read(&web.url("/latest"), &Wanted::default()).unwrap() == image);
    let error = http_error(world.read(&web.url("/loop"), &Wanted::default()));
    assert!(error.to_string().contains("too many redirects"), "{error}");
}

#[test]
fn a_wrong_length_is_no_silent_end() {
    let (image, bytes) = (image(), xz(&image(), None));
    // Too long: the connection ends before what was announced, again and again.
    let (world, long) = (World::without_cache(), bytes.clone());
    let web = serve(move |request| {
        let length = (long.len() + 100).to_string();
        match request.range() {
            None => {
                Reply::new(200, long.clone()).header("Content-Length", &length).header("ETag", ETAG)
            }
            Some(_) => file(request, &long, ETAG),
        }
    });
    assert!(matches!(http_error(fetch(&world, &web)), HttpError::Changed { .. }));
    // Too short: the rest is never sent.
    let (world, short) = (World::without_cache(), bytes.clone());
    let web = serve(move |_| {
        Reply::new(200, short.clone()).header("Content-Length", &(short.len() - 100).to_string())
    });
    assert!(matches!(fetch(&world, &web).unwrap_err(), Error::Truncated { .. }));
    // None at all: the end of the connection is the end of the file, and the decoder knows better.
    for cut in [None, Some(400_000)] {
        let (world, open) = (World::without_cache(), bytes.clone());
        let web = serve(move |_| Reply {
            without_length: true,
            cut_at: cut,
            ..Reply::new(200, open.clone())
        });
        match (cut, fetch(&world, &web)) {
            (None, decoded) => assert!(decoded.unwrap() == image),
            (Some(_), result) => {
                assert!(matches!(result.unwrap_err(), Error::Truncated { .. }));
            }
        }
    }
}

#[test]
fn secrets_are_sent_but_never_told() {
    let (world, bytes) = (World::without_cache(), xz(&image(), None));
    let web = Web::start(move |request| match request.header("authorization") {
        Some("Basic bWU6c3dvcmRmaXNo") if request.path.starts_with("/os.img.xz?token=") => {
            match request.range() {
                None => file(request, &bytes, ETAG).cut_at(100_000),
                Some(_) => Reply::new(503, "tired"),
            }
        }
        _ => Reply::new(401, ""),
    });
    let url = format!("http://me:swordfish@{}/os.img.xz?token=swordfish", web.address);
    let mut said = text(&world.read(&url, &Wanted::default()).unwrap_err());
    let wrong = format!("http://me:swordfich@{}/os.img.xz?token=swordfish", web.address);
    said.push_str(&text(&world.read(&wrong, &Wanted::default()).unwrap_err()));
    drop(web);
    said.push_str(&text(&world.read(&url, &Wanted::default()).unwrap_err()));
    for notice in world.notices() {
        said.push_str(&notice.to_string());
    }
    assert!(said.contains("401") && !said.contains("swordfi"), "{said}");
}

#[test]
fn cancelling_ends_every_wait() {
    // While a server says nothing.
    let mut world = World::without_cache();
    world.surroundings.patience.stall = Duration::from_secs(600);
    let (asked, was_asked) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let web = Web::start(move |_| {
        asked.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        Reply::new(200, "")
    });
    let location = Location::parse(&web.url("/os.img.xz")).unwrap();
    let surroundings = world.surroundings.clone();
    let waiting =
        std::thread::spawn(move || open_from(&location, &sum(b""), &surroundings).map(|_| ()));
    was_asked.recv().unwrap();
    world.cancel();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(text(&error).contains("interrupted"), "{}", text(&error));
    drop(hold);
    // In mid-stream, and between two attempts.
    for stalls in [true, false] {
        let mut world = World::without_cache();
        world.surroundings.patience.stall = Duration::from_secs(600);
        world.surroundings.patience.first_delay = Duration::from_secs(600);
        world.surroundings.patience.max_delay = Duration::from_secs(600);
        let bytes = xz(&image(), None);
        let web = serve(move |request| match stalls {
            true => Reply {
                pause: Some(Duration::from_millis(200)),
                ..Reply::new(200, vec![1; 1 << 26])
            },
            false => file(request, &bytes, ETAG).cut_at(200_000),
        });
        let (url, cancelled) = (web.url("/os.img.xz"), world.surroundings.cancelled.clone());
        let web = Arc::new(web);
        let watched = web.clone();
        let canceller = std::thread::spawn(move || {
            while watched.count("/os.img.xz") == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(100));
            cancelled.store(true, Ordering::Relaxed);
        });
        let error = world.read(&url, &sum(b"")).unwrap_err();
        assert!(text(&error).contains("interrupted"), "{}", text(&error));
        canceller.join().unwrap();
    }
}
