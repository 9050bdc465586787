//! `kubeadm init` on the master, with the identity that its card carries (`kubernetes-on-pi.md` §3.3).

use std::time::Duration;

use pikube_config::{Role, Secrets};
use secrecy::{ExposeSecret as _, SecretString};

use super::{endpoint, kubectl, leftovers, member, virtual_ip, words};
use crate::host::{Access, Command, Host, Look};
use crate::plan::Context;
use crate::render::kubeadm::{self, control_plane};
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::put;

/// The step.
pub const STEP: Step = Step {
    id: "init",
    title: "control plane",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some() && plan.node.role == Role::Master,
    check,
    apply,
    ahead: None,
};

/// Certificates and keys of the cluster.
const PKI: &str = "/etc/kubernetes/pki";
/// A Pi 3 takes a quarter of an hour; kubeadm's own limits end before this.
const LIMIT: Duration = Duration::from_secs(3600);

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    member::check(context, host, "kubeadm init", kubectl::ADMIN)
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if member::is_marked(context, host)? {
        // The power went when all but the configuration's removal was done.
        member::settle(context, host)?;
        return Ok(Notes::new());
    }
    if host.exists(kubeadm::PATH)? && leftovers::init_is_complete(host)? {
        leftovers::adopt(context, host)?;
        return Ok(vec![
            "an earlier run had made the control plane already; it is left alone".into(),
        ]);
    }
    leftovers::clear(context, host)?;
    endpoint::refresh(context, host)?;
    member::configure(context, host)?;
    identity(context, host)?;
    virtual_ip::place(context, host, true)?;
    run(context, host, "init", LIMIT)
}

/// Puts the cluster's certificates and keys where kubeadm looks for them, pairs that are there are kept; and what the
/// programs of a control plane are told to read. A reset takes all of it away, so that it comes anew before each attempt.
///
/// # Errors
/// The card has none of them; any I/O error.
pub fn identity(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let Some(secrets) = &context.secrets else {
        return Err(Stop::person(
            "making a control plane: the card's secrets are gone",
            "write the card again with `piflash`",
        ));
    };
    for folder in ["/etc/kubernetes", PKI, "/etc/kubernetes/pki/etcd"] {
        let mode = if folder == PKI { 0o700 } else { 0o755 };
        host.folder(folder, Access::root(mode))?;
    }
    let lacks = |name: &str| {
        Stop::person(
            format!("making a control plane: the card's secrets lack `{name}`"),
            "write the card again with `piflash`",
        )
    };
    for (name, secret, mode) in files(secrets) {
        let secret = secret.as_ref().ok_or_else(|| lacks(name))?;
        let path = format!("{PKI}/{name}");
        host.write(&path, secret.expose_secret().as_bytes(), Access::root(mode))?;
    }
    let key = secrets.sa_key.as_ref().ok_or_else(|| lacks("sa.key"))?;
    let encryption = control_plane::encryption(key.expose_secret());
    host.folder(control_plane::FOLDER, Access::root(0o700))?;
    host.write(control_plane::ENCRYPTION, encryption.as_bytes(), Access::root(0o600))?;
    let (kubernetes, _) = member::tables(context)?;
    for file in control_plane::files(kubernetes) {
        put(host, &file)?;
    }
    // etcd's data and the audit log tell everything about the cluster. kubeadm makes the first itself, but takes a folder
    // that is there already, the mount point of a disk say, as it is.
    for (folder, mode) in control_plane::FOLDERS {
        host.folder(folder, Access::root(mode))?;
    }
    Ok(())
}

/// kubeadm's names (`constants.go`) of what the card carries.
fn files(secrets: &Secrets) -> [(&'static str, &Option<SecretString>, u32); 8] {
    [
        ("ca.crt", &secrets.ca_certificate, 0o644),
        ("ca.key", &secrets.ca_key, 0o600),
        ("sa.pub", &secrets.sa_public_key, 0o600),
        ("sa.key", &secrets.sa_key, 0o600),
        ("front-proxy-ca.crt", &secrets.front_proxy_ca_certificate, 0o644),
        ("front-proxy-ca.key", &secrets.front_proxy_ca_key, 0o600),
        ("etcd/ca.crt", &secrets.etcd_ca_certificate, 0o644),
        ("etcd/ca.key", &secrets.etcd_ca_key, 0o600),
    ]
}

/// `kubeadm init` or `join`, to its end.
///
/// # Errors
/// What it means that it failed.
pub fn run(
    context: &Context,
    host: &dyn Host,
    verb: &'static str,
    limit: Duration,
) -> Result<Notes, Stop> {
    let command = Command::new("kubeadm", [verb, "--config", kubeadm::PATH, "--v=1"]).within(limit);
    // What the kernel still holds of the files above must not be lost while kubeadm builds on them.
    host.sync();
    let answer = host.ask(&command)?;
    member::keep_words(context, host, &format!("{}\n{}", answer.stdout, answer.stderr))?;
    if answer.status != 0 {
        // The next attempt begins anew, and does not have to find out whether this one was cut off.
        leftovers::clear(context, host)?;
        return Err(words::stop(&format!("`kubeadm {verb}`"), answer.said()));
    }
    host.sync();
    member::settle(context, host)?;
    Ok(Notes::new())
}
