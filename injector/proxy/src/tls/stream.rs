//! The encrypted end of a connection, as `copy` and the preface need it: bytes in, bytes out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes under TLS over one TCP connection.
///
/// An orderly end (`close_notify`) reads as the end of the data; a connection that ends without one is an error of kind
/// `UnexpectedEof`. Shutting down says `close_notify` and closes the sending half; reading goes on.
#[derive(Debug)]
pub struct TlsStream(tokio_rustls::TlsStream<TcpStream>);

impl TlsStream {
    pub(super) fn new(stream: impl Into<tokio_rustls::TlsStream<TcpStream>>) -> Self {
        Self(stream.into())
    }

    /// The connection underneath.
    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// Whether the handshake took up an earlier session.
    pub fn resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(super) fn session(&self) -> &rustls::CommonState {
        self.0.get_ref().1
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
