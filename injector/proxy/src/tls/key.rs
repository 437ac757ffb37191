//! A private key: made here, or read back; signs, and is never shown.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::sign::SigningKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A P-256 key. Its copies in memory are overwritten when it is dropped.
pub struct Key {
    pair: EcdsaKeyPair,
    pkcs8: Document,
}

/// The operating system gave no random numbers, or no memory.
const NO_KEY: &str = "the system could not make a P-256 key";

impl Key {
    /// A new one.
    pub fn generate() -> Result<Self, String> {
        Self::of(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| NO_KEY)?)
    }

    /// One that was kept. None: these bytes are no P-256 key in PKCS #8.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Self::of(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).ok()?).ok()
    }

    fn of(pair: EcdsaKeyPair) -> Result<Self, String> {
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| NO_KEY)?;
        Ok(Self { pair, pkcs8 })
    }

    /// The key itself, for the one file it is kept in.
    pub fn pkcs8(&self) -> &[u8] {
        self.pkcs8.as_ref()
    }

    /// Its public half as SubjectPublicKeyInfo, DER.
    pub fn public(&self) -> Result<PublicKeyX509Der<'static>, String> {
        self.pair.public_key().as_der().map_err(|_| NO_KEY.to_owned())
    }

    /// ECDSA with SHA-256 over `message`, DER.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| "the key does not sign".to_owned())
    }

    /// As rustls wants it.
    pub(super) fn signing(&self) -> Result<Arc<dyn SigningKey>, String> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.as_ref()));
        any_ecdsa_type(&der).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_key_is_the_same_key() {
        let key = Key::generate().unwrap();
        let again = Key::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public().unwrap().as_ref(), key.public().unwrap().as_ref());
    }

    #[test]
    fn anything_else_is_no_key() {
        assert!(Key::from_pkcs8(b"").is_none());
        let half = Key::generate().unwrap();
        assert!(Key::from_pkcs8(&half.pkcs8()[..40]).is_none());
    }

    #[test]
    fn nobody_reads_it_by_accident() {
        let key = Key::generate().unwrap();
        assert_eq!(format!("{key:?}"), "Key(not shown)");
    }
}
