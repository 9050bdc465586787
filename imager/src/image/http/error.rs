//! What can go wrong between here and a server. No message has a query, a user name or a password in it.

use crate::image::ByteSize;

/// A fetch that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// There can be no client.
    #[error("setting up https: {problem}")]
    Client {
        /// What is wrong.
        problem: String,
    },
    /// Nobody answers.
    #[error("connecting to fetch `{name}`: {problem}")]
    Connect {
        /// What was to be fetched.
        name: String,
        /// The innermost cause.
        problem: String,
    },
    /// The connection broke before there was an answer.
    #[error("fetching `{name}`: {problem}")]
    Broken {
        /// What was to be fetched.
        name: String,
        /// The innermost cause.
        problem: String,
    },
    /// The server answers with an error.
    #[error("fetching `{name}`: the server answers {status}")]
    Status {
        /// What was to be fetched.
        name: String,
        /// Number and name.
        status: String,
        /// Only the number.
        code: u16,
    },
    /// The file is not the one that the download began with.
    #[error("fetching `{name}`: the file on the server changed after {} had been read", ByteSize(*at_bytes))]
    Changed {
        /// What was to be fetched.
        name: String,
        /// How much had been read.
        at_bytes: u64,
    },
    /// Connections break again and again.
    #[error(
        "fetching `{name}`: no progress at byte {at_bytes} in {attempts} attempts, at last: {problem}"
    )]
    GaveUp {
        /// What was to be fetched.
        name: String,
        /// How much had been read.
        at_bytes: u64,
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt ended with.
        problem: String,
    },
    /// Larger than a checksum, a signature or a list ever is.
    #[error("fetching `{name}`: it is larger than {}", ByteSize(*limit_bytes))]
    TooLarge {
        /// What was to be fetched.
        name: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The user asked to stop.
    #[error("fetching `{name}`: interrupted")]
    Interrupted {
        /// What was to be fetched.
        name: String,
    },
}

impl HttpError {
    /// Whether nobody could be reached, so that what is in the cache is all there is.
    pub fn is_offline(&self) -> bool {
        match self {
            HttpError::Connect { .. } | HttpError::Broken { .. } => true,
            HttpError::Status { code, .. } => *code >= 500,
            _ => false,
        }
    }

    /// Text for the `help:` line.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            HttpError::Connect { problem, .. } if problem.contains("certificate") => {
                "is the date of this computer right? A company's own certificate authority is given with SSL_CERT_FILE"
                    .into()
            }
            HttpError::Connect { .. } => {
                "is there a network, and a proxy (HTTPS_PROXY) where one is needed?".into()
            }
            HttpError::Status { code: 404 | 410, .. } => {
                "has it been moved? `piflash images` lists what is known".into()
            }
            HttpError::Status { name, code: 301 | 400 | 401 | 403, .. } if name.starts_with("s3:") => {
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and the clock".into()
            }
            HttpError::Changed { .. } => "start again".into(),
            HttpError::GaveUp { .. } => "try again when the network is better".into(),
            _ => return None,
        })
    }
}

/// The innermost cause of an error, which is the part that a person can do something about.
pub(super) fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "timed out".into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
