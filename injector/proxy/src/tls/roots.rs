//! The roots that we trust, as a file of PEM has them.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Bytes of a bundle: a ConfigMap holds no more.
pub const MOST_BUNDLE: u64 = 1024 * 1024;

/// The SHA-256 of a certificate's DER form.
pub type Fingerprint = [u8; 32];

/// What a certificate is called in the contract with the control plane.
pub fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let mut print = Fingerprint::default();
    print.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    print
}

/// A set of roots, never empty. Equal sets have equal fingerprints.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    fingerprints: Vec<Fingerprint>,
}

impl Roots {
    /// Reads a bundle. Without a single certificate, or with one that cannot be a root, it is refused whole: half a
    /// bundle would look like a finished rotation.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let (mut store, mut fingerprints) = (RootCertStore::empty(), Vec::new());
        for (place, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let certificate = certificate.map_err(|error| format!("not PEM: {error}"))?;
            let print = fingerprint(&certificate);
            if !fingerprints.contains(&print) {
                store.add(certificate).map_err(|error| format!("certificate {} is no root: {error}", place + 1))?;
                fingerprints.push(print);
            }
        }
        if fingerprints.is_empty() {
            return Err("expected certificates as PEM, found none".to_owned());
        }
        fingerprints.sort_unstable();
        Ok(Self { store: Arc::new(store), fingerprints })
    }

    /// What each is called, in ascending order.
    pub fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }

    pub(super) fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprints == other.fingerprints
    }
}

impl Eq for Roots {}
