//! Who may be on the other end. Chain, validity and use by webpki; then the one URI, and nothing but the URI.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::failure::HandshakeFailure;
use super::leaf::Leaf;
use super::roots::Roots;
use super::spiffe::SpiffeId;

/// Certificates of a chain at most: a leaf, its issuer, and three between a given issuer and the root.
///
/// webpki tries every certificate as the issuer of every other, and reads each again to do so, before anybody has proven a
/// key: with a hundred of one name it is busy for seconds. Four between leaf and root are 64 ways at most.
pub const MOST_CERTIFICATES: usize = 5;

/// Refuses a chain that is longer, unread.
fn is_short(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.len() < MOST_CERTIFICATES { Ok(()) } else { Err(HandshakeFailure::BadCertificate.into_tls()) }
}

/// Accepts exactly one server.
pub struct ExpectedServer {
    roots: Roots,
    expected: SpiffeId,
    provider: Arc<CryptoProvider>,
}

impl ExpectedServer {
    pub fn new(roots: Roots, expected: SpiffeId, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, expected, provider }
    }
}

impl fmt::Debug for ExpectedServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ExpectedServer({})", self.expected)
    }
}

impl ServerCertVerifier for ExpectedServer {
    /// The name that was dialled is only a hint for the server; `expected` is what counts.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        is_short(intermediates)?;
        let (parsed, algorithms) =
            (ParsedCertificate::try_from(leaf)?, self.provider.signature_verification_algorithms);
        verify_server_cert_signed_by_trust_anchor(&parsed, self.roots.store(), intermediates, now, algorithms.all)?;
        match Leaf::parse(leaf) {
            None | Some(Leaf { is_for_both_ends: false, .. }) => Err(HandshakeFailure::BadCertificate.into_tls()),
            Some(leaf) if leaf.spiffe.as_ref() == Some(&self.expected) => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(HandshakeFailure::WrongIdentity.into_tls()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key(message, certificate, signature, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts every client of one trust domain.
pub struct TrustedClients {
    chain: Arc<dyn ClientCertVerifier>,
    trust_domain: String,
    provider: Arc<CryptoProvider>,
}

impl TrustedClients {
    pub fn new(roots: &Roots, trust_domain: String, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots.store()), Arc::clone(&provider));
        // Our clients have one certificate and need no hint which to show.
        let chain = builder.clear_root_hint_subjects().build().map_err(|error| error.to_string())?;
        Ok(Self { chain, trust_domain, provider })
    }
}

impl fmt::Debug for TrustedClients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TrustedClients({})", self.trust_domain)
    }
}

impl ClientCertVerifier for TrustedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        is_short(intermediates)?;
        self.chain.verify_client_cert(leaf, intermediates, now)?;
        match Leaf::parse(leaf) {
            None | Some(Leaf { is_for_both_ends: false, .. }) => Err(HandshakeFailure::BadCertificate.into_tls()),
            Some(Leaf { spiffe: Some(client), .. }) if client.trust_domain() == self.trust_domain => {
                Ok(ClientCertVerified::assertion())
            }
            Some(_) => Err(HandshakeFailure::WrongIdentity.into_tls()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key(message, certificate, signature, &self.provider)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Whether the peer signed this handshake with the key of its certificate. rustls says "bad signature" of a chain's links
/// and of this alike; a copied certificate deserves a name of its own.
fn has_key(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    provider: &CryptoProvider,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(message, certificate, signature, &provider.signature_verification_algorithms)
        .map_err(|_| HandshakeFailure::WrongKey.into_tls())
}
