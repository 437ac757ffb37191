//! What comes in after the handshake: the application's bytes, and what TLS has to say between them.
//!
//! Pure: bytes in, and out where the content lies and what the connection must do about it.

use std::ops::Range;

use super::record::{self, Fault, HEAD, Kind, Opener};

/// Records without content that may follow each other. A peer sends tickets at the start and new keys every 2^24 records;
/// who sends more keeps us busy for nothing. (OpenSSL, BoringSSL and rustls count to 32, too.)
const IDLE_RECORDS: u32 = 32;

/// Bytes of a message that comes in several records: the longest ticket with its frame (section 4.6.1).
const MESSAGE: usize = 1 << 17;

/// Types of handshake messages that may come now (section 4), and the bytes before each: type and length.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
const MESSAGE_HEAD: usize = 4;

/// Alerts that end nothing, or nothing but this direction (section 6.1).
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// What the connection must do before more is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing: this lies in the buffer for the application; may be empty.
    Content(Range<usize>),
    /// Keep a ticket for the next connection: the inside of a NewSessionTicket.
    Ticket(Vec<u8>),
    /// Take the peer's next keys; and before the next content of ours, tell of our own next ones if it `asks`.
    NewKeys {
        /// The peer wants new keys in the other direction, too.
        asks: bool,
    },
    /// The peer has said all: nothing after this counts.
    End,
}

/// One direction, from the peer to us.
pub struct Inbound {
    opener: Opener,
    /// Handshake messages that have begun and not ended.
    message: Vec<u8>,
    idle: u32,
}

impl Inbound {
    /// Opens with these keys.
    pub fn new(opener: Opener) -> Self {
        Self { opener, message: Vec::new(), idle: 0 }
    }

    /// Takes the peer's next keys, as `Event::NewKeys` demanded.
    pub fn rekey(&mut self, opener: Opener) {
        self.opener = opener;
    }

    /// Opens the record that begins at `at` in `bytes`, and says where it ends; `None` while it is not whole.
    pub fn next(&mut self, bytes: &mut [u8], at: usize) -> Result<Option<(Event, usize)>, Fault> {
        if let Some(message) = self.message()? {
            return Ok(Some((message, at)));
        }
        let Some(length) = record::length(&bytes[at..])? else { return Ok(None) };
        let end = at + length;
        let Some(record) = bytes.get_mut(at..end) else { return Ok(None) };
        let (kind, length) = self.opener.open(record)?;
        let content = at + HEAD..at + HEAD + length;
        self.idle = if kind == Kind::Data && length > 0 { 0 } else { self.idle + 1 };
        if self.idle > IDLE_RECORDS {
            return Err(Fault::Idle);
        }
        let event = match kind {
            // Messages must not be torn by other records (section 5.1).
            Kind::Data | Kind::Alert if !self.message.is_empty() => return Err(Fault::Unexpected),
            Kind::Data => Event::Content(content),
            Kind::Alert => alert(&bytes[content.clone()], content)?,
            Kind::Handshake if length == 0 => return Err(Fault::Unexpected),
            Kind::Handshake => {
                self.message.extend_from_slice(&bytes[content.clone()]);
                match self.message()? {
                    Some(event) => event,
                    None => Event::Content(content.start..content.start),
                }
            }
        };
        Ok(Some((event, end)))
    }

    /// The next of the messages that have come whole.
    fn message(&mut self) -> Result<Option<Event>, Fault> {
        let Some((&[kind, high, middle, low], rest)) = self.message.split_first_chunk::<MESSAGE_HEAD>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).map_err(|_| Fault::Malformed)?;
        let event = match (kind, rest.get(..length)) {
            (NEW_SESSION_TICKET, Some(ticket)) => Event::Ticket(ticket.to_vec()),
            (KEY_UPDATE, Some(&[asks @ (0 | 1)])) if rest.len() == 1 => Event::NewKeys { asks: asks == 1 },
            // Keys change between records (section 5.1): a message behind it would be under the wrong ones.
            (KEY_UPDATE, Some([0 | 1])) => return Err(Fault::Unexpected),
            (KEY_UPDATE, _) if length != 1 => return Err(Fault::Malformed),
            (NEW_SESSION_TICKET | KEY_UPDATE, None) if length <= MESSAGE => return Ok(None),
            (NEW_SESSION_TICKET | KEY_UPDATE, _) => return Err(Fault::Malformed),
            _ => return Err(Fault::Unexpected),
        };
        self.message.drain(..MESSAGE_HEAD + length);
        if self.message.is_empty() {
            self.message = Vec::new();
        }
        Ok(Some(event))
    }
}

/// What an alert means; `content` is where it lies. Its level is to be ignored (section 6).
fn alert(bytes: &[u8], content: Range<usize>) -> Result<Event, Fault> {
    match bytes {
        [_, CLOSE_NOTIFY] => Ok(Event::End),
        // It announces the close_notify that follows.
        [_, USER_CANCELED] => Ok(Event::Content(content.start..content.start)),
        [_, description] => Err(Fault::Told(*description)),
        _ => Err(Fault::Malformed),
    }
}

/// The alert that ends a direction.
pub const fn close_notify() -> [u8; 2] {
    [1, CLOSE_NOTIFY]
}

/// The message that tells of our next keys, and asks for none.
pub const fn key_update() -> [u8; 5] {
    [KEY_UPDATE, 0, 0, 1, 0]
}

#[cfg(test)]
mod tests;
