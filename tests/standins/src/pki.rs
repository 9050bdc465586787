//! Keys and certificates of a control plane, as `kubeadm init phase certs` makes them; pairs that are there are used.
//!
//! Keys are always ECDSA P-256: the crypto library makes no others. It reads RSA and ECDSA as PKCS #8.

use anyhow::{Context as _, Result, anyhow, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, date_time_ymd,
};
use ring::digest;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::Pair;
use crate::{place, say, time, tls};

/// A certificate authority that can sign.
pub(crate) struct Authority {
    /// PEM.
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is for.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    /// To serve.
    Server,
    /// To ask.
    Client,
    /// Both, as etcd's.
    Both,
}

/// Who holds a certificate, and for what.
pub(crate) struct Leaf<'a> {
    /// Common name.
    pub(crate) name: &'a str,
    /// Organization: the group.
    pub(crate) group: Option<&'a str>,
    /// Names and addresses.
    pub(crate) alternatives: Vec<String>,
    /// What for.
    pub(crate) purpose: Use,
}

impl Authority {
    /// The pair at this place (`FOLDER/BASE.crt` and `.key`), or a new one. A certificate without its key is not enough
    /// to sign; kubeadm says so too.
    ///
    /// # Errors
    /// They do not belong together, are not valid now, or are no authority.
    pub(crate) fn load_or_make(folder: &str, base: &str, name: &str) -> Result<Self> {
        let (certificate, key) = (format!("{folder}/{base}.crt"), format!("{folder}/{base}.key"));
        if place::exists(&certificate) {
            say::out(&format!("[certs] Using existing {base} certificate authority"));
            return Self::load(folder, base);
        }
        if place::exists(&key) {
            bail!(
                "failure loading {base} certificate: the key is there and the certificate is not"
            );
        }
        say::out(&format!("[certs] Generating \"{base}\" certificate and key"));
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(name, 10)?;
        params.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        place::write(&key, &pair.serialize_pem(), 0o600)?;
        place::write(&certificate, &params.self_signed(&pair)?.pem(), 0o644)?;
        Self::load(folder, base)
    }

    /// The pair at this place.
    ///
    /// # Errors
    /// As [`Authority::load_or_make`], and when it is not there.
    pub(crate) fn load(folder: &str, base: &str) -> Result<Self> {
        let what = || format!("failure loading {base} CA certificate");
        let certificate = place::read(&format!("{folder}/{base}.crt")).with_context(what)?;
        let key = place::read(&format!("{folder}/{base}.key"))
            .with_context(|| format!("couldn't load the private key file for {base}"))?;
        let key = KeyPair::from_pem(&key).map_err(|_| {
            anyhow!("couldn't load the private key file {folder}/{base}.key: the private key file isn't in PKCS #8, RSA or ECDSA")
        })?;
        let der = first(&certificate)?;
        let (_, parsed) = X509Certificate::from_der(&der).with_context(what)?;
        if !parsed.is_ca() {
            bail!("certificate {folder}/{base}.crt is not a CA");
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            bail!("{}: tls: private key does not match public key", what());
        }
        let validity = parsed.validity();
        let now = time::now().as_second();
        if now < validity.not_before.timestamp() {
            bail!("{}: the certificate is not valid yet", what());
        }
        if now > validity.not_after.timestamp() {
            bail!("{}: the certificate has expired", what());
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).with_context(what)?;
        Ok(Self { certificate, issuer })
    }

