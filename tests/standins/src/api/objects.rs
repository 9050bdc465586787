//! Reading and writing objects over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Server;
use super::auth::{self, User, Wish};
use super::http::{Answer, Request};
use super::patch;
use super::store::{self, Store};
use super::table;
use super::target::Target;
use crate::config::{text, yaml};

/// The answer to a request for objects.
pub(super) fn answer(server: &Server, user: &User, request: &Request) -> Answer {
    let Some(target) = Target::of(server, &request.path) else {
        return if user.is_of("system:authenticated") {
            Answer::unknown()
        } else {
            auth::no_path(user, request)
        };
    };
    let verb = match (&request.method[..], target.name.is_empty()) {
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => {
            return Answer::refusal(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            );
        }
    };
    let full = target.full();
    let wish = target.wish(verb, &full);
    if !auth::may(server, user, &wish) {
        return auth::no(user, &wish);
    }
    let answer = match verb {
        "list" => list(server, &target, request),
        "get" => match server.store().get(&target.key(&target.name)) {
            Some(object) => {
                let table = table::of(request, &target.resource.plural, &[object]);
                Answer::json(200, table.as_ref().unwrap_or(object))
            }
            None => target.not_found(&target.name),
        },
        "create" => create(server, user, &target, request),
        "update" => update(server, &target, request),
        "patch" => patched(server, &target, request),
        _ => delete(server, &target, request),
    };
    if verb != "get" && verb != "list" {
        server.announce();
    }
    answer
}

fn list(server: &Server, target: &Target, request: &Request) -> Answer {
    let store = server.store();
    let all = store.list(&target.resource.api, &target.resource.plural, &target.namespace);
    let items: Vec<&Value> =
        all.into_iter().filter(|object| is_selected(request, object)).collect();
    if let Some(table) = table::of(request, &target.resource.plural, &items) {
        return Answer::json(200, &table);
    }
    Answer::json(
        200,
        &json!({
            "kind": format!("{}List", target.resource.kind), "apiVersion": target.resource.api,
            "metadata": {"resourceVersion": store.revision.to_string()}, "items": items,
        }),
    )
}

