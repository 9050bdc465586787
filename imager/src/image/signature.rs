//! Detached OpenPGP signatures (RFC 9580) of an image: the only place that names the `pgp` crate.
//!
//! The crate computes; what is believed is decided here: the key must be the one that was given, neither expired nor
//! revoked, meant for signing, and bound to its primary key by signatures that hold.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, Timestamp};

/// Pieces that wait for the thread that hashes.
const QUEUE_PIECES: usize = 4;
/// Most signatures of a file that are looked at, each of which costs as many computations as the key has signatures of
/// its own.
const MAX_SIGNATURES: usize = 32;
/// How far ahead the clock of a signer may be, seconds.
const CLOCK_SKEW_S: u64 = 24 * 3600;

/// What is wrong with a signature or its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not a signature.
    #[error("there is no OpenPGP signature in it")]
    NoSignature,
    /// Not a key.
    #[error("there is no OpenPGP public key in it")]
    NoKey,
    /// Made by somebody else.
    #[error("it was made by {issuer}, which is not the key that was given")]
    OtherKey {
        /// Fingerprint or id of the signer.
        issuer: String,
    },
    /// The key is of no use any more.
    #[error("the key {key} {problem}")]
    BadKey {
        /// Its fingerprint.
        key: String,
        /// `has expired`, …
        problem: &'static str,
    },
    /// The signature is of no use.
    #[error("the signature {0}")]
    BadSignature(&'static str),
    /// It is of another file, or this one was changed.
    #[error("the signature does not match the image")]
    Mismatch,
    /// The machine is at its limits.
    #[error("there can be no thread to verify it: {0}")]
    Thread(String),
}

/// A signature and the key that has to have made it.
#[derive(Debug, Clone)]
pub struct Signed {
    signature: Signature,
    key: Signer,
}

/// The key that signed.
#[derive(Debug, Clone)]
enum Signer {
    Primary(Box<SignedPublicKey>),
    Subkey(Box<SignedPublicSubKey>),
}

impl Signed {
    /// Reads a signature and keys, armored or binary, and finds the key that made it. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`SignatureError`], except for [`SignatureError::Mismatch`].
    pub fn new(signature: &[u8], keys: &[u8], now: u64) -> Result<Self, SignatureError> {
        let signatures: Vec<Signature> = DetachedSignature::from_reader_many(signature)
            .map_err(|_| SignatureError::NoSignature)?
            .0
            .filter_map(|parsed| Some(parsed.ok()?.signature))
            .take(MAX_SIGNATURES)
            .collect();
        let keys: Vec<SignedPublicKey> = SignedPublicKey::from_reader_many(keys)
            .map_err(|_| SignatureError::NoKey)?
            .0
            .filter_map(Result::ok)
            .collect();
        if keys.is_empty() {
            return Err(SignatureError::NoKey);
        }
        let mut problem = SignatureError::NoSignature;
        // A file may hold the signatures of several people: one good one is enough.
        for signature in signatures {
            match Self::find(&signature, &keys, now) {
                Ok(key) => return Ok(Self { signature, key }),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn find(
        signature: &Signature,
        keys: &[SignedPublicKey],
        now: u64,
    ) -> Result<Signer, SignatureError> {
        check_signature(signature, now)?;
        for key in keys {
            if made_by(signature, &key.primary_key) {
                check_primary(key, now)?;
                return Ok(Signer::Primary(Box::new(key.clone())));
            }
            for subkey in &key.public_subkeys {
                if made_by(signature, &subkey.key) {
                    check_primary(key, now)?;
                    check_subkey(key, subkey, now)?;
                    return Ok(Signer::Subkey(Box::new(subkey.clone())));
                }
            }
        }
        let fingerprint = signature.issuer_fingerprint().first().map(|print| print.to_string());
        let id = || signature.issuer_key_id().first().map(|id| id.to_string());
        let issuer = fingerprint.or_else(id).unwrap_or_else(|| "nobody who is named".into());
        Err(SignatureError::OtherKey { issuer })
    }

    /// Begins to verify: give it all bytes of the image.
    ///
    /// # Errors
    /// [`SignatureError::Thread`].
    pub(super) fn verifier(self) -> Result<Verifier, SignatureError> {
        let (pieces, receiver) = sync_channel(QUEUE_PIECES);
        let verify = move || {
            let data = Pieces { receiver, piece: Vec::new(), position: 0 };
            match &self.key {
                Signer::Primary(key) => self.signature.verify(&key.primary_key, data),
                Signer::Subkey(key) => self.signature.verify(&key.key, data),
            }
            .is_ok()
        };
        let thread = thread::Builder::new()
            .name("signature".into())
            .spawn(verify)
            .map_err(|error| SignatureError::Thread(error.to_string()))?;
        Ok(Verifier { pieces, thread })
    }
}

/// A signature that is being verified, on a thread of its own.
pub(super) struct Verifier {
    pieces: SyncSender<Vec<u8>>,
    thread: JoinHandle<bool>,
}

impl Verifier {
    /// More of the image.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        // A thread that has ended already has its verdict, which `finish` fetches.
        let _ = self.pieces.send(bytes.to_vec());
    }

    /// That was all of it.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub(super) fn finish(self) -> Result<(), SignatureError> {
        drop(self.pieces);
        match self.thread.join() {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignatureError::Mismatch),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What was sent, as a reader.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    position: usize,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.position == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.position) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let pending = &self.piece[self.position..];
        let len = pending.len().min(buf.len());
        buf[..len].copy_from_slice(&pending[..len]);
        self.position += len;
        Ok(len)
    }
}

