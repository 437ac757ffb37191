//! What the first bytes of a connection are.
//!
//! What is not recognised passes as plain bytes, unchecked. So HTTP/1 is recognised here by what the most lenient
//! servers take for a request line, and not by what the RFC calls one: the strict parser refuses it afterwards. Python's
//! http.server, for one, splits the line at everything that Unicode calls white space, a lone CR included. Node and
//! whoever else parses with llhttp reads a line without a version, or with that of RTSP or ICE, as that of a request, and
//! the fields that follow it. RTSP has to be declared to be carried.

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// HTTP/1, well-formed or not.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Something else.
    Opaque,
    /// It cannot be said yet.
    More,
}

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a line that may go by before it is decided: twice the 8,000 that RFC 9112, section 3, asks everybody for. A
/// longer line is called HTTP/1 if it may still become a request, which must not pass unchecked: as long as it has no more
/// than two words, and if its second one could be a target. A long line that begins otherwise is text.
pub const MOST_LINE: usize = 16 * 1024;

const VERSION: &[u8; 5] = b"HTTP/";

/// What the connection carries that begins with `bytes`. Once it is decided, more bytes change nothing.
pub fn guess(bytes: &[u8]) -> Guess {
    if bytes.starts_with(PREFACE) {
        Guess::Http2
    } else if PREFACE.starts_with(bytes) {
        Guess::More
    } else {
        let line = bytes.get(..MOST_LINE).unwrap_or(bytes);
        match request_line(line) {
            Guess::More if line.len() < MOST_LINE => Guess::More,
            Guess::More if may_become_request(line) => Guess::Http1,
            Guess::More => Guess::Opaque,
            decided => decided,
        }
    }
}

fn request_line(line: &[u8]) -> Guess {
    let Some(method) = line.iter().position(|&byte| !is_space(byte) && !matches!(byte, b'\r' | b'\n')) else {
        return Guess::More;
    };
    let Some(gap) = line.iter().skip(method).position(|byte| !byte.is_ascii_graphic()).map(|length| method + length)
    else {
        return Guess::More;
    };
    // No server knows a method with such bytes, and most other protocols have one early.
    if gap == method || !line.get(gap).is_some_and(|&byte| is_space(byte) || matches!(byte, b'\r' | b'\n')) {
        return Guess::Opaque;
    }
    rest_of_line(line, gap)
}

/// Looks for the version behind the method, which ended at `at`.
fn rest_of_line(line: &[u8], mut at: usize) -> Guess {
    while let Some(&byte) = line.get(at) {
        at += 1;
        let rest = line.get(at..).unwrap_or_default();
        match byte {
            b'\n' => return without_version(line.get(..at).unwrap_or_default()),
            b'\r' if rest.starts_with(b"\n") => return without_version(line.get(..at).unwrap_or_default()),
            b'\r' => {}
            _ if is_space(byte) => {}
            _ => continue,
        }
        let length = rest.len().min(VERSION.len());
        let begins = rest.iter().zip(VERSION).all(|(byte, expected)| byte.to_ascii_uppercase() == *expected);
        if begins {
            return if length == VERSION.len() { Guess::Http1 } else { Guess::More };
        }
    }
    Guess::More
}

/// What a whole line without HTTP's version is. CONNECT with an object is what clients of NATS say.
fn without_version(line: &[u8]) -> Guess {
    let mut words = words(line);
    let (method, target, version) = (words.next().unwrap_or_default(), words.next(), words.next());
    let capitals = method.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    let request = match (target, version) {
        (None, _) => false,
        (Some(target), None) => {
            method == b"GET" || (method == b"CONNECT" && !target.starts_with(b"{")) || (capitals && is_target(target))
        }
        (Some(_), Some(version)) => capitals && (version.starts_with(b"RTSP/") || version.starts_with(b"ICE/")),
    };
    if request { Guess::Http1 } else { Guess::Opaque }
}

