//! What kubeadm has to know, put together from plan, secrets and machine.

use pikube_config::{Cluster, Kubernetes, Role};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{address, endpoint};
use crate::host::{Access, Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::kubeadm::{self, Member};
use crate::step::{Check, Stop};
use crate::steps::{put, time};

/// Written once kubeadm has ended well: what cannot be seen of a node from outside.
pub const MARKER: &str = "/var/lib/pikube/member";
/// What the last kubeadm said, for people.
pub const LOG: &str = "/var/log/pikube/kubeadm.log";

/// The tables that every node of a cluster has.
///
/// # Errors
/// The plan lacks one; it is checked when it is read, so a person has done it since.
pub fn tables(context: &Context) -> Result<(&Kubernetes, &Cluster), Stop> {
    match (&context.plan.kubernetes, &context.plan.cluster) {
        (Some(kubernetes), Some(cluster)) => Ok((kubernetes, cluster)),
        _ => Err(Stop::person(
            "joining the cluster: the plan has no `[cluster]`",
            "write the card again with `piflash`",
        )),
    }
}

/// What is in [`MARKER`]: role and cluster.
pub fn mark(context: &Context) -> Result<String, Stop> {
    let (_, cluster) = tables(context)?;
    let hash = cluster.ca_hash.as_deref().unwrap_or("-");
    Ok(format!("{} {} {hash}\n", context.plan.node.role.name(), cluster.name))
}

/// Whether kubeadm has ended well on this node, for this cluster.
///
/// # Errors
/// The node is of another cluster.
pub fn is_marked(context: &Context, host: &dyn Look) -> Result<bool, Stop> {
    let Some(found) = host.text(MARKER)? else { return Ok(false) };
    let wanted = mark(context)?;
    let hash = |mark: &str| mark.split_whitespace().last().map(str::to_owned);
    if hash(&found) == hash(&wanted) {
        return Ok(true);
    }
    let name = found.split_whitespace().nth(1).unwrap_or("another cluster").to_owned();
    Err(Stop::person(
        format!("this node is of the cluster `{name}` that another CA has made"),
        "`sudo pikube-agent reset` takes it out of that; or write its card anew",
    ))
}

/// Whether the node has its place: kubeadm has ended well, and nothing is left of what it worked from.
///
/// # Errors
/// As [`is_marked`].
pub fn check(
    context: &Context,
    host: &dyn Look,
    doing: &str,
    kubeconfig: &str,
) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    if !is_marked(context, host)? {
        reasons.push(format!("`{doing}` has not ended well here"));
    } else if host.exists(kubeadm::PATH)? {
        reasons.push(format!("`{}` still holds the token", kubeadm::PATH));
    } else if !host.exists(kubeconfig)? {
        reasons.push(format!("`{kubeconfig}` is gone: somebody has reset the node"));
    }
    Ok(Check::of(reasons, false))
}

/// The Kubernetes that is installed, `1.36.4`.
///
/// # Errors
/// kubeadm is not there, or says something else.
pub fn version(context: &Context, host: &dyn Look) -> Result<String, Stop> {
    let (kubernetes, _) = tables(context)?;
    if kubernetes.is_exact() {
        return Ok(kubernetes.version.clone());
    }
    let command = Command::new("kubeadm", ["version", "-o", "short"]);
    let answer = host.ask(&command)?.ok(&command)?;
    let version = answer.stdout.trim().trim_start_matches('v').to_owned();
    if pikube_config::values::cluster::version(&version).is_ok() {
        Ok(version)
    } else {
        Err(Stop::person(
            format!("`kubeadm version` says `{version}`"),
            "is there another kubeadm on this system?",
        ))
    }
}

/// Writes kubeadm's configuration.
///
/// # Errors
/// The token is gone or has run out; the node has no address.
pub fn configure(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let (kubernetes, cluster) = tables(context)?;
    let role = context.plan.node.role;
    let Some(token) = context.secrets.as_ref().and_then(|secrets| secrets.token.as_ref()) else {
        return Err(Stop::person(
            "joining the cluster: the card's secrets hold no token",
            "write the card again with `piflash`, or give it a new token with `piflash configure`",
        ));
    };
    let ttl = token_ttl_s(cluster, host);
    if ttl <= 0 && role != Role::Master {
        const HELP: &str = "`piflash configure --new-token CARD` gives the card another one; `piflash token list` shows \
                            the cluster's tokens";
        let expired = cluster.token_expires.map(|at| at.to_string()).unwrap_or_default();
        let what = format!("the card's token let nodes in until {expired}, and that is over");
        if time::is_guessed(host)? {
            return Err(Stop::Again(format!(
                "{what} by the clock of a web server, which may be wrong; {HELP}"
            )));
        }
        return Err(Stop::person(what, HELP));
    }
    let towards = match role {
        Role::Master => None,
        _ => endpoint::current(context, host)?.map(Into::into),
    };
    let own = address::own(context, host, towards)?;
    let address = own.address.to_string();
    let member = Member {
        plan: &context.plan,
        kubernetes,
        cluster,
        version: &version(context, host)?,
        address: &address,
        token: token.expose_secret(),
        // A master that comes up after its token has run out still makes its cluster; workers then need a new one.
        token_ttl_s: ttl.max(60),
    };
    host.folder("/etc/pikube", Access::root(0o700))?;
    if let Some(patch) = kubeadm::patch(&context.plan) {
        put(host, &patch)?;
    }
    host.write(kubeadm::PATH, member.configuration().as_bytes(), Access::root(0o600))?;
    Ok(())
}

/// A week where the card does not say: piflash always does.
fn token_ttl_s(cluster: &Cluster, host: &dyn Look) -> i64 {
    let Some(expires) = cluster.token_expires else { return 7 * 24 * 3600 };
    expires.as_second() - host.now().as_second()
}

/// Notes that kubeadm has ended well, and lets go of what only it needed.
pub fn settle(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    host.write(MARKER, mark(context)?.as_bytes(), Access::root(0o600))?;
    host.scrub(kubeadm::PATH)?;
    Ok(())
}

/// Keeps what kubeadm said, without the token that its last lines name.
pub fn keep_words(context: &Context, host: &dyn Host, words: &str) -> Result<(), Error> {
    let token = context.secrets.as_ref().and_then(|secrets| secrets.token.as_ref());
    let words = match token {
        Some(token) => Zeroizing::new(words.replace(token.expose_secret(), "(token)")),
        None => Zeroizing::new(words.to_owned()),
    };
    host.write(LOG, words.as_bytes(), Access::root(0o600))
}
