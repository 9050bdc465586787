//! Operating systems by name: `config/images.toml` and Raspberry Pi's own list, which is fetched, and kept for when
//! there is no network.

mod address;
mod file;
mod list;
mod refresh;
mod releases;

use std::collections::BTreeSet;

pub use address::AddressPattern;
pub use file::{Catalogue, CatalogueError, Named};
pub use list::{ListEntry, Listed, parse as parse_list};
pub use refresh::{Freshness, List};
pub use releases::Releases;
pub(crate) use releases::minor;

use crate::image::{BmapPlace, Expected, Location, Sha256Sum, Wanted};

/// An operating system that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// What `--image` takes.
    pub alias: String,
    /// For people.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// When it was released, `YYYY-MM-DD`.
    pub released: Option<String>,
    /// Size of the file as it is distributed.
    pub download_bytes: Option<u64>,
    /// Size of the image on a card.
    pub image_bytes: Option<u64>,
    /// SHA-256 sum of the file as it is distributed.
    pub sha256: Option<String>,
    /// SHA-256 sum of the image on a card.
    pub image_sha256: Option<String>,
    /// Where its block map is.
    pub bmap: Option<String>,
    /// Address of the third party's list that it is from; absent where Raspberry Pi or piflash itself names it.
    pub list: Option<String>,
    /// Why it is not prepared, where it is not.
    pub why_not: Option<String>,
    /// Why it cannot become a node of a cluster, although it is prepared.
    pub no_kubernetes: Option<String>,
    /// Whether it is taken where none is asked for.
    pub default: bool,
}

impl Entry {
    /// Where it is and what it has to be.
    ///
    /// # Errors
    /// [`CatalogueError::Address`]: the list has an address that cannot be used.
    pub fn wanted(&self) -> Result<(Location, Wanted), CatalogueError> {
        let location = Location::parse(&self.url).map_err(|problem| CatalogueError::Address {
            alias: self.alias.clone(),
            problem: problem.to_string(),
        })?;
        let expected = |sum: &Option<String>| {
            let sum: Sha256Sum = sum.as_deref()?.parse().ok()?;
            Some(Expected { sum, origin: format!("the catalogue, for `{}`,", self.alias) })
        };
        let wanted = Wanted {
            sum: expected(&self.sha256),
            decoded_sum: expected(&self.image_sha256),
            decoded_bytes: self.image_bytes,
            bmap: match self.bmap.as_deref().map(Location::parse) {
                Some(Ok(place)) => BmapPlace::At(place),
                Some(Err(_)) | None => BmapPlace::Nowhere,
            },
            signature: None,
        };
        Ok((location, wanted))
    }
}

/// All that can be asked for: first what `config/images.toml` names, then the rest of Raspberry Pi's own list, then what
/// is in the lists of third parties.
pub fn entries(catalogue: &Catalogue, list: &[Listed]) -> Vec<Entry> {
    let mut taken = BTreeSet::new();
    let mut entries = Vec::new();
    for named in &catalogue.image {
        let found = match &named.sha256 {
            None => named.in_list.as_ref().and_then(|pattern| list::newest(list, pattern)),
            // What is pinned wins: a list may add to it what it knows of the very same file, and nothing else.
            Some(sum) => of_the_same_file(list, &named.url, sum),
        };
        taken.extend(found.map(|listed| listed.url.clone()));
        entries.push(match found {
            Some(listed) => Entry {
                sha256: named.sha256.clone().or(listed.image_download_sha256.clone()),
                no_kubernetes: named.no_kubernetes.clone(),
                ..entry(&named.alias, &named.name, listed)
            },
            None => bare(named),
        });
    }
    let mut aliases: BTreeSet<String> = entries.iter().map(|entry| entry.alias.clone()).collect();
    for listed in list {
        let (image, is_own) = (&listed.image, listed.list.is_none());
        let alias = list::slug(&image.name);
        // Of two with one name, the first stays the one that can be asked for.
        if is_own && taken.contains(&image.url)
            || alias.is_empty()
            || !aliases.insert(alias.clone())
        {
            continue;
        }
        let why_not = why_not(catalogue, image);
        let no_kubernetes = (why_not.is_none() && image.only_32_bit())
            .then(|| "32 bit: Kubernetes has no packages for it".into());
        let list = listed.list.clone();
        entries.push(Entry { list, why_not, no_kubernetes, ..entry(&alias, &image.name, image) });
    }
    for entry in &mut entries {
        entry.default = entry.alias == catalogue.default;
    }
    entries
}

/// What Raspberry Pi's own list says of the file at `url`, if it is that with this sum.
fn of_the_same_file<'a>(list: &'a [Listed], url: &str, sum: &str) -> Option<&'a ListEntry> {
    let own = list.iter().filter(|listed| listed.list.is_none()).map(|listed| &listed.image);
    let says = |image: &ListEntry| {
        image.image_download_sha256.as_deref().is_some_and(|said| said.eq_ignore_ascii_case(sum))
    };
    own.into_iter().find(|image| image.url == url && says(image))
}

/// What `config/images.toml` alone says.
fn bare(named: &Named) -> Entry {
    let listed = ListEntry { url: named.url.clone(), ..ListEntry::default() };
    Entry {
        sha256: named.sha256.clone(),
        no_kubernetes: named.no_kubernetes.clone(),
        ..entry(&named.alias, &named.name, &listed)
    }
}

fn entry(alias: &str, name: &str, listed: &ListEntry) -> Entry {
    // A map says which bytes are written at all: it has to come as safely as the image does.
    let is_safe = |bmap: &&String| address::is_https(bmap) || !address::is_https(&listed.url);
    Entry {
        alias: alias.to_owned(),
        name: name.to_owned(),
        url: listed.url.clone(),
        released: listed.release_date.clone(),
        download_bytes: listed.image_download_size,
        image_bytes: listed.extract_size,
        sha256: listed.image_download_sha256.clone(),
        image_sha256: listed.extract_sha256.clone(),
        bmap: listed.bmap_url.as_ref().filter(is_safe).cloned(),
        list: None,
        no_kubernetes: None,
        why_not: None,
        default: false,
    }
}

fn why_not(catalogue: &Catalogue, listed: &ListEntry) -> Option<String> {
    let file = address::file_name(&listed.url);
    if catalogue.prepares.iter().any(|part| file.contains(part)) {
        return None;
    }
    Some("this release of piflash does not prepare it".into())
}

/// The entry with this alias.
///
/// # Errors
/// [`CatalogueError::Unknown`], with the aliases that are nearest.
pub fn find<'a>(entries: &'a [Entry], alias: &str) -> Result<&'a Entry, CatalogueError> {
    if let Some(entry) = entries.iter().find(|entry| entry.alias == alias) {
        return Ok(entry);
    }
    let distance = |entry: &&Entry| {
        let similar = strsim::jaro_winkler(&entry.alias, alias);
        (1000.0 - similar * 1000.0) as u32
    };
    let mut near: Vec<&Entry> = entries.iter().filter(|entry| distance(entry) < 200).collect();
    near.sort_by_key(distance);
    let near = near.iter().take(3).map(|entry| entry.alias.clone()).collect();
    Err(CatalogueError::Unknown { alias: alias.to_owned(), near })
}