/// Whether the selectors of a request take an object: `a=b`, `a==b`, `a!=b`, and `a` or `!a` for labels.
pub(super) fn is_selected(request: &Request, object: &Value) -> bool {
    let field = |key: &str| {
        let pointer = format!("/{}", key.replace('.', "/"));
        object.pointer(&pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let label = |key: &str| {
        object["metadata"]["labels"].get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let takes = |selector: &str, value: &dyn Fn(&str) -> Option<String>| {
        selector.split(',').filter(|part| !part.is_empty()).all(|part| {
            if let Some((key, wanted)) = part.split_once("!=") {
                value(key).as_deref().unwrap_or_default() != wanted
            } else if let Some((key, wanted)) = part.split_once('=') {
                value(key).as_deref().unwrap_or_default() == wanted.trim_start_matches('=')
            } else if let Some(key) = part.strip_prefix('!') {
                value(key).is_none()
            } else {
                value(part).is_some()
            }
        })
    };
    takes(request.parameter("fieldSelector"), &field)
        && takes(request.parameter("labelSelector"), &label)
}

fn parse(request: &Request) -> Result<Value, Answer> {
    let bad = |why: String| Answer::refusal(400, "BadRequest", &why);
    let kind = request.header("content-type");
    if kind.contains("protobuf") {
        let why = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";
        return Err(Answer::refusal(415, "UnsupportedMediaType", why));
    }
    let text = std::str::from_utf8(&request.body).map_err(|error| bad(error.to_string()))?;
    if kind.contains("yaml") {
        let documents = yaml::documents(text).map_err(|error| bad(error.to_string()))?;
        return Ok(documents.into_iter().next().unwrap_or_default());
    }
    serde_json::from_str(text).map_err(|error| {
        bad(format!("the object provided is unrecognized (must be of type Object): {error}"))
    })
}

fn create(server: &Server, user: &User, target: &Target, request: &Request) -> Answer {
    let mut object = match parse(request) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    match (&target.resource.plural[..], &target.part[..]) {
        ("selfsubjectaccessreviews", _) => return access_review(server, user, object),
        ("selfsubjectreviews", _) => {
            object["status"] = json!({"userInfo": {"username": user.name, "groups": user.groups}});
            return Answer::json(201, &object);
        }
        ("pods", "eviction") => return delete(server, target, request),
        (_, "") => {}
        _ => return Answer::unknown(),
    }
    if text(&object, "/kind") != target.resource.kind {
        let why = format!(
            "{} in version \"{}\" cannot be handled as a {}: no kind matched",
            text(&object, "/kind"),
            text(&object, "/apiVersion"),
            target.resource.kind
        );
        return Answer::refusal(400, "BadRequest", &why);
    }
    let mut name = text(&object, "/metadata/name").to_owned();
    let prefix = text(&object, "/metadata/generateName");
    if name.is_empty() && !prefix.is_empty() {
        name = format!("{prefix}{}", &store::uid()[..5]);
    }
    let node = user.node().filter(|_| target.resource.plural == "nodes");
    if node.is_some_and(|node| node != name) {
        let why = format!(
            "nodes \"{name}\" is forbidden: node \"{}\" is not allowed to modify node \"{name}\"",
            node.unwrap_or_default()
        );
        return Answer::refusal(403, "Forbidden", &why);
    }
    if crate::config::scalars::subdomain(&name.replace(':', "-")).is_some() {
        let why = format!(
            "{} \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\"",
            target.resource.kind
        );
        return Answer::refusal(422, "Invalid", &why);
    }
    let namespace = &target.namespace;
    let mut store = server.store();
    if let Some(answer) = missing_namespace(&store, target) {
        return answer;
    }
    let stated = text(&object, "/metadata/namespace");
    if target.resource.is_namespaced && !stated.is_empty() && stated != namespace {
        return Answer::refusal(
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        );
    }
    let key = target.key(&name);
    if store.get(&key).is_some() {
        let why = format!("{} \"{name}\" already exists", target.title());
        return Answer::refusal(409, "AlreadyExists", &why);
    }
    complete(target, user, &mut object);
    if is_dry(request) {
        return Answer::json(201, &object);
    }
    stored(store.put(&key, object), 201)
}

fn missing_namespace(store: &Store, target: &Target) -> Option<Answer> {
    let namespace = &target.namespace;
    let is_there = store.get(&store::key("v1", "namespaces", "", namespace)).is_some();
    (target.resource.is_namespaced && !is_there)
        .then(|| Answer::refusal(404, "NotFound", &format!("namespaces \"{namespace}\" not found")))
}

fn access_review(server: &Server, user: &User, mut object: Value) -> Answer {
    let of = |name: &str| text(&object, &format!("/spec/resourceAttributes/{name}")).to_owned();
    let [verb, group, resource, namespace, name] =
        ["verb", "group", "resource", "namespace", "name"].map(of);
    let wish = Wish {
        verb: &verb,
        group: &group,
        resource: &resource,
        namespace: &namespace,
        name: &name,
    };
    let allowed = auth::may(server, user, &wish);
    object["status"] = json!({"allowed": allowed});
    Answer::json(201, &object)
}

fn is_dry(request: &Request) -> bool {
    !request.parameter("dryRun").is_empty()
}

/// What the server adds to a new object.
fn complete(target: &Target, user: &User, object: &mut Value) {
    if object.get("apiVersion").is_none() {
        object["apiVersion"] = Value::from(target.resource.api.as_str());
    }
    match &target.resource.plural[..] {
        "secrets" => encode(object),
        "certificatesigningrequests" => {
            object["spec"]["username"] = Value::from(user.name.as_str());
            object["spec"]["groups"] = json!(user.groups);
        }
        "namespaces" => object["status"] = json!({"phase": "Active"}),
        _ => {}
    }
    if matches!(&target.resource.plural[..], "deployments" | "daemonsets") {
        object["metadata"]["generation"] = Value::from(1);
    }
}

/// `stringData` becomes `data`.
fn encode(object: &mut Value) {
    let Some(Value::Object(plain)) =
        object.as_object_mut().and_then(|map| map.remove("stringData"))
    else {
        return;
    };
    let mut data = object.get("data").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    for (key, value) in plain {
        data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
    }
    object["data"] = Value::Object(data);
    if object.get("type").is_none() {
        object["type"] = "Opaque".into();
    }
}

fn update(server: &Server, target: &Target, request: &Request) -> Answer {
    let mut object = match parse(request) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    let mut store = server.store();
    let key = target.key(&target.name);
    let Some(old) = store.get(&key).cloned() else { return target.not_found(&target.name) };
    let stated = text(&object, "/metadata/resourceVersion").to_owned();
    if !stated.is_empty() && stated != text(&old, "/metadata/resourceVersion") {
        let why = format!(
            "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the latest version and try again",
            target.title(),
            target.name
        );
        return Answer::refusal(409, "Conflict", &why);
    }
    encode(&mut object);
    let object = joined(target, &old, object);
    if is_dry(request) {
        return Answer::json(200, &object);
    }
    stored(store.put(&key, object), 200)
}

/// Status and the rest are written apart from each other.
fn joined(target: &Target, old: &Value, mut object: Value) -> Value {
    if target.part == "status" {
        let mut all = old.clone();
        all["status"] = object["status"].clone();
        all
    } else {
        let has_generation = old["metadata"].get("generation").and_then(Value::as_u64);
        if let Some(status) = old.get("status") {
            object["status"] = status.clone();
        }
        if let Some(generation) = has_generation {
            let step = u64::from(old["spec"] != object["spec"]);
            object["metadata"]["generation"] = Value::from(generation + step);
        }
        object
    }
}

fn patched(server: &Server, target: &Target, request: &Request) -> Answer {
    let kind = request.header("content-type");
    let mut store = server.store();
    let key = target.key(&target.name);
    let is_apply = kind.starts_with("application/apply-patch");
    let old = store.get(&key).cloned();
    if old.is_none() && !is_apply {
        return target.not_found(&target.name);
    }
    if is_apply && request.parameter("fieldManager").is_empty() {
        return Answer::refusal(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        );
    }
    if old.is_none()
        && let Some(answer) = missing_namespace(&store, target)
    {
        return answer;
    }
    let before = old.clone().unwrap_or_else(|| json!({}));
    let mut object = before.clone();
    if let Err(error) = patch::apply(kind, &mut object, &request.body) {
        return Answer::refusal(400, "BadRequest", &format!("{error:#}"));
    }
    let status = if old.is_some() { 200 } else { 201 };
    if old.is_some() {
        object = joined(target, &before, object);
    } else {
        let nobody = User { name: String::new(), groups: vec![] };
        complete(target, &nobody, &mut object);
    }
    encode(&mut object);
    if is_dry(request) {
        return Answer::json(status, &object);
    }
    stored(store.put(&key, object), status)
}

fn delete(server: &Server, target: &Target, request: &Request) -> Answer {
    let mut store = server.store();
    let names: Vec<String> = if target.name.is_empty() {
        let all = store.list(&target.resource.api, &target.resource.plural, &target.namespace);
        let all = all.into_iter().filter(|object| is_selected(request, object));
        all.map(|object| text(object, "/metadata/name").to_owned()).collect()
    } else {
        vec![target.name.clone()]
    };
    if !target.name.is_empty() && store.get(&target.key(&target.name)).is_none() {
        return target.not_found(&target.name);
    }
    for name in names.iter().filter(|_| !is_dry(request)) {
        let mut keys = vec![target.key(name)];
        if target.resource.plural == "namespaces" {
            keys.extend(store.within(name));
        }
        for key in keys {
            if let Err(error) = store.remove(&key) {
                return Answer::refusal(500, "InternalError", &format!("{error:#}"));
            }
        }
    }
    let details = json!({"name": target.name, "kind": target.resource.plural});
    Answer::json(
        200,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        }),
    )
}

fn stored(done: anyhow::Result<Value>, status: u16) -> Answer {
    match done {
        Ok(object) => Answer::json(status, &object),
        Err(error) => Answer::refusal(500, "InternalError", &format!("etcdserver: {error:#}")),
    }
}
