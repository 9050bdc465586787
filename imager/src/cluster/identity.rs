//! Keys and certificates of a cluster, as kubeadm would make them itself, so that `kubeadm init` takes them over: pairs
//! that are there already are kept (kubeadm, "init phase certs").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, date_time_ymd,
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// Years that a CA lasts (kubeadm, `CACertificateValidityPeriod`).
const CA_YEARS: i32 = 10;
/// Days that a person's certificate lasts (kubeadm, `CertificateValidityPeriod`).
const ADMIN_DAYS: i32 = 365;

/// A key with what shows it to others: a certificate, or the public key.
#[derive(Clone)]
pub(super) struct Pair {
    /// PEM.
    pub(super) public: String,
    /// PEM, PKCS #8.
    pub(super) key: SecretString,
}

impl Pair {
    /// Whether the certificate is of the key: its public half is in it as it is.
    pub(super) fn fits(&self) -> bool {
        let body: String =
            self.public.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let certificate = STANDARD.decode(body).unwrap_or_default();
        load(&self.key).is_ok_and(|key| {
            let public = key.public_key_raw();
            certificate.windows(public.len()).any(|part| part == public)
        })
    }

    /// Whether the public key is that of the key.
    pub(super) fn is_a_pair(&self) -> bool {
        load(&self.key).is_ok_and(|key| key.public_key_pem().trim() == self.public.trim())
    }
}

/// All of a cluster's pairs.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) ca: Pair,
    pub(super) front_proxy: Pair,
    pub(super) etcd: Pair,
    /// Signs service accounts' tokens; has no certificate.
    pub(super) service_accounts: Pair,
}

/// A certificate of a person who may do everything in the cluster.
pub(super) struct Admin {
    pub(super) pair: Pair,
    /// The day on which it ends.
    pub(super) until: jiff::civil::Date,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn generate(now: Timestamp) -> Result<Self, rcgen::Error> {
        let service_accounts = generate()?;
        Ok(Self {
            ca: authority("kubernetes", now)?,
            front_proxy: authority("front-proxy-ca", now)?,
            etcd: authority("etcd-ca", now)?,
            service_accounts: Pair {
                public: service_accounts.public_key_pem(),
                key: secret(service_accounts),
            },
        })
    }

    /// `sha256:` and the hash of the CA's public key, DER SubjectPublicKeyInfo (kubeadm, `pubkeypin.go`).
    ///
    /// # Errors
    /// The CA's key is none.
    pub(super) fn ca_hash(&self) -> Result<String, rcgen::Error> {
        let hash = Sha256::digest(load(&self.ca.key)?.subject_public_key_info());
        Ok(hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }

    /// A fresh certificate of kubeadm's own administrators (`kubeadm:cluster-admins`, since 1.29).
    ///
    /// # Errors
    /// No random numbers; the CA's key is none.
    pub(super) fn admin(&self, now: Timestamp) -> Result<Admin, rcgen::Error> {
        let until = day(now) + ADMIN_DAYS.days();
        let mut params = params("kubernetes-admin", until);
        params.distinguished_name = {
            let mut name = DistinguishedName::new();
            name.push(DnType::OrganizationName, "kubeadm:cluster-admins");
            name.push(DnType::CommonName, "kubernetes-admin");
            name
        };
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        // Of the CA's parameters only name, usages and kind of key identifier matter here, which never change.
        let issuer = Issuer::new(authority_params("kubernetes", now)?, load(&self.ca.key)?);
        let key = generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Admin { pair: Pair { public: certificate.pem(), key: secret(key) }, until })
    }
}

fn authority(name: &str, now: Timestamp) -> Result<Pair, rcgen::Error> {
    let key = generate()?;
    let certificate = authority_params(name, now)?.self_signed(&key)?;
    Ok(Pair { public: certificate.pem(), key: secret(key) })
}

/// As kubeadm's `NewSelfSignedCACert`, its name among the subject's alternative names too.
fn authority_params(name: &str, now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(name, day(now) + CA_YEARS.years());
    params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    Ok(params)
}

fn params(name: &str, until: jiff::civil::Date) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A Pi has no clock: at its first boot it may think that it is years ago.
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(until.year().into(), until.month() as u8, until.day() as u8);
    params
}

fn day(now: Timestamp) -> jiff::civil::Date {
    Zoned::new(now, jiff::tz::TimeZone::UTC).date()
}

fn generate() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn load(key: &SecretString) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pem(key.expose_secret())
}

fn secret(mut key: KeyPair) -> SecretString {
    let mut pem = key.serialize_pem();
    let secret = SecretString::from(pem.as_str());
    pem.zeroize();
    key.zeroize();
    secret
}
