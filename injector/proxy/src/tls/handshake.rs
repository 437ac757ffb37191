//! Two proxies meet: each learns who the other is before a byte of the application's passes.

use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::configs::{Configs, MESH_PROTOCOL};
use super::failure::HandshakeFailure;
use super::leaf::Leaf;
use super::shake::{self, Handshake};
use super::spiffe::SpiffeId;
use super::stream::TlsStream;

// The state of a handshake is some 4 KiB. It is on the heap while it lasts: a connection's task keeps the size of its
// largest moment for as long as it lives.

/// Time for a handshake, from the TCP connection on. It has two round trips and half a millisecond of work; whoever needs
/// longer is overloaded or holds a place on purpose. Three retransmitted segments (1, 2, 4 s) fit.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Takes the server's part, and says who the client is.
pub async fn accept(tcp: TcpStream, configs: &Configs) -> Result<(TlsStream, SpiffeId), HandshakeFailure> {
    let shaking = Box::pin(shake::server(tcp, configs.server().clone()));
    let shaken = timeout(HANDSHAKE_TIME, shaking).await.map_err(|_| HandshakeFailure::Timeout)?;
    let shaken = shaken.map_err(|error| HandshakeFailure::of(&error))?;
    let client = peer(&shaken)?;
    Ok((shaken.stream, client))
}

/// Takes the client's part: nobody but `expected` is accepted.
pub async fn connect(tcp: TcpStream, expected: &SpiffeId, configs: &Configs) -> Result<TlsStream, HandshakeFailure> {
    let address = tcp.peer_addr().map_err(|_| HandshakeFailure::Closed)?.ip();
    let shaking = Box::pin(shake::client(tcp, configs.client(expected, address), expected.server_name()));
    let shaken = timeout(HANDSHAKE_TIME, shaking).await.map_err(|_| HandshakeFailure::Timeout)?;
    let shaken = shaken.map_err(|error| HandshakeFailure::of(&error))?;
    if peer(&shaken)? == *expected { Ok(shaken.stream) } else { Err(HandshakeFailure::WrongIdentity) }
}

/// Who a finished handshake is with. A resumed one has not been through the verifiers: its certificate was good when the
/// session began, and must still be.
fn peer(shaken: &Handshake<TcpStream>) -> Result<SpiffeId, HandshakeFailure> {
    if shaken.protocol.as_deref() != Some(MESH_PROTOCOL) {
        return Err(HandshakeFailure::OtherProtocol);
    }
    let leaf = shaken.certificates.first().ok_or(HandshakeFailure::NoCertificate)?;
    let leaf = Leaf::parse(leaf).ok_or(HandshakeFailure::BadCertificate)?;
    if shaken.stream.resumed() && leaf.not_after < SystemTime::now() {
        return Err(HandshakeFailure::Expired);
    }
    leaf.spiffe.ok_or(HandshakeFailure::WrongIdentity)
}
