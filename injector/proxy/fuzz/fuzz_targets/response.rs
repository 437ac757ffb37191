//! Heads of responses: read or refused wherever they are cut, and what is forwarded means the same to the next reader.
#![no_main]

use injector_proxy::http::h1::head::{Asked, Class, Fault, Fields, ResponseBody, response};
use injector_proxy::http::h1::rewrite::{self, ConnectionWord, Framing, Rewrite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let &[bits, cut, ref bytes @ ..] = input else { return };
    let asked = match bits & 3 {
        0 => Asked::Head,
        1 => Asked::Connect,
        _ => Asked::Other,
    };
    let connection = match bits >> 2 & 3 {
        0 => Some(ConnectionWord::Close),
        1 => Some(ConnectionWord::KeepAlive),
        _ => None,
    };
    let mut fields = Fields::new();
    let earlier = response(&bytes[..bytes.len().min(usize::from(cut))], &mut fields, asked);
    let whole = response(bytes, &mut fields, asked);
    assert!(earlier == Ok(None) || earlier == whole, "{earlier:?}, later {whole:?}");
    let Ok(Some(head)) = whole else { return };
    let (strip_mesh, keep_upgrade) = (bits & 16 != 0, bits & 32 != 0);
    let how = Rewrite { strip_mesh, client: None, keep_upgrade, framing: Framing::Keep, connection };
    let mut out = Vec::new();
    rewrite::response(bytes, &head, &fields, &how, &mut out);
    let length = out.len();
    out.extend_from_slice(b"HTTP/1.1 500\0"); // what follows is another message
    let mut fields = Fields::new();
    let again = match response(&out, &mut fields, asked) {
        Ok(Some(again)) => again,
        Err(Fault::LongHead | Fault::ManyFields) => return, // what we say made it too long
        other => panic!("{other:?} of {}", out.escape_ascii()),
    };
    assert_eq!((again.length, again.status, again.version, again.body), (length, head.status, head.version, head.body));
    assert!(!strip_mesh || !fields.has(Class::Mesh));
    // A frame where none may be is read by some: it never goes on.
    let framed = fields.has(Class::ContentLength) || fields.has(Class::TransferEncoding);
    assert!(!framed || !head.unframed);
    assert!(again.body != ResponseBody::UntilClose || !again.keep_alive);
});
