//! Keys of repositories. The one that came with the card is the first choice: the laptop has had it, and whoever stands
//! between the node and the network has not. The repository's own is asked for where the card has none, or where apt
//! refuses the card's, which may have expired since (`kubernetes-on-pi.md` §4.1); and over TLS only.

use pikube_config::names;
use pikube_config::values::cluster::public_key;

use crate::host::{Access, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Notes, Stop};
use crate::steps::download::{self, Failure};
use crate::steps::{patience, web};

/// Where a repository's key is kept, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring<'a> {
    /// The file that the source names.
    pub path: &'static str,
    /// Where the repository has it.
    pub url: String,
    /// As it was when the card was written.
    pub of_the_plan: Option<&'a str>,
}

impl Ring<'_> {
    /// Whether there is any key.
    pub fn is_there(&self, host: &dyn Look) -> Result<bool, Error> {
        Ok(host.text(self.path)?.is_some_and(|text| public_key(&text).is_ok()))
    }

    /// Puts the card's key there, or where it has none, the repository's own.
    pub fn fill(&self, context: &Context, host: &dyn Host, what: &str) -> Result<Notes, Stop> {
        if let Some(key) = self.of_the_plan {
            self.put(host, key)?;
            return Ok(Notes::new());
        }
        let (why, absent) = match ask(context, host, &self.url) {
            Ok(key) => {
                self.put(host, &key)?;
                return Ok(Notes::new());
            }
            Err(Failure::Stop(stop)) => return Err(stop),
            Err(Failure::Passing(why)) => (why, false),
            Err(Failure::Absent(why)) => (why, true),
        };
        if self.is_there(host)? {
            return Ok(vec![format!("{why}; the key of an earlier run is used")]);
        }
        let what = format!("getting the key of {what}: {why}");
        Err(if absent {
            patience::lose(host, what, "correct the repository or the version in the plan")?
        } else {
            Stop::Again(what)
        })
    }

    /// Puts a key there.
    pub fn put(&self, host: &dyn Host, key: &str) -> Result<(), Error> {
        let key = key.trim().to_owned() + "\n";
        host.write(self.path, key.as_bytes(), Access::root(0o644))
    }
}

/// The key at an address.
///
/// # Errors
/// It is not there, or is none. An address without TLS is not asked: what comes from there, anybody on the way may have
/// put in its place, and with the key the packages.
pub fn ask(context: &Context, host: &dyn Host, url: &str) -> Result<String, Failure> {
    if !url.starts_with("https://") {
        return Err(Failure::Stop(Stop::person(
            format!(
                "downloading the key `{url}`: a key is not taken over http, which anybody on the way can change"
            ),
            "write the card again while the laptop reaches the repository, so that the card has its key, or use an https address",
        )));
    }
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
