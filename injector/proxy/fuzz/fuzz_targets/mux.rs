//! A multiplexed connection, with a peer that says what it likes and users who do what they like.
//!
//! The first byte says which end it is and what heads look like. What follows is a list of commands: a byte says what
//! happens, a second on which stream, or how many of the bytes behind it come.
#![no_main]

use std::task::{Context, Poll, Waker};
use std::time::Instant;

use injector_proxy::http::detect::PREFACE;
use injector_proxy::http::h2::fields::Fields;
use injector_proxy::http::h2::frame::{Code, FrameHead, HEAD, Kind, LEAST_MAX_FRAME};
use injector_proxy::http::mux::{Head, Heads, Part, Profile, Role, State};
use libfuzzer_sys::fuzz_target;

const PROFILE: Profile = Profile {
    proxy: false,
    streams: 4,
    window: 65_535,
    most_window: 131_070,
    connection_window: 100_000,
    budget: 200,
    budget_a_second: 1,
};

/// Bytes of frames that wait at most: what a peer is cut off at, and one answer more.
const MOST_OUT: usize = 4 * 1024 * 1024 + 128 * 1024;

struct Users {
    state: State,
    role: Role,
    raw: bool,
    ids: Vec<u32>,
    preface: bool,
}

impl Users {
    fn say(&mut self, id: Option<u32>, end: bool, trailers: bool) {
        let mut fields = Fields::new();
        let list: &[(&[u8], &[u8])] = match (trailers, self.role) {
            (true, _) => &[(b"x-end", b"1")],
            (false, Role::Client) => {
                &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
            }
            (false, Role::Server) => &[(b":status", b"200"), (b"x-some", b"thing")],
        };
        for (name, value) in list {
            fields.push(name, value, false);
        }
        let head = if self.raw { Head::Raw(b"HTTP/1.1 200 OK\r\n\r\n") } else { Head::Fields(&fields) };
        match id {
            Some(id) => self.state.say(id, head, end),
            None => self.ids.extend(self.state.open(head, end, trailers)),
        }
    }

    fn send(&mut self, id: u32, end: bool) {
        let cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(room)) = self.state.poll_room(&cx, id) {
            assert!(room > 0 && room <= LEAST_MAX_FRAME as usize);
            self.state.send(id, &vec![0; room], end);
        }
    }

    fn take(&mut self, id: u32, most: usize) {
        let cx = Context::from_waker(Waker::noop());
        let _ = self.state.poll_part(&cx, id, most, |part| match part {
            Some((Part::Data, bytes)) => assert!(!bytes.is_empty() && bytes.len() <= most),
            Some((Part::Head | Part::Trailers, _)) | None => {}
        });
    }

    /// Whatever goes out is whole frames, none too long.
    fn write(&mut self) {
        let out = self.state.take_out();
        assert!(out.len() < MOST_OUT, "{}", out.len());
        let mut rest = &out[..];
        if std::mem::take(&mut self.preface) {
            rest = rest.strip_prefix(&PREFACE[..]).expect("a client begins with the preface");
        }
        while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
            let head = FrameHead::decode(*head);
            assert_eq!(head.check(LEAST_MAX_FRAME), Ok(()), "{head:?}");
            assert!(!matches!(head.kind, Kind::Unknown(_) | Kind::PushPromise | Kind::Priority));
            rest = &behind[head.length as usize..];
        }
        assert!(rest.is_empty(), "half a frame");
    }

    fn step(&mut self, command: u8, which: u8) {
        let id = self.ids.get(usize::from(which) % self.ids.len().max(1)).copied();
        let end = command & 0x80 != 0;
        match (command % 10, id) {
            (0, _) => self.say(None, end, which & 1 != 0),
            (1, Some(id)) => self.say(Some(id), end, false),
            (2, Some(id)) => self.say(Some(id), true, true),
            (3, Some(id)) => self.send(id, end),
            (4, Some(id)) => self.take(id, usize::from(command) * 64 + 1),
            (5, Some(id)) => {
                self.state.release(id, Code::Cancel);
                self.ids.retain(|kept| *kept != id);
            }
            (6, _) => self.state.ping(),
            (7, _) => self.state.leave(),
            (8, _) => self.state.drain(),
            _ => self.write(),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, mut input)) = bytes.split_first() else { return };
    let now = Instant::now();
    let role = if kind & 1 == 0 { Role::Server } else { Role::Client };
    let raw = kind & 2 != 0;
    let heads = if raw { Heads::Raw } else { Heads::hpack() };
    let preface = role == Role::Client;
    let mut users = Users { state: State::new(role, heads, PROFILE, now), role, raw, ids: Vec::new(), preface };
    if role == Role::Server && kind & 4 == 0 {
        assert_eq!(users.state.receive(PREFACE, now), Ok(()));
    }
    while let [command, which, rest @ ..] = input {
        input = rest;
        // Every other command is something that comes, so that there is something to do.
        if command & 1 == 0 {
            let (came, rest) = rest.split_at(rest.len().min(usize::from(*which)));
            input = rest;
            if let Err(code) = users.state.receive(came, now) {
                users.state.fail(code);
            }
            let opened = users.state.take_opened();
            users.ids.extend(opened);
        } else {
            users.step(command >> 1, *which);
        }
        assert!(users.state.in_use() <= 2 * PROFILE.streams as usize + 1, "{}", users.state.in_use());
        assert!(users.state.room() <= PROFILE.streams as usize);
    }
    for id in std::mem::take(&mut users.ids) {
        for _ in 0..4 {
            users.take(id, usize::MAX);
        }
        users.state.release(id, Code::Cancel);
    }
    // One may be left whose head has not come whole.
    assert!(users.state.in_use() <= 1, "{}", users.state.in_use());
    users.write();
});
