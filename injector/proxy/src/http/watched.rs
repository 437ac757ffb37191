//! A client whose bytes are passed on before it is known what they are.
//!
//! Text that does not end its first line could still become a request: it is passed on as it comes, for nobody knows what
//! protocol waits for an answer there, and watched. One that becomes a request after all is cut: its head went through
//! unchecked, and with it could go names that only the mesh gives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::detect::{Guess, guess};
use crate::connection::End;
use crate::copy::{Chunk, Fill, Leg};

/// See the module.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    /// What has come so far, until it is decided.
    seen: Option<Vec<u8>>,
}

impl<S: End> Watched<S> {
    /// Watches what comes behind `seen`.
    pub fn new(inner: S, seen: &[u8]) -> Self {
        Self { inner, seen: Some(seen.to_vec()) }
    }

    fn see<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]>) -> io::Result<()> {
        let Some(seen) = &mut self.seen else { return Ok(()) };
        for piece in pieces {
            seen.extend_from_slice(piece);
        }
        match guess(seen) {
            Guess::More => Ok(()),
            Guess::Opaque => {
                self.seen = None;
                Ok(())
            }
            Guess::Http1 | Guess::Http2 => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl<S: End> End for Watched<S> {
    fn tcp(&self) -> &TcpStream {
        self.inner.tcp()
    }
}

impl<S: End> Leg for Watched<S> {
    const CUT: bool = S::CUT;

    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize, cut: bool) -> Poll<io::Result<Fill>> {
        let fill = ready!(self.inner.poll_fill(cx, chunk, most, cut))?;
        self.see(chunk.pieces())?;
        Poll::Ready(Ok(fill))
    }

    fn seal(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        self.inner.seal(chunk)
    }

    fn poll_put(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.inner.poll_put(cx, slices)
    }

    fn broken(&self) -> Option<io::Error> {
        self.inner.broken()
    }

    fn tell(&mut self, cx: &mut Context<'_>) {
        self.inner.tell(cx);
    }
}

impl<S: End> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.see(std::iter::once(&buffer.filled()[before..]))?;
        Poll::Ready(Ok(()))
    }
}

impl<S: End> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
