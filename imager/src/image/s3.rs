//! Objects in S3 and in what talks like it. Requests are signed (SigV4, in the query) where there are credentials in
//! the environment; else they are anonymous. `~/.aws` is not read.

use std::time::Duration;

use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use url::Url;

use super::http::Target;

/// How long a signed address is good for; each request gets its own.
const VALID_FOR: Duration = Duration::from_secs(600);
/// Where a bucket is whose region is not told.
const DEFAULT_REGION: &str = "us-east-1";

/// What cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// AWS_ENDPOINT_URL.
    #[error("reading AWS_ENDPOINT_URL: {0}")]
    Endpoint(String),
    /// The name of the bucket.
    #[error("opening bucket `{bucket}`: {problem}")]
    Bucket {
        /// Its name.
        bucket: String,
        /// What is wrong.
        problem: String,
    },
}

/// Where S3 is and who asks: the usual variables of the environment.
#[derive(Clone)]
pub struct S3 {
    endpoint: Option<String>,
    region: String,
    credentials: Option<Credentials>,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("region", &self.region).finish_non_exhaustive()
    }
}

impl S3 {
    /// Reads AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN with `variable`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let credentials = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY"));
        let credentials = credentials.map(|(key, secret)| match get("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        });
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        Self {
            endpoint: get("AWS_ENDPOINT_URL_S3").or_else(|| get("AWS_ENDPOINT_URL")),
            region: region.unwrap_or_else(|| DEFAULT_REGION.into()),
            credentials,
        }
    }

    /// Where this is, for telling the objects of two servers apart.
    pub(super) fn place(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(&self.region)
    }

    /// An object as something to fetch.
    ///
    /// # Errors
    /// [`S3Error`].
    pub(super) fn target(&self, bucket: &str, key: &str) -> Result<Target, S3Error> {
        let amazon = || format!("https://s3.{}.amazonaws.com", self.region);
        let endpoint = self.endpoint.clone().unwrap_or_else(amazon);
        let endpoint: Url = endpoint
            .parse()
            .map_err(|error: url::ParseError| S3Error::Endpoint(error.to_string()))?;
        // A dot in the name of a bucket does not go with the certificate of Amazon's servers, and a server of one's
        // own seldom has a name per bucket.
        let style = match self.endpoint.is_some() || bucket.contains('.') {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let of = |problem: String| S3Error::Bucket { bucket: bucket.to_owned(), problem };
        let opened = Bucket::new(endpoint, style, bucket.to_owned(), self.region.clone())
            .map_err(|error| of(error.to_string()))?;
        let (credentials, object) = (self.credentials.clone(), key.to_owned());
        let address = move || opened.get_object(credentials.as_ref(), &object).sign(VALID_FOR);
        Ok(Target::new(format!("s3://{bucket}/{key}"), address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let anonymous = S3::from_environment(|_| None).target("b", "k/x y.img").unwrap();
        assert_eq!(anonymous.name(), "s3://b/k/x y.img");
        let shown = format!(
            "{:?} {anonymous:?}",
            S3::from_environment(|name| Some(format!("http://{name}")))
        );
        assert!(!shown.contains("SECRET"), "{shown}");
        let broken =
            S3::from_environment(|name| (name == "AWS_ENDPOINT_URL").then(|| "nowhere".into()));
        assert!(matches!(broken.target("b", "k"), Err(S3Error::Endpoint(_))));
    }
}
