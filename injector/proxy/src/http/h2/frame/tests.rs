use super::*;
use crate::metrics::Labelled as _;
use proptest::prelude::*;

const CONNECTION_PROTOCOL: Violation = Violation::connection(Code::ProtocolError);
const CONNECTION_SIZE: Violation = Violation::connection(Code::FrameSizeError);
const STREAM_PROTOCOL: Violation = Violation::stream(Code::ProtocolError);

/// The head of a payload of that length.
fn head(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> FrameHead {
    FrameHead { length: u32::try_from(payload.len()).unwrap(), kind, flags, stream }
}

/// The frames in what was written.
fn frames(mut bytes: &[u8]) -> Vec<(FrameHead, &[u8])> {
    let mut frames = Vec::new();
    while let Some((nine, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = FrameHead::decode(*nine);
        assert_eq!(head.check(MOST_MAX_FRAME), Ok(()));
        let (payload, rest) = rest.split_at(head.length as usize);
        frames.push((head, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn heads_are_nine_bytes_and_the_reserved_bit_is_ignored() {
    let head = FrameHead { length: 0x01_02_03, kind: Kind::Headers, flags: 0x25, stream: 0x7fff_fffe };
    assert_eq!(head.encode(), [1, 2, 3, 1, 0x25, 0x7f, 0xff, 0xff, 0xfe]);
    assert_eq!(FrameHead::decode([1, 2, 3, 1, 0x25, 0xff, 0xff, 0xff, 0xfe]), head);
    assert!(head.has(flags::PRIORITY) && !head.has(flags::PADDED));
}

#[test]
fn frames_are_judged_by_their_heads() {
    use Kind::{
        Continuation, Data, GoAway, Headers, Ping, Priority, PushPromise, ResetStream, Settings, Unknown, WindowUpdate,
    };
    const PROTOCOL: Option<Violation> = Some(CONNECTION_PROTOCOL);
    const SIZE: Option<Violation> = Some(CONNECTION_SIZE);
    for (kind, flags, stream, length, violation) in [
        (Data, 0, 1, 0, None),
        (Data, 0, 1, 16384, None),
        (Data, 0, 1, 16385, SIZE),
        (Unknown(10), 0, 0, 16385, SIZE),
        (Unknown(10), 0xff, 0, 16384, None),
        (Data, 0, 0, 0, PROTOCOL),
        (Headers, 0, 0, 10, PROTOCOL),
        (Continuation, 0, 0, 10, PROTOCOL),
        (Priority, 0, 0, 5, PROTOCOL),
        (Priority, 0, 1, 5, None),
        (Priority, 0, 1, 4, Some(Violation::stream(Code::FrameSizeError))),
        (ResetStream, 0, 0, 4, PROTOCOL),
        (ResetStream, 0, 1, 4, None),
        (ResetStream, 0, 1, 3, SIZE),
        (ResetStream, 0, 1, 5, SIZE),
        (Settings, 0, 1, 0, PROTOCOL),
        (Settings, 0, 0, 6, None),
        (Settings, 0, 0, 7, SIZE),
        (Settings, 1, 0, 0, None),
        (Settings, 1, 0, 6, SIZE),
        (PushPromise, 0, 1, 10, PROTOCOL),
        (Ping, 0, 1, 8, PROTOCOL),
        (Ping, 1, 0, 8, None),
        (Ping, 0, 0, 7, SIZE),
        (GoAway, 0, 1, 8, PROTOCOL),
        (GoAway, 0, 0, 8, None),
        (GoAway, 0, 0, 7, SIZE),
        (WindowUpdate, 0, 0, 4, None),
        (WindowUpdate, 0, 1, 4, None),
        (WindowUpdate, 0, 1, 5, SIZE),
    ] {
        let head = FrameHead { length, kind, flags, stream };
        assert_eq!(head.check(LEAST_MAX_FRAME).err(), violation, "{head:?}");
    }
}

#[test]
fn settings_are_known_or_ignored_in_their_order() {
    let frame = written(|out| {
        let known = [(1, 0), (2, 1), (3, u32::MAX), (4, MOST_31), (5, MOST_MAX_FRAME), (6, 7)];
        write::settings(&[&known[..], &[(7, 1), (8, 9), (0xffff, 0), (1, 4096), (2, 0)]].concat(), out);
    });
    let [(head, payload)] = frames(&frame)[..] else { panic!("one frame") };
    let read: Vec<Setting> = settings(head, payload).unwrap().collect();
    assert_eq!(
        read,
        [
            Setting::HeaderTableSize(0),
            Setting::EnablePush(true),
            Setting::MaxConcurrentStreams(u32::MAX),
            Setting::InitialWindowSize(MOST_31),
            Setting::MaxFrameSize(MOST_MAX_FRAME),
            Setting::MaxHeaderListSize(7),
            Setting::HeaderTableSize(4096),
            Setting::EnablePush(false),
        ]
    );
}

#[test]
fn settings_with_values_that_they_cannot_have_are_refused() {
    for (id, value, code) in [
        (id::ENABLE_PUSH, 2, Code::ProtocolError),
        (id::ENABLE_PUSH, u32::MAX, Code::ProtocolError),
        (id::INITIAL_WINDOW_SIZE, 1 << 31, Code::FlowControlError),
        (id::INITIAL_WINDOW_SIZE, u32::MAX, Code::FlowControlError),
        (id::MAX_FRAME_SIZE, 0, Code::ProtocolError),
        (id::MAX_FRAME_SIZE, 16383, Code::ProtocolError),
        (id::MAX_FRAME_SIZE, 1 << 24, Code::ProtocolError),
    ] {
        let frame = written(|out| write::settings(&[(id::HEADER_TABLE_SIZE, 1), (id, value)], out));
        let (head, payload) = frames(&frame)[0];
        assert_eq!(settings(head, payload).err(), Some(Violation::connection(code)), "{id} {value}");
    }
}

#[test]
fn payloads_that_do_not_fit_their_frames_are_refused() {
    type Read = fn(FrameHead, &[u8]) -> Result<(), Violation>;
    let settings: Read = |head, payload| settings(head, payload).map(drop);
    let reset: Read = |head, payload| reset_stream(head, payload).map(drop);
    let pinged: Read = |head, payload| ping(head, payload).map(drop);
    let window: Read = |head, payload| window_update(head, payload).map(drop);
    let gone: Read = |head, payload| go_away(head, payload).map(drop);
    let block: Read = |head, payload| headers(head, payload).map(drop);
    let content: Read = |head, payload| data(head, payload).map(drop);
    let more: Read = |head, payload| continuation(head, payload).map(drop);
    let (pad, prio) = (flags::PADDED, flags::PRIORITY);
    let stream_size = Violation::stream(Code::FrameSizeError);
    for (read, kind, flags, stream, payload, violation) in [
        (settings, Kind::Settings, 0, 0, &[0, 1, 0, 0, 0][..], CONNECTION_SIZE),
        (settings, Kind::Settings, flags::ACK, 0, &[0, 1, 0, 0, 0, 0], CONNECTION_SIZE),
        (settings, Kind::Settings, 0, 1, &[], CONNECTION_PROTOCOL),
        (settings, Kind::Ping, 0, 0, &[], Violation::connection(Code::InternalError)),
        (reset, Kind::ResetStream, 0, 1, &[0; 3], CONNECTION_SIZE),
        (reset, Kind::ResetStream, 0, 1, &[0; 5], CONNECTION_SIZE),
        (reset, Kind::ResetStream, 0, 0, &[0; 4], CONNECTION_PROTOCOL),
        (pinged, Kind::Ping, 0, 0, &[0; 9], CONNECTION_SIZE),
        (pinged, Kind::Ping, 0, 0, &[], CONNECTION_SIZE),
        (pinged, Kind::Ping, 0, 3, &[0; 8], CONNECTION_PROTOCOL),
        (window, Kind::WindowUpdate, 0, 0, &[0; 4], CONNECTION_PROTOCOL),
        (window, Kind::WindowUpdate, 0, 1, &[0x80, 0, 0, 0], STREAM_PROTOCOL),
        (window, Kind::WindowUpdate, 0, 1, &[0, 0, 1], CONNECTION_SIZE),
        (gone, Kind::GoAway, 0, 0, &[0; 7], CONNECTION_SIZE),
        (gone, Kind::GoAway, 0, 1, &[0; 8], CONNECTION_PROTOCOL),
        (priority, Kind::Priority, 0, 1, &[0; 4], stream_size),
        (priority, Kind::Priority, 0, 1, &[0; 6], stream_size),
        (priority, Kind::Priority, 0, 1, &[0x80, 0, 0, 1, 0], STREAM_PROTOCOL),
        (priority, Kind::Priority, 0, 0, &[0; 5], CONNECTION_PROTOCOL),
        (content, Kind::Data, 0, 0, b"a", CONNECTION_PROTOCOL),
        (content, Kind::Data, pad, 1, &[], CONNECTION_SIZE),
        (content, Kind::Data, pad, 1, &[1], CONNECTION_PROTOCOL),
        (content, Kind::Data, pad, 1, &[3, 0, 0], CONNECTION_PROTOCOL),
        (content, Kind::Data, pad, 1, &[255, 0, 0], CONNECTION_PROTOCOL),
        (block, Kind::Headers, 0, 0, b"a", CONNECTION_PROTOCOL),
        (block, Kind::Headers, pad, 1, &[], CONNECTION_SIZE),
        (block, Kind::Headers, pad, 1, &[2, 0x82], CONNECTION_PROTOCOL),
        (block, Kind::Headers, prio, 1, &[0; 4], CONNECTION_SIZE),
        (block, Kind::Headers, prio | pad, 1, &[1, 0, 0, 0, 0, 0], CONNECTION_SIZE),
        (block, Kind::Headers, prio, 1, &[0, 0, 0, 1, 0, 0x82], STREAM_PROTOCOL),
        (more, Kind::Continuation, 0, 0, b"a", CONNECTION_PROTOCOL),
    ] {
        assert_eq!(read(head(kind, flags, stream, payload), payload), Err(violation), "{kind:?} {payload:?}");
    }
}

#[test]
fn padding_and_priority_are_taken_away() {
    let (pad, prio) = (flags::PADDED, flags::PRIORITY);
    for (flags, payload, content) in [
        (0, &b"abc"[..], &b"abc"[..]),
        (0, b"", b""),
        (pad, b"\0abc", b"abc"),
        (pad, b"\x01abc", b"ab"),
        (pad, b"\x03abc", b""),
        (pad, b"\0", b""),
    ] {
        assert_eq!(data(head(Kind::Data, flags, 1, payload), payload), Ok(content));
        assert_eq!(headers(head(Kind::Headers, flags, 1, payload), payload), Ok(content));
    }
    for (flags, payload) in [(prio, &b"\x80\0\0\x03\x10ab"[..]), (prio | pad, b"\x02\0\0\0\0\x10ab\0\0")] {
        assert_eq!(headers(head(Kind::Headers, flags, 1, payload), payload), Ok(&b"ab"[..]));
    }
}

#[test]
fn what_is_written_is_read() {
    let bytes = written(|out| {
        write::settings_ack(out);
        write::ping(*b"12345678", out);
        write::ping_ack(*b"abcdefgh", out);
        write::go_away(7, Code::EnhanceYourCalm, b"why", out);
        write::reset_stream(5, Code::Cancel, out);
        write::window_update(0, MOST_31, out);
        write::window_update(9, 1, out);
        write::data_head(3, 0, true, out);
    });
    let all = frames(&bytes);
    assert_eq!((all[0].0.has(flags::ACK), settings(all[0].0, all[0].1).unwrap().count()), (true, 0));
    assert_eq!((all[1].0.has(flags::ACK), ping(all[1].0, all[1].1)), (false, Ok(*b"12345678")));
    assert_eq!((all[2].0.has(flags::ACK), ping(all[2].0, all[2].1)), (true, Ok(*b"abcdefgh")));
    let gone = GoAway { last: 7, code: Code::EnhanceYourCalm, debug: b"why" };
    assert_eq!(go_away(all[3].0, all[3].1), Ok(gone));
    assert_eq!((all[4].0.stream, reset_stream(all[4].0, all[4].1)), (5, Ok(Code::Cancel)));
    assert_eq!(window_update(all[5].0, all[5].1), Ok(MOST_31));
    assert_eq!((all[6].0.stream, window_update(all[6].0, all[6].1)), (9, Ok(1)));
    assert_eq!((all[7].0.has(flags::END_STREAM), data(all[7].0, all[7].1)), (true, Ok(&b""[..])));
    assert_eq!(all.len(), 8);
}

#[test]
fn codes_are_the_rfcs_and_unknown_ones_are_internal() {
    for (number, code) in (0..).zip(Code::ALL) {
        assert_eq!((Code::from_u32(number), *code as u32, code.index() as u64), (*code, number, number.into()));
    }
    for number in [14, 255, u32::MAX] {
        assert_eq!(Code::from_u32(number), Code::InternalError);
    }
    assert_eq!(Code::from_u32(0xb).label(), "enhance_your_calm");
    assert_eq!(Code::from_u32(0xd).label(), "http_1_1_required");
}

proptest! {
    #[test]
    fn heads_come_back(bytes in any::<[u8; HEAD]>()) {
        let mut plain = bytes;
        plain[5] &= 0x7f;
        prop_assert_eq!(FrameHead::decode(bytes).encode(), plain);
        prop_assert_eq!(Kind::from_u8(bytes[3]).as_u8(), bytes[3]);
    }

    #[test]
    fn blocks_are_split_and_whole_again(
        block in prop::collection::vec(any::<u8>(), 0..100), end in any::<bool>(), most in 1usize..40
    ) {
        let bytes = written(|out| write::headers(1, &block, end, most, out));
        let frames = frames(&bytes);
        let mut whole: Vec<u8> = Vec::new();
        for (at, (head, payload)) in frames.iter().enumerate() {
            prop_assert!(payload.len() <= most);
            prop_assert_eq!(head.has(flags::END_HEADERS), at + 1 == frames.len());
            prop_assert_eq!(head.has(flags::END_STREAM), end && at == 0);
            let read = if at == 0 { headers } else { continuation };
            whole.extend(read(*head, payload).unwrap());
        }
        prop_assert_eq!(frames.len(), block.len().div_ceil(most).max(1));
        prop_assert_eq!(whole, block);
    }

    #[test]
    fn hostile_payloads_do_no_harm(bytes in any::<[u8; HEAD]>(), payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let head = FrameHead::decode(bytes);
        for kind in (0..=10).map(Kind::from_u8) {
            let head = FrameHead { kind, ..head };
            let _ = (settings(head, &payload).map(Iterator::count), reset_stream(head, &payload));
            let _ = (ping(head, &payload), window_update(head, &payload), go_away(head, &payload));
            let _ = (priority(head, &payload), data(head, &payload), headers(head, &payload));
        }
    }
}
