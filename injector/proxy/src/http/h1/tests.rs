use super::cases::{FIELDS, FRAMINGS, PASSED, REQUEST_LINES};
use super::head::*;
use super::rewrite::{self, CLIENT_ID, ConnectionWord, Framing, Rewrite};
use crate::metrics::Labelled;
use proptest::prelude::*;

const AS_IT_IS: Rewrite<'static> =
    Rewrite { strip_mesh: false, client: None, keep_upgrade: false, framing: Framing::Keep, connection: None };

fn parse(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    request(bytes, &mut Fields::new())
}

fn whole(bytes: &[u8]) -> Request {
    parse(bytes).unwrap_or_else(|refusal| panic!("{refusal}: {}", bytes.escape_ascii())).expect("it is whole")
}

fn rewritten(bytes: &[u8], how: &Rewrite<'_>) -> String {
    let mut fields = Fields::new();
    let parsed = request(bytes, &mut fields).expect("it is well-formed").expect("it is whole");
    let mut out = Vec::new();
    rewrite::request(bytes, &parsed, &fields, how, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn rewritten_response(bytes: &[u8], to: Asked, how: &Rewrite<'_>) -> String {
    let mut fields = Fields::new();
    let parsed = response(bytes, &mut fields, to).expect("it is well-formed").expect("it is whole");
    let mut out = Vec::new();
    rewrite::response(bytes, &parsed, &fields, how, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// What comes out is the same wherever the input is cut: nothing, until it is what the whole gives.
fn cuts_change_nothing<T: Copy + PartialEq + std::fmt::Debug, E: Copy + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<Option<T>, E>,
) -> Result<(), TestCaseError> {
    let last = parse(bytes);
    for length in 0..bytes.len() {
        match parse(&bytes[..length]) {
            Ok(None) => {}
            earlier => prop_assert_eq!(earlier, last, "at {} of {}", length, bytes.escape_ascii()),
        }
    }
    Ok(())
}

fn refused() -> impl Iterator<Item = &'static (&'static [u8], &'static str)> {
    REQUEST_LINES.iter().chain(FIELDS).chain(FRAMINGS)
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    assert!(refused().count() >= 200);
    for (bytes, label) in refused() {
        assert_eq!(
            parse(bytes).map_err(Refusal::label).expect_err(&bytes.escape_ascii().to_string()),
            *label,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn what_is_refused_is_refused_wherever_it_is_cut() -> Result<(), TestCaseError> {
    refused().try_for_each(|(bytes, _)| cuts_change_nothing(bytes, parse))
}

#[test]
fn every_refusal_has_a_case_or_a_test_of_its_own() {
    for refusal in Refusal::ALL {
        let limit = matches!(refusal, Refusal::LongTarget | Refusal::LongHead | Refusal::ManyFields);
        assert!(limit || refused().any(|(_, label)| *label == refusal.label()), "{}", refusal.label());
        assert!((400..600).contains(&refusal.status()));
        assert!(!refusal.text().is_empty());
    }
}

#[test]
fn closed_sets_are_complete_and_distinct() {
    fn check<L: Labelled>() {
        let labels: std::collections::BTreeSet<_> = L::ALL.iter().map(|member| member.label()).collect();
        assert_eq!(labels.len(), L::ALL.len());
        assert!(L::ALL.iter().enumerate().all(|(place, member)| member.index() == place));
    }
    check::<Refusal>();
    check::<Fault>();
    check::<super::body::BodyFault>();
}

#[test]
fn what_is_well_formed_passes_unchanged() -> Result<(), TestCaseError> {
    for bytes in PASSED {
        assert_eq!(whole(bytes).length, bytes.len());
        assert_eq!(rewritten(bytes, &AS_IT_IS), String::from_utf8_lossy(bytes));
        cuts_change_nothing(bytes, parse)?;
        let mut next = bytes.to_vec();
        next.extend(b"GET /next\0");
        assert_eq!(whole(&next), whole(bytes), "what follows is not looked at");
    }
    Ok(())
}

#[test]
fn an_empty_line_before_a_request_is_skipped() {
    let parsed = whole(b"\r\nGET /a?b HTTP/1.1\r\nHost: c\r\n\r\n");
    assert_eq!((parsed.start, parsed.length), (2, 32));
    assert_eq!(rewritten(b"\r\nGET / HTTP/1.0\r\n\r\n", &AS_IT_IS), "GET / HTTP/1.0\r\n\r\n");
}

#[test]
fn the_parts_of_a_request_are_found() {
    for (line, target, path, host) in [
        ("GET /a/b?c?d HTTP/1.1\r\nHost: h", "/a/b?c?d", "/a/b", Some("h")),
        ("GET /? HTTP/1.1\r\nHost: h", "/?", "/", Some("h")),
        ("GET http://h:1/a?b/c HTTP/1.1\r\nHost: H:1", "http://h:1/a?b/c", "/a", Some("H:1")),
        ("GET http://h?b/c HTTP/1.1\r\nHost: h", "http://h?b/c", "", Some("h")),
        ("GET http://h HTTP/1.0\r\nX: y", "http://h", "", Some("h")),
        ("OPTIONS * HTTP/1.1\r\nHost:", "*", "*", Some("")),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h", "h:443", "", Some("h")),
        ("GET / HTTP/1.0\r\nX: y", "/", "/", None),
    ] {
        let bytes = format!("{line}\r\n\r\n").into_bytes();
        let parsed = whole(&bytes);
        assert_eq!(parsed.target(&bytes), target.as_bytes(), "{line}");
        assert_eq!(parsed.path(&bytes), path.as_bytes(), "{line}");
        assert_eq!(parsed.host(&bytes), host.map(str::as_bytes), "{line}");
        assert!(line.as_bytes().starts_with(parsed.method_bytes(&bytes)));
    }
}

#[test]
fn methods_are_known_by_their_properties() {
    for (name, method, safe, idempotent) in [
        ("GET", Method::Get, true, true),
        ("HEAD", Method::Head, true, true),
        ("OPTIONS", Method::Options, true, true),
        ("TRACE", Method::Trace, true, true),
        ("PUT", Method::Put, false, true),
        ("DELETE", Method::Delete, false, true),
        ("POST", Method::Post, false, false),
        ("PATCH", Method::Patch, false, false),
        ("PURGE", Method::Other, false, false),
    ] {
        let parsed = whole(format!("{name} / HTTP/1.0\r\n\r\n").as_bytes());
        assert_eq!((parsed.method, parsed.method.is_safe(), parsed.method.is_idempotent()), (method, safe, idempotent));
    }
}

#[test]
fn a_request_tells_what_becomes_of_the_connection() {
    for (fields, keep_alive, upgrade, h2c, expects) in [
        ("1.1\r\nX: y", true, false, false, false),
        ("1.1\r\nConnection: close", false, false, false, false),
        ("1.1\r\nConnection: x, CLOSE", false, false, false, false),
        ("1.1\r\nConnection: keep-alive\r\nConnection: close", false, false, false, false),
        ("1.0\r\nX: y", false, false, false, false),
        ("1.0\r\nConnection: Keep-Alive", true, false, false, false),
        ("1.0\r\nProxy-Connection: Keep-Alive", false, false, false, false),
        ("1.0\r\nConnection: keep-alive, close", false, false, false, false),
        ("1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", true, true, false, false),
        ("1.1\r\nConnection: keep-alive ,, Upgrade\r\nUpgrade: websocket", true, true, false, false),
        ("1.1\r\nUpgrade: websocket", true, false, false, false),
        ("1.1\r\nConnection: upgrade", true, false, false, false),
        ("1.1\r\nConnection: upgrade\r\nUpgrade:", true, false, false, false),
        ("1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket", true, false, false, false),
        ("1.1\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA", true, false, true, false),
        ("1.1\r\nConnection: upgrade\r\nUpgrade: websocket, H2C", true, false, true, false),
        ("1.1\r\nExpect: 100-Continue", true, false, false, true),
        ("1.1\r\nExpect: 100-continue-not", true, false, false, false),
        ("1.0\r\nExpect: 100-continue", false, false, false, false),
    ] {
        let parsed = whole(format!("GET / HTTP/{fields}\r\nHost: a\r\n\r\n").as_bytes());
        let told = (parsed.keep_alive, parsed.upgrade, parsed.h2c, parsed.expects_continue);
        assert_eq!(told, (keep_alive, upgrade, h2c, expects), "{fields}");
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 16)).into_bytes();
    assert!(parse(&line(MOST_LINE)).is_ok());
    assert_eq!(parse(&line(MOST_LINE + 1)), Err(Refusal::LongTarget));
    assert_eq!(parse(&line(MOST_LINE + 1)[..MOST_LINE - 1]), Ok(None));
    assert_eq!(parse(&line(MOST_LINE + 1)[..MOST_LINE]), Err(Refusal::LongTarget));

    let head =
        |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length - 32)).into_bytes();
    assert_eq!(whole(&head(MOST_HEAD)).length, MOST_HEAD);
    assert_eq!(parse(&head(MOST_HEAD + 1)), Err(Refusal::LongHead));
    assert_eq!(parse(&head(MOST_HEAD)[..MOST_HEAD - 1]), Ok(None));

    // An empty line before the head does not count.
    let behind = |head: Vec<u8>| [b"\r\n".to_vec(), head].concat();
    assert!(parse(&behind(line(MOST_LINE))).is_ok());
    assert_eq!(parse(&behind(line(MOST_LINE))[..=MOST_LINE]), Ok(None));
    assert_eq!(whole(&behind(head(MOST_HEAD))).length, MOST_HEAD + 2);
    assert_eq!(parse(&behind(head(MOST_HEAD))[..=MOST_HEAD]), Ok(None));

    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(count - 1)).into_bytes();
    assert!(parse(&many(MOST_FIELDS)).is_ok());
    assert_eq!(parse(&many(MOST_FIELDS + 1)), Err(Refusal::ManyFields));
}

#[test]
fn parsing_again_is_left_out_only_where_it_tells_nothing() {
    for head in [
        b"GET /some/where HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n".to_vec(),
        [b"\r\nGET /".to_vec(), vec![b'a'; MOST_LINE]].concat(),
        [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'a'; MOST_HEAD]].concat(),
    ] {
        let last = parse(&head);
        assert_ne!(last, Ok(None));
        for step in [1, 7, 1000] {
            let mut parsed = 0;
            let mut times = 0;
            let mut told = Ok(None);
            for length in (0..head.len()).step_by(step).chain([head.len()]) {
                if worth_parsing(&head[..length], parsed) {
                    told = parse(&head[..length]);
                    times += 1;
                }
                parsed = length;
                if told != Ok(None) {
                    break;
                }
            }
            assert_eq!(told, last);
            assert!(times < 10, "{times} times");
        }
    }
}

