//! What lies on the card of the node in memory.

/// The plan of a master, with every setting that has a step.
pub const PLAN: &str = r#"
schema = 1
flashed_at = "2026-11-21T06:00:00Z"
[node]
hostname = "laperouse"
role = "master"
[time]
timezone = "Europe/Paris"
ntp = ["0.debian.pool.ntp.org", "1.debian.pool.ntp.org"]
[system]
locale = "en_GB.UTF-8"
keyboard = "gb"
swap = "off"
apt_mirror = "http://mirror.example.org/pub/debian"
apt_proxy = "http://192.168.1.2:3142"
[network]
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21/24"
router = "192.168.1.1"
dns = ["192.168.1.1"]
[wifi]
country = "FR"
[[wifi.networks]]
ssid = "harbour"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
ca_hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
token_expires = "2026-12-05T00:00:00Z"
master = "laperouse"
[kubernetes]
version = "1.36.4"
repository = "https://packages.example.org/v1.36/deb/"
runtime_repository = "https://docker.example.org/linux"
downloads = "https://downloads.example.org"
cni_plugins = "https://downloads.example.org/cni-{arch}.tgz"
[user]
name = "captain"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me@laptop"]
"#;

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
