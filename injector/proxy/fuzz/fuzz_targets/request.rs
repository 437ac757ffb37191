//! Heads of requests: read or refused wherever they are cut, and what is forwarded means the same to the next reader.
#![no_main]

use injector_proxy::http::h1::head::{Body, Class, Fields, Refusal, request};
use injector_proxy::http::h1::rewrite::{self, ConnectionWord, Framing, Rewrite};
use libfuzzer_sys::fuzz_target;

fn how(bits: u8) -> Rewrite<'static> {
    let connection = match bits >> 4 & 3 {
        0 => Some(ConnectionWord::Close),
        1 => Some(ConnectionWord::KeepAlive),
        _ => None,
    };
    let framing = match bits >> 2 & 3 {
        0 => Framing::Chunked,
        1 => Framing::Length(7),
        _ => Framing::Keep,
    };
    let strip_mesh = bits & 1 != 0;
    let client = strip_mesh.then_some("spiffe://cluster.local/ns/a/sa/b");
    Rewrite { strip_mesh, client, keep_upgrade: bits & 2 != 0, framing, connection }
}

fuzz_target!(|input: &[u8]| {
    let &[bits, cut, ref bytes @ ..] = input else { return };
    let mut fields = Fields::new();
    let earlier = request(&bytes[..bytes.len().min(usize::from(cut))], &mut fields);
    let whole = request(bytes, &mut fields);
    assert!(earlier == Ok(None) || earlier == whole, "{earlier:?}, later {whole:?}");
    let Ok(Some(head)) = whole else { return };
    let how = how(bits);
    let mut out = Vec::new();
    rewrite::request(bytes, &head, &fields, &how, &mut out);
    let (length, path) = (out.len(), head.path(bytes).to_vec());
    out.extend_from_slice(b"GET /next\0"); // what follows is another message
    let mut fields = Fields::new();
    let again = match request(&out, &mut fields) {
        Ok(Some(again)) => again,
        Err(Refusal::LongHead | Refusal::ManyFields) => return, // what we say made it too long
        // A frame that HTTP/1.0 has not is never asked for; nor is another for a head that has one of its own.
        Err(_) if how.framing == Framing::Chunked => return,
        other => panic!("{other:?} of {}", out.escape_ascii()),
    };
    let body = match how.framing {
        Framing::Chunked => Body::Chunked,
        Framing::Length(length) => Body::Length(length),
        _ => head.body,
    };
    assert_eq!((again.length, again.method, again.body), (length, head.method, body));
    assert_eq!((again.version, again.path(&out)), (head.version, &path[..]));
    assert!(!again.upgrade || how.keep_upgrade);
    let ours = fields.iter().filter(|field| field.class == Class::Mesh).count();
    assert!(!how.strip_mesh || ours == 1, "only we say who the client is");
});
