use super::*;
use crate::http::h2::fields::Fields;
use crate::http::h2::frame::{Code, Scope};
use crate::metrics::Labelled as _;
use proptest::prelude::*;

mod rfc;

type Listed<'a> = &'a [(&'a str, &'a str)];

const ROOMY: Limits = Limits { list: 1 << 16, bearable: 1 << 20 };

fn list(fields: Listed<'_>) -> Fields {
    let mut list = Fields::new();
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes(), false);
    }
    list
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8], limits: Limits) -> Result<Fields, DecodeFault> {
    let mut out = list(&[("left", "over")]);
    let decoded = decoder.decode(block, limits, &mut out);
    assert!(decoded.is_ok() || out.is_empty(), "a fault leaves nothing behind");
    decoded.map(|()| out)
}

#[test]
fn each_representation_says_whether_it_may_be_indexed() {
    // Appendix C.2; and the same that are never indexed with a name of their own.
    for (block, name, value, never, kept) in [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key", "custom-header", false, true),
        ("040c2f73616d706c652f70617468", ":path", "/sample/path", false, false),
        ("100870617373776f726406736563726574", "password", "secret", true, false),
        ("1f0803616263", "authorization", "abc", true, false),
        ("82", ":method", "GET", false, false),
        ("40000 0", "", "", false, true),
    ] {
        let mut decoder = Decoder::new(TABLE);
        let fields = decode(&mut decoder, &bytes(block), ROOMY).unwrap();
        let field = fields.iter().next().unwrap();
        assert_eq!((field.name, field.value), (name.as_bytes(), value.as_bytes()));
        assert_eq!(field.never_indexed, never, "{block}");
        let first = decode(&mut decoder, &[0xbe], ROOMY);
        assert_eq!(first.is_ok(), kept, "{block}");
    }
}

#[test]
fn malformed_blocks_are_refused() {
    use DecodeFault::{Cut, Huffman, Index, Integer, Resize};
    for (block, fault) in [
        ("80", Index),                     // index 0
        ("be", Index),                     // the dynamic table is empty
        ("ff00", Index),                   // 127
        ("82ff80808001", Index),           // far away
        ("ff", Integer),                   // cut
        ("ff80", Integer),                 // cut
        ("ffffffffffff7f", Integer),       // too long
        ("ff8080808000", Integer),         // too many zeros
        ("7e0161", Index),                 // a name that nobody has
        ("0f2f0161", Index),               // the same, not kept: 62
        ("1f2f0161", Index),               // the same, never indexed
        ("40", Integer),                   // no name
        ("4001", Cut),                     // the name is cut
        ("400161", Integer),               // no value
        ("40016101", Cut),                 // the value is cut
        ("4001617f", Integer),             // its length is cut
        ("400161 7fffffff7f", Cut),        // 256 MiB
        ("4001617fffffffffff7f", Integer), // more
        ("0001617f8080808080", Integer),   // endless
        ("00", Integer),                   // as above, not kept
        ("1001610261", Cut),
        ("4081ff 0161", Huffman),      // the name is padding
        ("4001618118", Huffman),       // padded with zeros
        ("40016181ff", Huffman),       // eight bits of padding
        ("400161821fff", Huffman),     // eleven
        ("40016184ffffffff", Huffman), // EOS
        ("8220", Resize),              // behind a field
        ("823fe11f", Resize),          // the same
        ("3fe21f", Resize),            // 4097
        ("3fffffff7f", Resize),        // 256 MiB
        ("3f", Integer),
        ("3fffffffffff", Integer),
        ("20be", Index),
    ] {
        let fault_of = decode(&mut Decoder::new(TABLE), &bytes(block), ROOMY);
        assert_eq!(fault_of, Err(fault), "{block}");
        let violation = fault.violation();
        assert_eq!((violation.scope, violation.code), (Scope::Connection, Code::CompressionError));
    }
}

#[test]
fn blocks_may_be_empty_and_may_resize_the_table_more_than_once() {
    for block in ["", "20", "3fe11f", "203fe11f", "2020"] {
        assert_eq!(decode(&mut Decoder::new(TABLE), &bytes(block), ROOMY), Ok(Fields::new()), "{block}");
    }
}

