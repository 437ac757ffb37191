//! Half of a pair for `scripts/bench tls`: plain TCP on one side, mutual TLS on the other, and nothing else of the proxy.
//!
//! `tls_pair client|server LISTEN TO CERTIFICATES GROUP SESSIONS [LAYER]`, where CERTIFICATES is a directory with
//! `chain.pem`, `key.pem` and `roots.pem`, GROUP is `X25519` or `X25519MLKEM768`, SESSIONS `full` or `resumed`, and LAYER
//! who makes the records: `ours` (if left out) or `rustls`, by tokio-rustls.

use std::io;
use std::path::Path;
use std::sync::Arc;

use injector_proxy::copy::{Leg, relay};
use injector_proxy::dial::tune;
use injector_proxy::tls::shake;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error>;

/// The name in the server's certificate.
const SERVER_NAME: &str = "server.bench.id.cluster.local";

#[derive(Clone)]
enum Role {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [role, listen, to, certificates, group, sessions, layer @ ..] = words.as_slice() else {
        return Err("expected: client|server LISTEN TO CERTIFICATES GROUP full|resumed [ours|rustls]".into());
    };
    let (provider, resumed) = (provider(group)?, *sessions == "resumed");
    let role = match *role {
        "client" => Role::Client(Arc::new(client(Path::new(certificates), provider, resumed)?)),
        "server" => Role::Server(Arc::new(server(Path::new(certificates), provider, resumed)?)),
        other => return Err(format!("expected client or server, got {other}").into()),
    };
    let (ours, to) = (layer != ["rustls"], (*to).to_owned());
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (accepted, _) = listener.accept().await?;
        let (role, to) = (role.clone(), to.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(accepted, &to, role, ours).await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}

async fn carry(accepted: TcpStream, to: &str, role: Role, ours: bool) -> io::Result<()> {
    tune(&accepted)?;
    match role {
        Role::Client(config) => {
            let name = ServerName::try_from(SERVER_NAME).expect("a DNS name");
            let dialled = dial(to).await?;
            if ours {
                join(accepted, shake::client(dialled, config, name).await?.stream).await
            } else {
                join(accepted, Theirs(tokio_rustls::TlsConnector::from(config).connect(name, dialled).await?)).await
            }
        }
        Role::Server(config) if ours => {
            let stream = shake::server(accepted, config).await?.stream;
            join(stream, dial(to).await?).await
        }
        Role::Server(config) => {
            let stream = tokio_rustls::TlsAcceptor::from(config).accept(accepted).await?;
            join(Theirs(stream), dial(to).await?).await
        }
    }
}

async fn dial(to: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    tune(&stream)?;
    Ok(stream)
}

async fn join(mut opener: impl Leg, mut target: impl Leg) -> io::Result<()> {
    relay(&mut opener, &mut target, |_| {}).await
}

/// tokio-rustls' stream as an end of a relay.
struct Theirs<T>(T);

impl<T: AsyncRead + AsyncWrite + Unpin> Leg for Theirs<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Theirs<T> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Theirs<T> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn provider(group: &str) -> Result<Arc<CryptoProvider>, Failure> {
    let group = match group {
        "X25519" => kx_group::X25519,
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        other => return Err(format!("expected X25519 or X25519MLKEM768, got {other}").into()),
    };
    Ok(Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![group],
        ..aws_lc_rs::default_provider()
    }))
}

type Certificates = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, RootCertStore);

fn certificates(directory: &Path) -> Result<Certificates, Failure> {
    let chain = CertificateDer::pem_file_iter(directory.join("chain.pem"))?.collect::<Result<_, _>>()?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(directory.join("roots.pem"))? {
        roots.add(root?)?;
    }
    Ok((chain, PrivateKeyDer::from_pem_file(directory.join("key.pem"))?, roots))
}

fn client(directory: &Path, provider: Arc<CryptoProvider>, resumed: bool) -> Result<ClientConfig, Failure> {
    let (chain, key, roots) = certificates(directory)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.enable_secret_extraction = true;
    if !resumed {
        config.resumption = Resumption::disabled();
    }
    Ok(config)
}

fn server(directory: &Path, provider: Arc<CryptoProvider>, resumed: bool) -> Result<ServerConfig, Failure> {
    let (chain, key, roots) = certificates(directory)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.enable_secret_extraction = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if resumed {
        config.ticketer = Ticketer::new()?;
    } else {
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
