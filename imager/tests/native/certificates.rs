//! Certificates of kubelets and of the control plane itself, by the real signer and the real kubeadm.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pikube_tests::control_plane::{ControlPlane, end_s};
use pikube_tests::kubernetes::{Programs, VERSION};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::json;

use super::desk::said;
use super::{card_of, control_plane, eventually};

const YEAR_S: i64 = 365 * 24 * 3600;

/// A request as the kubelet of `node` makes it, for these names and an address.
fn request(node: &str, names: &[&str], address: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    params.subject_alt_names.push(SanType::IpAddress(address.parse().unwrap()));
    let key = KeyPair::generate().unwrap();
    STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
}

/// Makes an object as this node's kubelet.
fn create(plane: &ControlPlane, kubeconfig: &str, object: &serde_json::Value) {
    fs::write(plane.path("kubelet.conf"), kubeconfig).unwrap();
    fs::write(plane.path("csr.json"), object.to_string()).unwrap();
    let mut kubectl = Command::new(Programs::of(VERSION, &[]).unwrap().path("kubectl"));
    kubectl.arg("--kubeconfig").arg(plane.path("kubelet.conf"));
    kubectl.args(["--server", &format!("https://{}", plane.address()), "create", "-f"]);
    let output = kubectl.arg(plane.path("csr.json")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_kubelet_gets_a_certificate_for_itself_and_for_nobody_else() {
    let Some((desk, plane)) = control_plane("certificates of kubelets", &[]) else { return };
    let card = card_of(&desk, "a.img");
    let node = |name: &str, address: &str| {
        let object = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
            "status": { "addresses": [
                { "type": "InternalIP", "address": address },
                { "type": "Hostname", "address": name },
            ] },
        });
        fs::write(plane.path("node.json"), object.to_string()).unwrap();
        plane.ask(["create", "-f", &plane.path("node.json").display().to_string()]).unwrap();
    };
    node("fregate", "192.168.1.22");
    node("astrolabe", "192.168.1.23");
    let kubelet = plane.kubeconfig_of("system:node:fregate", "system:nodes").unwrap();
    let csr = |name: &str, request: String| {
        json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": { "name": name },
            "spec": {
                "request": request, "signerName": "kubernetes.io/kubelet-serving",
                "usages": ["digital signature", "server auth"],
            },
        })
    };
    create(&plane, &kubelet, &csr("own", request("fregate", &["fregate"], "192.168.1.22")));
    create(&plane, &kubelet, &csr("name", request("fregate", &["kubernetes"], "192.168.1.22")));
    create(&plane, &kubelet, &csr("address", request("fregate", &["fregate"], "192.168.1.23")));
    let verdicts = plane.approve_kubelets(&card).unwrap();
    let approved: Vec<&str> = verdicts
        .iter()
        .filter(|(_, verdict)| format!("{verdict:?}").starts_with("Approve"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(approved, ["own"], "{verdicts:?}");
    let certificate = eventually("the certificate", || {
        let path = "jsonpath={.status.certificate}";
        let data = plane.ask(["get", "csr", "own", "-o", path]).unwrap();
        (!data.is_empty()).then(|| String::from_utf8(STANDARD.decode(data).unwrap()).unwrap())
    });
    let left_s = end_s(&certificate).unwrap() - jiff::Timestamp::now().as_second();
    assert!(
        left_s > 9 * YEAR_S,
        "it ends in {left_s} s: nodes that are off for a year may not come back"
    );
    for name in ["name", "address"] {
        let conditions = plane.ask(["get", "csr", name, "-o", "jsonpath={.status}"]).unwrap();
        assert_eq!(conditions.trim_matches(['{', '}']), "", "{name}");
    }
    // Another look finds nothing to do.
    let again = plane.approve_kubelets(&card).unwrap();
    assert!(
        !again.iter().any(|(_, verdict)| format!("{verdict:?}").starts_with("Approve")),
        "{again:?}"
    );
}

#[test]
fn kubeadm_renews_from_what_the_agent_gives_it_without_a_cluster() {
    let Some((desk, plane)) = control_plane("renewal of certificates", &[]) else { return };
    let read = |name: &str| fs::read_to_string(plane.path(name)).unwrap();
    let names = ["pki/apiserver.crt", "pki/etcd/server.crt", "pki/front-proxy-client.crt"];
    let before = names.map(read);
    plane.renew_certificates(&card_of(&desk, "a.img")).unwrap();
    for (name, before) in names.iter().zip(before) {
        let after = read(name);
        assert_ne!(after, before, "{name} is the old one");
        let left_s = end_s(&after).unwrap() - jiff::Timestamp::now().as_second();
        assert!(left_s > 2 * YEAR_S, "{name} ends in {left_s} s");
    }
    // etcd and the API server go on with the renewed ones, which the CA of the card has signed.
    assert_eq!(plane.ask(["get", "--raw", "/readyz"]).unwrap(), "ok");
}
