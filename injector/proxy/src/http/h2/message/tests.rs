use super::*;
use crate::metrics::Labelled as _;
use proptest::prelude::*;

const METHOD: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/package.Service/Method");
const AUTHORITY: (&str, &str) = (":authority", "shop.default:8080");

fn list(fields: &[(&str, &str)]) -> Fields {
    let mut list = Fields::new();
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes(), false);
    }
    list
}

/// The judgement of a request that is good but for the fields behind.
fn with(fields: &[(&str, &str)]) -> Result<RequestFacts, Malformed> {
    check_request(&list(&[&[METHOD, SCHEME, PATH, AUTHORITY], fields].concat()))
}

/// The judgement of a request by method, scheme, path and authority.
fn request(method: &str, scheme: &str, path: &str, authority: &str) -> Result<RequestFacts, Malformed> {
    check_request(&list(&[(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]))
}

#[test]
fn a_call_is_known_for_what_it_is() {
    let facts = with(&[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1S")]);
    assert_eq!(facts, Ok(RequestFacts { method: Method::Post, content_length: None, grpc: true }));
    let facts = with(&[("content-length", "18446744073709551615"), ("host", "SHOP.default:8080")]);
    assert_eq!(facts, Ok(RequestFacts { method: Method::Post, content_length: Some(u64::MAX), grpc: false }));
}

#[test]
fn only_grpcs_own_types_are_grpc() {
    for (value, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=utf-8", true),
        ("Application/GRPC+json", true),
        ("application/grpc-web", false),
        ("application/grp", false),
        ("application/json", false),
        ("", false),
    ] {
        assert_eq!(with(&[("content-type", value)]).unwrap().grpc, grpc, "{value}");
    }
}

#[test]
fn methods_are_told_apart_by_what_may_be_repeated() {
    for (name, method, idempotent) in [
        ("GET", Method::Get, true),
        ("HEAD", Method::Head, true),
        ("POST", Method::Post, false),
        ("PUT", Method::OtherIdempotent, true),
        ("DELETE", Method::OtherIdempotent, true),
        ("OPTIONS", Method::OtherIdempotent, true),
        ("TRACE", Method::OtherIdempotent, true),
        ("PATCH", Method::Other, false),
        ("get", Method::Other, false),
        ("M-SEARCH", Method::Other, false),
    ] {
        let facts = request(name, "https", "/", "a").unwrap();
        assert_eq!((facts.method, facts.method.is_idempotent()), (method, idempotent), "{name}");
    }
}

#[test]
fn pseudo_headers_that_break_the_rules_are_refused() {
    use Malformed::{PseudoLate, PseudoMissing, PseudoTwice, PseudoUnknown};
    for (fields, fault) in [
        (&[][..], PseudoMissing),
        (&[SCHEME, PATH], PseudoMissing),
        (&[METHOD, PATH], PseudoMissing),
        (&[METHOD, SCHEME], PseudoMissing),
        (&[METHOD, SCHEME, PATH, METHOD], PseudoTwice),
        (&[METHOD, SCHEME, PATH, SCHEME], PseudoTwice),
        (&[METHOD, SCHEME, PATH, PATH], PseudoTwice),
        (&[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY], PseudoTwice),
        (&[METHOD, SCHEME, PATH, (":status", "200")], PseudoUnknown),
        (&[METHOD, SCHEME, PATH, (":protocol", "websocket")], PseudoUnknown),
        (&[METHOD, SCHEME, PATH, (":", "")], PseudoUnknown),
        (&[METHOD, SCHEME, PATH, (":Path", "/")], PseudoUnknown),
        (&[METHOD, SCHEME, ("accept", "*/*"), PATH], PseudoLate),
        (&[("accept", "*/*"), METHOD, SCHEME, PATH], PseudoLate),
        (&[METHOD, SCHEME, PATH, ("a", "b"), (":unknown", "")], PseudoLate),
    ] {
        assert_eq!(check_request(&list(fields)), Err(fault), "{fields:?}");
    }
    assert!(check_request(&list(&[METHOD, SCHEME, PATH])).is_ok(), "the authority may be missing");
}

#[test]
fn pseudo_headers_with_other_values_are_refused() {
    use Malformed::{Authority, Method, Path, Scheme, Value};
    for (method, scheme, path, authority, fault) in [
        ("", "http", "/", "a", Method),
        ("GE T", "http", "/", "a", Method),
        ("GET/", "http", "/", "a", Method),
        ("GET\u{e9}", "http", "/", "a", Method),
        ("GET\n", "http", "/", "a", Value),
        ("GET", "", "/", "a", Scheme),
        ("GET", "ftp", "/", "a", Scheme),
        ("GET", "HTTP", "/", "a", Scheme),
        ("GET", "http", "", "a", Path),
        ("GET", "http", "a", "a", Path),
        ("GET", "http", "*", "a", Path),
        ("OPTIONS", "http", "*a", "a", Path),
        ("GET", "http", "http://a/", "a", Path),
        ("GET", "http", "/a b", "a", Path),
        ("GET", "http", "/a\u{1}", "a", Path),
        ("GET", "http", "/a\tb", "a", Path),
        ("GET", "http", "/a\u{7f}", "a", Path),
        ("GET", "http", "/a#b", "a", Path),
        ("GET", "http", "/a HTTP/1.1\r\nhost: b", "a", Value),
        ("GET", "http", "/", "", Authority),
        ("GET", "http", "/", ":80", Authority),
        ("GET", "http", "/", "user@a", Authority),
        ("GET", "http", "/", "user:secret@a", Authority),
        ("GET", "http", "/", "a/b", Authority),
        ("GET", "http", "/", "a?b", Authority),
        ("GET", "http", "/", "a b", Authority),
        ("GET", "http", "/", "a\\b", Authority),
        ("GET", "http", "/", "\u{e9}", Authority),
    ] {
        assert_eq!(request(method, scheme, path, authority), Err(fault), "{method} {scheme} {path} {authority}");
    }
    for (method, path, authority) in [
        ("OPTIONS", "*", "a"),
        ("GET", "//", "[::1]:80"),
        ("GET", "/a?b=c&d=%20|^[]{}<>\"", "xn--e1afmkfd.example"),
        ("GET", "/\u{e9}", "10.0.0.1:1"),
    ] {
        assert!(request(method, "https", path, authority).is_ok(), "{method} {path} {authority}");
    }
}

#[test]
fn connect_has_an_authority_with_a_port_and_nothing_else() {
    const CONNECT: (&str, &str) = (":method", "CONNECT");
    for (fields, fault) in [
        (&[CONNECT, (":authority", "a:443")][..], None),
        (&[CONNECT, (":authority", "[::1]:443")], None),
        (&[CONNECT], Some(Malformed::PseudoMissing)),
        (&[CONNECT, ("host", "a:443")], Some(Malformed::PseudoMissing)),
        (&[CONNECT, (":authority", "a")], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:")], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:0")], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:65536")], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:http")], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:443"), SCHEME], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:443"), PATH], Some(Malformed::Connect)),
        (&[CONNECT, (":authority", "a:443"), (":protocol", "websocket"), SCHEME, PATH], Some(Malformed::PseudoUnknown)),
    ] {
        assert_eq!(check_request(&list(fields)).err(), fault, "{fields:?}");
    }
}

