//! Why a handshake came to nothing: a closed list, for metrics, logs and tests.

use std::io;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError, PeerIncompatible};

use crate::metrics::Labelled;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The peer's chain ends at none of our roots, or its links do not sign each other.
    OtherRoot,
    /// A certificate of the chain is not valid any more.
    Expired,
    /// A certificate of the chain is not valid yet: its issuer's clock is ahead of ours.
    NotYetValid,
    /// The chain is good, and the peer is somebody else than we dialled, or nobody of our trust domain.
    WrongIdentity,
    /// The certificate is malformed, or not for this use.
    BadCertificate,
    /// The peer does not have the key of the certificate that it shows.
    WrongKey,
    /// The peer is a client and shows no certificate.
    NoCertificate,
    /// The peer does not speak TLS 1.3.
    OldVersion,
    /// The peer speaks TLS, and not our protocol inside it.
    OtherProtocol,
    /// The peer refused us with an alert.
    Refused,
    /// The handshake took longer than it may.
    Timeout,
    /// The connection ended during the handshake.
    Closed,
    /// Too many handshakes were on their way, most of them its source's.
    Crowded,
    /// What came is no TLS handshake that makes sense.
    Broken,
}

impl HandshakeFailure {
    /// What a failed handshake, or the first read after it, says. A server's refusal of our certificate comes with the
    /// first read: in TLS 1.3 a client has finished before the server judges it.
    pub fn of(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match (tls, error.kind()) {
            (Some(tls), _) => Self::of_tls(tls),
            (None, io::ErrorKind::TimedOut) => Self::Timeout,
            (None, _) => Self::Closed,
        }
    }

    pub(super) fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::OldVersion,
            Error::NoApplicationProtocol => Self::OtherProtocol,
            Error::AlertReceived(_) => Self::Refused,
            _ => Self::Broken,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::OtherRoot,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Other(OtherError(ours)) => *ours.downcast_ref().unwrap_or(&Self::BadCertificate),
            _ => Self::BadCertificate,
        }
    }

    /// As the verifiers of rustls say it; `of` finds it again. The peer gets the alert `certificate_unknown`.
    pub(super) fn into_tls(self) -> Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }

    /// What it means, for a log line or an error that goes on with who the peer was.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OtherRoot => "its certificate is under none of the roots we trust",
            Self::Expired => "its certificate has expired, or our clock is ahead",
            Self::NotYetValid => "its certificate is not valid yet, so the clocks differ by more than five minutes",
            Self::WrongIdentity => "its certificate is somebody else's",
            Self::BadCertificate => "its certificate is malformed or not for this use",
            Self::WrongKey => "it does not have the key of its certificate",
            Self::NoCertificate => "it shows no certificate",
            Self::OldVersion => "it does not speak TLS 1.3",
            Self::OtherProtocol => "it speaks TLS, and not our protocol inside",
            Self::Refused => "it refused us",
            Self::Timeout => "the handshake took too long",
            Self::Crowded => "too many handshakes were on their way, and it was the oldest of whoever had most",
            Self::Closed => "the connection ended during the handshake",
            Self::Broken => "what it sends is no TLS handshake",
        }
    }
}

impl std::fmt::Display for HandshakeFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.sentence())
    }
}

impl std::error::Error for HandshakeFailure {}

impl Labelled for HandshakeFailure {
    const ALL: &'static [Self] = &[
        Self::OtherRoot,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongIdentity,
        Self::BadCertificate,
        Self::WrongKey,
        Self::NoCertificate,
        Self::OldVersion,
        Self::OtherProtocol,
        Self::Refused,
        Self::Timeout,
        Self::Closed,
        Self::Crowded,
        Self::Broken,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::OtherRoot => "other_root",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongIdentity => "wrong_identity",
            Self::BadCertificate => "bad_certificate",
            Self::WrongKey => "wrong_key",
            Self::NoCertificate => "no_certificate",
            Self::OldVersion => "old_version",
            Self::OtherProtocol => "other_protocol",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Crowded => "crowded",
            Self::Broken => "broken",
        }
    }
}