/// Whether a line that is too long to wait for its end may still become that of a request.
fn may_become_request(line: &[u8]) -> bool {
    let mut words = words(line);
    let (Some(_method), target) = (words.next(), words.next()) else { return true };
    let Some(target) = target else {
        return line.last().is_some_and(|byte| !byte.is_ascii_graphic()); // one word says nothing, and white space goes on
    };
    words.next().is_none() || is_target(target)
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| !byte.is_ascii_graphic()).filter(|word| !word.is_empty())
}

/// Whether it is a path, `*` or a URL, as a target is (RFC 9112, section 3.2).
fn is_target(word: &[u8]) -> bool {
    let url = |word: &[u8]| word.windows(3).any(|three| three == b"://");
    matches!(word.first(), Some(b'/' | b'*')) || url(word)
}

/// Whether these bytes, the first that a server says, are HTTP/2's: SETTINGS (RFC 9113, section 3.4), and no
/// more of them than one byte of length has room for: 42, where the standards know ten.
pub fn is_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, length, 4, 0, 0, 0, 0, 0, ..] if length % 6 == 0)
}

/// White space inside of a line, to whoever reads most as such: ASCII's and, in ISO-8859-1, Unicode's.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | 0x1c..=0x1f | 0x85 | 0xa0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: &[(&[u8], Guess)] = &[
        (b"", Guess::More),
        (b"P", Guess::More),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Guess::More),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::Http2),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04", Guess::Http2),
        (b"PRI * HTTP/2.0\r\n\r\nXX", Guess::Http1),
        (b"POST", Guess::More),
        (b"POST /", Guess::More),
        (b"POST / HTT", Guess::More),
        (b"POST / HTTP/", Guess::Http1),
        (b"GET / HTTP/1.1\r\n", Guess::Http1),
        (b"get / http/1.1\n", Guess::Http1),
        (b"\r\n\r\n\n \tGET / HTTP/1.0\r\n", Guess::Http1),
        (b"GET\t/\x0b\x0c  HTTP/1.1\r\n", Guess::Http1),
        (b"GET /a b c HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\xff\x01\x00 HTTP/1.1\r\n", Guess::Http1),
        (b"GET\xa0/\x85HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\rHTTP/1.1\r\n", Guess::Http1),
        (b"{}[]() / HTTP/9.9\r\n", Guess::Http1),
        (b"GET HTTP/1.1\r\n", Guess::Http1),
        (b"GET /\r\n", Guess::Http1),
        (b"GET /\n", Guess::Http1),
        (b"GET admin\r\n", Guess::Http1),
        (b"POST /admin\r\n", Guess::Http1),
        (b"POST http://a/admin\r\n", Guess::Http1),
        (b"CONNECT a:80\r\n", Guess::Http1),
        (b"CONNECT a\r\n", Guess::Http1),
        (b"GET /admin RTSP/1.0\r\n", Guess::Http1),
        (b"SOURCE /admin ICE/1.1\r\n", Guess::Http1),
        (b"DESCRIBE rtsp://a/b RTSP/1.0\r\n", Guess::Http1),
        (b"GET /HTTP/1.1\r\n", Guess::Http1),
        (b"GET / \r\nHTTP/1.1", Guess::Http1),
        (b"GET / HTTQ/1.1\r\n", Guess::Opaque),
        (b"GET\r\n", Guess::Opaque),
        (b"get key\r\n", Guess::Opaque),
        (b"SET key value\r\n", Guess::Opaque),
        (b"CONNECT {\"verbose\":false}\r\n", Guess::Opaque),
        (b"HTTP/1.1 200 OK\r\n", Guess::Opaque),
        (b"INVITE sip:a@b SIP/2.0\r\n", Guess::Opaque),
        (b"\x16", Guess::Opaque),
        (b"\x16\x03\x01", Guess::Opaque),
        (b"*1\r\n$4\r\nPING\r\n", Guess::Opaque),
        (b"*1\r\n", Guess::Opaque),
        (b"PING\r\n", Guess::Opaque),
        (b"SSH-2.0-OpenSSH_9.6 Debian\r\n", Guess::Opaque),
        (b"SSH-2.0-Go\r\n", Guess::Opaque),
        (b"set key 0 0 5\r\n", Guess::Opaque),
        (b"AMQP\0\0\x09\x01", Guess::Opaque),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Guess::Opaque),
        (b"\x3a\0\0\0", Guess::Opaque),
        (b"\x10\x0c\0\x04MQTT", Guess::Opaque),
        (b"GE\x01T / HTTP/1.1\r\n", Guess::Opaque),
        (b"\xefGET / HTTP/1.1\r\n", Guess::Opaque),
        (b"EHLO there.example\r\n", Guess::Opaque),
    ];

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (bytes, expected) in CASES {
            assert_eq!(guess(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_goes_on_too_long_is_refused_if_it_could_be_a_request() {
        for (begin, expected) in [
            (&b"GET /"[..], Guess::Http1),
            (b"GET HTTP://", Guess::Http1),
            (b"OPTIONS *", Guess::Http1),
            (b"\r\n", Guess::Http1),
            (b"GET admin?", Guess::Http1),
            (b"GET", Guess::Opaque),
            (b"the quick brown fox ", Guess::Opaque),
        ] {
            let mut bytes = begin.to_vec();
            let filler = if begin == b"\r\n" { b'\n' } else { b'a' };
            bytes.resize(MOST_LINE - 1, filler);
            assert_eq!(guess(&bytes), Guess::More);
            bytes.push(filler);
            assert_eq!(guess(&bytes), expected, "{}", begin.escape_ascii());
            bytes.extend(b"\r\n");
            assert_eq!(guess(&bytes), expected);
        }
    }

    #[test]
    fn white_space_without_end_is_refused() {
        let mut bytes = b"GET".to_vec();
        bytes.resize(MOST_LINE, b' ');
        assert_eq!(guess(&bytes), Guess::Http1);
    }

    #[test]
    fn a_server_of_http2_is_known_by_its_settings() {
        for (bytes, expected) in [
            (&b"\0\0\0\x04\0\0\0\0\0"[..], true),
            (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0", true),
            (b"\0\0\x05\x04\0\0\0\0\0", false),
            (b"\0\0\0\x04\x01\0\0\0\0", false),
            (b"\0\0\0\x04\0\0\0\0", false),
            (b"220 there\r\n", false),
            (b"", false),
        ] {
            assert_eq!(is_settings(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    const WORDS: &[&str] = &["GET", " ", "/", "HTTP/1.1", "http", "\r", "\n", "\t", "PRI * ", "HTTP/2.0", "\0"];

    fn decisions_stand(bytes: &[u8]) -> Result<(), TestCaseError> {
        let last = guess(bytes);
        for length in 0..bytes.len() {
            let earlier = guess(&bytes[..length]);
            prop_assert!(earlier == Guess::More || earlier == last, "{length}: {earlier:?}, later {last:?}");
        }
        Ok(())
    }

    #[test]
    fn decisions_on_the_known_stand() -> Result<(), TestCaseError> {
        CASES.iter().try_for_each(|(bytes, _)| decisions_stand(bytes))
    }

    proptest! {
        #[test]
        fn a_decision_stands_whatever_follows(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            decisions_stand(&bytes)?;
        }

        #[test]
        fn a_decision_on_a_text_stands(
            words in prop::collection::vec(
                prop::sample::select(WORDS), 0..12)
        ) {
            decisions_stand(words.concat().as_bytes())?;
        }

        #[test]
        fn every_valid_request_line_is_recognised(
            method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", target in "[!-~]{1,40}", minor in 0..=1
        ) {
            prop_assert_eq!(guess(format!("{method} {target} HTTP/1.{minor}\r\n").as_bytes()), Guess::Http1);
        }
    }
}
