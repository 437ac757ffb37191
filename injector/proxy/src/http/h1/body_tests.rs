use super::body::*;
use super::cases::BODIES;
use crate::metrics::Labelled;
use proptest::prelude::*;

/// Decodes input that comes in these pieces: the data, and what was left of the input behind the body.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Chunked, Vec<u8>, Vec<u8>), BodyFault> {
    let mut body = Chunked::new();
    let mut data = Vec::new();
    let mut left = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        loop {
            let step = body.decode(rest)?;
            data.extend_from_slice(&rest[step.data.clone()]);
            rest = &rest[step.consumed..];
            assert!(step.data.end <= step.consumed);
            if step.state == Progress::Ended {
                left.extend_from_slice(rest);
                break;
            }
            if rest.is_empty() {
                break;
            }
            assert!(step.consumed > 0, "it goes on");
        }
    }
    Ok((body, data, left))
}

fn fault(bytes: &[u8]) -> BodyFault {
    match decode([bytes]) {
        Err(fault) => fault,
        Ok((body, ..)) => panic!("{} gives {body:?}", bytes.escape_ascii()),
    }
}

#[test]
fn malformed_bodies_are_refused_wherever_they_are_cut() {
    for (bytes, label) in BODIES {
        assert_eq!(fault(bytes).label(), *label, "{}", bytes.escape_ascii());
        let one_by_one = decode(bytes.chunks(1));
        assert_eq!(one_by_one.map(|_| ()).map_err(BodyFault::label), Err(*label), "{}", bytes.escape_ascii());
    }
    for fault in BodyFault::ALL {
        let limit = matches!(fault, BodyFault::LongExtension | BodyFault::LongTrailers);
        assert!(limit || BODIES.iter().any(|(_, label)| *label == fault.label()), "{}", fault.label());
    }
}

#[test]
fn well_formed_bodies_are_followed_to_their_end() {
    for (bytes, data, trailers, left) in [
        (&b"0\r\n\r\n"[..], &b""[..], &b""[..], &b""[..]),
        (b"000\r\n\r\nGET /", b"", b"", b"GET /"),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"", b""),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nx", b"hello world", b"", b"x"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789", b"", b""),
        (b"0000000000000005\r\n\r\n0\r\n\r\n0\r\n\r\n", b"\r\n0\r\n", b"", b""),
        (b"5;a;b=c;d=\"e f\"\t\xff\r\nhello\r\n0;x\r\n\r\n", b"hello", b"", b""),
        (b"0\r\nX: a\r\nY:\r\n\r\nrest", b"", b"X: a\r\nY:\r\n", b"rest"),
        (b"0\r\nContent-Length: 5\r\nX: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"", b"X: a\r\n", b""),
        (b"0\r\ngrpc-status: 0\r\nHost: b\r\n\r\n", b"", b"grpc-status: 0\r\n", b""),
        (
            b"0\r\nAUTHORIZATION: b\r\nauthorization_: c\r\nX_Forwarded_For: 1\r\n\r\n",
            b"",
            b"authorization_: c\r\n",
            b"",
        ),
        (b"0\r\nInjector_Client_Id: b\r\ninjector-error: x\r\nContent_Length: 1\r\n\r\n", b"", b"", b""),
        (b"0\r\nConnection: x\r\nTE: trailers\r\nX: y\r\nTrailer: x\r\nExpect: 1\r\n\r\n", b"", b"X: y\r\n", b""),
    ] {
        for pieces in [vec![bytes], bytes.chunks(1).collect()] {
            let (body, decoded, rest) = decode(pieces).unwrap();
            assert!(body.has_ended());
            assert_eq!(decoded, data);
            assert_eq!(body.trailers().escape_ascii().to_string(), trailers.escape_ascii().to_string());
            assert_eq!(rest, left);
        }
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let extended = |length: usize| format!("1;{}\r\na\r\n", "x".repeat(length - 1));
    assert!(decode([extended(MOST_EXTENSION).as_bytes()]).is_ok());
    assert_eq!(fault(extended(MOST_EXTENSION + 1).as_bytes()), BodyFault::LongExtension);
    let whole = extended(MOST_EXTENSION).repeat(MOST_EXTENSIONS / MOST_EXTENSION);
    assert!(decode([whole.as_bytes()]).is_ok());
    assert_eq!(fault((whole + "1;").as_bytes()), BodyFault::LongExtension);

    let trailed = |length: usize| format!("0\r\nX:{}\r\n\r\n", "x".repeat(length - 5));
    assert!(decode([trailed(MOST_TRAILERS).as_bytes()]).is_ok());
    assert_eq!(fault(trailed(MOST_TRAILERS + 1).as_bytes()), BodyFault::LongTrailers);
    let many = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert!(decode([many(MOST_TRAILER_FIELDS).as_bytes()]).is_ok());
    assert_eq!(fault(many(MOST_TRAILER_FIELDS + 1).as_bytes()), BodyFault::LongTrailers);

    assert!(decode([&b"1000000000000000\r\n"[..]]).is_ok());
    assert_eq!(fault(b"1000000000000001\r\n"), BodyFault::LargeChunk);
}

