//! Frames go in, and what comes of them is looked at: the frames that go out, and what whoever uses a stream sees.

mod errors;
mod floods;
mod pairs;
mod streams;
mod windows;

use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::heads::{Head, Heads};
use super::inbox::Part;
use super::settings::Profile;
use super::state::{Role, State};
use super::stream::Lost;
use crate::http::detect::PREFACE;
use crate::http::h2::fields::Fields;
use crate::http::h2::frame::{Code, FrameHead, HEAD, Kind, flags};

/// GET http://a/ as HPACK writes it with the static table only (RFC 7541, appendix A); nothing is kept.
const GET: &[u8] = b"\x82\x86\x84\x01\x01a";
/// The same with another method.
const POST: &[u8] = b"\x83\x86\x84\x01\x01a";
/// 200.
const OK: &[u8] = b"\x88";
/// 103.
const INTERIM: &[u8] = b"\x08\x03103";
/// `content-length: 5`.
const FIVE: &[u8] = b"\x0f\x0d\x015";

const END: u8 = flags::END_STREAM;
const WHOLE: u8 = flags::END_HEADERS;

/// Windows that a test can fill.
const SMALL: Profile = Profile {
    proxy: false,
    streams: 8,
    window: 65_535,
    most_window: 200_000,
    connection_window: 100_000,
    budget: 1_000,
    budget_a_second: 100,
};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { length: u32::try_from(payload.len()).unwrap(), kind: Kind::from_u8(kind), flags, stream };
    [&head.encode()[..], payload].concat()
}

fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, bytes)
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags, stream, block)
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let unit = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(4, 0, 0, &list.iter().flat_map(unit).collect::<Vec<_>>())
}

fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(8, 0, stream, &more.to_be_bytes())
}

/// A frame that went out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Data(u32, usize, bool),
    Head(u32, bool),
    Reset(u32, Code),
    Settings,
    SettingsAck,
    Ping([u8; 8]),
    PingAck([u8; 8]),
    GoAway(u32, Code),
    Window(u32, u32),
}

/// Takes what goes out.
fn said(state: &mut State) -> Vec<Said> {
    let out = state.take_out();
    let mut rest = out.strip_prefix(&PREFACE[..]).unwrap_or(&out);
    let mut all = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let head = FrameHead::decode(*head);
        let (payload, behind) = behind.split_at(head.length as usize);
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let ack = head.has(flags::ACK);
        all.push(match head.kind {
            Kind::Data => Said::Data(head.stream, payload.len(), head.has(END)),
            Kind::Headers => Said::Head(head.stream, head.has(END)),
            Kind::ResetStream => Said::Reset(head.stream, Code::from_u32(number(0))),
            Kind::Settings if ack => Said::SettingsAck,
            Kind::Settings => Said::Settings,
            Kind::Ping if ack => Said::PingAck(payload.try_into().unwrap()),
            Kind::Ping => Said::Ping(payload.try_into().unwrap()),
            Kind::GoAway => Said::GoAway(number(0), Code::from_u32(number(4))),
            Kind::WindowUpdate => Said::Window(head.stream, number(0)),
            Kind::Priority | Kind::PushPromise | Kind::Continuation | Kind::Unknown(_) => panic!("we say no {head:?}"),
        });
        rest = behind;
    }
    assert!(rest.is_empty(), "half a frame");
    all
}

fn hear(state: &mut State, bytes: &[u8]) -> Result<(), Code> {
    state.receive(bytes, Instant::now())
}

/// A connection on which both have said their settings, and nothing else.
fn begun(role: Role, heads: Heads, profile: Profile) -> State {
    let mut state = State::new(role, heads, profile, Instant::now());
    if role == Role::Server {
        hear(&mut state, PREFACE).unwrap();
    }
    hear(&mut state, &settings(&[])).unwrap();
    state.take_out();
    state
}

fn server() -> State {
    begun(Role::Server, Heads::hpack(), SMALL)
}

/// With a request on stream 1 that is not over.
fn client() -> State {
    let mut state = begun(Role::Client, Heads::hpack(), SMALL);
    assert_eq!(state.open(Head::Fields(&request()), false, false), Some(1));
    state.take_out();
    state
}

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.push(name.as_bytes(), value.as_bytes(), false);
    }
    fields
}

fn request() -> Fields {
    fields(&[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("x-some", "thing")])
}

fn response() -> Fields {
    fields(&[(":status", "200"), ("x-some", "thing")])
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The next part of a stream: its bytes; None if there is none yet.
type Seen = Option<Result<Option<(Part, Vec<u8>)>, Lost>>;

/// Takes the next part of a stream.
fn part(state: &mut State, id: u32, most: usize) -> Seen {
    let see = |part: Option<(Part, &[u8])>| part.map(|(part, bytes)| (part, bytes.to_vec()));
    match state.poll_part(&context(), id, most, see) {
        Poll::Ready(seen) => Some(seen),
        Poll::Pending => None,
    }
}

/// Everything that waits on a stream, and how it goes on: `Some(Ok(()))` is the end, None that more may come.
fn parts(state: &mut State, id: u32) -> (Vec<Part>, Option<Result<(), Lost>>) {
    let mut all = Vec::new();
    loop {
        match part(state, id, usize::MAX) {
            Some(Ok(Some((part, _)))) => all.push(part),
            Some(Ok(None)) => return (all, Some(Ok(()))),
            Some(Err(lost)) => return (all, Some(Err(lost))),
            None => return (all, None),
        }
    }
}

fn room(state: &mut State, id: u32) -> Option<Result<usize, Lost>> {
    match state.poll_room(&context(), id) {
        Poll::Ready(room) => Some(room),
        Poll::Pending => None,
    }
}

/// That all of the connection's window is free: what the peer can use, and what it will be told of.
fn assert_window_is_full(state: &State) {
    let all = i64::from(state.profile.connection_window);
    assert_eq!(state.receive_window + i64::from(state.unreturned), all);
}
