//! `s3://` against a server that verifies signatures as S3 does: AWS Signature Version 4, in the query.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use std::sync::atomic::{AtomicUsize, Ordering};

use piflash::image::{S3, Wanted};
use sha2::{Digest as _, Sha256};
use source::images::{Shape, xz};
use source::web::{Reply, Request, Web, file};
use source::{World, text};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "swordfish/secret+key";
const TOKEN: &str = "swordfish/token==";
const OBJECT: &str = "images/os v1+2.img.xz";

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36).as_slice(), data].concat());
    Sha256::digest([pad(0x5c).as_slice(), inner.as_slice()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the request is signed with the secret key, by the rules of "Authenticating Requests: Using Query Parameters".
fn is_signed(request: &Request, region: &str, token: bool) -> bool {
    let Some((path, query)) = request.path.split_once('?') else {
        return false;
    };
    let mut fields: Vec<(&str, &str)> =
        query.split('&').filter_map(|f| f.split_once('=')).collect();
    let get = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let (Some(signature), Some(date), Some(credential)) =
        (get("X-Amz-Signature"), get("X-Amz-Date"), get("X-Amz-Credential"))
    else {
        return false;
    };
    let scope = format!("{}/{region}/s3/aws4_request", &date[..8]);
    if credential != format!("{KEY}/{scope}").replace('/', "%2F")
        || get("X-Amz-Security-Token").is_some() != token
    {
        return false;
    }
    let signature = signature.to_owned();
    fields.retain(|(key, _)| *key != "X-Amz-Signature");
    fields.sort_unstable();
    let query: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let host = request.header("host").unwrap();
    let canonical =
        format!("GET\n{path}\n{}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD", query.join("&"));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        date_of(&fields),
        hex(&Sha256::digest(canonical))
    );
    let mut key = hmac(format!("AWS4{SECRET}").as_bytes(), &scope.as_bytes()[..8]);
    for part in [region, "s3", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    hex(&hmac(&key, to_sign.as_bytes())) == signature
}

fn date_of<'a>(fields: &[(&'a str, &'a str)]) -> &'a str {
    fields.iter().find(|(key, _)| *key == "X-Amz-Date").unwrap().1
}

fn environment(endpoint: String, names: &'static [(&'static str, &'static str)]) -> S3 {
    S3::from_environment(move |name| match name {
        "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
        _ => names.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
    })
}

#[test]
fn requests_are_signed_each_time_and_resumed() {
    let image = Shape::default().build();
    for token in [false, true] {
        let (bytes, count) = (xz(&image, None), AtomicUsize::new(0));
        let web = Web::start(move |request| {
            if !is_signed(request, "eu-west-3", token) {
                return Reply::new(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
            }
            if !request.path.starts_with("/bucket/images/os%20v1%2B2.img.xz?") {
                return Reply::new(404, "<Error><Code>NoSuchKey</Code></Error>");
            }
            let reply = file(request, &bytes, "\"v1\"");
            match count.fetch_add(1, Ordering::Relaxed) {
                0..3 => reply.cut_at(400_000),
                _ => reply,
            }
        });
        let mut world = World::new();
        let names: &[_] = match token {
            false => &[
                ("AWS_ACCESS_KEY_ID", KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_REGION", "eu-west-3"),
            ],
            true => &[
                ("AWS_ACCESS_KEY_ID", KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_SESSION_TOKEN", TOKEN),
                ("AWS_DEFAULT_REGION", "eu-west-3"),
            ],
        };
        world.surroundings.s3 = environment(web.url(""), names);
        let url = format!("s3://bucket/{OBJECT}");
        assert!(world.read(&url, &Wanted::default()).unwrap() == image);
        assert!(web.requests().iter().any(|request| request.range() == Some(400_000)));
        // From the cache: the address is another one each time, the object is not.
        assert!(world.read(&url, &Wanted::default()).unwrap() == image);
        assert!(world.was_told("in the cache"));
    }
}

#[test]
fn without_credentials_nothing_is_signed() {
    let image = Shape::default().build();
    let bytes = xz(&image, None);
    let web = Web::start(move |request| match request.path.as_str() {
        "/open/os.img.xz" => file(request, &bytes, "\"v1\""),
        _ => Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"),
    });
    let mut world = World::new();
    world.surroundings.s3 = environment(web.url(""), &[]);
    assert!(world.read("s3://open/os.img.xz", &Wanted::default()).unwrap() == image);
    let error = world.read("s3://closed/os.img.xz", &Wanted::default()).unwrap_err();
    assert!(error.to_string().contains("fetching `s3://closed/os.img.xz`"), "{error}");
    assert!(error.help().unwrap().contains("AWS_ACCESS_KEY_ID"));
}

#[test]
fn a_wrong_secret_is_refused_and_not_told() {
    let web = Web::start(|request| match is_signed(request, "us-east-1", false) {
        true => Reply::new(404, ""),
        false => Reply::new(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"),
    });
    let mut world = World::new();
    world.surroundings.s3 = environment(
        web.url(""),
        &[("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "swordfish")],
    );
    let error = world.read("s3://bucket/os.img", &Wanted::default()).unwrap_err();
    let said = format!("{} {error:?} {:?} {:?}", text(&error), world.surroundings, world.notices());
    assert!(said.contains("403") && !said.contains("swordfish") && !said.contains(KEY), "{said}");
}
