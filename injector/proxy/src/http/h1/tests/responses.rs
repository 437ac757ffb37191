use super::*;

type Expected = (u16, ResponseBody, bool);

const LENGTH_5: ResponseBody = ResponseBody::Length(5);

#[test]
fn a_response_tells_how_long_it_is() {
    let cases: &[(&str, Asked, Expected)] = &[
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Asked::Other, (200, LENGTH_5, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0", Asked::Other, (200, ResponseBody::Length(0), true)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", Asked::Other, (200, ResponseBody::Chunked, true)),
        ("HTTP/1.1 200 OK\r\nX: y", Asked::Other, (200, ResponseBody::UntilClose, false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5", Asked::Other, (200, LENGTH_5, false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", Asked::Other, (200, LENGTH_5, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", Asked::Other, (200, LENGTH_5, false)),
        ("HTTP/1.1 205 Reset\r\nContent-Length: 5", Asked::Other, (205, LENGTH_5, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Asked::Head, (200, ResponseBody::None, true)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", Asked::Head, (200, ResponseBody::None, true)),
        ("HTTP/1.1 200 OK\r\nX: y", Asked::Head, (200, ResponseBody::None, true)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5", Asked::Other, (304, ResponseBody::None, true)),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5", Asked::Other, (204, ResponseBody::None, true)),
        ("HTTP/1.1 100 Continue", Asked::Other, (100, ResponseBody::None, true)),
        ("HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: x", Asked::Other, (101, ResponseBody::None, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", Asked::Connect, (200, ResponseBody::None, true)),
        ("HTTP/1.1 407 No\r\nContent-Length: 5", Asked::Connect, (407, LENGTH_5, true)),
        ("HTTP/1.1 999 \r\nContent-Length: 5", Asked::Other, (999, LENGTH_5, true)),
        ("HTTP/1.1 200\r\nContent-Length: 5", Asked::Other, (200, LENGTH_5, true)),
        ("HTTP/1.1 200  a\tb \u{e9}\r\nContent-Length: 5\r\nHost: a b\r\nHost: c", Asked::Other, (200, LENGTH_5, true)),
    ];
    for (text, to, (status, body, keep_alive)) in cases {
        let bytes = format!("{text}\r\n\r\n").into_bytes();
        let parsed = response(&bytes, &mut Fields::new(), *to).expect(text).expect(text);
        assert_eq!((parsed.status, parsed.body, parsed.keep_alive), (*status, *body, *keep_alive), "{text}");
        assert_eq!(parsed.length, bytes.len());
        assert_eq!(parsed.upgrade, *status == 101);
        assert_eq!(parsed.is_interim(), *status == 100);
    }
}

/// The status lines and fields of responses, and what is wrong with them.
const FAULTS: &[(&[u8], Fault)] = &[
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1  200 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1\t200 OK\r\n\r\n", Fault::StatusLine),
    (b"http/1.1 200 OK\r\n\r\n", Fault::StatusLine),
    (b"ICY 200 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 20 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 2000 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 099 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 +20 OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 200\tOK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 200OK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 200 O\0K\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 200 O\x1bK\r\n\r\n", Fault::StatusLine),
    (b"HTTP/1.1 200 OK\n\r\n", Fault::BareLf),
    (b"HTTP/1.1 200\n\n", Fault::BareLf),
    (b"HTTP/1.1 200 OK\rX: y\r\n\r\n", Fault::BareCr),
    (b"HTTP/2.0 200 OK\r\n\r\n", Fault::Version),
    (b"HTTP/1.2 200 OK\r\n\r\n", Fault::Version),
    (b"HTTP/0.9 200 OK\r\n\r\n", Fault::Version),
    (b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", Fault::Fold),
    (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", Fault::Fold),
    (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", Fault::SpaceInName),
    (b"HTTP/1.1 200 OK\r\nX\r\n\r\n", Fault::FieldName),
    (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", Fault::FieldValue),
    (b"HTTP/1.1 200 OK\r\nX: a\n\r\n", Fault::BareLf),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Fault::ContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Fault::ContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", Fault::ContentLength),
    (b"HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n", Fault::ContentLength),
    (b"HTTP/1.1 200 OK\r\nContent_Length: 5\r\n\r\n", Fault::LookAlike),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::TwoFramings),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::TransferEncoding),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", Fault::TransferEncoding),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Fault::Coding),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Fault::Coding),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::OldTransferEncoding),
    (b"HTTP/1.1 200 OK\r\nConnection: content-length\r\n\r\n", Fault::Nominated),
    (b"HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", Fault::Connection),
];

#[test]
fn malformed_responses_are_faults_wherever_they_are_cut() -> Result<(), TestCaseError> {
    for (bytes, fault) in FAULTS {
        let parse = |bytes: &[u8]| response(bytes, &mut Fields::new(), Asked::Other);
        assert_eq!(parse(bytes), Err(*fault), "{}", bytes.escape_ascii());
        cuts_change_nothing(bytes, parse)?;
    }
    let long = [&b"HTTP/1.1 200 "[..], &vec![b'a'; MOST_HEAD]].concat();
    assert_eq!(response(&long, &mut Fields::new(), Asked::Other), Err(Fault::LongHead));
    let long = [&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'a'; MOST_HEAD]].concat();
    assert_eq!(response(&long, &mut Fields::new(), Asked::Other), Err(Fault::LongHead));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(MOST_FIELDS + 1));
    assert_eq!(response(many.as_bytes(), &mut Fields::new(), Asked::Other), Err(Fault::ManyFields));
    Ok(())
}

#[test]
fn responses_are_forwarded_without_what_held_for_one_connection() {
    let until_close = Rewrite { framing: Framing::Chunked, ..AS_IT_IS };
    let upgrade = Rewrite { keep_upgrade: true, ..AS_IT_IS };
    let close = Rewrite { connection: Some(ConnectionWord::Close), ..AS_IT_IS };
    for (head, to, how, expected) in [
        ("200 OK\r\nContent-Length: 5\r\nX: y", Asked::Other, AS_IT_IS, "200 OK\r\nContent-Length: 5\r\nX: y\r\n"),
        (
            "200 OK\r\nConnection: close, x\r\nX: y\r\nZ: z",
            Asked::Other,
            until_close,
            "200 OK\r\nZ: z\r\nTransfer-Encoding: chunked\r\n",
        ),
        ("204 None\r\nContent-Length: 5\r\nX: y", Asked::Other, AS_IT_IS, "204 None\r\nX: y\r\n"),
        ("103 Hints\r\nTransfer-Encoding: chunked\r\nLink: y", Asked::Other, AS_IT_IS, "103 Hints\r\nLink: y\r\n"),
        ("200 OK\r\nTransfer-Encoding: chunked", Asked::Connect, AS_IT_IS, "200 OK\r\n"),
        ("304 Same\r\nContent-Length: 5", Asked::Other, AS_IT_IS, "304 Same\r\nContent-Length: 5\r\n"),
        ("200 OK\r\nContent-Length: 5", Asked::Head, AS_IT_IS, "200 OK\r\nContent-Length: 5\r\n"),
        (
            "101 Go\r\nUpgrade: x\r\nConnection: Upgrade",
            Asked::Other,
            upgrade,
            "101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n",
        ),
        ("101 Go\r\nUpgrade: x\r\nConnection: Upgrade", Asked::Other, AS_IT_IS, "101 Go\r\n"),
        ("200 OK\r\nContent-Length: 5", Asked::Other, close, "200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"),
    ] {
        let bytes = format!("HTTP/1.1 {head}\r\n\r\n");
        assert_eq!(rewritten_response(bytes.as_bytes(), to, &how), format!("HTTP/1.1 {expected}\r\n"), "{head}");
    }
}
