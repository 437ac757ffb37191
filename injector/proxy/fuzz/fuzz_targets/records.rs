//! What comes after a TLS handshake: records from a peer that has the keys and says what it likes, and from one that has
//! not, whole or in pieces.
//!
//! The input is a list of commands: a byte says what the peer does, a second how many of the bytes behind it it takes.
#![no_main]

use injector_proxy::tls::inbound::{Event, Inbound};
use injector_proxy::tls::record::{Fault, HEAD, Kind, Opener, Sealer, TAIL};
use libfuzzer_sys::fuzz_target;
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};

/// More than anybody may have: 32 records without content in a row are too many (tickets and keys count by their records).
const MOST_EVENTS_WITHOUT_CONTENT: usize = 4096;

fn secrets(generation: u8) -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([generation; 32]), iv: Iv::from([9; 12]) }
}

fn sealer(generation: u8) -> Sealer {
    Sealer::new(0, secrets(generation)).expect("32 bytes are a key")
}

/// The bytes that the peer puts on the wire, and the contents that it meant for the application.
fn said(mut input: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
    let (mut wire, mut meant, mut honest) = (Vec::new(), Vec::new(), true);
    let (mut generation, mut sealing) = (0_u8, sealer(0));
    while let [command, length, rest @ ..] = input {
        let (content, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        let kind = match command % 6 {
            0 | 1 => Kind::Data,
            2 => Kind::Alert,
            3 => Kind::Handshake,
            4 => {
                generation = generation.wrapping_add(1);
                sealing = sealer(generation);
                honest = false;
                continue;
            }
            _ => {
                wire.extend_from_slice(content);
                honest &= content.is_empty();
                continue;
            }
        };
        let mut record = vec![0; HEAD + content.len() + TAIL];
        record[HEAD..HEAD + content.len()].copy_from_slice(content);
        sealing.seal(kind, &mut record).expect("a key lasts for more");
        wire.extend_from_slice(&record);
        honest &= kind == Kind::Data;
        meant.extend_from_slice(content);
    }
    (wire, meant, honest)
}

/// What is heard of it when `step` more bytes are there each time.
fn heard(wire: &[u8], step: usize) -> (Vec<u8>, Option<Fault>) {
    let mut inbound = Inbound::new(Opener::new(0, secrets(0)).expect("32 bytes are a key"));
    let (mut content, mut generation, mut empty) = (Vec::new(), 0_u8, 0);
    let (mut there, mut at) = (Vec::new(), 0);
    for piece in wire.chunks(step) {
        there.extend_from_slice(piece);
        loop {
            match inbound.next(&mut there, at) {
                Err(fault) => return (content, Some(fault)),
                Ok(None) => break,
                Ok(Some((event, end))) => {
                    assert!(end >= at && end <= there.len());
                    at = end;
                    empty += 1;
                    match event {
                        Event::Content(range) => {
                            if !range.is_empty() {
                                empty = 0;
                            }
                            content.extend_from_slice(&there[range]);
                        }
                        Event::Ticket(_) => {}
                        Event::NewKeys { .. } => {
                            generation = generation.wrapping_add(1);
                            inbound.rekey(Opener::new(0, secrets(generation)).expect("32 bytes are a key"));
                        }
                        Event::End => return (content, None),
                    }
                    assert!(empty < MOST_EVENTS_WITHOUT_CONTENT, "kept busy for nothing");
                }
            }
        }
    }
    (content, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, input)) = bytes.split_first() else { return };
    let (wire, meant, honest) = said(input);
    let whole = heard(&wire, wire.len().max(1));
    assert_eq!(whole, heard(&wire, usize::from(step) + 1), "pieces must not matter");
    if honest && whole.1.is_none() {
        assert_eq!(whole.0, meant);
    }
});