fn made_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (prints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    match prints.is_empty() {
        true => ids.iter().any(|id| **id == key.legacy_key_id()),
        false => prints.iter().any(|print| **print == key.fingerprint()),
    }
}

fn seconds(time: Timestamp) -> u64 {
    time.as_secs().into()
}

fn check_signature(signature: &Signature, now: u64) -> Result<(), SignatureError> {
    let bad = |problem| Err(SignatureError::BadSignature(problem));
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return bad("is not one of a file");
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha224,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return bad("uses a hash that can be forged");
    }
    let Some(created) = signature.created().map(seconds) else {
        return bad("does not say when it was made");
    };
    if created > now + CLOCK_SKEW_S {
        return bad("is from the future: is the date of this computer right?");
    }
    match signature.signature_expiration_time() {
        Some(lifetime)
            if lifetime.as_secs() > 0 && created + u64::from(lifetime.as_secs()) <= now =>
        {
            bad("has expired")
        }
        _ => Ok(()),
    }
}

fn bad_key<T>(key: &impl KeyDetails, problem: &'static str) -> Result<T, SignatureError> {
    Err(SignatureError::BadKey { key: key.fingerprint().to_string(), problem })
}

/// The latest of the signatures that say what a key is for and how long.
fn latest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|signature| signature.created().map(seconds))
}

fn expired(key: &impl KeyDetails, binding: &Signature, now: u64) -> bool {
    let lifetime = binding.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    lifetime > 0 && seconds(key.created_at()) + lifetime <= now
}

fn check_primary(key: &SignedPublicKey, now: u64) -> Result<(), SignatureError> {
    let primary = &key.primary_key;
    let revoked = key.details.revocation_signatures.iter().any(|s| s.verify_key(primary).is_ok());
    if revoked {
        return bad_key(primary, "was revoked");
    }
    let direct = key.details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        let own = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let revocation = |s: &&Signature| s.typ() == Some(SignatureType::CertRevocation);
        user.signatures.iter().filter(move |s| !revocation(s) && own(s))
    });
    match latest(direct.chain(users)) {
        None => bad_key(primary, "has no valid signature of its own"),
        Some(binding) if expired(primary, binding, now) => bad_key(primary, "has expired"),
        Some(_) => Ok(()),
    }
}

fn check_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: u64,
) -> Result<(), SignatureError> {
    let primary = &key.primary_key;
    let valid = subkey.signatures.iter();
    let valid: Vec<&Signature> =
        valid.filter(|s| s.verify_subkey_binding(primary, &subkey.key).is_ok()).collect();
    if valid.iter().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return bad_key(&subkey.key, "was revoked");
    }
    let Some(binding) = latest(valid.into_iter()) else {
        return bad_key(&subkey.key, "is not bound to its primary key");
    };
    // The subkey has to agree: otherwise anybody could adopt the signatures of others.
    let back = binding.embedded_signature();
    if !binding.key_flags().sign()
        || back.is_none_or(|s| s.verify_primary_key_binding(&subkey.key, primary).is_err())
    {
        return bad_key(&subkey.key, "is not meant for signing");
    }
    match expired(&subkey.key, binding, now) {
        true => bad_key(&subkey.key, "has expired"),
        false => Ok(()),
    }
}
