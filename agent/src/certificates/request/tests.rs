//! Requests of kubelets, and of those that would like to be one.

use std::net::IpAddr;

use pikube_config::FirstbootPlan;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;

/// What a request is made of.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub user: String,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub names: Vec<String>,
    pub addresses: Vec<String>,
    pub mail: Option<String>,
    pub country: Option<String>,
}

impl Wanted {
    /// As the kubelet of a node asks.
    pub(crate) fn of(name: &str, address: &str) -> Self {
        Self {
            user: format!("system:node:{name}"),
            common_name: format!("system:node:{name}"),
            organizations: vec!["system:nodes".to_owned()],
            names: vec![name.to_owned()],
            addresses: vec![address.to_owned()],
            mail: None,
            country: None,
        }
    }
}

/// The request as the API server shows it.
pub(crate) fn csr(wanted: &Wanted) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for organization in &wanted.organizations {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.distinguished_name.push(DnType::CommonName, &wanted.common_name);
    if let Some(country) = &wanted.country {
        params.distinguished_name.push(DnType::CountryName, country);
    }
    let names = wanted.names.iter().map(|name| SanType::DnsName(name.as_str().try_into().unwrap()));
    let addresses = wanted.addresses.iter().map(|ip| SanType::IpAddress(ip.parse().unwrap()));
    let mails = wanted.mail.iter().map(|m| SanType::Rfc822Name(m.as_str().try_into().unwrap()));
    params.subject_alt_names = names.chain(addresses).chain(mails).collect();
    let key = KeyPair::generate().unwrap();
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": { "name": "csr-own", "uid": "1", "resourceVersion": "42" },
        "spec": {
            "request": STANDARD.encode(pem),
            "signerName": SIGNER,
            "username": wanted.user,
            "groups": ["system:nodes", "system:authenticated"],
            "usages": ["digital signature", "server auth"],
        },
        "status": {},
    })
}

/// `/api/v1/nodes`.
pub(crate) fn node_list(nodes: &[(&str, &str)]) -> Value {
    let node = |(name, address): &(&str, &str)| {
        json!({
            "metadata": { "name": name },
            "status": { "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": name },
            ] },
        })
    };
    json!({ "items": nodes.iter().map(node).collect::<Vec<_>>() })
}

const PLAN: &str = r#"
schema = 1
[node]
hostname = "laperouse"
role = "master"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
master = "laperouse"
address = "192.168.1.21"
[kubernetes]
version = "1.36.4"
repository = "https://packages.example.org/v1.36/deb/"
"#;

fn verdict(csr: &Value, nodes: &[(&str, &str)], plan: &str) -> Verdict {
    let plan = FirstbootPlan::from_toml(plan).unwrap();
    let guarded = Guarded::of(plan.kubernetes.as_ref().unwrap(), plan.cluster.as_ref().unwrap());
    judge(csr, &nodes_of(nodes), &guarded)
}

fn nodes_of(list: &[(&str, &str)]) -> Vec<NodeObject> {
    super::nodes(&node_list(list))
}

const BOTH: [(&str, &str); 2] = [("laperouse", "192.168.1.21"), ("fregate", "192.168.1.22")];

fn fregate() -> Wanted {
    Wanted::of("fregate", "192.168.1.22")
}

fn is_left(wanted: &Wanted, nodes: &[(&str, &str)], part: &str) {
    match verdict(&csr(wanted), nodes, PLAN) {
        Verdict::Leave(why) => assert!(why.contains(part), "{wanted:?}: {why}"),
        other => panic!("{wanted:?}: {other:?}"),
    }
}

#[test]
fn a_kubelet_s_own_name_and_addresses() {
    assert_eq!(verdict(&csr(&fregate()), &BOTH, PLAN), Verdict::Approve("fregate".into()));
    let master = Wanted::of("laperouse", "192.168.1.21");
    assert_eq!(verdict(&csr(&master), &BOTH, PLAN), Verdict::Approve("laperouse".into()));
    let nodes = nodes_of(&BOTH);
    let address: IpAddr = "192.168.1.22".parse().unwrap();
    assert_eq!(nodes[1], NodeObject { name: "fregate".into(), addresses: vec![address] });
    let only = |names: bool| Wanted {
        names: if names { vec!["fregate".into()] } else { vec![] },
        addresses: if names { vec![] } else { vec!["192.168.1.22".into()] },
        ..fregate()
    };
    for names in [true, false] {
        assert_eq!(verdict(&csr(&only(names)), &BOTH, PLAN), Verdict::Approve("fregate".into()));
    }
}

