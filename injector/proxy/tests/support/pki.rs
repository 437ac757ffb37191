//! Certificate authorities as the mesh has them, and as an attacker would like them.

use std::sync::Arc;

use injector_proxy::tls::{Configs, Key, Roots, SpiffeId};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SanType, SubjectPublicKeyInfo,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use time::{Duration, OffsetDateTime};

/// The trust domain of everybody who belongs here.
pub const DOMAIN: &str = "cluster.local";

/// A root and the issuer under it.
pub struct Authority {
    /// The root's certificate as a file has it.
    pub root_pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// The issuer's certificate.
    pub issuer_der: CertificateDer<'static>,
}

/// What a leaf says; the default is a good one.
pub struct Leaf {
    pub uris: Vec<String>,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub purposes: Vec<ExtendedKeyUsagePurpose>,
}

impl Leaf {
    /// As the issuer makes it: five minutes old, valid for a day.
    pub fn of(account: &str) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            uris: vec![identity(account).to_string()],
            not_before: now - Duration::minutes(5),
            not_after: now + Duration::hours(24),
            purposes: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    /// As if the issuer's clock were so far ahead.
    pub fn shifted(mut self, ahead: Duration) -> Self {
        self.not_before += ahead;
        self.not_after += ahead;
        self
    }
}

/// `account` in the namespace `shop`.
pub fn identity(account: &str) -> SpiffeId {
    SpiffeId::new(DOMAIN, "shop", account).unwrap()
}

impl Authority {
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = ca("root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let issuer_key = KeyPair::generate().unwrap();
        let issuer_params = ca("issuer");
        let issuer_der = issuer_params.signed_by(&issuer_key, &root_issuer).unwrap().der().clone();
        Self { root_pem: root.pem(), issuer: Issuer::new(issuer_params, issuer_key), issuer_der }
    }

    pub fn roots(&self) -> Roots {
        Roots::parse(self.root_pem.as_bytes()).unwrap()
    }

    /// A chain for a public key (SubjectPublicKeyInfo, DER), the leaf first.
    pub fn sign(&self, public: &[u8], leaf: &Leaf) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        let uri = |text: &String| SanType::URI(Ia5String::try_from(text.as_str()).unwrap());
        params.subject_alt_names = leaf.uris.iter().map(uri).collect();
        (params.not_before, params.not_after) = (leaf.not_before, leaf.not_after);
        params.extended_key_usages.clone_from(&leaf.purposes);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let public = SubjectPublicKeyInfo::from_der(public).unwrap();
        vec![params.signed_by(&public, &self.issuer).unwrap().der().clone(), self.issuer_der.clone()]
    }

    /// A proxy with such a leaf that trusts this authority.
    pub fn with(&self, leaf: &Leaf) -> Configs {
        proxy_of(self, leaf, self.roots())
    }

    /// A good proxy.
    pub fn good(&self, account: &str) -> Configs {
        self.with(&Leaf::of(account))
    }
}

/// A proxy with a leaf of one authority that trusts others.
pub fn proxy_of(issuer: &Authority, leaf: &Leaf, roots: Roots) -> Configs {
    let key = Key::generate().unwrap();
    Configs::new(issuer.sign(key.public().unwrap().as_ref(), leaf), &key, roots).unwrap()
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A chain with any leaf at all, for peers that are not ours.
pub fn bearer(issuer: &Authority, leaf: &Leaf) -> Arc<SingleCertAndKey> {
    let key = KeyPair::generate().unwrap();
    presented(issuer.sign(&key.subject_public_key_info(), leaf), &key)
}

/// A good leaf with so many certificates behind it, each of which could be the one before's issuer.
pub fn trailer(issuer: &Authority, account: &str, behind: usize) -> Arc<SingleCertAndKey> {
    let key = KeyPair::generate().unwrap();
    let mut chain = issuer.sign(&key.subject_public_key_info(), &Leaf::of(account));
    chain.resize(1 + behind, issuer.issuer_der.clone());
    presented(chain, &key)
}

/// Somebody else's chain, without its key.
pub fn thief(issuer: &Authority, account: &str) -> Arc<SingleCertAndKey> {
    let victim = KeyPair::generate().unwrap();
    let chain = issuer.sign(&victim.subject_public_key_info(), &Leaf::of(account));
    presented(chain, &KeyPair::generate().unwrap())
}

fn presented(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<SingleCertAndKey> {
    let signing = any_ecdsa_type(&PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, signing)))
}

/// Accepts whoever answers, as an attacker's client does.
#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A client of rustls' own making, without our rules.
pub fn careless_client(
    version: &'static SupportedProtocolVersion,
    protocol: Option<&str>,
    shown: Option<Arc<SingleCertAndKey>>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless));
    let mut config = match shown {
        Some(shown) => builder.with_client_cert_resolver(shown),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A server of rustls' own making that asks clients for nothing.
pub fn careless_server(
    version: &'static SupportedProtocolVersion,
    protocol: Option<&str>,
    shown: Arc<SingleCertAndKey>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_no_client_auth();
    let mut config = builder.with_cert_resolver(shown);
    config.alpn_protocols = protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
