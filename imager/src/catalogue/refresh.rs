//! The list, fetched if it has changed, and the copy that is kept for when nobody can be asked.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::address::is_https;
use super::file::{Catalogue, CatalogueError};
use super::list::{self, Listed};
use crate::image::http::{Answer, Client, HttpError, Target, Validators};
use crate::image::{self, Location, Sha256Sum, Surroundings};

/// Largest list.
const MAX_LIST_BYTES: u64 = 16 << 20;
/// Most lists within the list.
const MAX_LISTS: usize = 64;

/// Where the entries come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The server was asked.
    Fresh,
    /// Nobody could be asked; the copy may be old.
    Kept(String),
    /// Nobody could be asked and there is no copy.
    Missing(String),
}

/// The images of Raspberry Pi's list, and of those that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Flat.
    pub images: Vec<Listed>,
    /// Lists that it names and that are left out, since anybody on the way could change them.
    pub left_out: Vec<String>,
    /// Where they come from.
    pub freshness: Freshness,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Copy {
    validators: Validators,
    listed: Vec<Listed>,
    left_out: Vec<String>,
}

impl List {
    /// Asks the server whether the list has changed. No network is no error: the images that `config/images.toml` names
    /// have an address of their own.
    ///
    /// # Errors
    /// [`CatalogueError::List`]: an address that cannot be used, or the user asked to stop.
    pub fn refresh(
        catalogue: &Catalogue,
        surroundings: &Surroundings,
    ) -> Result<Self, CatalogueError> {
        let failed = |problem: String| {
            let name = Location::parse(&catalogue.list).map(|list| list.to_string());
            CatalogueError::List { name: name.unwrap_or_else(|_| "the list".into()), problem }
        };
        let cache = surroundings.cache.as_ref();
        let kept_as = name_of_copy(&catalogue.list);
        let copy: Option<Copy> =
            cache.and_then(|cache| serde_json::from_slice(&cache.read(&kept_as)?).ok());
        let known = copy.as_ref().map(|copy| copy.validators.clone());
        let address = catalogue.list.clone();
        let around = surroundings.clone();
        let answer =
            image::interruptible(Path::new(&shown(&address)), &surroundings.cancelled, move || {
                Ok(fetch(&address, known.as_ref(), &around))
            })
            .map_err(|error| failed(error.to_string()))?;
        let of = |copy: Copy, freshness| Self {
            images: copy.listed,
            left_out: copy.left_out,
            freshness,
        };
        let why = match (answer, copy) {
            (Ok(None), Some(copy)) => return Ok(of(copy, Freshness::Fresh)),
            (Ok(Some(new)), _) => {
                if let (Some(cache), Ok(bytes)) = (cache, serde_json::to_vec(&new)) {
                    cache.write(&kept_as, &bytes);
                }
                return Ok(of(new, Freshness::Fresh));
            }
            (Err(HttpError::Interrupted { .. }), _) => return Err(failed("interrupted".into())),
            (Err(error), Some(copy)) => {
                return Ok(of(copy, Freshness::Kept(error.to_string())));
            }
            (Err(error), None) => error.to_string(),
            (Ok(None), None) => "the server sent nothing".into(),
        };
        let freshness = Freshness::Missing(why);
        Ok(Self { images: Vec::new(), left_out: Vec::new(), freshness })
    }
}

/// The list and the lists in it; `None` where the known version is the latest.
fn fetch(
    address: &str,
    known: Option<&Validators>,
    surroundings: &Surroundings,
) -> Result<Option<Copy>, HttpError> {
    let broken = |problem: String| HttpError::Broken { name: shown(address), problem };
    // A server that asks for patience is not worth it: there are other ways to an image than this list.
    let mut patience = surroundings.patience.clone();
    patience.attempts = patience.attempts.min(2);
    let (cancelled, tell) = (surroundings.cancelled.clone(), surroundings.tell.clone());
    let client = Client::new(patience, cancelled, tell)?;
    let body = match client.get(&target(address)?, known)? {
        Answer::NotModified => return Ok(None),
        Answer::Body(body) => body,
    };
    let validators = body.validators().clone();
    let bytes = body.into_bytes(MAX_LIST_BYTES)?;
    let mut parsed = list::parse(&bytes).map_err(broken)?;
    let mut listed: Vec<Listed> =
        parsed.images.into_iter().map(|image| Listed { image, list: None }).collect();
    let mut left_out = Vec::new();
    let (mut done, mut more) = (0, std::mem::take(&mut parsed.lists));
    while let Some(sub_address) = more.pop()
        && done < MAX_LISTS
    {
        done += 1;
        if is_https(address) && !is_https(&sub_address) {
            left_out.push(shown(&sub_address));
            continue;
        }
        // Somebody else's list that is gone does not take away Raspberry Pi's own.
        let sub = target(&sub_address).and_then(|target| client.small(&target, MAX_LIST_BYTES));
        match sub {
            Err(error @ HttpError::Interrupted { .. }) => return Err(error),
            Ok(Some(bytes)) => {
                if let Ok(sub) = list::parse(&bytes) {
                    let of = |image| Listed { image, list: Some(shown(&sub_address)) };
                    listed.extend(sub.images.into_iter().map(of));
                    more.extend(sub.lists);
                }
            }
            _ => {}
        }
    }
    Ok(Some(Copy { validators, listed, left_out }))
}

fn shown(address: &str) -> String {
    Location::parse(address).map_or_else(|_| "the list".into(), |location| location.to_string())
}

fn target(address: &str) -> Result<Target, HttpError> {
    match Location::parse(address) {
        Ok(Location::Web(url)) => Ok(Target::new(shown(address), move || url.clone())),
        _ => Err(HttpError::Client {
            problem: "the address of the list is not http or https".into(),
        }),
    }
}

/// In the folder of the cache.
fn name_of_copy(address: &str) -> String {
    let key = Sha256Sum::of(address.as_bytes()).to_string();
    format!("catalogue/{}.json", &key[..40])
}
