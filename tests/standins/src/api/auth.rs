//! Who asks, and what they may: client certificates, bootstrap tokens, nobody; and the roles that kubeadm's clusters
//! have, not RBAC in general.

use anyhow::Result;

use super::Server;
use super::http::{Answer, Request};
use super::store;
use crate::token::Token;
use crate::{pki, time};

/// Who asks.
pub(super) struct User {
    /// Name.
    pub(super) name: String,
    /// Groups.
    pub(super) groups: Vec<String>,
}

/// What they ask for.
pub(super) struct Wish<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub(super) verb: &'a str,
    /// Group of the API, empty for the core.
    pub(super) group: &'a str,
    /// Plural, with the part of it: `nodes/status`.
    pub(super) resource: &'a str,
    /// Empty for all or for what is in none.
    pub(super) namespace: &'a str,
    /// Empty for all.
    pub(super) name: &'a str,
}

impl User {
    /// Whether they are in a group.
    pub(super) fn is_of(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The node that asks, if it is one.
    pub(super) fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.is_of("system:nodes"))
    }
}

/// Finds out who asks. The certificate (DER) has been verified; who is master may ask as another.
///
/// # Errors
/// The answer, where a token is shown that is none.
pub(super) fn who(
    server: &Server,
    request: &Request,
    certificate: Option<&[u8]>,
) -> Result<User, Answer> {
    let unauthorized = || Answer::refusal(401, "Unauthorized", "Unauthorized");
    let mut user = User {
        name: "system:anonymous".to_owned(),
        groups: vec!["system:unauthenticated".to_owned()],
    };
    let authorization = request.header("authorization");
    if let Some(certificate) = certificate {
        let (name, mut groups) = pki::holder(certificate).map_err(|_| unauthorized())?;
        groups.push("system:authenticated".to_owned());
        user = User { name, groups };
    } else if !authorization.is_empty() {
        let shown = authorization.strip_prefix("Bearer ").ok_or_else(unauthorized)?;
        user = by_token(server, shown).ok_or_else(unauthorized)?;
    }
    let wanted = request.header("impersonate-user");
    if !wanted.is_empty() && user.is_of("system:masters") {
        let groups = request.headers_of("impersonate-group").map(str::to_owned);
        return Ok(User { name: wanted.to_owned(), groups: groups.collect() });
    }
    Ok(user)
}

fn by_token(server: &Server, shown: &str) -> Option<User> {
    let (id, secret) = crate::config::scalars::token(shown).ok()?;
    let store = server.store();
    let key = store::key("v1", "secrets", "kube-system", &format!("bootstrap-token-{id}"));
    let token = Token::of(store.get(&key)?, time::now())?;
    let is_same = token.id == id && token.secret == secret && token.authenticates;
    let mut groups = token.groups;
    groups.push("system:authenticated".to_owned());
    is_same.then(|| User { name: format!("system:bootstrap:{id}"), groups })
}

/// Whether somebody may read a path that is no object's (`system:discovery`); paths of objects are decided by
/// [`may`].
pub(super) fn may_read_path(user: &User, path: &str) -> bool {
    let is_discovery = matches!(path, "" | "/api" | "/apis")
        || path.starts_with("/openapi")
        || path.split('/').count() <= if path.starts_with("/apis/") { 4 } else { 3 };
    !is_discovery || user.is_of("system:authenticated")
}

/// The refusal of such a path.
pub(super) fn no_path(user: &User, request: &Request) -> Answer {
    let message = format!("forbidden: User \"{}\" cannot get path \"{}\"", user.name, request.path);
    Answer::refusal(403, "Forbidden", &message)
}

/// Whether somebody may.
pub(super) fn may(server: &Server, user: &User, wish: &Wish<'_>) -> bool {
    let is_read = matches!(wish.verb, "get" | "list" | "watch");
    let is = |resources: &[&str]| resources.contains(&wish.resource);
    if user.is_of("system:masters") {
        return true;
    }
    let bound = |name: &str| {
        let api = "rbac.authorization.k8s.io/v1";
        server.store().get(&store::key(api, "clusterrolebindings", "", name)).is_some()
    };
    // admin.conf is nobody's until `init` has bound its group
    if user.is_of("kubeadm:cluster-admins") && bound("kubeadm:cluster-admins") {
        return true;
    }
    if wish.group == "authorization.k8s.io" || wish.group == "authentication.k8s.io" {
        return user.is_of("system:authenticated");
    }
    if let Some(node) = user.node() {
        let own = |name: &str| name == node || name.is_empty();
        return match wish.resource {
            "nodes" | "nodes/status" => is_read || wish.verb == "create" || own(wish.name),
            "leases" => wish.namespace == "kube-node-lease" && own(wish.name),
            // the flannel of the node asks as the node
            "pods" | "pods/status" | "configmaps" | "services" | "namespaces" | "daemonsets"
            | "deployments" | "endpoints" | "secrets" => {
                // mirrors of static pods are made by the node
                is_read || wish.resource.starts_with("pods")
            }
            "events" => wish.verb == "create" || wish.verb == "patch",
            "certificatesigningrequests" => is_read || wish.verb == "create",
            _ => false,
        };
    }
    if user.is_of("system:bootstrappers:kubeadm:default-node-token") {
        let named = ["kubeadm-config", "kubelet-config", "kube-proxy"];
        return match wish.resource {
            "nodes" => wish.verb == "get" && bound("kubeadm:get-nodes"),
            "configmaps" => {
                let is_kubelet = wish.name.starts_with("kubelet-config");
                wish.verb == "get"
                    && wish.namespace == "kube-system"
                    && (named.contains(&wish.name) || is_kubelet)
            }
            "certificatesigningrequests" => {
                (is_read || wish.verb == "create") && bound("kubeadm:kubelet-bootstrap")
            }
            _ => false,
        };
    }
    is(&["configmaps"])
        && wish.verb == "get"
        && wish.namespace == "kube-public"
        && wish.name == "cluster-info"
}

/// The refusal.
pub(super) fn no(user: &User, wish: &Wish<'_>) -> Answer {
    let Wish { verb, group, resource, namespace, name } = wish;
    let named = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
    let full = resource.split('/').next().unwrap_or_default();
    let full = if group.is_empty() { full.to_owned() } else { format!("{full}.{group}") };
    let scope = match *namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let message = format!(
        "{full}{named} is forbidden: User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}",
        user.name
    );
    Answer::refusal(403, "Forbidden", &message)
}