#[test]
fn a_resized_table_forgets() {
    let mut decoder = Decoder::new(TABLE);
    for (block, outcome) in [
        ("40016101 62", Ok(list(&[("a", "b")]))),
        ("be", Ok(list(&[("a", "b")]))),
        ("3f03be", Ok(list(&[("a", "b")]))), // 34 bytes are enough for it
        ("3f02be", Err(DecodeFault::Index)), // 33 are not
    ] {
        assert_eq!(decode(&mut decoder, &bytes(block), ROOMY), outcome, "{block}");
    }
}

#[test]
fn a_list_that_is_too_large_leaves_the_table_in_step() {
    let mut decoder = Decoder::new(TABLE);
    let limits = Limits { list: 68, bearable: 1000 };
    // Two fields of 34 bytes are taken, one more byte is not; the third goes into the table all the same.
    assert!(decode(&mut decoder, &bytes("400161016240016301 64"), limits).is_ok());
    let large = bytes("bebf 4001650466666666");
    assert_eq!(decode(&mut decoder, &large, limits), Err(DecodeFault::TooLarge));
    assert_eq!(decode(&mut decoder, &[0xbe], limits), Ok(list(&[("e", "ffff")])));
    assert_eq!(decode(&mut decoder, &[0xbf, 0xc0], limits), Ok(list(&[("c", "d"), ("a", "b")])));
    assert_eq!(DecodeFault::TooLarge.violation().scope, Scope::Stream);
}

#[test]
fn references_to_a_large_entry_cost_no_more_than_the_limit() {
    let mut decoder = Decoder::new(TABLE);
    let value = vec![b'v'; 4000];
    let mut block = vec![0x40, 1, b'n'];
    integer::encode(0, 0x7f, value.len(), &mut block);
    block.extend(&value);
    let limits = Limits::of(16 << 10);
    decode(&mut decoder, &block, limits).unwrap();
    let mut out = Fields::new();
    for (references, outcome) in [
        (4, Ok(())),
        (5, Err(DecodeFault::TooLarge)),
        (64, Err(DecodeFault::TooLarge)),
        (65, Err(DecodeFault::Unbearable)),
    ] {
        assert_eq!(decoder.decode(&vec![0xbe; references], limits, &mut out), outcome, "{references}");
        assert!(out.bytes().capacity() <= 2 * limits.list, "no more memory than the list may have, doubled");
    }
    // A name of 4,000 bytes, inserted anew by two bytes each time.
    let names = [&[0x40][..], &block[3..], &[0]].concat();
    let mut decoder = Decoder::new(TABLE);
    decode(&mut decoder, &names, limits).unwrap();
    assert_eq!(decoder.decode(&[0x7e, 0].repeat(10_000), limits, &mut out), Err(DecodeFault::Unbearable));
    assert!(out.bytes().capacity() <= 2 * limits.list + 4000);
}

#[test]
fn secrets_are_never_indexed_and_what_changes_is_not_kept() {
    let long = "x".repeat(1000);
    for (name, value, first, again) in [
        (":path", "/a.B/C", 0x44, 0xbe),
        (":path", "/a?b", 0x04, 0x04),
        ("authorization", "Bearer 1234567890123456789", 0x1f, 0x1f),
        ("proxy-authorization", "Basic", 0x1f, 0x1f),
        ("cookie", "a=1234567890123456", 0x1f, 0x1f),
        ("cookie", "a=123456789012345678", 0x60, 0xbe),
        ("set-cookie", "a=1234567890123456789", 0x0f, 0x0f),
        ("content-length", "5", 0x0f, 0x0f),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT", 0x61, 0xbe),
        ("x-long", &long, 0x00, 0x00),
        ("user-agent", &long, 0x0f, 0x0f),
        ("x-other", "y", 0x40, 0xbe),
        // Names that are in no table yet are put there with whatever value they first come with.
        ("grpc-timeout", "1S", 0x40, 0xbe),
        ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7", 0x40, 0xbe),
    ] {
        let mut encoder = Encoder::new();
        for expected in [first, again] {
            let mut out = Vec::new();
            encoder.encode(&list(&[(name, value)]), &mut out);
            assert_eq!(out[0], expected, "{name}: {value}");
        }
    }
}