#[test]
fn what_holds_for_one_connection_only_is_removed() {
    for (fields, left) in [
        ("Connection: close\r\nX: 1", "X: 1\r\n"),
        ("X: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5", "X: 1\r\n"),
        ("Proxy-Connection: keep-alive\r\nX: 1", "X: 1\r\n"),
        ("A: 1\r\nConnection: b, D\r\nB: 2\r\nC: 3\r\nb: 4\r\nd: 5", "A: 1\r\nC: 3\r\n"),
        ("B: 2\r\nConnection: b\r\nC: 3", "C: 3\r\n"),
        ("TE: gzip", ""),
        ("TE: trailers, deflate;q=0.5", ""),
        ("TE: trailers\r\nConnection: TE", "TE: trailers\r\nConnection: TE\r\n"),
        ("TE:  Trailers ", "TE:  Trailers \r\nConnection: TE\r\n"),
        ("Connection: Upgrade\r\nUpgrade: websocket", ""),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nX: 1", "X: 1\r\n"),
        ("HTTP2-Settings: AA", ""),
        ("Proxy-Authorization: x\r\nProxy-Authenticate: y", "Proxy-Authorization: x\r\nProxy-Authenticate: y\r\n"),
        ("Trailer: x\r\nVia: 1.1 b", "Trailer: x\r\nVia: 1.1 b\r\n"),
        ("Content-Length: 5", "Content-Length: 5\r\n"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\n"),
        ("Injector-Client-Id: x", "Injector-Client-Id: x\r\n"),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let expected = format!("GET / HTTP/1.1\r\nHost: a\r\n{left}\r\n");
        assert_eq!(rewritten(bytes.as_bytes(), &AS_IT_IS), expected, "{fields}");
    }
}

#[test]
fn what_only_the_mesh_may_say_is_removed_in_every_spelling() {
    for (name, stays) in [
        ("injector-client-id", false),
        ("Injector-Client-Id", false),
        ("INJECTOR_CLIENT_ID", false),
        ("Injector_Client-Id", false),
        ("injector.client.id", false),
        ("injector~x", false),
        ("injector-", false),
        ("injector_", false),
        ("injector-error", false),
        ("injector", true),
        ("injectors-x", true),
        ("injector1", true),
        ("x-injector-client-id", true),
    ] {
        let how = Rewrite { strip_mesh: true, client: Some("spiffe://a/ns/b/sa/c"), ..AS_IT_IS };
        let request = format!("GET / HTTP/1.1\r\nA: 1\r\n{name}: forged\r\nHost: a\r\n\r\n");
        let kept = if stays { format!("{name}: forged\r\n") } else { String::new() };
        assert_eq!(
            rewritten(request.as_bytes(), &how),
            format!("GET / HTTP/1.1\r\nA: 1\r\n{kept}Host: a\r\n{CLIENT_ID}: spiffe://a/ns/b/sa/c\r\n\r\n")
        );
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{name}: forged\r\n\r\n");
        assert_eq!(
            rewritten_response(response.as_bytes(), Asked::Other, &how),
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{kept}\r\n")
        );
    }
}

#[test]
fn what_is_to_be_said_anew_is() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    for (how, added) in [
        (Rewrite { framing: Framing::Chunked, ..AS_IT_IS }, "Transfer-Encoding: chunked\r\n"),
        (Rewrite { framing: Framing::Length(18_000_000), ..AS_IT_IS }, "Content-Length: 18000000\r\n"),
        (Rewrite { framing: Framing::None, ..AS_IT_IS }, ""),
        (Rewrite { keep_upgrade: true, ..AS_IT_IS }, "Content-Length: 5\r\nUpgrade: x\r\nConnection: Upgrade\r\n"),
        (Rewrite { connection: Some(ConnectionWord::Close), ..AS_IT_IS }, "Content-Length: 5\r\nConnection: close\r\n"),
        (
            Rewrite { connection: Some(ConnectionWord::KeepAlive), keep_upgrade: true, ..AS_IT_IS },
            "Content-Length: 5\r\nUpgrade: x\r\nConnection: keep-alive, Upgrade\r\n",
        ),
    ] {
        assert_eq!(rewritten(bytes, &how), format!("POST / HTTP/1.1\r\nHost: a\r\n{added}\r\n"), "{how:?}");
    }
    let h2c = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\n\
                Upgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n";
    assert_eq!(rewritten(h2c, &Rewrite { keep_upgrade: true, ..AS_IT_IS }), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn scratch_forgets_the_last_head() {
    let mut fields = Fields::new();
    request(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nInjector-A: b\r\n\r\n", &mut fields).unwrap();
    let next = b"GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n";
    request(next, &mut fields).unwrap();
    assert_eq!(fields.lines(next).collect::<Vec<_>>(), [(&b"X"[..], &b"y"[..]), (b"Host", b"a")]);
    assert_eq!((fields.len(), fields.is_empty(), fields.has(Class::Mesh)), (2, false, false));
    assert_eq!((fields.value(next, "x"), fields.value(next, "z")), (Some(&b"y"[..]), None));
    assert!(fields.iter().all(|field| field.class != Class::Nominated));
}

#[test]
fn a_second_head_needs_no_more_room_than_the_first() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, keep-alive\r\nX: y\r\nZ: z\r\n\r\n";
    let how = Rewrite { client: Some("someone"), connection: Some(ConnectionWord::Close), ..AS_IT_IS };
    let (mut fields, mut out) = (Fields::new(), Vec::new());
    let mut room = None;
    for _ in 0..3 {
        let parsed = request(bytes, &mut fields).unwrap().unwrap();
        out.clear();
        rewrite::request(bytes, &parsed, &fields, &how, &mut out);
        let now = (fields.room(), out.capacity());
        assert_eq!(*room.get_or_insert(now), now);
    }
}

mod properties;
mod responses;
