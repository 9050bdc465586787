//! Requests for the certificates with which kubelets serve (`kubernetes.io/kubelet-serving`). Nothing in Kubernetes approves
//! them, because nothing there knows whose an address is. A certificate of the cluster's CA for the name or address of another
//! server would let a node pass for it, so whatever is not plainly the node's own is left alone, for a person to decide.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pikube_config::values::host;
use pikube_config::{Cluster, Kubernetes};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKCS9_EXTENSION_REQUEST, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME,
};
use x509_parser::prelude::FromDer as _;

/// The only signer whose requests are looked at.
pub const SIGNER: &str = "kubernetes.io/kubelet-serving";
/// What a certificate to serve with is for, as the signer itself wants it (kubernetes, `ValidateKubeletServingCSR`).
const USAGES: [&str; 3] = ["digital signature", "key encipherment", "server auth"];
/// The group of all nodes.
const NODES: &str = "system:nodes";
/// How a node's user name begins.
const NODE: &str = "system:node:";
/// Single names under which the API server itself is called, or every machine itself.
const RESERVED: [&str; 2] = ["kubernetes", "localhost"];

const MORE: &str = "it asks for more than names and addresses";

/// What an API server calls a node, and where it finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeObject {
    /// Its name.
    pub name: String,
    /// Its addresses, as its kubelet has told them.
    pub addresses: Vec<IpAddr>,
}

/// The nodes in an answer of the API server (`/api/v1/nodes`).
pub fn nodes(list: &Value) -> Vec<NodeObject> {
    let items = list.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|node| {
            let name = node.pointer("/metadata/name")?.as_str()?.to_owned();
            let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
            let addresses = addresses.into_iter().flatten().filter_map(ip).collect();
            Some(NodeObject { name, addresses })
        })
        .collect()
}

/// An entry of `status.addresses` that is an address and no name.
fn ip(entry: &Value) -> Option<IpAddr> {
    let is_ip = |kind: &str| ["InternalIP", "ExternalIP"].contains(&kind);
    let kind = entry.get("type")?.as_str()?;
    is_ip(kind).then(|| entry.get("address")?.as_str()?.parse().ok()).flatten()
}

/// What of the cluster no certificate of a kubelet may be for.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    names: Vec<String>,
    /// The address behind the endpoint, with the one node whose own it is, if it is one's own.
    endpoint: Option<(IpAddr, Option<String>)>,
    /// Networks of pods and services, in which no node is.
    networks: Vec<String>,
}

impl Guarded {
    /// What the card of a control plane knows of it.
    pub fn of(kubernetes: &Kubernetes, cluster: &Cluster) -> Self {
        let called = cluster.endpoint.as_deref().map(crate::render::kubeadm::host);
        let behind = cluster.address.as_deref().or(called).and_then(|text| text.parse().ok());
        let is_shared = cluster.virtual_ip == Some(true);
        let own = cluster.master.clone().filter(|_| !is_shared);
        Self {
            names: called.map(str::to_owned).into_iter().collect(),
            endpoint: behind.map(|address| (address, own)),
            networks: vec![kubernetes.pod_cidr.clone(), kubernetes.service_cidr.clone()],
        }
    }
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the node's own: its name.
    Approve(String),
    /// It is not certain whose it is: why.
    Leave(String),
    /// Somebody has decided already, or it is another signer's.
    Settled,
}

/// Whether it is a request for this signer that nobody has decided about.
pub fn is_open(csr: &Value) -> bool {
    let decided = csr.pointer("/status/conditions").and_then(Value::as_array);
    let has_certificate = csr.pointer("/status/certificate").is_some();
    let is_ours = csr.pointer("/spec/signerName").is_some_and(|signer| signer == SIGNER);
    is_ours && !has_certificate && decided.is_none_or(Vec::is_empty)
}

/// Looks at one CertificateSigningRequest, as JSON (`certificates.k8s.io/v1`).
pub fn judge(csr: &Value, nodes: &[NodeObject], guarded: &Guarded) -> Verdict {
    if !is_open(csr) {
        return Verdict::Settled;
    }
    match approvable(csr, nodes, guarded) {
        Ok(node) => Verdict::Approve(node),
        Err(why) => Verdict::Leave(why),
    }
}

