//! Blocks of HPACK, one after the other with one table: read or refused, and what was read can be said again.
//!
//! The input is a list of blocks: a byte says how the peer's table is limited, a second how long the block is.
#![no_main]

use injector_proxy::http::h2::fields::Fields;
use injector_proxy::http::h2::hpack::{DecodeFault, Decoder, Encoder, Limits, TABLE};
use libfuzzer_sys::fuzz_target;

/// Bytes of a list at most. Small, so that a few bytes can be too many.
const LIST: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let (mut decoder, mut fields) = (Decoder::new(TABLE), Fields::new());
    let (mut encoder, mut next, mut said) = (Encoder::new(), Decoder::new(TABLE), Fields::new());
    let (mut block, mut plain) = (Vec::new(), Vec::new());
    let mut input = bytes;
    while let [limit, length, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        match decoder.decode(content, Limits::of(LIST), &mut fields) {
            Ok(()) => assert!(fields.size() <= LIST),
            Err(DecodeFault::TooLarge) => {
                assert!(fields.is_empty());
                continue;
            }
            Err(_) => return,
        }
        plain.clear();
        fields.append_to(&mut plain);
        assert_eq!(Fields::read(&plain).as_ref(), Some(&fields));
        encoder.set_limit(usize::from(*limit) * 32);
        block.clear();
        encoder.encode(&fields, &mut block);
        assert_eq!(next.decode(&block, Limits::of(LIST), &mut said), Ok(()));
        assert_eq!(said.len(), fields.len());
        for (said, field) in said.iter().zip(fields.iter()) {
            assert_eq!((said.name, said.value), (field.name, field.value));
            // What is secret is said so even if the peer did not.
            assert!(said.never_indexed || !field.never_indexed);
        }
    }
});
