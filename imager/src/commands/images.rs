//! `piflash images`, and what `--image` means: a path, an address, `-`, or a name of the catalogue.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::catalogue::{self, Catalogue, CatalogueError, Entry, Freshness, List};
use crate::cli::{ImageArgs, ImagesArgs};
use crate::failure::{Exit, Failure};
use crate::image::{
    self, Bmap, BmapPlace, ByteSize, Expected, Image, Location, Notice, Sha256Sum, Surroundings,
    Wanted,
};
use crate::progress::Console;
use crate::progress::json::Message;

/// Lists the catalogue.
///
/// # Errors
/// Reading the catalogue. No network is none: what is kept is shown, with a note.
pub fn run(
    args: &ImagesArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let catalogue = Catalogue::from_environment(variable)?;
    let list = list(&catalogue, console, &surroundings(console, interrupted))?;
    let mut entries = catalogue::entries(&catalogue, &list.images);
    if args.all {
        for address in &list.left_out {
            console.note(&format!("the list {address} is left out: it is not fetched over https"));
        }
    } else {
        entries.truncate(catalogue.image.len());
    }
    for entry in &entries {
        console.emit(&Message::OperatingSystem(entry));
    }
    console.result(&table(&entries));
    Ok(Exit::Done)
}

/// Opens what `--image` and its companions say, or the catalogue's default.
///
/// # Errors
/// What is wrong with the options, the catalogue, the way to the image, or the image.
pub fn open(
    args: &ImageArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Image, Failure> {
    let surroundings = surroundings(console, interrupted);
    let (location, mut wanted) = locate(args.image.as_deref(), console, &surroundings)?;
    if let Some(sum) = &args.sha256 {
        let sum: Sha256Sum = sum.parse().map_err(|error| {
            Failure::new(Exit::Usage, format!("reading --sha256 `{sum}`: {error}"))
        })?;
        wanted.sum = Some(Expected { sum, origin: "--sha256".into() });
    }
    if let Some((signature, key)) = args.signature.as_deref().zip(args.key.as_ref()) {
        let signature = Location::parse(signature).map_err(image::Error::from)?;
        wanted.signature = Some((signature, key.clone()));
    }
    if location.as_file().is_none() {
        console.note(&format!("fetching {location}"));
    }
    let image = image::open_from(&location, &wanted, &surroundings)?;
    if let Some(bmap) = &args.bmap {
        wanted.bmap = BmapPlace::At(Location::parse(bmap).map_err(image::Error::from)?);
    }
    if args.no_bmap {
        wanted.bmap = BmapPlace::Nowhere;
    }
    let found = match wanted.bmap {
        BmapPlace::At(place) => Some((place.clone(), Bmap::open(&place, &surroundings)?)),
        BmapPlace::Beside => Bmap::beside(&location, &surroundings)?,
        BmapPlace::Nowhere => None,
    };
    let Some((place, bmap)) = found else { return Ok(image) };
    let mapped = ByteSize(bmap.mapped_bytes()).short();
    console.note(&format!("block map {place}: {mapped} of data, the rest is zeros"));
    Ok(image.with_bmap(bmap)?)
}

/// A file is a file; only what is none may be a name of the catalogue.
fn locate(
    image: Option<&str>,
    console: &Console,
    surroundings: &Surroundings,
) -> Result<(Location, Wanted), Failure> {
    if let Some(image) = image {
        let location = Location::parse(image).map_err(image::Error::from)?;
        let may_be_alias = location.as_file().is_some_and(|path| !path.exists())
            && !image.contains('/')
            && !image.contains("://");
        if !may_be_alias {
            return Ok((location, Wanted::default()));
        }
    }
    let catalogue = Catalogue::from_environment(variable)?;
    let alias = image.unwrap_or(&catalogue.default);
    // A name with an address and a sum of its own needs no list, and so no network.
    let fixed = catalogue.image.iter().find(|named| named.alias == alias);
    let entries = match fixed {
        Some(named) if named.is_fixed() => catalogue::entries(&catalogue, &[]),
        _ => catalogue::entries(&catalogue, &list(&catalogue, console, surroundings)?.images),
    };
    let entry = catalogue::find(&entries, alias)?;
    if let Some(why) = &entry.why_not {
        return Err(Failure::new(Exit::Failed, format!("taking image `{alias}`: {why}")).help(
            "`piflash images` lists what is prepared; a path or an address is always tried",
        ));
    }
    console.note(&format!("`{alias}` is {}{}", entry.name, released(entry)));
    if let Some(list) = &entry.list {
        console.warn(&format!(
            "`{alias}` and its sums come from the list of a third party, {list}, not from Raspberry Pi"
        ));
    }
    Ok(entry.wanted()?)
}

fn released(entry: &Entry) -> String {
    entry.released.as_ref().map_or_else(String::new, |date| format!(", released {date}"))
}

fn list(
    catalogue: &Catalogue,
    console: &Console,
    surroundings: &Surroundings,
) -> Result<List, Failure> {
    let list = List::refresh(catalogue, surroundings)?;
    match &list.freshness {
        Freshness::Fresh => {}
        Freshness::Kept(why) => {
            console.note(&format!("{why}; using the list of images as it was fetched last"));
        }
        Freshness::Missing(why) => {
            console.note(&format!("{why}; dates, sizes and sums are not known"));
        }
    }
    Ok(list)
}

pub(super) fn surroundings(console: &Console, interrupted: &Arc<AtomicBool>) -> Surroundings {
    let console = *console;
    let tell = move |notice: Notice| match notice.is_warning() {
        true => console.warn(&notice.to_string()),
        false => console.note(&notice.to_string()),
    };
    Surroundings::from_environment(variable, Arc::clone(interrupted), Arc::new(tell))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn table(entries: &[Entry]) -> String {
    let mut rows = vec![["NAME", "RELEASED", "DOWNLOAD", "SYSTEM"].map(String::from)];
    for entry in entries {
        let size = entry.download_bytes.map_or_else(|| "-".into(), |bytes| ByteSize(bytes).short());
        let default = if entry.default { " (default)" } else { "" };
        let why_not = match (&entry.why_not, &entry.no_kubernetes) {
            (Some(why), _) => format!("; not usable: {why}"),
            (None, Some(why)) => format!("; not for a cluster: {why}"),
            (None, None) => String::new(),
        };
        let list = entry.list.as_ref().map(|list| format!("; from a third party's list, {list}"));
        rows.push([
            entry.alias.clone(),
            entry.released.clone().unwrap_or_else(|| "-".into()),
            size,
            format!("{}{default}{why_not}{}", entry.name, list.unwrap_or_default()),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (alias, date, size) = (width(0), width(1), width(2));
    let line = |row: &[String; 4]| {
        format!("{:<alias$}  {:<date$}  {:>size$}  {}\n", row[0], row[1], row[2], row[3])
    };
    rows.iter().map(line).collect()
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        let failure = Failure::new(Exit::Failed, error.to_string());
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