#[test]
fn fields_that_no_message_has_are_refused() {
    use Malformed::{Authority, ConnectionField, ContentLength, Host, Name, Te, Value};
    for (fields, fault) in [
        (&[("", "a")][..], Name),
        (&[("Accept", "a")], Name),
        (&[("accepT", "a")], Name),
        (&[("a b", "a")], Name),
        (&[("a:b", "a")], Name),
        (&[("a\r\nb", "a")], Name),
        (&[("a\0", "a")], Name),
        (&[("a\u{e9}", "a")], Name),
        (&[("a(b)", "a")], Name),
        (&[("a", "b\r\nc: d")], Value),
        (&[("a", "b\nc")], Value),
        (&[("a", "b\rc")], Value),
        (&[("a", "b\0c")], Value),
        (&[("a", " b")], Value),
        (&[("a", "b\t")], Value),
        (&[("a", " ")], Value),
        (&[("connection", "close")], ConnectionField),
        (&[("connection", "")], ConnectionField),
        (&[("keep-alive", "timeout=5")], ConnectionField),
        (&[("proxy-connection", "keep-alive")], ConnectionField),
        (&[("transfer-encoding", "chunked")], ConnectionField),
        (&[("upgrade", "h2c")], ConnectionField),
        (&[("te", "gzip")], Te),
        (&[("te", "trailers, gzip")], Te),
        (&[("te", "")], Te),
        (&[("content-length", "")], ContentLength),
        (&[("content-length", "-1")], ContentLength),
        (&[("content-length", "+1")], ContentLength),
        (&[("content-length", "1, 1")], ContentLength),
        (&[("content-length", "0x10")], ContentLength),
        (&[("content-length", "18446744073709551616")], ContentLength),
        (&[("content-length", "1"), ("content-length", "1")], ContentLength),
        (&[("host", "another")], Host),
        (&[("host", "shop.default")], Host),
        (&[("host", "shop.default:8080"), ("host", "shop.default:8080")], Host),
        (&[("host", "")], Authority),
        (&[("host", "a@shop.default:8080")], Authority),
    ] {
        assert_eq!(with(fields), Err(fault), "{fields:?}");
    }
    for fields in [&[("te", "Trailers")][..], &[("a!#$%&'*+-.^_`|~1", "")], &[("a", "b c\td\u{e9}\u{1}")]] {
        assert!(with(fields).is_ok(), "{fields:?}");
    }
}

