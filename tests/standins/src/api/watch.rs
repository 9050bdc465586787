//! Watches: changes as they come, a line of JSON each.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::auth::{self, User};
use super::http::Request;
use super::objects;
use super::target::Target;
use super::{Server, store::Event};

/// Seconds after which a watch ends that names no time.
const LIMIT: u64 = 300;

/// A watch that is allowed.
pub(super) struct Watch<'a> {
    target: Target,
    request: &'a Request,
}

/// The watch that a request is, unless it is none, or not allowed: then it is answered as a list is.
pub(super) fn wanted<'a>(server: &Server, user: &User, request: &'a Request) -> Option<Watch<'a>> {
    let is_watch = matches!(request.parameter("watch"), "true" | "1");
    if request.method != "GET" || !is_watch {
        return None;
    }
    let target = Target::of(server, &request.path)?;
    let full = target.full();
    auth::may(server, user, &target.wish("watch", &full)).then_some(Watch { target, request })
}

/// Tells what happens until the time is over or nobody listens. The connection ends with it.
///
/// # Errors
/// Nobody listens.
pub(super) fn serve(server: &Server, watch: Watch<'_>, stream: &mut impl Write) -> Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
    let (resource, namespace) = (&watch.target.resource, &watch.target.namespace);
    let began = Instant::now();
    let limit = watch.request.parameter("timeoutSeconds").parse().unwrap_or(LIMIT);
    let asked: u64 = watch.request.parameter("resourceVersion").parse().unwrap_or(0);
    let mut lines = Vec::new();
    let mut seen = asked;
    if asked == 0 {
        let store = server.store();
        for object in store.list(&resource.api, &resource.plural, namespace) {
            lines.push(("ADDED", object.clone()));
        }
        seen = store.revision;
    }
    loop {
        for (kind, object) in lines.drain(..) {
            let is_wanted = kind == "ERROR" || objects::is_selected(watch.request, &object);
            if is_wanted && is_named(&watch.target, &object) {
                let line = json!({"type": kind, "object": object}).to_string();
                write!(stream, "{:x}\r\n{line}\n\r\n", line.len() + 1)?;
            }
        }
        stream.flush()?;
        if began.elapsed() > Duration::from_secs(limit) {
            stream.write_all(b"0\r\n\r\n")?;
            stream.flush()?;
            return Ok(());
        }
        server.wait(Duration::from_secs(1));
        let store = server.store();
        let Some(events) = store.since(seen) else {
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version"});
            lines.push(("ERROR", gone));
            seen = store.revision;
            continue;
        };
        seen = store.revision;
        let is_ours = |event: &Event| {
            event.key.api == resource.api
                && event.key.resource == resource.plural
                && (namespace.is_empty() || event.key.namespace == *namespace)
        };
        lines.extend(events.into_iter().filter(is_ours).map(|event| (event.kind, event.object)));
    }
}

fn is_named(target: &Target, object: &Value) -> bool {
    target.name.is_empty()
        || object.pointer("/metadata/name").and_then(Value::as_str) == Some(&target.name)
}
