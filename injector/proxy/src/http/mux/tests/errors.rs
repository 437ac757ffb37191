//! What a peer may do wrong, section by section of RFC 9113, and what comes of it.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing is wrong.
    Fine,
    /// The stream ends.
    Reset(u32, Code),
    /// The connection ends.
    Away(Code),
}

use Outcome::{Away, Fine, Reset};

/// What happens on a connection.
enum Step {
    /// The peer says this.
    Hear(Vec<u8>),
    /// We answer stream 1 with a head and nothing else, and are done with it.
    Answer,
    /// We are done with stream 1.
    Release,
}

use Step::{Answer, Hear, Release};

type Case = (&'static str, Vec<Step>, Outcome);

fn outcome(mut state: State, steps: Vec<Step>) -> Outcome {
    for step in steps {
        match step {
            Hear(bytes) => {
                if let Err(code) = hear(&mut state, &bytes) {
                    state.fail(code);
                    assert!(matches!(said(&mut state).last(), Some(Said::GoAway(_, said)) if *said == code));
                    return Away(code);
                }
            }
            Answer => {
                state.say(1, Head::Fields(&response()), true);
                state.release(1, Code::Cancel);
                state.take_out();
            }
            Release => {
                state.release(1, Code::Cancel);
                state.take_out();
            }
        }
        state.take_opened();
    }
    let resets = said(&mut state).into_iter().filter_map(|said| match said {
        Said::Reset(id, code) => Some(Reset(id, code)),
        _ => None,
    });
    let resets: Vec<_> = resets.collect();
    assert!(resets.len() <= 1, "{resets:?}");
    resets.first().copied().unwrap_or(Fine)
}

fn check(make: fn() -> State, cases: Vec<Case>) {
    for (name, steps, expected) in cases {
        assert_eq!(outcome(make(), steps), expected, "{name}");
    }
}

/// The peer says all these frames.
fn all(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Hear(frames.concat())]
}

/// After a request on stream 1 that has not ended.
fn open(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Hear(headers(1, WHOLE, POST)), Hear(frames.concat())]
}

/// After a request on stream 1 that has ended.
fn half(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Hear(headers(1, WHOLE | END, GET)), Hear(frames.concat())]
}

/// After a request on stream 1 that was answered.
fn closed(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Hear(headers(1, WHOLE | END, GET)), Answer, Hear(frames.concat())]
}