    /// Signs a new pair; it begins when the authority does (kubeadm, `NewSignedCert`).
    ///
    /// # Errors
    /// A name cannot be in a certificate.
    pub(crate) fn issue(&self, leaf: &Leaf<'_>) -> Result<Pair> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(leaf.name, 1)?;
        if let Some(group) = leaf.group {
            params.distinguished_name = subject(leaf.name, Some(group));
        }
        for name in &leaf.alternatives {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        self.begin(&mut params)?;
        let (server, client) =
            (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
        params.extended_key_usages = match leaf.purpose {
            Use::Server => vec![server],
            Use::Client => vec![client],
            Use::Both => vec![server, client],
        };
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// Signs a request (PEM) of a node for its client certificate (controller-manager,
    /// `kubernetes.io/kube-apiserver-client-kubelet`): PEM. Its subject must be a node's.
    ///
    /// # Errors
    /// It is none, or not of a node.
    pub(crate) fn sign_node(&self, request: &str) -> Result<String> {
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        let asked = &request.params.distinguished_name;
        let text = |kind: &DnType| match asked.get(kind) {
            Some(rcgen::DnValue::Utf8String(text)) => text.clone(),
            Some(rcgen::DnValue::PrintableString(text)) => text.as_str().to_owned(),
            _ => String::new(),
        };
        let (name, group) = (text(&DnType::CommonName), text(&DnType::OrganizationName));
        if group != "system:nodes" || !name.starts_with("system:node:") {
            bail!("subject is not of a node: CN={name} O={group}");
        }
        let mut own = params(&name, 1)?;
        own.distinguished_name = subject(&name, Some(&group));
        self.begin(&mut own)?;
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        own.is_ca = IsCa::ExplicitNoCa;
        own.use_authority_key_identifier_extension = true;
        request.params = own;
        Ok(request.signed_by(&self.issuer)?.pem())
    }

    /// A certificate begins when its authority does.
    fn begin(&self, params: &mut CertificateParams) -> Result<()> {
        let der = first(&self.certificate)?;
        let (_, parsed) = X509Certificate::from_der(&der)?;
        params.not_before = parsed.validity().not_before.to_datetime();
        Ok(())
    }
}

/// Lasts this many years from today; begins five minutes ago (kubeadm, `CertificateBackdate`), by the day.
fn params(name: &str, years: i32) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name, None);
    let day = |moment: jiff::Timestamp, years: i32| {
        let date = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
        // 29 February has no anniversary in most years
        let day = u8::try_from(date.day()).unwrap_or(1).min(28);
        date_time_ymd(i32::from(date.year()) + years, date.month().unsigned_abs(), day)
    };
    let earlier = time::now() - jiff::SignedDuration::from_mins(5);
    params.not_before = day(earlier, 0);
    params.not_after = day(time::now(), years);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    Ok(params)
}

fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

fn first(pem: &str) -> Result<Vec<u8>> {
    let all = tls::certificates(pem)?;
    Ok(all.first().context("data does not contain any valid RSA or ECDSA certificates")?.to_vec())
}

/// `sha256:` and the hash of the public key of a certificate (kubeadm, `pubkeypin.Hash`).
///
/// # Errors
/// It is none.
pub(crate) fn pin(pem: &str) -> Result<String> {
    let der = first(pem)?;
    let (_, parsed) = X509Certificate::from_der(&der)?;
    let hash = digest::digest(&digest::SHA256, parsed.public_key().raw);
    let hex = hash.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(format!("sha256:{hex}"))
}

/// Common name and organizations of a certificate (DER).
///
/// # Errors
/// It is none.
pub(crate) fn holder(der: &[u8]) -> Result<(String, Vec<String>)> {
    let (_, parsed) = X509Certificate::from_der(der)?;
    let texts = |attributes: Vec<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        let texts = attributes.into_iter().filter_map(|attribute| attribute.as_str().ok());
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let names = texts(parsed.subject().iter_common_name().collect());
    let groups = texts(parsed.subject().iter_organization().collect());
    Ok((names.into_iter().next().unwrap_or_default(), groups))
}

/// The pair that signs service accounts' tokens: the one that is there, or a new one. kubeadm takes a key without its
/// public half and writes that; a public half without its key it refuses.
///
/// # Errors
/// They do not belong together.
pub(crate) fn service_accounts(folder: &str) -> Result<()> {
    let (public, private) = (format!("{folder}/sa.pub"), format!("{folder}/sa.key"));
    let key = if place::exists(&private) {
        let key = KeyPair::from_pem(&place::read(&private)?)
            .with_context(|| format!("couldn't load the private key file {private}"))?;
        if place::exists(&public) {
            let there = place::read(&public)?;
            if there.split_whitespace().ne(key.public_key_pem().split_whitespace()) {
                bail!("sa.pub is not the public key of sa.key");
            }
            say::out("[certs] Using the existing \"sa\" key");
            return Ok(());
        }
        key
    } else if place::exists(&public) {
        bail!("couldn't load the private key file {private}: it does not exist, {public} does");
    } else {
        say::out("[certs] Generating \"sa\" key and public key");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        place::write(&private, &key.serialize_pem(), 0o600)?;
        key
    };
    place::write(&public, &key.public_key_pem(), 0o644)
}

/// A request for a node's client certificate (PEM), and the key (PEM) it is for.
///
/// # Errors
/// The name cannot be in it.
pub(crate) fn request(node: &str) -> Result<(String, String)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&format!("system:node:{node}"), Some("system:nodes"));
    Ok((params.serialize_request(&key)?.pem()?, key.serialize_pem()))
}
