use super::*;

/// Lines that meet each other in unexpected ways.
const LINES: &[&str] = &[
    "Host: a",
    "Host: b:80",
    "Host:",
    "X: y",
    "x-y: z",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "transfer_encoding: chunked",
    "Connection: close",
    "Connection: keep-alive, x",
    "Connection: Upgrade, x-y",
    "Connection: te, injector-x",
    "Connection: cookie",
    "Cookie: a=b",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "HTTP2-Settings: AA",
    "TE: trailers",
    "TE: gzip",
    "Keep-Alive: 5",
    "Proxy-Connection: x",
    "Injector-Client-Id: forged",
    "INJECTOR_ERROR: forged",
    "injector.x: forged",
    "Expect: 100-continue",
    "Trailer: x",
    "X:\u{e9}\t ",
    " folded",
    "broken",
    "",
];

const STATUS_LINES: &[&str] = &["HTTP/1.1 200 OK", "HTTP/1.0 204", "HTTP/1.1 304 ", "HTTP/1.1 099 x", "HTTP/1.1 20"];

fn heads() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "POST /a?b HTTP/1.1",
        "POST / HTTP/1.0",
        "GET http://a/ HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "GET /\r",
    ]);
    let fields = prop::collection::vec(prop::sample::select(LINES), 0..8);
    (line, fields, any::<bool>()).prop_map(|(line, fields, host)| {
        let host = if host { "Host: a\r\n" } else { "" };
        format!("{line}\r\n{host}{}\r\n\r\n", fields.join("\r\n"))
    })
}

fn ways() -> impl Strategy<Value = Rewrite<'static>> {
    let framing = prop::sample::select(vec![Framing::Keep, Framing::Chunked, Framing::Length(7), Framing::None]);
    let word = prop::sample::select(vec![None, Some(ConnectionWord::Close), Some(ConnectionWord::KeepAlive)]);
    (any::<bool>(), any::<bool>(), framing, word).prop_map(|(named, keep_upgrade, framing, connection)| Rewrite {
        strip_mesh: true,
        client: named.then_some("spiffe://t/ns/n/sa/s"),
        keep_upgrade,
        framing,
        connection,
    })
}

fn is_forged(name: &[u8]) -> bool {
    name.iter().map(|b| if b.is_ascii_alphanumeric() { b.to_ascii_lowercase() } else { b'-' }).take(9).eq(*b"injector-")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn cutting_a_request_changes_nothing(head in heads()) {
        cuts_change_nothing(head.as_bytes(), parse)?;
    }

    #[test]
    fn a_forwarded_request_means_the_same(head in heads(), how in ways()) {
        let bytes = head.as_bytes();
        let mut fields = Fields::new();
        let Ok(Some(before)) = request(bytes, &mut fields) else { return Ok(()) };
        // 1.0 cannot have chunks; CONNECT cannot have a body: no caller asks for them.
        let plain = before.version == Version::V10 || before.method == Method::Connect;
        let how = Rewrite { framing: if plain { Framing::Keep } else { how.framing }, ..how };
        let mut out = Vec::new();
        rewrite::request(bytes, &before, &fields, &how, &mut out);

        let mut left = Fields::new();
        let after = request(&out, &mut left).map_err(|refusal| TestCaseError::fail(refusal.label()))?;
        let after = after.ok_or_else(|| TestCaseError::fail("not whole"))?;
        prop_assert_eq!(after.length, out.len());
        let body = match how.framing {
            Framing::Keep => before.body,
            Framing::Chunked => Body::Chunked,
            Framing::Length(length) => Body::Length(length),
            Framing::None => Body::None,
        };
        prop_assert_eq!(after.body, body);
        prop_assert_eq!((after.method, after.version), (before.method, before.version));
        prop_assert_eq!(after.target(&out), before.target(bytes));
        prop_assert_eq!(after.host(&out), before.host(bytes));
        prop_assert_eq!(after.upgrade, before.upgrade && how.keep_upgrade);
        prop_assert_eq!(after.expects_continue, before.expects_continue);
        prop_assert!(!after.h2c);

        let mesh: Vec<_> = left.lines(&out).filter(|(name, _)| is_forged(name)).collect();
        prop_assert_eq!(mesh.len(), usize::from(how.client.is_some()));
        prop_assert!(mesh.iter().all(|(_, value)| Some(*value) == how.client.map(str::as_bytes)));
        for gone in [Class::KeepAlive, Class::ProxyConnection, Class::Te, Class::Http2Settings, Class::Nominated] {
            prop_assert!(!left.has(gone), "{:?}", gone);
        }
        // Once more changes nothing more.
        let mut again = Vec::new();
        let same = Rewrite { framing: Framing::Keep, ..how };
        rewrite::request(&out, &after, &left, &same, &mut again);
        let lines = |text: &[u8]| {
            let mut lines: Vec<_> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(lines(&again), lines(&out));
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        cuts_change_nothing(&bytes, parse)?;
        for to in [Asked::Head, Asked::Connect, Asked::Other] {
            cuts_change_nothing(&bytes, |bytes| response(bytes, &mut Fields::new(), to))?;
        }
    }

    #[test]
    fn one_wrong_byte_does_no_harm(head in heads(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = head.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        cuts_change_nothing(&bytes, parse)?;
        let mut fields = Fields::new();
        if let Ok(Some(parsed)) = request(&bytes, &mut fields) {
            let mut out = Vec::new();
            rewrite::request(&bytes, &parsed, &fields, &Rewrite { strip_mesh: true, ..AS_IT_IS }, &mut out);
            let after = whole(&out);
            prop_assert_eq!(after.body, parsed.body);
            prop_assert!(!out.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'));
        }
    }

    #[test]
    fn cutting_a_response_changes_nothing(
        line in prop::sample::select(STATUS_LINES),
        fields in prop::collection::vec(prop::sample::select(LINES), 0..6),
    ) {
        let head = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n"));
        cuts_change_nothing(head.as_bytes(), |bytes| response(bytes, &mut Fields::new(), Asked::Other))?;
    }
}
