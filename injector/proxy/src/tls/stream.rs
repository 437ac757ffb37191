//! The encrypted end of a connection: what `copy` carries bytes to and from, and everybody else reads and writes.
//!
//! While nothing is under way a stream holds keys and no buffer: records are opened and sealed in the thread's one buffer
//! (`copy`), and only what is not whole, not asked for or not taken yet is kept.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use rustls::ExtractedSecrets;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::inbound::{Event, Inbound, close_notify, key_update};
use super::record::{CONTENT, Fault, HEAD, Kind, LONGEST, Opener, RECORD, Sealer, TAIL};
use super::session::Session;
use crate::copy::{Chunk, Fill, LEAST, Leg, poll_put, with_buffer};

/// Bytes under TLS over one TCP connection.
///
/// An orderly end (`close_notify`) reads as the end of the data; a connection that ends without one is an error of kind
/// `UnexpectedEof`. Shutting down says `close_notify` and closes the sending half; reading goes on.
pub struct TlsStream<S = TcpStream> {
    socket: S,
    resumed: bool,
    session: Session,
    inbound: Inbound,
    hearing: Hearing,
    /// The beginning of a record.
    begun: Vec<u8>,
    /// Opened, and not asked for yet.
    opened: Kept,
    sealer: Sealer,
    /// The peer asked for our next keys; it must hear of them before our next content (section 4.6.3).
    owes_keys: bool,
    /// Nothing more will be said: close_notify or another alert has been.
    silent: bool,
    /// Sealed, and not taken by the socket yet.
    sealed: Kept,
}

/// What may still come from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Open,
    /// It has said all.
    Ended,
    /// It cannot be listened to any more.
    Broken(Fault),
}

/// Bytes that wait, from `at` on. Holds no memory when none do.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    at: usize,
}

impl Kept {
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, count: usize) {
        self.at += count;
        if self.at == self.bytes.len() {
            *self = Self::default();
        }
    }
}

impl From<Vec<u8>> for Kept {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }
}

/// What a handshake hands over, besides the keys.
pub(super) struct Shaken<S> {
    pub socket: S,
    pub session: Session,
    pub secrets: ExtractedSecrets,
    /// What came with the handshake's last bytes: the beginning of a record, and content that rustls has opened already.
    pub begun: Vec<u8>,
    pub opened: Vec<u8>,
    /// Whether close_notify came, too.
    pub ended: bool,
    pub resumed: bool,
}

impl<S> TlsStream<S> {
    pub(super) fn new(shaken: Shaken<S>) -> Result<Self, Fault> {
        let Shaken { socket, session, secrets, begun, opened, ended, resumed } = shaken;
        Ok(Self {
            socket,
            resumed,
            session,
            inbound: Inbound::new(Opener::new(secrets.rx.0, secrets.rx.1)?),
            hearing: if ended { Hearing::Ended } else { Hearing::Open },
            begun,
            opened: opened.into(),
            sealer: Sealer::new(secrets.tx.0, secrets.tx.1)?,
            owes_keys: false,
            silent: false,
            sealed: Kept::default(),
        })
    }

    /// The connection underneath.
    pub fn tcp(&self) -> &S {
        &self.socket
    }

    /// Whether the handshake took up an earlier session.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Opens what is whole in the first `filled` bytes of the chunk, keeps the rest, and lays out the content.
    fn open(&mut self, chunk: &mut Chunk, filled: usize) {
        chunk.clear();
        let mut at = 0;
        while self.hearing == Hearing::Open {
            let next = self.inbound.next(&mut chunk.bytes()[..filled], at);
            match next.and_then(|next| next.map(|(event, end)| self.heed(event, chunk).map(|()| end)).transpose()) {
                Ok(Some(end)) => at = end,
                Ok(None) => break,
                Err(fault) => self.hearing = Hearing::Broken(fault),
            }
        }
        self.begun = if self.hearing == Hearing::Open { chunk.bytes()[at..filled].to_vec() } else { Vec::new() };
    }

    fn heed(&mut self, event: Event, chunk: &mut Chunk) -> Result<(), Fault> {
        match event {
            Event::Content(content) => chunk.push(content),
            Event::Ticket(ticket) => self.session.keep_ticket(&ticket)?,
            Event::NewKeys { asks } => {
                self.inbound.rekey(self.session.next_opener()?);
                self.owes_keys |= asks;
            }
            Event::End => self.hearing = Hearing::Ended,
        }
        Ok(())
    }

    /// One record of our own, with something short in it.
    fn note(&mut self, kind: Kind, content: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut record = vec![0; HEAD + content.len() + TAIL];
        record[HEAD..HEAD + content.len()].copy_from_slice(content);
        self.sealer.seal(kind, &mut record)?;
        Ok(record)
    }

