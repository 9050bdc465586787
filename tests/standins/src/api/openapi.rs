//! OpenAPI, as little as kubectl needs to see that the server checks fields itself (`fieldValidation`).

use serde_json::{Map, Value, json};

use super::Server;
use super::http::Answer;
use super::resources::{self, Resource};

/// The answer to a question about schemas; `None` for any other.
pub(super) fn answer(server: &Server, path: &str) -> Option<Answer> {
    let rest = path.strip_prefix("/openapi/v3")?;
    let all = resources::all(server);
    let place =
        |api: &str| if api.contains('/') { format!("apis/{api}") } else { format!("api/{api}") };
    if rest.is_empty() {
        let mut paths = Map::new();
        for one in &all {
            let place = place(&one.api);
            let link = format!("/openapi/v3/{place}?hash=1");
            paths.insert(place, json!({"serverRelativeURL": link}));
        }
        return Some(Answer::json(200, &json!({"paths": paths})));
    }
    let own: Vec<&Resource> = all.iter().filter(|one| rest[1..] == place(&one.api)).collect();
    if own.is_empty() {
        return Some(Answer::unknown());
    }
    let mut paths = Map::new();
    for one in own {
        let (group, version) = resources::split(&one.api);
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let patch = json!({
            "operationId": format!("patch{}", one.kind),
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind":
                {"group": group, "version": version, "kind": one.kind},
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
        });
        let scope = if one.is_namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{}/{scope}{}/{{name}}", place(&one.api), one.plural);
        paths.insert(path, json!({"patch": patch}));
    }
    let document: Value = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "stand-in"}, "paths": paths,
    });
    Some(Answer::json(200, &document))
}