#[test]
fn names_that_are_not_its_own() {
    for name in ["laperouse", "kubernetes", "cp.pikube.internal", "fregate.local", "*", "Fregate"] {
        let names = vec!["fregate".to_owned(), name.to_owned()];
        is_left(&Wanted { names, ..fregate() }, &BOTH, "which is not its own");
    }
    // Who has a token may call a node what they like.
    for name in ["kubernetes", "localhost", "cp.pikube.internal", "kubernetes.default", "a_b"] {
        let nodes = [BOTH[0], (name, "192.168.1.22")];
        is_left(&Wanted::of(name, "192.168.1.22"), &nodes, "is no name of a node");
    }
    let mail = Some("root@fregate".to_owned());
    is_left(&Wanted { mail, ..fregate() }, &BOTH, "more than names and addresses");
    is_left(
        &Wanted { names: vec![], addresses: vec![], ..fregate() },
        &BOTH,
        "no name and no address",
    );
}

#[test]
fn addresses_that_are_not_its_own() {
    let with = |address: &str| Wanted {
        addresses: vec!["192.168.1.22".into(), address.into()],
        ..fregate()
    };
    for address in ["192.168.1.21", "192.168.1.23", "10.96.0.1", "127.0.0.1", "::1"] {
        is_left(&with(address), &BOTH, "which `fregate` does not have");
    }
    // A node says itself which addresses it has.
    let said = |address: &'static str| [BOTH[0], ("fregate", address)];
    is_left(&Wanted::of("fregate", "192.168.1.21"), &said("192.168.1.21"), "`laperouse` has too");
    for address in ["10.96.0.1", "10.244.1.1", "127.0.0.1", "0.0.0.0", "224.0.0.1"] {
        is_left(&Wanted::of("fregate", address), &said(address), "no address of a node");
    }
    // The master is not up, and its address is known nevertheless.
    let alone = [("fregate", "192.168.1.21")];
    is_left(&Wanted::of("fregate", "192.168.1.21"), &alone, "the address of the API server");
    let shared = PLAN.replace("address =", "virtual_ip = true\naddress =");
    let master = csr(&Wanted::of("laperouse", "192.168.1.21"));
    assert!(matches!(verdict(&master, &BOTH, &shared), Verdict::Leave(_)), "it is nobody's own");
    is_left(&fregate(), &BOTH[..1], "the cluster has no node `fregate`");
}

#[test]
fn somebody_else_in_a_kubelet_s_name() {
    let user = |user: &str| Wanted { user: user.into(), ..fregate() };
    is_left(&user("kubernetes-admin"), &BOTH, "is no node");
    is_left(&user("system:node:laperouse"), &BOTH, "its subject is not that of");
    is_left(&user("system:bootstrap:abcdef"), &BOTH, "is no node");
    is_left(&Wanted { organizations: vec![], ..fregate() }, &BOTH, "its subject");
    let organizations = vec!["system:nodes".to_owned(), "system:masters".to_owned()];
    is_left(&Wanted { organizations, ..fregate() }, &BOTH, "its subject");
    is_left(&Wanted { country: Some("FR".into()), ..fregate() }, &BOTH, "its subject");
    let change = |pointer: &str, value: Value| {
        let mut changed = csr(&fregate());
        *changed.pointer_mut(pointer).unwrap() = value;
        verdict(&changed, &BOTH, PLAN)
    };
    for (pointer, value) in [
        ("/spec/groups", json!(["system:authenticated"])),
        ("/spec/usages", json!(["digital signature", "client auth"])),
        ("/spec/usages", json!(["digital signature", "server auth", "cert sign"])),
        ("/spec/usages", json!(["digital signature"])),
        ("/spec/request", json!("")),
        ("/spec/request", json!("LS0tLS1CRUdJTg==")),
    ] {
        assert!(matches!(change(pointer, value), Verdict::Leave(_)), "{pointer}");
    }
}

#[test]
fn what_is_not_its_business_or_decided_is_not_looked_at() {
    for (pointer, value) in [
        ("/spec/signerName", json!("kubernetes.io/kube-apiserver-client")),
        ("/spec/signerName", json!("kubernetes.io/kube-apiserver-client-kubelet")),
        ("/status", json!({ "conditions": [{ "type": "Denied", "status": "True" }] })),
        ("/status", json!({ "certificate": "LS0t" })),
    ] {
        let mut changed = csr(&fregate());
        *changed.pointer_mut(pointer).unwrap() = value;
        assert_eq!(verdict(&changed, &BOTH, PLAN), Verdict::Settled, "{pointer}");
    }
    let approved = approval(&csr(&fregate()));
    assert_eq!(verdict(&approved, &BOTH, PLAN), Verdict::Settled);
}
