//! The password: the plan's hash, or none at all.

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::accounts::{is_usable, password};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;

/// What has to be done.
enum Need<'a> {
    /// Nothing.
    Nothing,
    /// This hash.
    Hash(&'a str),
    /// `*`, for no password fits it.
    Lock,
}

/// Secrets that are gone since an earlier boot used them say nothing about the password any more.
fn need<'a>(context: &'a Context, host: &dyn Look, name: &str) -> Result<Need<'a>, Error> {
    let hash = context.secrets.as_ref().and_then(|secrets| secrets.password_hash.as_ref());
    let now = password(host, name)?;
    let now = now.as_ref().map_or("*", |field| field.as_str());
    Ok(match hash.map(|hash| hash.expose_secret()) {
        Some(hash) if hash == now => Need::Nothing,
        Some(hash) => Need::Hash(hash),
        // Nothing at all lets everybody in; `x` is what pwconv(8) makes of half an account.
        None if now.is_empty() || now == "x" => Need::Lock,
        None if context.secrets.is_none() && context.facts.user_settled => Need::Nothing,
        // Without keys the password is all that the user has: the image's own is left.
        None if context.plan.user.as_ref().is_none_or(|user| user.ssh_keys.is_empty()) => {
            Need::Nothing
        }
        None if is_usable(now) => Need::Lock,
        None => Need::Nothing,
    })
}

/// Why it is needed.
pub fn reasons(context: &Context, host: &dyn Look, name: &str) -> Result<Vec<String>, Error> {
    Ok(match need(context, host, name)? {
        Need::Nothing => Vec::new(),
        Need::Hash(_) => vec![format!("the password of `{name}` is not the one of the plan")],
        Need::Lock => vec![format!("`{name}` has a password field that the plan does not give")],
    })
}

/// The hash goes to standard input: arguments can be read in `/proc` by everybody.
pub fn apply(context: &Context, host: &dyn Host, name: &str) -> Result<(), Error> {
    match need(context, host, name)? {
        Need::Nothing => Ok(()),
        Need::Hash(hash) => {
            let input = Zeroizing::new(format!("{name}:{hash}\n").into_bytes());
            host.run(&Command::new("chpasswd", ["-e"]).input(input)).map(|_| ())
        }
        Need::Lock => host.run(&Command::new("usermod", ["-p", "*", name])).map(|_| ()),
    }
}
