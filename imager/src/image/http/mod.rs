//! Files from web servers. Only here and where a cluster's own API server is asked are reqwest and rustls named.
//!
//! A request is tried again on what `curl --retry` takes for transient, with a delay that doubles. A download that
//! breaks off goes on where it was; see [`Body`].

mod body;
mod client;
mod error;
mod tls;

pub use body::Body;
pub use client::{Answer, Client, Patience, Target, Validators};
pub use error::HttpError;