#[test]
fn the_name_of_what_changes_is_sent_once() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(TABLE);
    let mut lengths = Vec::new();
    for timeout in ["999931u", "999932u", "999933u"] {
        let (fields, mut out) = (list(&[("grpc-timeout", timeout)]), Vec::new());
        encoder.encode(&fields, &mut out);
        assert_eq!(decode(&mut decoder, &out, ROOMY), Ok(fields));
        lengths.push(out.len());
    }
    assert_eq!(lengths, [18, 9, 9]);
    assert_eq!(encoder.table.inserted(), 1);
}

#[test]
fn never_indexed_fields_stay_so_on_their_way() {
    let mut fields = Fields::new();
    fields.push(b"x-token", b"secret", true);
    fields.push(b":method", b"GET", true);
    let mut out = Vec::new();
    Encoder::new().encode(&fields, &mut out);
    assert_eq!(decode(&mut Decoder::new(TABLE), &out, ROOMY), Ok(fields));
}

#[test]
fn a_change_of_the_table_is_told_once_and_that_it_was_lower_first() {
    for (limits, begins) in [
        (&[][..], &[][..]),
        (&[4096], &[]),
        (&[1 << 20], &[]),
        (&[0], &[0x20]),
        (&[100], &[0x3f, 69]),
        (&[100, 50], &[0x3f, 19]),
        (&[0, 4096], &[0x20, 0x3f, 0xe1, 0x1f]),
        (&[50, 100, 60], &[0x20, 0x3f, 29]),
        (&[50, 1 << 30], &[0x20, 0x3f, 0xe1, 0x1f]),
    ] {
        let mut encoder = Encoder::new();
        for &limit in limits {
            encoder.set_limit(limit);
        }
        for begins in [begins, &[]] {
            let mut out = Vec::new();
            encoder.encode(&list(&[(":method", "GET")]), &mut out);
            assert_eq!(out, [begins, &[0x82]].concat(), "{limits:?}");
        }
    }
}

#[test]
fn a_table_that_only_grows_keeps_what_it_has() {
    let mut encoder = Encoder::new();
    let fields = list(&[("a", "b")]);
    encoder.set_limit(200);
    encoder.encode(&fields, &mut Vec::new());
    encoder.set_limit(300);
    let mut out = Vec::new();
    encoder.encode(&fields, &mut out);
    assert_eq!(out, [0x3f, 0x8d, 0x02, 0xbe]);
}

/// Two different strings with one hash: among some hundred thousand of 2^32 there are some.
fn colliding(seed: u32) -> (String, String) {
    let mut known = std::collections::HashMap::new();
    for number in 0u32.. {
        let string = format!("v{number}");
        if let Some(other) = known.insert(statics::hash(seed, string.as_bytes()), string.clone()) {
            return (other, string);
        }
    }
    unreachable!("there are only so many hashes")
}

#[test]
fn what_has_the_same_hash_is_not_taken_for_the_same() {
    let (value, other_value) = colliding(statics::hash(0, b"x-a"));
    let (name, other_name) = colliding(0);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE));
    for fields in [
        [("x-a", &*value), ("x-a", &*other_value)],
        [("x-a", &*other_value), ("x-a", &*value)],
        [(&*name, "a"), (&*other_name, "a")],
        [(&*other_name, "b"), (&*name, "b")],
    ] {
        let mut block = Vec::new();
        encoder.encode(&list(&fields), &mut block);
        assert_eq!(decode(&mut decoder, &block, ROOMY), Ok(list(&fields)));
    }
}

#[test]
fn nothing_is_allocated_once_the_tables_are_warm() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE));
    let (mut out, mut fields) = (Vec::new(), Fields::new());
    let round =
        |number: usize, encoder: &mut Encoder, decoder: &mut Decoder, out: &mut Vec<u8>, fields: &mut Fields| {
            let value = format!("value {}", 1_000_000 + number);
            let sent = list(&[(":method", "POST"), (":path", "/a.B/C"), ("x-changes", &value)]);
            out.clear();
            encoder.encode(&sent, out);
            decoder.decode(out, ROOMY, fields).unwrap();
            assert_eq!(*fields, sent);
        };
    for number in 0..1000 {
        round(number, &mut encoder, &mut decoder, &mut out, &mut fields);
    }
    let capacities = |encoder: &Encoder, decoder: &Decoder| (encoder.table.capacities(), decoder.table().capacities());
    let warm = capacities(&encoder, &decoder);
    for number in 0..10_000 {
        round(number, &mut encoder, &mut decoder, &mut out, &mut fields);
    }
    assert_eq!(capacities(&encoder, &decoder), warm);
    assert!(warm.0.0 <= 2 * TABLE);
}