fn approvable(csr: &Value, nodes: &[NodeObject], guarded: &Guarded) -> Result<String, String> {
    let user = csr.pointer("/spec/username").and_then(Value::as_str).unwrap_or_default();
    let name = user.strip_prefix(NODE).ok_or_else(|| format!("`{user}` is no node"))?;
    if !texts(csr, "/spec/groups").contains(&NODES) {
        return Err(format!("`{user}` is not in the group `{NODES}`"));
    }
    let usages = texts(csr, "/spec/usages");
    if usages.iter().any(|usage| !USAGES.contains(usage))
        || !usages.contains(&"server auth")
        || !usages.contains(&"digital signature")
    {
        return Err(format!("it is to be used for: {}", usages.join(", ")));
    }
    // Only names of our own making: one label. A node that called itself like the API server would get a certificate for it.
    if host::hostname(name).is_err()
        || RESERVED.contains(&name)
        || guarded.names.iter().any(|guarded| guarded == name)
    {
        return Err(format!("`{name}` is no name of a node"));
    }
    let request = csr.pointer("/spec/request").and_then(Value::as_str).unwrap_or_default();
    let asked = Asked::read(request)?;
    if asked.common_name != user || asked.organizations != [NODES] || asked.more {
        return Err(format!("its subject is not that of `{user}`"));
    }
    if let Some(other) = asked.names.iter().find(|asked| *asked != name) {
        return Err(format!("it asks for the name `{other}`, which is not its own"));
    }
    if asked.names.is_empty() && asked.addresses.is_empty() {
        return Err("it asks for no name and no address".to_owned());
    }
    let own = nodes.iter().find(|node| node.name == name);
    let own = own.ok_or_else(|| format!("the cluster has no node `{name}`"))?;
    for address in &asked.addresses {
        whose(*address, own, nodes, guarded)?;
    }
    Ok(name.to_owned())
}

/// Whether an address is this node's and nobody else's. What its Node object says comes from the kubelet itself.
fn whose(
    address: IpAddr,
    own: &NodeObject,
    nodes: &[NodeObject],
    guarded: &Guarded,
) -> Result<(), String> {
    let name = &own.name;
    if !own.addresses.contains(&address) {
        return Err(format!("it asks for {address}, which `{name}` does not have"));
    }
    if let Some(other) =
        nodes.iter().find(|node| node.name != *name && node.addresses.contains(&address))
    {
        return Err(format!("it asks for {address}, which `{}` has too", other.name));
    }
    if let Some((endpoint, owner)) = &guarded.endpoint
        && *endpoint == address
        && owner.as_ref() != Some(name)
    {
        return Err(format!("it asks for {address}, the address of the API server"));
    }
    let text = address.to_string();
    if address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || guarded.networks.iter().any(|network| host::contains(network, &text))
    {
        return Err(format!("it asks for {address}, which is no address of a node"));
    }
    Ok(())
}

fn texts<'a>(csr: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = csr.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What is in a PKCS #10 request.
#[derive(Debug, Default)]
struct Asked {
    common_name: String,
    organizations: Vec<String>,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// Whether the subject has anything else.
    more: bool,
}

impl Asked {
    /// Reads it, base64 of PEM. That it is signed with its own key the API server has seen already.
    fn read(request: &str) -> Result<Self, String> {
        let broken = |_| "it cannot be read".to_owned();
        let pem = STANDARD.decode(request).map_err(|_| broken(()))?;
        let der = super::expiry::der(&String::from_utf8_lossy(&pem)).ok_or_else(|| broken(()))?;
        let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| broken(()))?;
        if !rest.is_empty() {
            return Err(broken(()));
        }
        let mut asked = Self::default();
        let mut common_names = Vec::new();
        for attribute in request.certification_request_info.subject.iter_attributes() {
            let text = attribute.as_str().map_err(|_| broken(()))?.to_owned();
            if *attribute.attr_type() == OID_X509_COMMON_NAME {
                common_names.push(text);
            } else if *attribute.attr_type() == OID_X509_ORGANIZATION_NAME {
                asked.organizations.push(text);
            } else {
                asked.more = true;
            }
        }
        asked.more |= common_names.len() != 1;
        asked.common_name = common_names.pop().unwrap_or_default();
        // A second list would be another reader's.
        let lists = request.certification_request_info.iter_attributes();
        if lists.filter(|list| list.oid == OID_PKCS9_EXTENSION_REQUEST).count() > 1 {
            return Err(broken(()));
        }
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else {
                return Err(MORE.to_owned());
            };
            for name in &names.general_names {
                asked.note(name)?;
            }
        }
        Ok(asked)
    }

    fn note(&mut self, name: &GeneralName<'_>) -> Result<(), String> {
        match name {
            GeneralName::DNSName(name) => self.names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes)
                    .map(IpAddr::from)
                    .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                self.addresses.push(address.map_err(|_| "it cannot be read".to_owned())?);
            }
            _ => return Err(MORE.to_owned()),
        }
        Ok(())
    }
}

/// The request with the approval in it, for its subresource `approval`. It holds the `resourceVersion` that was judged, so
/// that the API server refuses it if the request has changed since, or is another of the same name.
pub fn approval(csr: &Value) -> Value {
    let mut approved = csr.clone();
    approved["status"] = json!({ "conditions": [{
        "type": "Approved",
        "status": "True",
        "reason": "PikubeApproved",
        "message": "name and addresses are those of this node",
    }] });
    approved
}

#[cfg(test)]
pub(crate) mod tests;