#[test]
fn a_connection_begins_with_a_preface_and_settings() {
    let fresh = || State::new(Role::Server, Heads::hpack(), SMALL, Instant::now());
    let after = |bytes: Vec<u8>| vec![Hear(PREFACE.to_vec()), Hear(bytes)];
    check(
        fresh,
        vec![
            ("another preface", all(&[b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n".to_vec()]), Away(Code::ProtocolError)),
            ("settings", after(settings(&[])), Fine),
            ("a ping first", after(frame(6, 0, 0, &[0; 8])), Away(Code::ProtocolError)),
            ("an acknowledgement first", after(frame(4, 1, 0, &[])), Away(Code::ProtocolError)),
            ("something unknown first", after(frame(99, 0, 0, &[])), Away(Code::ProtocolError)),
            ("DATA first", after(data(1, 0, b"x")), Away(Code::ProtocolError)),
        ],
    );
}

#[test]
fn frames_have_a_form() {
    let long = vec![0; 16_385];
    check(
        server,
        vec![
            ("unknown kinds are skipped", all(&[frame(99, 0xff, 0, b"hello"), frame(77, 0, 5, b"")]), Fine),
            ("unknown flags are skipped", all(&[frame(6, 0xfe, 0, &[0; 8])]), Fine),
            ("the reserved bit is skipped", all(&[frame(6, 0, 1 << 31, &[0; 8])]), Fine),
            ("long DATA", open(&[data(1, 0, &long)]), Away(Code::FrameSizeError)),
            ("a long head", all(&[headers(1, WHOLE, &long)]), Away(Code::FrameSizeError)),
            ("long settings", all(&[frame(4, 0, 0, &[0; 16_386])]), Away(Code::FrameSizeError)),
            ("no block of HPACK", all(&[headers(1, WHOLE, b"\xff\xff\xff\xff\xff")]), Away(Code::CompressionError)),
            ("an index that is in no table", all(&[headers(1, WHOLE, b"\xfe")]), Away(Code::CompressionError)),
            ("no stream 0 has DATA", all(&[data(0, 0, b"x")]), Away(Code::ProtocolError)),
            ("no stream 0 has heads", all(&[headers(0, WHOLE, GET)]), Away(Code::ProtocolError)),
            ("no stream 0 has priorities", all(&[frame(2, 0, 0, &[0, 0, 0, 9, 1])]), Away(Code::ProtocolError)),
            ("no stream 0 is reset", all(&[reset(0, 8)]), Away(Code::ProtocolError)),
            ("no stream has settings", all(&[frame(4, 0, 1, &[])]), Away(Code::ProtocolError)),
            ("no stream has pings", all(&[frame(6, 0, 1, &[0; 8])]), Away(Code::ProtocolError)),
            ("no stream goes away", all(&[frame(7, 0, 1, &[0; 8])]), Away(Code::ProtocolError)),
            ("no client pushes", half(&[frame(5, WHOLE, 1, &[0, 0, 0, 2])]), Away(Code::ProtocolError)),
            ("padding longer than DATA", open(&[data(1, flags::PADDED, b"\x05hell")]), Away(Code::ProtocolError)),
            ("padding that fills DATA", open(&[data(1, flags::PADDED, b"\x04hell")]), Fine),
            ("padding without a length", open(&[data(1, flags::PADDED, b"")]), Away(Code::FrameSizeError)),
            (
                "padding longer than a head",
                all(&[headers(1, WHOLE | flags::PADDED, b"\x09\x82")]),
                Away(Code::ProtocolError),
            ),
            ("a padded head", all(&[headers(1, WHOLE | flags::PADDED, &[b"\x02", GET, b"xx"].concat())]), Fine),
            ("a short reset", open(&[frame(3, 0, 1, b"123")]), Away(Code::FrameSizeError)),
            ("a short ping", all(&[frame(6, 0, 0, b"123")]), Away(Code::FrameSizeError)),
            ("a short window", all(&[frame(8, 0, 0, b"123")]), Away(Code::FrameSizeError)),
            ("a short word of leaving", all(&[frame(7, 0, 0, b"123")]), Away(Code::FrameSizeError)),
            ("odd settings", all(&[frame(4, 0, 0, b"123")]), Away(Code::FrameSizeError)),
            ("settings in their own acknowledgement", all(&[frame(4, 1, 0, &[0; 6])]), Away(Code::FrameSizeError)),
            ("a short priority", open(&[frame(2, 0, 1, b"123")]), Reset(1, Code::FrameSizeError)),
            ("codes that nobody knows", open(&[reset(1, 999), go_away(0, 999)]), Fine),
        ],
    );
}

#[test]
fn settings_have_values() {
    check(
        server,
        vec![
            ("a push that is neither", all(&[settings(&[(2, 2)])]), Away(Code::ProtocolError)),
            ("a client that takes pushes", all(&[settings(&[(2, 1)])]), Fine),
            ("a large window", all(&[settings(&[(4, 1 << 31)])]), Away(Code::FlowControlError)),
            ("small frames", all(&[settings(&[(5, 16_383)])]), Away(Code::ProtocolError)),
            ("large frames", all(&[settings(&[(5, 1 << 24)])]), Away(Code::ProtocolError)),
            ("what nobody knows", all(&[settings(&[(0xff, 1)])]), Fine),
            ("an acknowledgement", all(&[frame(4, 1, 0, &[])]), Fine),
        ],
    );
    check(client, vec![("a server that takes pushes", all(&[settings(&[(2, 1)])]), Away(Code::ProtocolError))]);
}

#[test]
fn each_frame_has_its_time_at_a_server() {
    let again = || headers(1, WHOLE | END, GET);
    let over = |frame: Vec<u8>| open(&[reset(1, 8), frame]);
    check(
        server,
        vec![
            ("idle: DATA", all(&[data(1, 0, b"x")]), Away(Code::ProtocolError)),
            ("idle: reset", all(&[reset(1, 8)]), Away(Code::ProtocolError)),
            ("idle: window", all(&[window(1, 9)]), Away(Code::ProtocolError)),
            ("idle: no window", all(&[window(1, 0)]), Away(Code::ProtocolError)),
            ("idle: continuation", all(&[frame(9, WHOLE, 1, GET)]), Away(Code::ProtocolError)),
            ("idle: priority", all(&[frame(2, 0, 1, &[0, 0, 0, 9, 1]), again()]), Fine),
            ("idle: a short priority", all(&[frame(2, 0, 1, b"123")]), Away(Code::FrameSizeError)),
            ("ours: reset", all(&[reset(2, 8)]), Away(Code::ProtocolError)),
            ("ours: a head", all(&[headers(2, WHOLE, GET)]), Away(Code::ProtocolError)),
            ("half closed: DATA", half(&[data(1, 0, b"x")]), Reset(1, Code::StreamClosed)),
            ("half closed: a head", half(&[again()]), Reset(1, Code::StreamClosed)),
            (
                "half closed: half a head, and its end",
                half(&[headers(1, END, b"\x82"), frame(9, WHOLE, 1, b"\x86")]),
                Reset(1, Code::StreamClosed),
            ),
            ("half closed: continuation", half(&[frame(9, WHOLE, 1, GET)]), Away(Code::ProtocolError)),
            ("half closed: the rest", half(&[window(1, 9), frame(2, 0, 1, &[0, 0, 0, 9, 1]), reset(1, 8)]), Fine),
            ("reset: DATA", over(data(1, 0, b"x")), Reset(1, Code::StreamClosed)),
            ("reset: a head", over(again()), Reset(1, Code::StreamClosed)),
            ("reset: continuation", over(frame(9, WHOLE, 1, GET)), Away(Code::ProtocolError)),
            ("reset: the rest", over([window(1, 9), frame(2, 0, 1, &[0, 0, 0, 9, 1]), reset(1, 8)].concat()), Fine),
            ("closed: DATA", closed(&[data(1, 0, b"x")]), Reset(1, Code::StreamClosed)),
            ("closed: a head", closed(&[again()]), Away(Code::StreamClosed)),
            ("closed: continuation", closed(&[frame(9, WHOLE, 1, GET)]), Away(Code::ProtocolError)),
            ("closed: the rest", closed(&[window(1, 9), frame(2, 0, 1, &[0, 0, 0, 9, 1]), reset(1, 8)]), Fine),
            (
                "given up by us: whatever was on its way",
                vec![Hear(headers(1, WHOLE, POST)), Release, Hear([data(1, 0, b"x"), again(), reset(1, 8)].concat())],
                Fine,
            ),
            (
                "a number that went by",
                all(&[headers(5, WHOLE | END, GET), headers(3, WHOLE | END, GET)]),
                Away(Code::ProtocolError),
            ),
            (
                "a priority that depends on itself",
                open(&[frame(2, 0, 1, &[0, 0, 0, 1, 1])]),
                Reset(1, Code::ProtocolError),
            ),
            (
                "a head that depends on itself",
                all(&[headers(1, WHOLE | flags::PRIORITY, &[b"\0\0\0\x01\x01", GET].concat())]),
                Away(Code::ProtocolError),
            ),
        ],
    );
}

#[test]
fn nothing_comes_between_the_parts_of_a_head() {
    let (half, rest) = (|| headers(1, 0, b"\x82"), || frame(9, WHOLE, 1, &GET[1..]));
    check(
        server,
        vec![
            ("two parts", all(&[half(), rest()]), Fine),
            ("empty parts", all(&[headers(1, 0, b""), frame(9, 0, 1, b""), frame(9, WHOLE, 1, GET)]), Fine),
            ("a priority", all(&[half(), frame(2, 0, 1, &[0, 0, 0, 9, 1]), rest()]), Away(Code::ProtocolError)),
            ("another head", all(&[half(), headers(3, WHOLE, GET)]), Away(Code::ProtocolError)),
            ("another's part", all(&[half(), frame(9, WHOLE, 3, b"\x86")]), Away(Code::ProtocolError)),
            ("something unknown", all(&[half(), frame(99, 0, 0, b""), rest()]), Away(Code::ProtocolError)),
            ("DATA", all(&[half(), data(1, 0, b"x")]), Away(Code::ProtocolError)),
            ("one part more", all(&[half(), rest(), rest()]), Away(Code::ProtocolError)),
            ("a part of nothing", all(&[frame(9, WHOLE, 0, GET)]), Away(Code::ProtocolError)),
            ("a part after DATA", open(&[data(1, 0, b"x"), frame(9, WHOLE, 1, GET)]), Away(Code::ProtocolError)),
        ],
    );
}

#[test]
fn windows_have_a_size() {
    let most = (1 << 31) - 1;
    check(
        server,
        vec![
            ("nothing for all", all(&[window(0, 0)]), Away(Code::ProtocolError)),
            ("nothing for one", open(&[window(1, 0)]), Reset(1, Code::ProtocolError)),
            ("too much for all", all(&[window(0, most)]), Away(Code::FlowControlError)),
            ("all that there can be", all(&[window(0, most - 65_535)]), Fine),
            ("too much for one", open(&[window(1, most)]), Reset(1, Code::FlowControlError)),
            ("too much by a setting", open(&[window(1, 1), settings(&[(4, most)])]), Away(Code::FlowControlError)),
            ("as much as a stream has", open(&vec![data(1, 0, &[0; 13_107]); 5]), Fine),
            ("more than a stream has", open(&vec![data(1, 0, &[0; 16_384]); 4]), Reset(1, Code::FlowControlError)),
            (
                "more than the connection has",
                open(&[
                    headers(3, WHOLE, POST),
                    vec![data(1, 0, &[0; 13_107]); 5].concat(),
                    vec![data(3, 0, &[0; 11_489]); 3].concat(),
                ]),
                Away(Code::FlowControlError),
            ),
        ],
    );
}

#[test]
fn messages_have_a_form() {
    let promised = |frames: &[Vec<u8>]| {
        let head = headers(1, WHOLE, &[POST, FIVE].concat());
        all(&[head, frames.concat()])
    };
    let bad = Reset(1, Code::ProtocolError);
    let with = |more: &[u8]| all(&[headers(1, WHOLE | END, &[GET, more].concat())]);
    check(
        server,
        vec![
            ("trailers", open(&[data(1, 0, b"x"), headers(1, WHOLE | END, b"\0\x01x\x01y")]), Fine),
            ("trailers that are not the end", open(&[headers(1, WHOLE, b"\0\x01x\x01y")]), bad),
            ("trailers with a path", open(&[headers(1, WHOLE | END, b"\x84")]), bad),
            ("upper case", with(b"\0\x01X\x01y"), bad),
            ("a late path", with(b"\0\x01x\x01y\x84"), bad),
            ("two paths", with(b"\x84"), bad),
            ("a status", with(b"\x88"), bad),
            ("an empty path", all(&[headers(1, WHOLE | END, b"\x82\x86\x04\0")]), bad),
            ("no path", all(&[headers(1, WHOLE | END, b"\x82\x86")]), bad),
            ("connection", with(b"\0\x0aconnection\x05close"), bad),
            ("te that is not trailers", with(b"\0\x02te\x04gzip"), bad),
            ("as much as it promised", promised(&[data(1, 0, b"hel"), data(1, END, b"lo")]), Fine),
            ("less", promised(&[data(1, END, b"hell")]), bad),
            ("less, before trailers", promised(&[data(1, 0, b"hell"), headers(1, WHOLE | END, b"\0\x01x\x01y")]), bad),
            ("nothing", all(&[headers(1, WHOLE | END, &[POST, FIVE].concat())]), bad),
            ("more", promised(&[data(1, 0, b"hel"), data(1, 0, b"lo!")]), bad),
        ],
    );
}

#[test]
fn each_frame_has_its_time_at_a_client() {
    let bad = Reset(1, Code::ProtocolError);
    check(
        client,
        vec![
            ("a response", all(&[headers(1, WHOLE, OK), data(1, END, b"x")]), Fine),
            (
                "interim heads",
                all(&[headers(1, WHOLE, INTERIM), headers(1, WHOLE, INTERIM), headers(1, WHOLE | END, OK)]),
                Fine,
            ),
            ("an interim end", all(&[headers(1, WHOLE | END, INTERIM)]), bad),
            ("DATA before a head", all(&[data(1, 0, b"x")]), bad),
            ("DATA after an interim head", all(&[headers(1, WHOLE, INTERIM), data(1, 0, b"x")]), bad),
            ("a body where there is none", all(&[headers(1, WHOLE, b"\x89"), data(1, END, b"x")]), bad),
            ("an empty one", all(&[headers(1, WHOLE, &[b"\x8b", FIVE].concat()), data(1, END, b"")]), Fine),
            ("101", all(&[headers(1, WHOLE, b"\x08\x03101")]), bad),
            ("a second head", all(&[headers(1, WHOLE, OK), headers(1, WHOLE, OK)]), bad),
            ("after the end", all(&[headers(1, WHOLE | END, OK), data(1, 0, b"x")]), Reset(1, Code::StreamClosed)),
            ("a stream of its own", all(&[headers(2, WHOLE, OK)]), Away(Code::ProtocolError)),
            ("a stream that we have not opened", all(&[headers(3, WHOLE, OK)]), Away(Code::ProtocolError)),
            ("a push", all(&[frame(5, WHOLE, 1, &[0, 0, 0, 2])]), Away(Code::ProtocolError)),
            ("what we gave up", vec![Release, Hear([headers(1, WHOLE, OK), data(1, END, b"x")].concat())], Fine),
            (
                "what was over",
                vec![Hear(headers(1, WHOLE | END, OK)), Answer, Hear(headers(1, WHOLE, OK))],
                Reset(1, Code::StreamClosed),
            ),
            (
                "a response that came while we gave up",
                vec![Hear(headers(1, 0, b"\x40\x01x")), Release, Hear([frame(9, WHOLE | END, 1, b"\x01y")].concat())],
                Fine,
            ),
        ],
    );
}
