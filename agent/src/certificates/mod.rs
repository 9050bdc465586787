//! Certificates of a running cluster: which requests of kubelets are signed, and which certificates end soon. Pure; what
//! acts on it is in [`crate::steps`].

pub mod expiry;
pub mod request;
