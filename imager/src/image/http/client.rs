//! One request, its retries, and small files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::blocking::Response;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, redirect};
use url::Url;

use super::body::Body;
use super::error::{HttpError, root_cause};
use super::tls;
use crate::image::notice::{Notice, Tell};

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 10;
/// Time between two looks at the cancellation flag.
const LOOK: Duration = Duration::from_millis(100);

/// How patient to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until there is an answer, and between two pieces of it.
    pub stall: Duration,
    /// Before the first further attempt; twice as long before each one after that.
    pub first_delay: Duration,
    /// Longest delay.
    pub max_delay: Duration,
    /// Attempts until there is a first answer.
    pub attempts: u32,
    /// Attempts in mid-stream, counted since the last byte that came.
    pub resumes: u32,
}

impl Default for Patience {
    /// A server may be away for about two and a half minutes in mid-stream.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            attempts: 4,
            resumes: 10,
        }
    }
}

/// What is to be fetched: a name for people, and an address, made anew for each request because a signed one runs out.
#[derive(Clone)]
pub struct Target {
    name: String,
    address: Arc<dyn Fn() -> Url + Send + Sync>,
}

impl Target {
    /// `name` is what messages show; `address` may hold secrets and is never shown.
    pub fn new(name: String, address: impl Fn() -> Url + Send + Sync + 'static) -> Self {
        Self { name, address: Arc::new(address) }
    }

    /// What messages show.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What tells one version of a file from another (RFC 9110, 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
}

impl Validators {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Self { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) }
    }

    /// For `If-Range`, which takes no weak ETag.
    pub(super) fn for_range(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// What a server said.
pub enum Answer {
    /// It has the version that was asked about.
    NotModified,
    /// Here it is.
    Body(Box<Body>),
}

/// Fetches over http and https, through the proxy that the environment names.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::blocking::Client,
    pub(super) patience: Patience,
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) tell: Tell,
}

/// Why an attempt did not work.
pub(super) enum Attempt {
    /// Worth another one.
    Again(HttpError),
    /// Not worth another one.
    Never(HttpError),
}

impl Client {
    /// A client; `cancelled` ends its waits.
    ///
    /// # Errors
    /// [`HttpError::Client`].
    pub fn new(
        patience: Patience,
        cancelled: Arc<AtomicBool>,
        tell: Tell,
    ) -> Result<Self, HttpError> {
        let inner = reqwest::blocking::Client::builder()
            .user_agent(concat!("piflash/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls::config()?)
            .redirect(redirect::Policy::custom(follow))
            .referer(false)
            .connect_timeout(patience.connect)
            .timeout(patience.stall)
            .build()
            .map_err(|error| HttpError::Client { problem: root_cause(error) })?;
        Ok(Self { inner, patience, cancelled, tell })
    }

    /// Fetches a file of any size; with `known`, only if the server has another version.
    ///
    /// # Errors
    /// [`HttpError`], after further attempts where they make sense.
    pub fn get(&self, target: &Target, known: Option<&Validators>) -> Result<Answer, HttpError> {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            insert(&mut headers, header::IF_NONE_MATCH, known.etag.as_deref());
            insert(&mut headers, header::IF_MODIFIED_SINCE, known.last_modified.as_deref());
        }
        let response = self.with_retries(target, &headers)?;
        if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(Answer::NotModified);
        }
        Ok(Answer::Body(Box::new(Body::new(self.clone(), target.clone(), response))))
    }

    /// Fetches a file of at most `limit_bytes`; `None` where there is none.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn small(&self, target: &Target, limit_bytes: u64) -> Result<Option<Vec<u8>>, HttpError> {
        let body = match self.get(target, None) {
            Ok(Answer::Body(body)) => body,
            Ok(Answer::NotModified) => return Ok(None),
            // S3 says 403 for what is not there to those who may not list.
            Err(HttpError::Status { code: 403 | 404 | 410, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        body.into_bytes(limit_bytes).map(Some)
    }

    fn with_retries(&self, target: &Target, headers: &HeaderMap) -> Result<Response, HttpError> {
        let mut attempt = 1;
        loop {
            match self.once(target, headers.clone()) {
                Ok(response) if matches!(response.status().as_u16(), 200 | 304) => {
                    return Ok(response);
                }
                Ok(response) => return Err(status_error(target, response.status())),
                Err(Attempt::Never(error)) => return Err(error),
                Err(Attempt::Again(error)) if attempt >= self.patience.attempts => {
                    return Err(error);
                }
                Err(Attempt::Again(error)) => self.pause(target, attempt, &error)?,
            }
            attempt += 1;
        }
    }

    /// One request. An answer is any that is not worth another attempt.
    pub(super) fn once(&self, target: &Target, headers: HeaderMap) -> Result<Response, Attempt> {
        let name = || target.name.clone();
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Attempt::Never(HttpError::Interrupted { name: name() }));
        }
        match self.inner.get((target.address)()).headers(headers).send() {
            Ok(response) if is_transient(response.status()) => {
                Err(Attempt::Again(status_error(target, response.status())))
            }
            Ok(response) => Ok(response),
            Err(error) if error.is_redirect() => {
                let problem = root_cause(error);
                Err(Attempt::Never(HttpError::Broken { name: name(), problem }))
            }
            Err(error) if error.is_timeout() => {
                let problem = root_cause(error);
                Err(Attempt::Again(HttpError::Connect { name: name(), problem }))
            }
            Err(error) if error.is_connect() => {
                let problem = root_cause(error);
                Err(Attempt::Never(HttpError::Connect { name: name(), problem }))
            }
            Err(error) => {
                let problem = root_cause(error);
                Err(Attempt::Again(HttpError::Broken { name: name(), problem }))
            }
        }
    }

    /// Waits before attempt number `attempt` + 1.
    pub(super) fn pause(
        &self,
        target: &Target,
        attempt: u32,
        why: &HttpError,
    ) -> Result<(), HttpError> {
        let factor = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let delay = self.patience.first_delay.saturating_mul(factor).min(self.patience.max_delay);
        (self.tell)(Notice::Waiting { why: why.to_string(), delay });
        let mut left = delay;
        while !left.is_zero() {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(HttpError::Interrupted { name: target.name.clone() });
            }
            let step = left.min(LOOK);
            std::thread::sleep(step);
            left -= step;
        }
        Ok(())
    }
}

pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    // What came out of a header goes into one.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

pub(super) fn status_error(target: &Target, status: StatusCode) -> HttpError {
    let (name, code) = (target.name.clone(), status.as_u16());
    HttpError::Status { name, status: status.to_string(), code }
}

/// What `curl --retry` takes for transient.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 522 | 524)
}

/// Follows redirects, but not from https to http.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if was_safe && attempt.url().scheme() != "https" {
        return attempt.error("the server redirects from https to http");
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}
