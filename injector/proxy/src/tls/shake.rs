//! Drives rustls through a handshake and takes the keys over from it.
//!
//! rustls' unbuffered connections do no input or output: they say what they need next, and in the end hand out the keys
//! (`rustls::kernel`), which its other connections do only for good, without new keys or tickets.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, HandshakeKind, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::session::Session;
use super::stream::{Shaken, TlsStream};

/// Bytes of one read: a client's or server's first flight with a chain of two certificates and a post-quantum key share.
const READ: usize = 4096;

/// Bytes of a peer's that may wait to be a whole message: its chain, 5 certificates (`MOST_CERTIFICATES`) of 5 KiB, is the
/// longest that it has.
const MOST: usize = 32 * 1024;

/// A finished handshake.
pub struct Handshake<S> {
    /// The encrypted connection.
    pub stream: TlsStream<S>,
    /// The peer's, the leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// What is spoken inside (ALPN).
    pub protocol: Option<Vec<u8>>,
}

/// Takes the client's part. The configuration must allow the extraction of secrets. An error that rustls found is
/// inside the returned one.
pub async fn client<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Handshake<S>> {
    let mut connection = UnbufferedClientConnection::new(config, name).map_err(tls)?;
    let mut wire = Wire::new(socket);
    wire.shake(&mut connection).await?;
    let told = Told::by(&connection);
    let (secrets, session) = connection.dangerous_into_kernel_connection().map_err(tls)?;
    wire.finish(Session::Client(session), secrets, told)
}

/// Takes the server's part, likewise.
pub async fn server<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    config: Arc<ServerConfig>,
) -> io::Result<Handshake<S>> {
    let mut connection = UnbufferedServerConnection::new(config).map_err(tls)?;
    let mut wire = Wire::new(socket);
    wire.shake(&mut connection).await?;
    let told = Told::by(&connection);
    let (secrets, session) = connection.dangerous_into_kernel_connection().map_err(tls)?;
    wire.finish(Session::Server(session), secrets, told)
}

fn tls(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What the handshake said of the peer.
struct Told {
    certificates: Vec<CertificateDer<'static>>,
    protocol: Option<Vec<u8>>,
    resumed: bool,
}

impl Told {
    fn by(connection: &CommonState) -> Self {
        Self {
            certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

/// Either of rustls' unbuffered connections.
trait Unbuffered {
    type Data;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something of its own making waits to be encoded.
    fn has_more_to_say(&self) -> bool;
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_more_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn has_more_to_say(&self) -> bool {
        self.wants_write()
    }
}

/// What rustls needs next.
enum Need {
    Nothing,
    Send,
    Receive,
    /// The handshake is done.
    Done,
}

/// The socket, with what is on its way in and out.
struct Wire<S> {
    socket: S,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    opened: Vec<u8>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(socket: S) -> Self {
        Self { socket, incoming: Vec::new(), outgoing: Vec::new(), opened: Vec::new(), ended: false }
    }

    async fn shake(&mut self, connection: &mut impl Unbuffered) -> io::Result<()> {
        loop {
            match self.step(connection) {
                Ok(Need::Nothing) => {}
                Ok(Need::Send) => self.send().await?,
                Ok(Need::Receive) => self.receive().await?,
                Ok(Need::Done) => return Ok(()),
                Err(error) => {
                    // An alert tells the peer why, if rustls has one; whether it arrives changes nothing. What came is not
                    // looked at again.
                    while connection.has_more_to_say() && self.step(connection).is_ok() {}
                    let _ = self.send().await;
                    return Err(error);
                }
            }
        }
    }

    fn step(&mut self, connection: &mut impl Unbuffered) -> io::Result<Need> {
        let UnbufferedStatus { discard, state } = connection.process(&mut self.incoming);
        let need = match state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing).map(|()| Need::Nothing),
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Need::Send)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Need::Receive),
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    self.opened.extend_from_slice(record.map_err(tls)?.payload);
                }
                Ok(Need::Nothing)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.ended = true;
                Ok(Need::Nothing)
            }
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Need::Done),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()), // early data and a finished connection: we offer neither
            Err(error) => Err(tls(error)),
        };
        self.incoming.drain(..discard);
        need
    }

    async fn send(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.outgoing).await?;
        self.outgoing.clear();
        self.socket.flush().await
    }

    async fn receive(&mut self) -> io::Result<()> {
        if self.incoming.len() >= MOST {
            return Err(tls(rustls::Error::General("a handshake's message of more than 32 KiB".into())));
        }
        self.incoming.reserve_exact(READ);
        match self.socket.read_buf(&mut self.incoming).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn finish(self, session: Session, secrets: rustls::ExtractedSecrets, told: Told) -> io::Result<Handshake<S>> {
        let Self { socket, incoming: begun, opened, ended, .. } = self;
        let Told { certificates, protocol, resumed } = told;
        let stream = TlsStream::new(Shaken { socket, session, secrets, begun, opened, ended, resumed })?;
        Ok(Handshake { stream, certificates, protocol })
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> io::Result<()> {
    let start = outgoing.len();
    // Asked with no room, it says how much it needs.
    if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
        outgoing.resize(start + needed.required_size, 0);
    }
    data.encode(&mut outgoing[start..]).map(|_| ()).map_err(io::Error::other)
}