#[test]
fn the_next_body_begins_afresh() {
    let mut body = Chunked::new();
    let first = b"1;x\r\na\r\n0\r\nX: y\r\n\r\n";
    let at = body.decode(first).unwrap().consumed;
    assert_eq!(body.trailers(), b"");
    assert_eq!(body.decode(&first[at..]).unwrap().state, Progress::Ended);
    assert_eq!(body.trailers(), b"X: y\r\n");
    assert_eq!(body.decode(b"more").unwrap(), Step { consumed: 0, data: 0..0, state: Progress::Ended });
    body.reset();
    let most = format!("1;{}\r\na\r\n", "x".repeat(MOST_EXTENSION - 1)).repeat(MOST_EXTENSIONS / MOST_EXTENSION);
    let mut rest = most.as_bytes();
    while !rest.is_empty() {
        rest = &rest[body.decode(rest).unwrap().consumed..];
    }
    assert_eq!(body.decode(b"1;"), Err(BodyFault::LongExtension));
    body.reset();
    assert!(body.decode(b"1;").is_ok());
    body.reset();
    assert_eq!(body.decode(b"0\r\n\r\n").unwrap(), Step { consumed: 5, data: 5..5, state: Progress::Ended });
    assert_eq!(body.trailers(), b"");
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    pieces
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        trailers in prop::collection::vec("x-[a-z]{1,8}: [ -~]{0,20}\r\n", 0..4),
        sizes in prop::collection::vec(1usize..40, 1..10),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let trailers = trailers.concat();
        let mut encoded = Vec::new();
        for chunk in &chunks {
            chunk_head(chunk.len(), &mut encoded);
            encoded.extend_from_slice(chunk);
            encoded.extend_from_slice(CHUNK_END);
        }
        last_chunk(trailers.as_bytes(), &mut encoded);
        encoded.extend_from_slice(&behind);
        let pieces = cut(&encoded, &sizes);
        let (body, data, left) = decode(pieces.iter().map(Vec::as_slice)).map_err(|f| TestCaseError::fail(f.label()))?;
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(body.trailers(), trailers.as_bytes());
        prop_assert_eq!(left, behind);
    }

    #[test]
    fn hostile_bytes_give_the_same_however_they_are_cut(
        bytes in prop::collection::vec(prop::sample::select(b"0123aAf;\r\n\r\n: X\0".to_vec()), 0..60),
        sizes in prop::collection::vec(1usize..9, 1..6),
    ) {
        let whole = decode([bytes.as_slice()]).map(|(body, data, left)| (body.trailers().to_vec(), data, left));
        let pieces = cut(&bytes, &sizes);
        let cut = decode(pieces.iter().map(Vec::as_slice));
        let cut = cut.map(|(body, data, left)| (body.trailers().to_vec(), data, left));
        prop_assert_eq!(whole, cut);
    }
}
