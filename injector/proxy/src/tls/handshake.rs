//! Two proxies meet: each learns who the other is before a byte of the application's passes.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::configs::{Configs, MESH_PROTOCOL};
use super::failure::HandshakeFailure;
use super::leaf::Leaf;
use super::spiffe::SpiffeId;
use super::stream::TlsStream;

// The state of a handshake is some 4 KiB. It is on the heap while it lasts: a connection's task keeps the size of its
// largest moment for as long as it lives.

/// Time for a handshake, from the TCP connection on. It has two round trips and half a millisecond of work; whoever needs
/// longer is overloaded or holds a place on purpose. Three retransmitted segments (1, 2, 4 s) fit.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Takes the server's part, and says who the client is.
pub async fn accept(tcp: TcpStream, configs: &Configs) -> Result<(TlsStream, SpiffeId), HandshakeFailure> {
    let acceptor = TlsAcceptor::from(configs.server().clone());
    let stream =
        timeout(HANDSHAKE_TIME, Box::pin(acceptor.accept(tcp))).await.map_err(|_| HandshakeFailure::Timeout)?;
    let stream = TlsStream::new(stream.map_err(|error| HandshakeFailure::of(&error))?);
    let client = peer(&stream)?;
    Ok((stream, client))
}

/// Takes the client's part: nobody but `expected` is accepted.
pub async fn connect(tcp: TcpStream, expected: &SpiffeId, configs: &Configs) -> Result<TlsStream, HandshakeFailure> {
    let address = tcp.peer_addr().map_err(|_| HandshakeFailure::Closed)?.ip();
    let connector = TlsConnector::from(configs.client(expected, address));
    let connecting = Box::pin(connector.connect(expected.server_name(), tcp));
    let stream = timeout(HANDSHAKE_TIME, connecting).await.map_err(|_| HandshakeFailure::Timeout)?;
    let stream = TlsStream::new(stream.map_err(|error| HandshakeFailure::of(&error))?);
    if peer(&stream)? == *expected { Ok(stream) } else { Err(HandshakeFailure::WrongIdentity) }
}

/// Who a finished handshake is with. A resumed one has not been through the verifiers: its certificate was good when the
/// session began, and must still be.
fn peer(stream: &TlsStream) -> Result<SpiffeId, HandshakeFailure> {
    let session = stream.session();
    if session.alpn_protocol() != Some(MESH_PROTOCOL) {
        return Err(HandshakeFailure::OtherProtocol);
    }
    let leaf =
        session.peer_certificates().and_then(<[CertificateDer]>::first).ok_or(HandshakeFailure::NoCertificate)?;
    let leaf = Leaf::parse(leaf).ok_or(HandshakeFailure::BadCertificate)?;
    if stream.resumed() && leaf.not_after < SystemTime::now() {
        return Err(HandshakeFailure::Expired);
    }
    leaf.spiffe.ok_or(HandshakeFailure::WrongIdentity)
}
