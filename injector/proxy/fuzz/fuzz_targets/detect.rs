//! What the first bytes of a connection are: a decision stands, and whatever parses as a request is never called opaque.
#![no_main]

use injector_proxy::http::detect::{Guess, guess};
use injector_proxy::http::h1::head::{Fields, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let (whole, earlier) = (guess(bytes), guess(&bytes[..bytes.len().min(usize::from(cut))]));
    assert!(earlier == Guess::More || earlier == whole, "{earlier:?}, later {whole:?}");
    if let Ok(Some(_)) = request(bytes, &mut Fields::new()) {
        assert_eq!(whole, Guess::Http1);
    }
});
