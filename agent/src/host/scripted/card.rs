//! What lies on the card of the node in memory.

/// The plan of a master, with every setting that has a step.
pub const PLAN: &str = include_str!("../../../tests/plan.toml");

/// A password hash that must not show anywhere.
pub const HASH: &str = "$6$saltsalt$0123456789abcdefSECRET";

/// Secrets with that hash, a Wi-Fi password and the identity of a cluster.
pub const SECRETS: &str = r#"schema = 1
[user]
password_hash = "$6$saltsalt$0123456789abcdefSECRET"
[cluster]
token = "abcdef.0123456789abcdef"
ca_certificate = "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n"
ca_key = "-----BEGIN PRIVATE KEY-----\nCA-SECRET\n-----END PRIVATE KEY-----\n"
sa_key = "-----BEGIN PRIVATE KEY-----\nSA-SECRET\n-----END PRIVATE KEY-----\n"
sa_public_key = "-----BEGIN PUBLIC KEY-----\nSA\n-----END PUBLIC KEY-----\n"
front_proxy_ca_certificate = "-----BEGIN CERTIFICATE-----\nFP\n-----END CERTIFICATE-----\n"
front_proxy_ca_key = "-----BEGIN PRIVATE KEY-----\nFP-SECRET\n-----END PRIVATE KEY-----\n"
etcd_ca_certificate = "-----BEGIN CERTIFICATE-----\nETCD\n-----END CERTIFICATE-----\n"
etcd_ca_key = "-----BEGIN PRIVATE KEY-----\nETCD-SECRET\n-----END PRIVATE KEY-----\n"
[[wifi.networks]]
ssid = "harbour"
password = "swordfishSECRET"
"#;

/// The token of [`SECRETS`].
pub const TOKEN: &str = "abcdef.0123456789abcdef";
