//! Keys of repositories: asked for anew, because the one that came with the card may have expired since then
//! (`kubernetes-on-pi.md` §4.1); the card's is the second choice.

use pikube_config::names;
use pikube_config::values::cluster::public_key;

use crate::host::{Access, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Notes, Stop};
use crate::steps::download::{self, Failure};
use crate::steps::web;

/// Where a repository's key is kept, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring<'a> {
    /// The file that the source names.
    pub path: &'static str,
    /// Where the newest is.
    pub url: String,
    /// As it was when the card was written.
    pub of_the_plan: Option<&'a str>,
}

impl Ring<'_> {
    /// Whether there is any key.
    pub fn is_there(&self, host: &dyn Look) -> Result<bool, Error> {
        Ok(host.text(self.path)?.is_some_and(|text| public_key(&text).is_ok()))
    }

    /// Puts the newest key there, or the card's.
    pub fn refresh(&self, context: &Context, host: &dyn Host, what: &str) -> Result<Notes, Stop> {
        let (why, absent) = match ask(context, host, &self.url) {
            Ok(key) => {
                self.put(host, &key)?;
                return Ok(Notes::new());
            }
            Err(Failure::Stop(stop)) => return Err(stop),
            Err(Failure::Passing(why)) => (why, false),
            Err(Failure::Absent(why)) => (why, true),
        };
        if let Some(key) = self.of_the_plan {
            self.put(host, key)?;
            return Ok(vec![format!("{why}; the key that came with the card is used")]);
        }
        if self.is_there(host)? {
            return Ok(vec![format!("{why}; the key of an earlier run is used")]);
        }
        Err(if absent {
            Stop::person(
                format!("getting the key of {what}: {why}"),
                "correct the repository or the version in the plan",
            )
        } else {
            Stop::Again(format!("getting the key of {what}: {why}"))
        })
    }

    /// Puts a key there.
    pub fn put(&self, host: &dyn Host, key: &str) -> Result<(), Error> {
        let key = key.trim().to_owned() + "\n";
        host.write(self.path, key.as_bytes(), Access::root(0o644))
    }
}

/// The key at an address.
pub fn ask(context: &Context, host: &dyn Host, url: &str) -> Result<String, Failure> {
    let to = format!("{}/fetched-key", names::STATE_DIR);
    host.folder(names::STATE_DIR, Access::root(0o755))?;
    download::fetch(host, &context.plan, url, &to, None)?;
    let text = host.text(&to)?.unwrap_or_default();
    host.remove(&to)?;
    if public_key(&text).is_ok() {
        return Ok(text);
    }
    let what = if web::is_html(&text) {
        "a web page came in its place (a captive portal?)"
    } else {
        "what came is not a key in ASCII armour"
    };
    Err(Failure::Passing(format!("downloading `{url}`: {what}")))
}