    /// Goes on to our next keys if it is time, and returns what tells the peer so, under the old ones.
    fn renew(&mut self) -> Result<Vec<u8>, Fault> {
        if !self.owes_keys && !self.sealer.is_worn() {
            return Ok(Vec::new());
        }
        let told = self.note(Kind::Handshake, &key_update())?;
        self.sealer = self.session.next_sealer()?;
        self.owes_keys = false;
        Ok(told)
    }

    /// Says the last thing that is said.
    fn fall_silent(&mut self, alert: [u8; 2]) -> Result<(), Fault> {
        if !mem::replace(&mut self.silent, true) {
            let note = self.note(Kind::Alert, &alert)?;
            self.sealed.bytes.extend_from_slice(&note);
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Reads until there is content or an end: from what was opened before, then from the socket.
    fn poll_content(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize) -> Poll<io::Result<Fill>> {
        chunk.clear();
        if !self.opened.waiting().is_empty() {
            let bytes = chunk.copy_from(self.opened.waiting());
            self.opened.take(bytes);
            return Poll::Ready(Ok(Fill { bytes, full: true }));
        }
        loop {
            match self.hearing {
                Hearing::Open => {}
                Hearing::Ended => return Poll::Ready(Ok(Fill { bytes: 0, full: false })),
                Hearing::Broken(fault) => return Poll::Ready(Err(fault.into())),
            }
            // As many whole records as `most` is contents, counted with what is there of the first.
            let (start, end) = (self.begun.len(), most.div_ceil(CONTENT) * RECORD);
            let end = if end > start { end } else { start + LONGEST };
            chunk.bytes()[..start].copy_from_slice(&self.begun);
            let mut room = ReadBuf::new(&mut chunk.bytes()[start..end]);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
            let came = room.filled().len();
            if came == 0 {
                self.hearing = Hearing::Broken(Fault::Cut);
                continue;
            }
            self.open(chunk, start + came);
            let bytes = chunk.len();
            if bytes > 0 {
                return Poll::Ready(Ok(Fill { bytes, full: start + came == end }));
            }
        }
    }

    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.sealed.waiting().is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, self.sealed.waiting()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sealed.take(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Leg> Leg for TlsStream<S> {
    const CUT: bool = true;

    fn broken(&self) -> Option<io::Error> {
        self.socket.broken()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, chunk: &mut Chunk, most: usize, _: bool) -> Poll<io::Result<Fill>> {
        self.poll_content(cx, chunk, most)
    }

    fn seal(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        if self.silent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // What was written and not taken before, then perhaps new keys, then this.
        let mut first = mem::take(&mut self.sealed).waiting().to_vec();
        first.extend_from_slice(&self.renew()?);
        chunk.frame(first, |record| self.sealer.seal(Kind::Data, record))?;
        Ok(())
    }

    fn poll_put(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_put(&mut self.socket, cx, slices)
    }

    fn tell(&mut self, cx: &mut Context<'_>) {
        const FATAL: u8 = 2;
        if let Hearing::Broken(fault) = self.hearing
            && let Some(alert) = fault.alert()
            && self.fall_silent([FATAL, alert]).is_ok()
        {
            // Once: the connection ends now, whether it was heard or not.
            let _ = self.poll_sealed(cx);
        }
    }
}

impl<S: Leg> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.opened.waiting().is_empty() {
            let content = with_buffer(|chunk| {
                ready!(this.poll_content(cx, chunk, LEAST))?;
                let mut surplus = Vec::new();
                for piece in chunk.pieces() {
                    let (asked, more) = piece.split_at(piece.len().min(buffer.remaining()));
                    buffer.put_slice(asked);
                    surplus.extend_from_slice(more);
                }
                this.opened = surplus.into();
                Poll::Ready(Ok(()))
            });
            if let Poll::Ready(Err(_)) = content {
                this.tell(cx);
            }
            return content;
        }
        let count = this.opened.waiting().len().min(buffer.remaining());
        buffer.put_slice(&this.opened.waiting()[..count]);
        this.opened.take(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: Leg> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_sealed(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        with_buffer(|chunk| {
            let count = chunk.copy_cut(bytes);
            this.seal(chunk)?;
            let (_, left) = chunk.write(|slices| this.poll_put(cx, slices))?;
            this.sealed = left.into_vec().into();
            Poll::Ready(Ok(count))
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sealed(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fall_silent(close_notify())?;
        ready!(self.poll_sealed(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsStream").field("hearing", &self.hearing).finish_non_exhaustive()
    }
}