#[test]
fn responses_are_judged_by_their_rules() {
    let facts = |status, content_length, grpc_status| Ok(ResponseFacts { status, content_length, grpc_status });
    for (fields, outcome) in [
        (&[(":status", "200"), ("content-length", "5")][..], facts(200, Some(5), None)),
        (&[(":status", "100")], facts(100, None, None)),
        (&[(":status", "999")], facts(999, None, None)),
        (&[(":status", "200"), ("grpc-status", "0")], facts(200, None, Some(0))),
        (&[(":status", "200"), ("grpc-status", "16")], facts(200, None, Some(16))),
        (&[(":status", "200"), ("grpc-status", "17")], facts(200, None, Some(2))),
        (&[(":status", "200"), ("grpc-status", "OK")], facts(200, None, Some(2))),
        (&[], Err(Malformed::PseudoMissing)),
        (&[("content-length", "5")], Err(Malformed::PseudoMissing)),
        (&[(":status", "101")], Err(Malformed::Status)),
        (&[(":status", "099")], Err(Malformed::Status)),
        (&[(":status", "20")], Err(Malformed::Status)),
        (&[(":status", "2000")], Err(Malformed::Status)),
        (&[(":status", "2x0")], Err(Malformed::Status)),
        (&[(":status", "+20")], Err(Malformed::Status)),
        (&[(":status", "")], Err(Malformed::Status)),
        (&[(":status", "200"), (":status", "200")], Err(Malformed::PseudoTwice)),
        (&[(":status", "200"), (":path", "/")], Err(Malformed::PseudoUnknown)),
        (&[("a", "b"), (":status", "200")], Err(Malformed::PseudoLate)),
        (&[(":status", "200"), ("te", "trailers")], Err(Malformed::ConnectionField)),
        (&[(":status", "200"), ("transfer-encoding", "chunked")], Err(Malformed::ConnectionField)),
        (&[(":status", "200"), ("content-length", "1"), ("content-length", "2")], Err(Malformed::ContentLength)),
    ] {
        assert_eq!(check_response(&list(fields)), outcome, "{fields:?}");
    }
    for (status, interim) in [("100", true), ("103", true), ("199", true), ("200", false), ("500", false)] {
        assert_eq!(check_response(&list(&[(":status", status)])).unwrap().is_interim(), interim);
    }
}

