//! What is counted of certificates.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metrics::{Counters, Labelled};

/// What came of asking for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A certificate, in use since.
    Renewed,
    /// The files for it are not there, or make no sense.
    NoFiles,
    /// The issuer was not reached, or somebody else was there.
    Unreachable,
    /// The issuer does not take the token.
    TokenRefused,
    /// The issuer does not take the request.
    RequestRefused,
    /// The issuer has too much to do.
    Busy,
    /// The issuer cannot work just now, or took too long.
    Unavailable,
    /// The answer is no certificate that we could use.
    Unusable,
}

impl Labelled for Outcome {
    const ALL: &'static [Self] = &[
        Self::Renewed,
        Self::NoFiles,
        Self::Unreachable,
        Self::TokenRefused,
        Self::RequestRefused,
        Self::Busy,
        Self::Unavailable,
        Self::Unusable,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::NoFiles => "no_files",
            Self::Unreachable => "unreachable",
            Self::TokenRefused => "token_refused",
            Self::RequestRefused => "request_refused",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unusable => "unusable",
        }
    }
}

/// Written by the main thread, read by whoever asks for the metrics.
#[derive(Debug, Default)]
pub struct IdentityMetrics {
    /// Every time that the issuer was to be asked, the first included.
    pub renewals: Counters<Outcome>,
    not_after: AtomicU64,
}

impl IdentityMetrics {
    /// The last moment of the certificate in use, in seconds since 1970; 0 while there is none.
    pub fn not_after(&self) -> u64 {
        self.not_after.load(Relaxed)
    }

    pub(super) fn in_use_until(&self, not_after: SystemTime) {
        self.not_after.store(not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(), Relaxed);
    }
}
