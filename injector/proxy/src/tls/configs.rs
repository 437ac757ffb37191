//! One certificate and one set of roots, made into what rustls needs; and the place where the current ones are.
//!
//! Tickets and sessions belong to a `Configs`. With another certificate or other roots comes another `Configs`, so no
//! session outlives a root, and nobody has to remember to forget.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::failure::HandshakeFailure;
use super::key::Key;
use super::leaf::Leaf;
use super::roots::{Fingerprint, Roots, fingerprint};
use super::spiffe::SpiffeId;
use super::verify::{ExpectedServer, TrustedClients};

/// What two proxies speak inside TLS (ALPN, RFC 7301). Another protocol is another name.
pub const MESH_PROTOCOL: &[u8] = b"injector/1";
/// HTTP/2, which gRPC to the control plane runs on (RFC 9113, 3.2).
const CONTROL_PROTOCOL: &[u8] = b"h2";

/// Servers whose sessions are kept. Each holds at most 8 tickets (rustls' limit) of some 2 KiB, so 8 MiB at the very most;
/// who dials more servers than that handshakes in full with some.
const MOST_SERVERS: usize = 512;

/// Tickets that a connection leaves for the next ones. Each takes up one, so as many stay as there were connections at
/// once; a second ticket would only be made, sent and dropped.
const TICKETS: usize = 1;

/// The cryptography of the mesh: TLS 1.3 suites, and a key exchange that a later quantum computer does not undo first.
///
/// AES-128 before AES-256: the session is no stronger than its P-256 certificates, and a fast stream costs a fifth less.
/// ChaCha20 is for peers without AES instructions.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    })
}

/// Who we are to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name in the certificate.
    pub spiffe: SpiffeId,
    /// The certificate's first moment.
    pub not_before: SystemTime,
    /// The certificate's last moment.
    pub not_after: SystemTime,
    /// What the certificate that signed ours is called.
    pub issuer: Fingerprint,
}

impl Identity {
    /// What a chain says (DER, the leaf first, then its issuer), or what is wrong with it, for a person.
    pub fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let [first, issuer, ..] = chain else {
            return Err(format!("expected a leaf and its issuer, got {} certificates", chain.len()));
        };
        let leaf = Leaf::parse(first).ok_or("the leaf is no certificate")?;
        let spiffe = leaf.spiffe.ok_or("the leaf does not hold exactly one SPIFFE identity")?;
        Ok(Self { spiffe, not_before: leaf.not_before, not_after: leaf.not_after, issuer: fingerprint(issuer) })
    }
}

/// Everything for handshakes in one name under one set of roots.
pub struct Configs {
    identity: Identity,
    roots: Roots,
    provider: Arc<CryptoProvider>,
    own: Arc<CertifiedKey>,
    server: Arc<ServerConfig>,
    /// One for each server, with sessions of its own, so that none is ever resumed with another identity. Pods of one
    /// identity are several servers: a ticket is of use only at the one that made it.
    clients: Mutex<HashMap<(SpiffeId, IpAddr), Arc<ClientConfig>>>,
}

impl Configs {
    /// For this chain (DER, the leaf first, then its issuer), its key and these roots. The error says what does not fit.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: &Key, roots: Roots) -> Result<Self, String> {
        let (provider, identity) = (provider(), Identity::of(&chain)?);
        let own = Arc::new(CertifiedKey::new(chain, key.signing()?));
        own.keys_match().map_err(|error| format!("the certificate is not this key's: {error}"))?;
        let server = Arc::new(server_config(&provider, &own, &roots, &identity.spiffe)?);
        Ok(Self { identity, roots, provider, own, server, clients: Mutex::default() })
    }

    /// Who we are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whom we trust.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Whether others with the same roots and our clock would accept us.
    pub fn check_own(&self) -> Result<(), HandshakeFailure> {
        let expected =
            ExpectedServer::new(self.roots.clone(), self.identity.spiffe.clone(), Arc::clone(&self.provider));
        let [leaf, intermediates @ ..] = &self.own.cert[..] else { return Err(HandshakeFailure::NoCertificate) };
        let dialled = self.identity.spiffe.server_name();
        let checked = expected.verify_server_cert(leaf, intermediates, &dialled, &[], UnixTime::now());
        checked.map(drop).map_err(|error| HandshakeFailure::of_tls(&error))
    }

    /// For connections that others open to us.
    pub fn server(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    /// For connections to the proxy of this identity at this address.
    pub fn client(&self, expected: &SpiffeId, address: IpAddr) -> Arc<ClientConfig> {
        let server = (expected.clone(), address);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&server) {
            return Arc::clone(client);
        }
        if clients.len() >= MOST_SERVERS
            && let Some(any) = clients.keys().next().cloned()
        {
            clients.remove(&any);
        }
        let client = Arc::new(self.mesh_client(expected));
        clients.insert(server, Arc::clone(&client));
        client
    }

    fn mesh_client(&self, expected: &SpiffeId) -> ClientConfig {
        let mut config = client_config(&self.provider, &self.roots, expected, Some(&self.own));
        config.alpn_protocols = vec![MESH_PROTOCOL.to_vec()];
        config.resumption = Resumption::in_memory_sessions(1); // one server
        config.enable_secret_extraction = true; // for our own records
        config
    }

    /// For a connection to the control plane, with our certificate. No sessions: it is opened once an hour.
    pub fn control(&self, expected: &SpiffeId) -> ClientConfig {
        control_config(&self.provider, &self.roots, expected, Some(&self.own))
    }
}

impl fmt::Debug for Configs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Configs({:?})", self.identity)
    }
}

/// For a connection to the issuer: whoever asks for a certificate shows none.
pub fn uncertified(roots: &Roots, expected: &SpiffeId) -> ClientConfig {
    control_config(&provider(), roots, expected, None)
}

fn control_config(
    provider: &Arc<CryptoProvider>,
    roots: &Roots,
    expected: &SpiffeId,
    own: Option<&Arc<CertifiedKey>>,
) -> ClientConfig {
    let mut config = client_config(provider, roots, expected, own);
    config.alpn_protocols = vec![CONTROL_PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: &Roots,
    expected: &SpiffeId,
    own: Option<&Arc<CertifiedKey>>,
) -> ClientConfig {
    let verifier = ExpectedServer::new(roots.clone(), expected.clone(), Arc::clone(provider));
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .dangerous() // so rustls calls every verifier but its own
        .with_custom_certificate_verifier(Arc::new(verifier));
    match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own)))),
        None => builder.with_no_client_auth(),
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    own: &Arc<CertifiedKey>,
    roots: &Roots,
    identity: &SpiffeId,
) -> Result<ServerConfig, String> {
    let verifier = TrustedClients::new(roots, identity.trust_domain().to_owned(), Arc::clone(provider))?;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    config.alpn_protocols = vec![MESH_PROTOCOL.to_vec()];
    // Tickets hold the client's chain and are sealed with a key that only this `Configs` has; nothing is kept here.
    config.ticketer = Ticketer::new().map_err(|error| format!("no key for session tickets: {error}"))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    config.enable_secret_extraction = true; // for our own records
    Ok(config)
}

/// The current `Configs`, for whoever opens or accepts a connection. What is open keeps what it began with.
#[derive(Debug)]
pub struct Credentials(RwLock<Arc<Configs>>);

impl Credentials {
    /// Begins with these.
    pub fn new(configs: Configs) -> Self {
        Self(RwLock::new(Arc::new(configs)))
    }

    /// Those to use now.
    pub fn current(&self) -> Arc<Configs> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on others.
    pub fn replace(&self, configs: Configs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configs);
    }
}
