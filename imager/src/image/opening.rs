//! What is needed to open an image: what it has to be, and the world that it comes from.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cache::Cache;
use super::checked::Expected;
use super::http::Patience;
use super::location::Location;
use super::notice::Tell;
use super::s3::S3;
use crate::person::Person;

/// What an image has to be.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// SHA-256 sum of the file as it is distributed. Without one, a list of sums beside the image is looked for.
    pub sum: Option<Expected>,
    /// SHA-256 sum of the decoded image.
    pub decoded_sum: Option<Expected>,
    /// Size of the decoded image, for where its format does not tell.
    pub decoded_bytes: Option<u64>,
    /// Where its block map is.
    pub bmap: BmapPlace,
    /// A detached OpenPGP signature, and the file with the key that has to have made it.
    pub signature: Option<(Location, PathBuf)>,
}

/// Where the block map of an image is.
#[derive(Debug, Clone, Default)]
pub enum BmapPlace {
    /// Beside the image, if anywhere.
    #[default]
    Beside,
    /// There, and it is an error if it is not.
    At(Location),
    /// It is known to have none.
    Nowhere,
}

/// The world outside.
#[derive(Clone)]
pub struct Surroundings {
    /// Where downloads are kept; `None` keeps none.
    pub cache: Option<Cache>,
    /// Where `s3://` is.
    pub s3: S3,
    /// How patient to be with servers.
    pub patience: Patience,
    /// Ends all waiting.
    pub cancelled: Arc<AtomicBool>,
    /// Takes what a person may want to know.
    pub tell: Tell,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// What the environment says, read with `variable`.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String> + Copy,
        cancelled: Arc<AtomicBool>,
        tell: Tell,
    ) -> Self {
        Self {
            cache: Cache::from_environment(Person::of_this_process(), variable),
            s3: S3::from_environment(variable),
            patience: Patience::default(),
            cancelled,
            tell,
        }
    }

    /// A world without a cache, without credentials, and with nobody to tell anything.
    pub fn bare() -> Self {
        Self {
            cache: None,
            s3: S3::from_environment(|_| None),
            patience: Patience::default(),
            cancelled: Arc::default(),
            tell: Arc::new(|_| {}),
        }
    }
}
