//! Approves what [`request`] takes for a kubelet's own, as the administrator of this control plane.

use serde_json::Value;
use zeroize::Zeroizing;

use super::super::{kubectl, member};
use crate::certificates::request::{self, Guarded, Verdict};
use crate::host::{Access, Host};
use crate::plan::Context;
use crate::step::Stop;

/// Requests for certificates of kubelets, all that there are.
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
/// The requests that were told to be left alone: they stay for a day, and are looked at every two minutes.
const TOLD: &str = "/run/pikube/left-alone";

/// Looks at every request once; what was done, line by line.
///
/// # Errors
/// The API server cannot be asked.
pub fn approve(context: &Context, host: &dyn Host) -> Result<Vec<String>, Stop> {
    let (kubernetes, cluster) = member::tables(context)?;
    if !member::is_marked(context, host)? || !host.exists(kubectl::ADMIN)? {
        return Ok(Vec::new());
    }
    let signer = request::SIGNER.replace('/', "%2F");
    let path = format!("{REQUESTS}?fieldSelector=spec.signerName%3D{signer}");
    let requests = get(host, &path)?;
    let items = requests.get("items").and_then(Value::as_array).map(Vec::as_slice);
    let open: Vec<&Value> =
        items.unwrap_or_default().iter().filter(|csr| request::is_open(csr)).collect();
    let told_before = host.text(TOLD)?.unwrap_or_default();
    if open.is_empty() {
        host.remove(TOLD)?;
        return Ok(Vec::new());
    }
    let nodes = request::nodes(&get(host, "/api/v1/nodes")?);
    let guarded = Guarded::of(kubernetes, cluster);
    let (mut lines, mut told) = (Vec::new(), String::new());
    for csr in open {
        let of = |pointer| csr.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, uid) = (of("/metadata/name"), of("/metadata/uid"));
        match request::judge(csr, &nodes, &guarded) {
            Verdict::Approve(node) => lines.push(match sign(host, name, csr)? {
                None => format!("approved the serving certificate of `{node}`"),
                Some(said) => format!("approving the request `{name}` of `{node}`: {said}"),
            }),
            Verdict::Leave(why) => {
                told.push_str(&format!("{uid}\n"));
                if !told_before.lines().any(|line| line == uid) {
                    lines.push(format!(
                        "left the request `{name}` alone: {why}; `kubectl describe csr {name}` shows it"
                    ));
                }
            }
            Verdict::Settled => {}
        }
    }
    host.write(TOLD, told.as_bytes(), Access::root(0o600))?;
    Ok(lines)
}

/// What the API server says against it, if anything.
fn sign(host: &dyn Host, name: &str, csr: &Value) -> Result<Option<String>, Stop> {
    let path = format!("{REQUESTS}/{name}/approval");
    let body = request::approval(csr).to_string().into_bytes();
    let command = kubectl::command(kubectl::ADMIN, &["replace", "--raw", &path, "--filename=-"]);
    let answer = host.ask(&command.input(Zeroizing::new(body)))?;
    Ok((answer.status != 0).then(|| answer.complaint().to_owned()))
}

fn get(host: &dyn Host, path: &str) -> Result<Value, Stop> {
    let answer = kubectl::ask(host, kubectl::ADMIN, &["get", "--raw", path])?;
    if answer.status != 0 {
        return Err(Stop::Again(format!("asking the API server: {}", answer.complaint())));
    }
    serde_json::from_str(&answer.stdout)
        .map_err(|error| Stop::Again(format!("reading the API server's answer: {error}")))
}
