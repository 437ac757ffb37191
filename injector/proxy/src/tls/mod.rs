//! Mutual TLS 1.3 between SPIFFE identities, on rustls with aws-lc-rs.
//!
//! Nobody is recognised by a host name or an address: a client accepts the one identity that it dialled, a server any of
//! its trust domain and says which. Keys are logged nowhere: `SSLKEYLOGFILE` is rustls' opt-in, and we do not.

pub mod channel;
mod configs;
pub(crate) mod der;
mod failure;
mod handshake;
pub mod inbound;
mod key;
mod leaf;
pub mod record;
mod roots;
mod session;
pub mod shake;
mod spiffe;
mod stream;
mod verify;

pub use configs::{Configs, Credentials, Identity, MESH_PROTOCOL, provider, uncertified};
pub use failure::HandshakeFailure;
pub use handshake::{HANDSHAKE_TIME, accept, connect};
pub use key::Key;
pub(crate) use leaf::{SUBJECT_ALTERNATIVE_NAME, URI};
pub use roots::{Fingerprint, MOST_BUNDLE, Roots, fingerprint};
pub use spiffe::{NotSpiffe, SpiffeId};
pub use stream::TlsStream;
pub use verify::MOST_CERTIFICATES;
