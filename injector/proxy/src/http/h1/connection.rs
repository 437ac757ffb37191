//! What the fields say of the message's frame and of the connection, gathered line by line.

use super::bytes::{Span, trim};
use super::fields::{Class, Field, Fields, MOST_NOMINATED, is_mesh, is_token, reads_as};
use super::head::Version;
use super::refusal::Broken;

/// Digits of a Content-Length at most: 2^63 - 1 has 19, and many servers keep it in a signed number.
const MOST_DIGITS: usize = 19;

/// Options of Connection that classes take care of, whether they are named or not.
const KNOWN_OPTIONS: [&[u8]; 5] = [b"keep-alive", b"te", b"http2-settings", b"proxy-connection", b"connection"];

/// Names that Connection must not have removed: without them the message means something else.
const ESSENTIAL: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"host", b"expect"];

/// What has been said so far.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is said or not, whatever the others are")]
pub(super) struct Said {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
    /// The upgrade is to HTTP/2.
    pub h2c: bool,
    /// Whoever sent it waits for 100.
    pub expects_continue: bool,
    /// The first Host.
    pub host: Option<Span>,
    /// There is another.
    pub many_hosts: bool,
}

impl Said {
    /// Takes in one field.
    #[inline]
    pub fn note(&mut self, bytes: &[u8], field: &Field, fields: &mut Fields) -> Result<(), Broken> {
        if field.class == Class::Plain {
            return Ok(());
        }
        let value = field.value.of(bytes);
        match field.class {
            Class::ContentLength => match self.length.replace(content_length(value)?) {
                None => Ok(()),
                Some(_) => Err(Broken::ContentLength),
            },
            Class::TransferEncoding => self.transfer_encoding(value),
            Class::LookAlike => Err(Broken::LookAlike),
            Class::Connection => self.options(bytes, field.value, fields),
            _ => {
                self.note_lesser(field, value);
                Ok(())
            }
        }
    }

    fn note_lesser(&mut self, field: &Field, value: &[u8]) {
        match field.class {
            Class::Host if self.host.is_some() => self.many_hosts = true,
            Class::Host => self.host = Some(field.value),
            Class::Expect => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            Class::Upgrade => {
                self.upgrade_field |= !value.is_empty();
                self.h2c |= value.split(|&byte| byte == b',').any(|one| trim(one).eq_ignore_ascii_case(b"h2c"));
            }
            _ => {}
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Broken> {
        if self.chunked {
            return Err(Broken::TransferEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(other_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    fn options(&mut self, bytes: &[u8], value: Span, fields: &mut Fields) -> Result<(), Broken> {
        let mut start = value.start as usize;
        for member in value.of(bytes).split(|&byte| byte == b',') {
            let option = trim(member);
            let skipped = member.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let span = Span::new(start + skipped, start + skipped + option.len());
            start += member.len() + 1;
            match option {
                [] => {}
                _ if option.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_option = true,
                _ if !is_token(option) => return Err(Broken::Connection),
                _ if is_mesh(option) || ESSENTIAL.iter().any(|name| reads_as(option, name)) => {
                    return Err(Broken::Nominated);
                }
                _ if KNOWN_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known)) => {}
                _ if fields.nominated.len() == MOST_NOMINATED => return Err(Broken::Connection),
                _ => fields.nominated.push(span),
            }
        }
        Ok(())
    }

    /// What frames the body: chunks, or a number of bytes, or neither.
    pub fn framing(&self, version: Version) -> Result<Stated, Broken> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Broken::Two),
            (true, None) if version == Version::V10 => Err(Broken::Old),
            (true, None) => Ok(Stated::Chunked),
            (false, Some(length)) => Ok(Stated::Length(length)),
            (false, None) => Ok(Stated::Nothing),
        }
    }

    /// Whether the connection is to be used again (RFC 9112, section 9.3).
    pub fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::V11 || self.keep_alive)
    }

    /// Whether another protocol is asked for, or taken (RFC 9110, section 7.8).
    pub fn upgrades(&self, version: Version) -> bool {
        self.upgrade_field && self.upgrade_option && version == Version::V11
    }
}

/// What a head states of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stated {
    Chunked,
    Length(u64),
    Nothing,
}

/// A length: digits and nothing else (RFC 9110, section 8.6). A list of the same number, which the RFC allows to take,
/// is refused: there are servers that take the first and such that take none.
fn content_length(value: &[u8]) -> Result<u64, Broken> {
    if value.is_empty() || value.len() > MOST_DIGITS {
        return Err(Broken::ContentLength);
    }
    let mut length: u64 = 0;
    for byte in value {
        if !byte.is_ascii_digit() {
            return Err(Broken::ContentLength);
        }
        length = length * 10 + u64::from(byte - b'0'); // 19 digits are below 2^64
    }
    if i64::try_from(length).is_err() {
        return Err(Broken::ContentLength);
    }
    Ok(length)
}

/// Tells codings that exist, and that we do not carry, from what is no list of codings, or one that ends elsewhere.
fn other_coding(value: &[u8]) -> Broken {
    let mut chunked_at = None;
    let mut members = 0;
    for member in value.split(|&byte| byte == b',').map(trim) {
        if !is_token(member) || member.eq_ignore_ascii_case(b"identity") {
            return Broken::TransferEncoding;
        }
        if member.eq_ignore_ascii_case(b"chunked") && chunked_at.replace(members).is_some() {
            return Broken::TransferEncoding;
        }
        members += 1;
    }
    if chunked_at.is_none_or(|at| at + 1 == members) { Broken::Coding } else { Broken::TransferEncoding }
}
