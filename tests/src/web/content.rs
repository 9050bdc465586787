//! What is served: files of a folder, and image manifests with what the distribution API says about them
//! (OCI distribution specification 1.1, "Pulling manifests").

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::http::{Body, Request};

/// Status, header lines and body.
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// The answer when nothing is wrong.
pub(super) fn answer(folder: &Path, request: &Request) -> Answer {
    if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return failure(405);
    }
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    if path == "/v2/" {
        // RFC: "I am a registry of this version"
        return whole(200, "application/json", b"{}".to_vec());
    }
    let Some(file) = file_of(folder, path) else { return failure(404) };
    if path.starts_with("/v2/") && path.contains("/manifests/") {
        return std::fs::read(file).map_or_else(|_| failure(404), manifest);
    }
    of_file(&file, request).unwrap_or_else(|_| failure(404))
}

/// An error page.
pub(super) fn failure(status: u16) -> Answer {
    whole(status, "text/plain", format!("{status}: by the test's order\n").into_bytes())
}

/// What a hotel's network shows to whoever has not paid.
pub(super) fn captive_portal() -> Answer {
    let page = "<!DOCTYPE html>\n<html><head><title>Welcome aboard</title></head><body>\
                <form method=\"post\">Please log in</form></body></html>\n";
    whole(200, "text/html", page.as_bytes().to_vec())
}

fn whole(status: u16, media_type: &str, bytes: Vec<u8>) -> Answer {
    let headers = vec![("Content-Type", media_type.to_owned())];
    let length = bytes.len() as u64;
    Answer { status, headers, body: Body { bytes: Box::new(Cursor::new(bytes)), length } }
}

/// A manifest has the type that it names itself, and its digest in a header: containerd asks for it with HEAD first.
fn manifest(bytes: Vec<u8>) -> Answer {
    let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let media_type = parsed["mediaType"].as_str().unwrap_or("application/json").to_owned();
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    let mut answer = whole(200, &media_type, bytes);
    answer.headers.push(("Docker-Content-Digest", digest));
    answer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file below the folder that a path names; no step leads out of the folder.
fn file_of(folder: &Path, path: &str) -> Option<PathBuf> {
    let relative = PathBuf::from(decode(path)?.trim_start_matches('/'));
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let file = folder.join(relative);
    (plain && file.is_file()).then_some(file)
}

/// Percent-encoding undone (RFC 3986 §2.1).
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok())?;
            bytes.push(u8::from_str_radix(code, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn of_file(path: &Path, request: &Request) -> std::io::Result<Answer> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let (length, modified) = (metadata.len(), date(metadata.modified()?));
    let mut headers = vec![
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Last-Modified", modified.clone()),
        ("Accept-Ranges", "bytes".to_owned()),
    ];
    let nothing = || Body { bytes: Box::new(std::io::empty()), length: 0 };
    // Whoever has our date has our file: the very date, as nginx compares by default.
    if request.if_modified_since.as_ref() == Some(&modified) {
        return Ok(Answer { status: 304, headers, body: nothing() });
    }
    let same = request.if_range.as_ref().is_none_or(|date| *date == modified);
    let range = request.range.as_deref().filter(|_| same).and_then(part);
    let Some((first, last)) = range else {
        return Ok(Answer { status: 200, headers, body: Body { bytes: Box::new(file), length } });
    };
    if first >= length {
        headers.push(("Content-Range", format!("bytes */{length}")));
        return Ok(Answer { status: 416, headers, body: nothing() });
    }
    let last = last.unwrap_or(u64::MAX).min(length - 1);
    headers.push(("Content-Range", format!("bytes {first}-{last}/{length}")));
    file.seek(SeekFrom::Start(first))?;
    let length = last + 1 - first;
    Ok(Answer { status: 206, headers, body: Body { bytes: Box::new(file.take(length)), length } })
}

/// `bytes=FIRST-` or `bytes=FIRST-LAST`; any other form may be ignored (RFC 9110 §14.2).
fn part(range: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok());
    last.is_none_or(|last| first <= last).then_some((first, last))
}

/// An HTTP date (RFC 9110 §5.6.7).
fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .and_then(|time| {
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time)
        })
        .unwrap_or_default()
}
