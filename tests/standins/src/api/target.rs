//! What a path of the API names.

use super::Server;
use super::auth::Wish;
use super::http::Answer;
use super::resources::{self, Resource};
use super::store::{self, Key};

/// What a path names.
pub(super) struct Target {
    /// The kind of object.
    pub(super) resource: Resource,
    /// Empty for all, or for what is in none.
    pub(super) namespace: String,
    /// Empty for all.
    pub(super) name: String,
    /// A part of it, as `status`.
    pub(super) part: String,
}

impl Target {
    /// Reads a path; `None` where it names none.
    pub(super) fn of(server: &Server, path: &str) -> Option<Self> {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (api, rest) = match words[..] {
            ["api", "v1", ..] => ("v1".to_owned(), &words[2..]),
            ["apis", group, version, ..] => (format!("{group}/{version}"), &words[3..]),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/NAME/status` is a part of the namespace itself
            ["namespaces", namespace, kind, ..] if !matches!(*kind, "status" | "finalize") => {
                (*namespace, &rest[2..])
            }
            _ => ("", rest),
        };
        let plural = *rest.first()?;
        let all = resources::all(server);
        let resource = all.into_iter().find(|one| one.api == api && one.plural == plural)?;
        let word = |at: usize| rest.get(at).copied().unwrap_or_default().to_owned();
        Some(Self { resource, namespace: namespace.to_owned(), name: word(1), part: word(2) })
    }

    /// What is wished with this verb.
    pub(super) fn wish<'a>(&'a self, verb: &'a str, resource: &'a str) -> Wish<'a> {
        let (group, _) = resources::split(&self.resource.api);
        Wish { verb, group, resource, namespace: &self.namespace, name: &self.name }
    }

    /// Its plural, with the part.
    pub(super) fn full(&self) -> String {
        match &self.part[..] {
            "" => self.resource.plural.clone(),
            part => format!("{}/{part}", self.resource.plural),
        }
    }

    /// Names one of its objects.
    pub(super) fn key(&self, name: &str) -> Key {
        store::key(&self.resource.api, &self.resource.plural, &self.namespace, name)
    }

    /// Its plural and its group, as messages have them.
    pub(super) fn title(&self) -> String {
        match resources::split(&self.resource.api) {
            ("", _) => self.resource.plural.clone(),
            (group, _) => format!("{}.{group}", self.resource.plural),
        }
    }

    /// There is no object of this name.
    pub(super) fn not_found(&self, name: &str) -> Answer {
        Answer::refusal(404, "NotFound", &format!("{} \"{name}\" not found", self.title()))
    }
}
