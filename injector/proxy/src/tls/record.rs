//! TLS 1.3 records (RFC 8446, section 5), sealed and opened where they lie.
//!
//! rustls shakes hands and keeps the secrets; what it hands out are the keys of the moment. Everything here is pure: bytes
//! and keys in, bytes out. A record in a buffer looks the same before sealing and after opening:
//!
//! ```text
//! | header 5 | content up to 16,384 | its type 1 | tag 16 |
//! ```

use std::{fmt, io};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{Iv, Nonce as RecordNonce};

/// Bytes of a record's header: type, version, length (section 5.1).
pub const HEAD: usize = 5;

/// Bytes of an AEAD tag, of every suite that TLS 1.3 has.
const TAG: usize = 16;

/// Bytes behind the content: its type and the tag (section 5.2).
pub const TAIL: usize = 1 + TAG;

/// Bytes of content in a record at most (section 5.1).
pub const CONTENT: usize = 1 << 14;

/// Bytes that the longest record of our own takes.
pub const RECORD: usize = HEAD + CONTENT + TAIL;

/// Bytes of the encrypted part at most: a peer may pad (section 5.2).
const ENCRYPTED: usize = CONTENT + 256;

/// Bytes that anybody's longest record takes.
pub const LONGEST: usize = HEAD + ENCRYPTED;

/// Records sealed with one key before the next is taken: AES-GCM must not seal more than 2^24.5 full ones (section 5.5).
/// Every 256 GiB, or 16 million small ones, a few microseconds: too little to know of suites that would last longer.
pub const KEY_LASTS: u64 = 1 << 24;

const LEGACY_VERSION: [u8; 2] = [3, 3];

/// What a record carries (section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A warning, an error or the end.
    Alert = 21,
    /// After the handshake: session tickets, new keys.
    Handshake = 22,
    /// The application's bytes.
    Data = 23,
}

/// Why what a peer sent is not taken. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No TLS, or a record that belongs into a handshake.
    NotARecord,
    /// Longer than any record may be.
    TooLong,
    /// Another key, or changed on its way, or too short to be anything.
    Undecryptable,
    /// Padding and nothing else, or a type that TLS does not know.
    UnknownContent,
    /// At the wrong time.
    Unexpected,
    /// Not as it should be built.
    Malformed,
    /// A stream of records without a byte of content.
    Idle,
    /// The keys are used up.
    Exhausted,
    /// The peer said why it ends.
    Told(u8),
    /// The transport ended before TLS did: what came may not be all.
    Cut,
}

impl Fault {
    /// The alert that tells the peer (section 6.2); none for what it said or cannot hear.
    pub fn alert(self) -> Option<u8> {
        match self {
            Self::NotARecord | Self::UnknownContent | Self::Unexpected | Self::Idle => Some(10), // unexpected_message
            Self::TooLong => Some(22),                                                           // record_overflow
            Self::Undecryptable => Some(20),                                                     // bad_record_mac
            Self::Malformed => Some(50),                                                         // decode_error
            Self::Exhausted => Some(80),                                                         // internal_error
            Self::Told(_) | Self::Cut => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotARecord => "expected an encrypted TLS 1.3 record, and something else came",
            Self::TooLong => "a record is longer than TLS allows",
            Self::Undecryptable => "a record cannot be decrypted: it was changed on its way",
            Self::UnknownContent => "a record has no content that TLS knows",
            Self::Unexpected => "a message of TLS came where it must not",
            Self::Malformed => "a message of TLS is malformed",
            Self::Idle => "too many records came without a byte of the application's",
            Self::Exhausted => "a key was used for as many records as it may be",
            Self::Cut => "the connection was cut: it ended without saying so",
            Self::Told(alert) => return write!(f, "the peer ended the connection with TLS alert {alert}"),
        })
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            // As rustls says it, so that a refusal that comes with the first read is known for one.
            Fault::Told(alert) => {
                Self::new(io::ErrorKind::ConnectionAborted, rustls::Error::AlertReceived(alert.into()))
            }
            Fault::Cut => Self::new(io::ErrorKind::UnexpectedEof, fault),
            _ => Self::new(io::ErrorKind::InvalidData, fault),
        }
    }
}

