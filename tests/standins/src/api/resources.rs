//! What kinds of objects there are, and discovery of them.

use serde_json::{Value, json};

use super::Server;
use super::http::Answer;
use crate::config::text;

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Group and version, as in `apiVersion`.
    pub(super) api: String,
    /// Plural.
    pub(super) plural: String,
    /// Kind.
    pub(super) kind: String,
    /// Whether its objects are in namespaces.
    pub(super) is_namespaced: bool,
    short: Vec<String>,
}

/// `apiVersion plural Kind scope short`, scope being `-` for what is in no namespace.
const BUILT_IN: &str = "\
v1 namespaces Namespace - ns
v1 nodes Node - no
v1 persistentvolumes PersistentVolume - pv
v1 pods Pod n po
v1 services Service n svc
v1 endpoints Endpoints n ep
v1 configmaps ConfigMap n cm
v1 secrets Secret n
v1 serviceaccounts ServiceAccount n sa
v1 events Event n ev
v1 persistentvolumeclaims PersistentVolumeClaim n pvc
v1 resourcequotas ResourceQuota n quota
v1 limitranges LimitRange n limits
v1 replicationcontrollers ReplicationController n rc
apps/v1 deployments Deployment n deploy
apps/v1 daemonsets DaemonSet n ds
apps/v1 replicasets ReplicaSet n rs
apps/v1 statefulsets StatefulSet n sts
batch/v1 jobs Job n
batch/v1 cronjobs CronJob n cj
rbac.authorization.k8s.io/v1 roles Role n
rbac.authorization.k8s.io/v1 rolebindings RoleBinding n
rbac.authorization.k8s.io/v1 clusterroles ClusterRole -
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding -
policy/v1 poddisruptionbudgets PodDisruptionBudget n pdb
networking.k8s.io/v1 networkpolicies NetworkPolicy n netpol
networking.k8s.io/v1 ingresses Ingress n ing
networking.k8s.io/v1 ingressclasses IngressClass -
storage.k8s.io/v1 storageclasses StorageClass - sc
storage.k8s.io/v1 csidrivers CSIDriver -
scheduling.k8s.io/v1 priorityclasses PriorityClass - pc
coordination.k8s.io/v1 leases Lease n
discovery.k8s.io/v1 endpointslices EndpointSlice n
events.k8s.io/v1 events Event n ev
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest - csr
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition - crd
apiregistration.k8s.io/v1 apiservices APIService -
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration -
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration -
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy -
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding -
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview -
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview -";

/// All of them, with those that definitions in the store add.
pub(super) fn all(server: &Server) -> Vec<Resource> {
    let mut all: Vec<Resource> = BUILT_IN
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(Resource {
                api: words.next()?,
                plural: words.next()?,
                kind: words.next()?,
                is_namespaced: words.next()? == "n",
                short: words.collect(),
            })
        })
        .collect();
    let store = server.store();
    for definition in store.list("apiextensions.k8s.io/v1", "customresourcedefinitions", "") {
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            all.push(Resource {
                api: format!("{}/{}", text(definition, "/spec/group"), text(version, "/name")),
                plural: text(definition, "/spec/names/plural").to_owned(),
                kind: text(definition, "/spec/names/kind").to_owned(),
                is_namespaced: text(definition, "/spec/scope") == "Namespaced",
                short: vec![],
            });
        }
    }
    all
}

/// Group and version of an `apiVersion`.
pub(super) fn split(api: &str) -> (&str, &str) {
    api.split_once('/').unwrap_or(("", api))
}

/// The answer to a question about what there is; `None` for any other.
pub(super) fn discovery(server: &Server, path: &str) -> Option<Answer> {
    let all = all(server);
    let mut groups: Vec<(&str, &str)> =
        all.iter().map(|one| split(&one.api)).filter(|(group, _)| !group.is_empty()).collect();
    groups.dedup();
    let of = |group: &str, version: &str| {
        let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        json!({"name": group, "versions": [version], "preferredVersion": version})
    };
    let answer = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["", "apis"] => json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups.iter().map(|(group, version)| of(group, version)).collect::<Vec<_>>(),
        }),
        ["", "apis", group] => {
            let (group, version) = groups.iter().find(|(known, _)| *known == group)?;
            let mut one = of(group, version);
            one["kind"] = "APIGroup".into();
            one["apiVersion"] = "v1".into();
            one
        }
        ["", "api", version] => list(&all, version)?,
        ["", "apis", group, version] => list(&all, &format!("{group}/{version}"))?,
        _ => return None,
    };
    Some(Answer::json(200, &answer))
}

fn list(all: &[Resource], api: &str) -> Option<Value> {
    let own: Vec<&Resource> = all.iter().filter(|one| one.api == api).collect();
    if own.is_empty() {
        return None;
    }
    let mut resources = Vec::new();
    for one in own {
        let singular = one.kind.to_lowercase();
        let is_review = one.kind.ends_with("Review");
        let verbs = if is_review {
            json!(["create"])
        } else {
            json!([
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch"
            ])
        };
        resources.push(json!({
            "name": one.plural, "singularName": singular, "namespaced": one.is_namespaced,
            "kind": one.kind, "verbs": verbs, "shortNames": one.short,
        }));
        if matches!(&one.plural[..], "nodes" | "pods" | "deployments" | "daemonsets" | "namespaces")
        {
            resources.push(json!({
                "name": format!("{}/status", one.plural), "singularName": "", "kind": one.kind,
                "namespaced": one.is_namespaced, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources,
    }))
}
