//! The first bytes of a connection between two proxies: what it carries, and to which port of the pod.
//!
//! ```text
//!  0       1       2       3       4         5         6       7
//! +-------+-------+-------+-------+---------+---------+---------------+
//! |  'I'  |  'N'  |  'J'  |   1   | protocol| options | port          |
//! +-------+-------+-------+-------+---------+---------+---------------+
//! ```
//!
//! Then `options` units of four bytes, which nobody has defined yet and everybody skips; then the application's bytes.
//! Both ends of the connection have proven who they are before; still nothing here is taken on trust.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::metrics::Labelled;

/// Bytes of a preface without options.
pub const LENGTH: usize = 8;

const MAGIC: [u8; 4] = *b"INJ\x01";
const OPTION_UNIT: usize = 4;
/// Bytes of options at most: their length is one byte, in units of four.
const MOST_OPTIONS: usize = u8::MAX as usize * OPTION_UNIT;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// Bytes of one connection.
    Opaque = 0,
    /// Messages of HTTP/1, many at once (`http::mux`).
    Http1 = 1,
    /// HTTP/2.
    Http2 = 2,
}

/// What the opener of a connection says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preface {
    /// What it carries.
    pub protocol: Protocol,
    /// Where it goes: a port of the pod that was dialled.
    pub port: u16,
}

/// Why a preface is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Other bytes, or a version that does not exist.
    Magic,
    /// A protocol that this proxy cannot carry.
    Protocol,
    /// Port 0 is no port.
    Port,
    /// It ended, or broke, before it was whole.
    Cut,
}

impl Labelled for Fault {
    const ALL: &'static [Self] = &[Self::Magic, Self::Protocol, Self::Port, Self::Cut];

    fn index(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::Protocol => "protocol",
            Self::Port => "port",
            Self::Cut => "cut",
        }
    }
}

impl Preface {
    /// The bytes to send.
    pub fn encode(self) -> [u8; LENGTH] {
        let [high, low] = self.port.to_be_bytes();
        [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], self.protocol as u8, 0, high, low]
    }

    /// The preface in its eight bytes, and how many bytes of options follow.
    pub fn decode(bytes: [u8; LENGTH]) -> Result<(Self, usize), Fault> {
        let [m0, m1, m2, m3, protocol, options, high, low] = bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(Fault::Magic);
        }
        let protocol = match protocol {
            0 => Protocol::Opaque,
            1 => Protocol::Http1,
            2 => Protocol::Http2,
            _ => return Err(Fault::Protocol),
        };
        match u16::from_be_bytes([high, low]) {
            0 => Err(Fault::Port),
            port => Ok((Self { protocol, port }, usize::from(options) * OPTION_UNIT)),
        }
    }
}

/// Reads a preface, its options included, and not a byte of what follows. Bytes may come one at a time.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Preface, Fault> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes).await.map_err(|_| Fault::Cut)?;
    let (preface, options) = Preface::decode(bytes)?;
    if options > 0 {
        let mut skipped = [0; MOST_OPTIONS];
        stream.read_exact(&mut skipped[..options]).await.map_err(|_| Fault::Cut)?;
    }
    Ok(preface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::task::{Context, Poll, Waker};

    const GOOD: [u8; LENGTH] = [0x49, 0x4e, 0x4a, 1, 0, 0, 0x1f, 0x90];
    const OPAQUE_8080: Preface = Preface { protocol: Protocol::Opaque, port: 8080 };

    /// Reads from bytes that are all there or end: nothing to wait for.
    fn read_all(mut bytes: &[u8]) -> (Result<Preface, Fault>, &[u8]) {
        let read = match std::pin::pin!(read(&mut bytes)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => unreachable!("a slice is always ready"),
        };
        (read, bytes)
    }

    #[test]
    fn the_bytes_are_the_contracts() {
        assert_eq!(OPAQUE_8080.encode(), GOOD);
        assert_eq!(read_all(b"INJ\x01\0\0\x1f\x90GET /"), (Ok(OPAQUE_8080), &b"GET /"[..]));
    }

    #[test]
    fn options_that_nobody_knows_are_skipped() {
        let mut bytes = vec![0x49, 0x4e, 0x4a, 1, 0, 255, 0x1f, 0x90];
        bytes.extend(vec![9; 1020]);
        bytes.extend(b"data");
        assert_eq!(read_all(&bytes), (Ok(OPAQUE_8080), &b"data"[..]));
    }

    #[test]
    fn malformed_ones_are_refused() {
        for (bytes, fault) in [
            (&b""[..], Fault::Cut),
            (b"INJ\x01\0\0\x1f", Fault::Cut),
            (b"INJ\x01\0\x01\x1f\x90abc", Fault::Cut),
            (b"INJ\x02\0\0\x1f\x90", Fault::Magic),
            (b"INK\x01\0\0\x1f\x90", Fault::Magic),
            (b"inj\x01\0\0\x1f\x90", Fault::Magic),
            (b"GET / HTTP/1.1\r\n", Fault::Magic),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc", Fault::Magic),
            (b"INJ\x01\x03\0\x1f\x90", Fault::Protocol),
            (b"INJ\x01\xff\0\x1f\x90", Fault::Protocol),
            (b"INJ\x01\0\0\0\0", Fault::Port),
        ] {
            assert_eq!(read_all(bytes).0, Err(fault), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn bytes_may_come_one_at_a_time() {
        let (mut writer, mut reader) = tokio::io::duplex(1);
        let writing = async {
            for byte in GOOD {
                tokio::io::AsyncWriteExt::write_all(&mut writer, &[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(tokio::join!(writing, read(&mut reader)).1, Ok(OPAQUE_8080));
    }

    proptest! {
        #[test]
        fn every_port_and_protocol_comes_back(port in 1u16.., protocol in 0usize..3) {
            let protocol = [Protocol::Opaque, Protocol::Http1, Protocol::Http2][protocol];
            let preface = Preface { protocol, port };
            prop_assert_eq!(Preface::decode(preface.encode()), Ok((preface, 0)));
        }

        #[test]
        fn hostile_bytes_are_refused_or_leave_the_rest(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (result, rest) = read_all(&bytes);
            if result.is_ok() {
                prop_assert_eq!(rest.len(), bytes.len() - LENGTH - usize::from(bytes[5]) * OPTION_UNIT);
            }
        }
    }
}