/// The length of the record that `bytes` begin with, header and all; `None` until the header is there.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some((&[kind, major, _minor, high, low], _)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    // Everything is encrypted by now; the compatibility messages of section 5, change_cipher_spec, end with the handshake.
    // The minor version is to be ignored.
    if kind != Kind::Data as u8 || major != LEGACY_VERSION[0] {
        return Err(Fault::NotARecord);
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        length if length > ENCRYPTED => Err(Fault::TooLong),
        length => Ok(Some(HEAD + length)),
    }
}

/// The keys of one direction, and how many records they have seen.
struct Keys {
    key: LessSafeKey,
    iv: Iv,
    records: u64,
}

impl Keys {
    fn new(records: u64, secrets: ConnectionTrafficSecrets) -> Result<Self, Fault> {
        let (algorithm, key, iv): (&'static Algorithm, _, _) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Fault::Exhausted),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Fault::Exhausted)?;
        Ok(Self { key: LessSafeKey::new(key), iv, records })
    }

    /// The next record's nonce (section 5.3). A number that comes twice would give the key away, so it never wraps.
    fn nonce(&mut self) -> Result<Nonce, Fault> {
        let next = self.records.checked_add(1).ok_or(Fault::Exhausted)?;
        let nonce = RecordNonce::new(&self.iv, self.records);
        self.records = next;
        Ok(Nonce::assume_unique_for_key(nonce.0))
    }
}

/// Seals what is sent.
pub struct Sealer(Keys);

impl Sealer {
    /// With the secrets of the moment, `records` of which are used.
    pub fn new(records: u64, secrets: ConnectionTrafficSecrets) -> Result<Self, Fault> {
        Keys::new(records, secrets).map(Self)
    }

    /// Whether the key has lasted long enough. There is room behind the limit for a record that tells of the next.
    pub fn is_worn(&self) -> bool {
        self.0.records >= KEY_LASTS
    }

    /// Makes a record of `record`, whose content is there and whose `HEAD` and `TAIL` are still free.
    ///
    /// # Panics
    /// If it is longer than `RECORD` or too short for its frame.
    pub fn seal(&mut self, kind: Kind, record: &mut [u8]) -> Result<(), Fault> {
        assert!((HEAD + TAIL..=RECORD).contains(&record.len()), "a record of {} bytes", record.len());
        let nonce = self.0.nonce()?;
        let (head, rest) = record.split_at_mut(HEAD);
        let length = u16::try_from(rest.len()).map_err(|_| Fault::TooLong)?.to_be_bytes();
        head.copy_from_slice(&[Kind::Data as u8, LEGACY_VERSION[0], LEGACY_VERSION[1], length[0], length[1]]);
        let (inner, tag) = rest.split_at_mut(rest.len() - TAG);
        let last = inner.len() - 1;
        inner[last] = kind as u8;
        let sealed = self.0.key.seal_in_place_separate_tag(nonce, Aad::from(&*head), inner);
        tag.copy_from_slice(sealed.map_err(|_| Fault::Exhausted)?.as_ref());
        Ok(())
    }
}

/// Opens what is received.
pub struct Opener(Keys);

impl Opener {
    /// With the secrets of the moment, `records` of which are used.
    pub fn new(records: u64, secrets: ConnectionTrafficSecrets) -> Result<Self, Fault> {
        Keys::new(records, secrets).map(Self)
    }

    /// Opens one record, whole as `length` measured it, in place: what it carries, and how many bytes behind its head.
    pub fn open(&mut self, record: &mut [u8]) -> Result<(Kind, usize), Fault> {
        let nonce = self.0.nonce()?;
        let (head, encrypted) = record.split_at_mut_checked(HEAD).ok_or(Fault::Undecryptable)?;
        let opened = self.0.key.open_in_place(nonce, Aad::from(&*head), encrypted);
        let inner = opened.map_err(|_| Fault::Undecryptable)?;
        if inner.len() > CONTENT + 1 {
            return Err(Fault::TooLong); // padding counts, too
        }
        // The last byte that is not padding is the type (section 5.4).
        let at = inner.iter().rposition(|&byte| byte != 0).ok_or(Fault::UnknownContent)?;
        let kind = match inner[at] {
            21 => Kind::Alert,
            22 => Kind::Handshake,
            23 => Kind::Data,
            _ => return Err(Fault::UnknownContent),
        };
        Ok((kind, at))
    }
}

#[cfg(test)]
mod tests;