#[test]
fn trailers_are_judged_by_their_rules() {
    for (fields, outcome) in [
        (&[][..], Ok(None)),
        (&[("grpc-message", "")], Ok(None)),
        (&[("grpc-status", "14"), ("grpc-message", "no")], Ok(Some(14))),
        (&[(":status", "200")], Err(Malformed::PseudoUnknown)),
        (&[("a", "b"), (":path", "/")], Err(Malformed::PseudoUnknown)),
        (&[("content-length", "1")], Err(Malformed::ContentLength)),
        (&[("host", "a")], Err(Malformed::Host)),
        (&[("te", "trailers")], Err(Malformed::ConnectionField)),
        (&[("connection", "close")], Err(Malformed::ConnectionField)),
        (&[("Grpc-Status", "0")], Err(Malformed::Name)),
        (&[("grpc-status", "0\n")], Err(Malformed::Value)),
    ] {
        assert_eq!(check_trailers(&list(fields)).map(|facts| facts.grpc_status), outcome, "{fields:?}");
    }
}

#[test]
fn what_passes_for_the_meshs_own_is_left_out() {
    for (name, ours) in [
        ("injector-client-id", true),
        ("injector-", true),
        ("injector-anything", true),
        ("Injector-Client-Id", true),
        ("injector_client_id", true),
        ("injector.client.id", true),
        ("INJECTOR~", true),
        ("injector", false),
        ("injectors-client-id", false),
        ("x-injector-client-id", false),
        ("injecto--client-id", false),
        ("-njector-client-id", false),
        ("injector1", false),
    ] {
        assert_eq!(is_ours(name.as_bytes()), ours, "{name}");
        let mut to = list(&[("left", "over")]);
        forward(&list(&[(name, "spiffe://forged"), ("a", "b")]), true, None, &mut to);
        assert_eq!(to.len(), if ours { 1 } else { 2 }, "{name}");
    }
}

#[test]
fn the_client_is_added_behind_all_others() {
    let mut from = list(&[METHOD, ("injector_client-id", "spiffe://forged"), ("a", "b")]);
    from.push(b"authorization", b"secret", true);
    let mut to = Fields::new();
    forward(&from, true, Some("spiffe://mesh/ns/a/sa/b"), &mut to);
    let mut expected = list(&[METHOD, ("a", "b")]);
    expected.push(b"authorization", b"secret", true);
    expected.push(b"injector-client-id", b"spiffe://mesh/ns/a/sa/b", false);
    assert_eq!(to, expected);
    forward(&from, false, None, &mut to);
    assert_eq!(to, from, "nothing is stripped where nobody asks for it");
}

#[test]
fn every_fault_has_its_place_label_and_text() {
    let mut labels = std::collections::BTreeSet::new();
    for (at, fault) in Malformed::ALL.iter().enumerate() {
        assert_eq!(fault.index(), at);
        assert!(labels.insert(fault.label().to_owned()) && labels.insert(fault.to_string()));
    }
}

proptest! {
    #[test]
    fn what_passes_has_no_byte_that_could_end_a_line(
        fields in prop::collection::vec(("[a-cA\r\n:\\-\0]{0,4}", "[a-c \r\n\t:\0]{0,4}"), 0..4)
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let broken = |bytes: &str| bytes.contains(['\r', '\n', '\0']);
        if with(&fields).is_ok() {
            prop_assert!(!fields.iter().any(|(name, value)| broken(name) || broken(value) || name.contains(':')));
        }
    }

    #[test]
    fn hostile_lists_are_judged_without_panic(
        fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..6)
    ) {
        let mut list = Fields::new();
        for (name, value) in &fields {
            list.push(name, value, false);
        }
        let _ = (check_request(&list), check_response(&list), check_trailers(&list));
    }
}
