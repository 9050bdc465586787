//! What a person may want to know while an image is fetched. Nothing here prints; the caller does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::size::ByteSize;

/// Something that happened and is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// An attempt did not work and there will be another one.
    Waiting {
        /// What it ended with.
        why: String,
        /// Until the next one.
        delay: Duration,
    },
    /// A download goes on.
    Resumed {
        /// What is fetched.
        name: String,
        /// Where.
        at_bytes: u64,
    },
    /// It is not fetched, because it is there already.
    FromCache {
        /// What would have been fetched.
        name: String,
    },
    /// It is not known to be the latest version, because nobody could be asked.
    Offline {
        /// What would have been fetched.
        name: String,
        /// Why it was not.
        why: String,
    },
    /// What was in the cache was damaged and is fetched again.
    CorruptEntry {
        /// What is fetched.
        name: String,
    },
    /// It is written to the cards, but not kept.
    NotCached {
        /// What is fetched.
        name: String,
        /// Why it is not kept.
        why: String,
    },
    /// A web page is where a file beside the image would be.
    WebPage {
        /// Where.
        name: String,
        /// What would be there, with its article.
        wanted: &'static str,
    },
    /// There is nothing that it could be compared with.
    NoChecksum {
        /// The image.
        name: String,
    },
}

impl Notice {
    /// Whether a person should see it even if told to be quiet.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            Notice::FromCache { .. }
                | Notice::Resumed { .. }
                | Notice::WebPage { .. }
                | Notice::NoChecksum { .. }
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Waiting { why, delay } => {
                write!(f, "{why}; trying again in {} s", delay.as_secs_f32().ceil())
            }
            Notice::Resumed { name, at_bytes } => {
                write!(f, "fetching `{name}` again, from {}", ByteSize(*at_bytes).short())
            }
            Notice::FromCache { name } => write!(f, "using the copy of `{name}` in the cache"),
            Notice::Offline { name, why } => {
                write!(f, "{why}; using the copy of `{name}` in the cache, which may be old")
            }
            Notice::CorruptEntry { name } => {
                write!(f, "the copy of `{name}` in the cache is damaged; fetching it again")
            }
            Notice::NotCached { name, why } => {
                write!(f, "`{name}` is not kept in the cache: {why}")
            }
            Notice::WebPage { name, wanted } => {
                write!(f, "`{name}` is a web page, not {wanted}, and is passed over")
            }
            Notice::NoChecksum { name } => {
                write!(f, "no checksum for `{name}`; --sha256 gives one")
            }
        }
    }
}

/// Takes notices; may be called from any thread.
pub type Tell = Arc<dyn Fn(Notice) + Send + Sync>;