#[test]
fn every_fault_has_its_place() {
    for (at, fault) in DecodeFault::ALL.iter().enumerate() {
        assert_eq!(fault.index(), at, "{}", fault.label());
    }
}

/// Fields of which many come again, some are large, and some must not be indexed.
fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, bool)> {
    let name = prop_oneof![
        Just(b":method".to_vec()),
        Just(b":path".to_vec()),
        Just(b"cookie".to_vec()),
        Just(b"authorization".to_vec()),
        Just(b"grpc-timeout".to_vec()),
        "x-[a-e]".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let value = prop_oneof![
        4 => "[a-d]{0,2}".prop_map(String::into_bytes),
        1 => Just(b"GET".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..1200),
    ];
    (name, value, prop::bool::weighted(0.1))
}

proptest! {
    #[test]
    fn lists_come_back_through_evictions_resizing_and_lists_that_are_too_large(
        blocks in prop::collection::vec(
            (prop::collection::vec(field(), 0..12), prop::collection::vec(0usize..6000, 0..3), any::<bool>()), 0..40
        )
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE));
        for (fields, resizes, tight) in blocks {
            // Mostly full: otherwise nothing lives long enough to be found.
            for limit in resizes {
                encoder.set_limit(if limit < 5000 { TABLE } else { limit - 5000 });
            }
            let mut sent = Fields::new();
            for (name, value, never_indexed) in &fields {
                sent.push(name, value, *never_indexed);
            }
            let mut block = Vec::new();
            encoder.encode(&sent, &mut block);
            let limits = if tight { Limits { list: 300, bearable: 1 << 20 } } else { ROOMY };
            match decode(&mut decoder, &block, limits) {
                Ok(got) => {
                    prop_assert!(sent.size() <= limits.list);
                    prop_assert_eq!(got.len(), sent.len());
                    for (got, sent) in got.iter().zip(&sent) {
                        prop_assert_eq!((got.name, got.value), (sent.name, sent.value));
                        prop_assert!(got.never_indexed || !sent.never_indexed, "a secret stays one");
                    }
                }
                Err(fault) => {
                    prop_assert_eq!(fault, DecodeFault::TooLarge);
                    prop_assert!(sent.size() > limits.list);
                }
            }
        }
    }

    #[test]
    fn hostile_blocks_neither_panic_nor_take_memory(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10)
    ) {
        let mut decoder = Decoder::new(TABLE);
        let limits = Limits { list: 500, bearable: 2000 };
        let mut out = Fields::new();
        for block in blocks {
            let decoded = decoder.decode(&block, limits, &mut out);
            prop_assert!(out.size() <= limits.list);
            prop_assert!(decoded.is_ok() || out.is_empty());
            // What is taken, one field of the table and one string of the block, doubled by growth.
            prop_assert!(out.bytes().capacity() <= 2 * (500 + TABLE + 300 * 8 / 5));
            prop_assert!(decoder.table().capacities().0 <= 2 * TABLE);
        }
    }

    #[test]
    fn blocks_that_nearly_decode_do_no_harm(
        fields in prop::collection::vec(field(), 1..10), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut sent = Fields::new();
        for (name, value, never_indexed) in &fields {
            sent.push(name, value, *never_indexed);
        }
        let mut block = Vec::new();
        Encoder::new().encode(&sent, &mut block);
        let at = at.index(block.len());
        block[at] = byte;
        let mut decoder = Decoder::new(TABLE);
        let mut out = Fields::new();
        let _ = decoder.decode(&block, ROOMY, &mut out);
        let _ = decoder.decode(&block[..at], ROOMY, &mut out);
    }
}
