//! An issuer that does as it is told, behind real TLS and gRPC.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use injector_proxy::api::identity_server::{Identity, IdentityServer};
use injector_proxy::api::{CertifyRequest, CertifyResponse};
use injector_proxy::tls::SpiffeId;
use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::version::TLS13;
use time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Request, Response, Status};
use tower_service::Service as _;

use super::pki::{Authority, DOMAIN, Leaf, bearer, careless_server, identity};

/// What the issuer does with a request.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Certifies for so long.
    Good(Duration),
    /// Refuses like this.
    Refuse(Code),
    /// Says nothing.
    Hang,
    /// Certifies for a key of its own.
    OtherKey,
    /// Certifies somebody else.
    OtherName,
    /// Sends the leaf alone.
    Alone,
}

struct Inner {
    authority: Authority,
    mood: Mood,
    requests: Vec<CertifyRequest>,
}

/// Runs until the test's runtime ends.
#[derive(Clone)]
pub struct FakeIssuer {
    pub address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl FakeIssuer {
    /// At a free port, with a certificate as the ServiceAccount `account` of the system namespace.
    pub async fn start(authority: Authority, account: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut leaf = Leaf::of(account);
        leaf.uris = vec![SpiffeId::new(DOMAIN, "injector-system", account).unwrap().to_string()];
        let tls = Arc::new(careless_server(&TLS13, Some("h2"), bearer(&authority, &leaf)));
        let inner = Inner { authority, mood: Mood::Good(Duration::hours(24)), requests: Vec::new() };
        let issuer = Self { address: listener.local_addr().unwrap(), inner: Arc::new(Mutex::new(inner)) };
        let served = issuer.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&tls), served.clone()));
            }
        });
        issuer
    }

    pub fn behave(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
    }

    /// Signs with another authority from now on; its own certificate stays.
    pub fn sign_with(&self, authority: Authority) {
        self.inner.lock().unwrap().authority = authority;
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<CertifyRequest> {
        self.inner.lock().unwrap().requests.clone()
    }

    fn answer(&self, request: CertifyRequest) -> Option<Result<CertifyResponse, Status>> {
        let mut inner = self.inner.lock().unwrap();
        let csr = CertificateSigningRequestDer::from(request.csr.clone());
        let key = CertificateSigningRequestParams::from_der(&csr).unwrap().public_key.subject_public_key_info();
        inner.requests.push(request);
        let mut leaf = Leaf::of("web");
        let mut key = key;
        match inner.mood {
            Mood::Hang => return None,
            Mood::Refuse(code) => return Some(Err(Status::new(code, "as the test wants it"))),
            Mood::Good(life) => leaf.not_after = time::OffsetDateTime::now_utc() + life,
            Mood::OtherKey => key = rcgen::KeyPair::generate().unwrap().subject_public_key_info(),
            Mood::OtherName => leaf.uris = vec![identity("another").to_string()],
            Mood::Alone => {}
        }
        let mut chain: Vec<Vec<u8>> = inner.authority.sign(&key, &leaf).iter().map(|der| der.to_vec()).collect();
        if matches!(inner.mood, Mood::Alone) {
            chain.truncate(1);
        }
        let (not_before, not_after) = (leaf.not_before.unix_timestamp(), leaf.not_after.unix_timestamp());
        Some(Ok(CertifyResponse { chain, not_before, not_after }))
    }
}

async fn serve(tcp: TcpStream, tls: Arc<ServerConfig>, issuer: FakeIssuer) {
    let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
    let server = IdentityServer::new(issuer);
    let service = service_fn(move |request| server.clone().call(request));
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

#[tonic::async_trait]
impl Identity for FakeIssuer {
    async fn certify(&self, request: Request<CertifyRequest>) -> Result<Response<CertifyResponse>, Status> {
        match self.answer(request.into_inner()) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}
