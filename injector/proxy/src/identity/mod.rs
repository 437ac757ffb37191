//! Who this pod is: a key made here, a certificate asked for with the pod's token, renewed and kept in memory.

mod certify;
mod establish;
mod facts;
mod files;
mod keeper;
mod kept;
mod metrics;
mod renewal;
mod request;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::tls::{Configs, Fingerprint};

pub use establish::{Established, Seeker, Status};
pub use facts::MeshFacts;
pub use files::Files;
pub use kept::{Certificate, Kept};
pub use metrics::{IdentityMetrics, Outcome};
pub use request::request;

/// Whose certificate, and where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where `token`, `roots.pem` and `mesh.json` are projected.
    pub token_directory: PathBuf,
    /// Where key and chain are kept.
    pub identity_directory: PathBuf,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's ServiceAccount.
    pub service_account: String,
}

/// Whom we trust and who vouches for us: what discovery reports for a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Every root accepted now, in ascending order.
    pub roots: Vec<Fingerprint>,
    /// What the certificate that signed ours is called.
    pub issuer: Fingerprint,
    /// The last moment of our own.
    pub not_after: SystemTime,
}

impl Trust {
    fn of(configs: &Configs) -> Self {
        let (identity, roots) = (configs.identity(), configs.roots().fingerprints().to_vec());
        Self { roots, issuer: identity.issuer, not_after: identity.not_after }
    }
}

/// What the control plane would rather have: a certificate of this issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerWish {
    /// What that issuer's certificate is called.
    pub issuer: Fingerprint,
    /// How much time there is.
    pub within: Duration,
}
