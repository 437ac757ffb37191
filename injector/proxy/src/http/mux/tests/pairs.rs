//! Two ends connected to each other, and ends that hear anything.

use proptest::prelude::*;

use super::*;
use crate::http::mux::state::MOST_UNREAD;

/// One message each way on a stream.
#[derive(Clone, Debug)]
struct Talk {
    ask: usize,
    answer: usize,
    trailers: bool,
}

/// One side of a stream: what is left to be said, and what was heard.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a script's state")]
struct Speaker {
    id: u32,
    headed: bool,
    said: usize,
    says: usize,
    trailers: bool,
    finished: bool,
    heard: usize,
    heads: usize,
    ended: bool,
}

impl Speaker {
    fn new(id: u32, says: usize, trailers: bool) -> Self {
        Self { id, headed: false, said: 0, says, trailers, finished: false, heard: 0, heads: 0, ended: false }
    }

    fn byte(id: u32, at: usize) -> u8 {
        (at.wrapping_mul(31) >> 3).to_le_bytes()[0] ^ id.to_le_bytes()[0]
    }

    fn speak(&mut self, state: &mut State, most: usize) {
        if !self.headed || self.finished {
            return;
        }
        let left = self.says - self.said;
        if left == 0 {
            self.finished = true;
            match (self.trailers, &state.heads) {
                (false, _) => state.send(self.id, &[], true),
                (true, Heads::Raw) => state.say(self.id, Head::Raw(b"X: y\r\n"), true),
                (true, Heads::Hpack(_)) => state.say(self.id, Head::Fields(&fields(&[("x", "y")])), true),
            }
            return;
        }
        if let Some(room) = room(state, self.id) {
            let count = room.expect("not lost").min(left).min(most);
            let bytes: Vec<_> = (self.said..self.said + count).map(|at| Self::byte(self.id, at)).collect();
            self.said += count;
            self.finished = self.said == self.says && !self.trailers;
            state.send(self.id, &bytes, self.finished);
        }
    }

    fn listen(&mut self, state: &mut State, most: usize) {
        if self.ended {
            return;
        }
        match part(state, self.id, most.max(1)) {
            None => {}
            Some(Ok(None)) => self.ended = true,
            Some(Ok(Some((Part::Data, bytes)))) => {
                for byte in bytes {
                    assert_eq!(byte, Self::byte(self.id, self.heard));
                    self.heard += 1;
                }
            }
            Some(Ok(Some(_))) => self.heads += 1,
            Some(Err(lost)) => panic!("{lost:?}"),
        }
    }
}

struct Pair {
    client: State,
    server: State,
    up: Vec<u8>,
    down: Vec<u8>,
    asking: Vec<Speaker>,
    answering: Vec<Speaker>,
    talks: Vec<Talk>,
}

impl Pair {
    fn new(raw: bool, talks: Vec<Talk>) -> Self {
        let heads = || if raw { Heads::Raw } else { Heads::hpack() };
        let client = State::new(Role::Client, heads(), SMALL, Instant::now());
        let server = State::new(Role::Server, heads(), SMALL, Instant::now());
        let (up, down, asking, answering) = (vec![], vec![], vec![], vec![]);
        Self { client, server, up, down, asking, answering, talks }
    }

    fn open(&mut self) {
        let Some(talk) = self.talks.get(self.asking.len()).cloned() else { return };
        let raw = matches!(self.client.heads, Heads::Raw);
        let list = request();
        let head = if raw { Head::Raw(b"GET / HTTP/1.1\r\n\r\n") } else { Head::Fields(&list) };
        if let Some(id) = self.client.open(head, false, false) {
            let mut speaker = Speaker::new(id, talk.ask, talk.trailers);
            speaker.headed = true;
            self.asking.push(speaker);
        }
    }

    fn accept(&mut self) {
        for id in self.server.take_opened() {
            let talk = &self.talks[id as usize / 2];
            self.answering.push(Speaker::new(id, talk.answer, talk.trailers));
        }
        let raw = matches!(self.server.heads, Heads::Raw);
        let list = response();
        for speaker in self.answering.iter_mut().filter(|speaker| !speaker.headed) {
            let head = if raw { Head::Raw(b"HTTP/1.1 200 OK\r\n\r\n") } else { Head::Fields(&list) };
            self.server.say(speaker.id, head, false);
            speaker.headed = true;
        }
    }

    fn carry(&mut self, most: usize) {
        self.up.extend(self.client.take_out());
        self.down.extend(self.server.take_out());
        let count = most.min(self.up.len());
        hear(&mut self.server, &self.up.drain(..count).collect::<Vec<_>>()).expect("the client keeps the rules");
        let count = most.min(self.down.len());
        hear(&mut self.client, &self.down.drain(..count).collect::<Vec<_>>()).expect("the server keeps the rules");
    }

    fn step(&mut self, what: u8, which: usize, most: usize) {
        match what % 8 {
            0 => self.open(),
            1 => self.accept(),
            2 | 3 => self.carry(most),
            what => {
                let (state, speakers) = if what % 2 == 0 {
                    (&mut self.client, &mut self.asking)
                } else {
                    (&mut self.server, &mut self.answering)
                };
                let count = speakers.len().max(1);
                if let Some(speaker) = speakers.get_mut(which % count) {
                    if what < 6 { speaker.speak(state, most) } else { speaker.listen(state, most) }
                }
            }
        }
        for (state, speakers) in [(&mut self.client, &self.asking), (&mut self.server, &self.answering)] {
            for speaker in speakers.iter().filter(|speaker| speaker.ended && speaker.finished) {
                state.release(speaker.id, Code::Cancel);
            }
        }
    }

    fn is_finished(&self) -> bool {
        let over = |speaker: &Speaker| speaker.ended && speaker.finished;
        self.answering.len() == self.talks.len() && self.asking.iter().chain(&self.answering).all(over)
    }

    /// Everybody has a turn until all is said.
    fn finish(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "nobody goes on any more");
            if self.is_finished() && self.up.is_empty() && self.down.is_empty() {
                break;
            }
            for what in 0..8 {
                for which in 0..self.talks.len() {
                    self.step(what, which, 20_000);
                }
            }
        }
        for _ in 0..4 {
            self.carry(usize::MAX);
        }
    }

    fn check(&self) {
        for (at, talk) in self.talks.iter().enumerate() {
            let heads = 1 + usize::from(talk.trailers);
            assert_eq!((self.answering[at].heard, self.answering[at].heads), (talk.ask, heads));
            assert_eq!((self.asking[at].heard, self.asking[at].heads), (talk.answer, heads));
        }
        for (state, other) in [(&self.client, &self.server), (&self.server, &self.client)] {
            assert!(state.streams.is_empty() && state.opened.is_empty() && state.out.is_empty());
            assert!(state.payload.is_empty() && state.begun.is_empty() && state.parts.is_empty());
            assert_window_is_full(state);
            assert_eq!(state.send_window, other.receive_window);
        }
    }
}

fn talk() -> impl Strategy<Value = Talk> {
    let length = || prop_oneof![Just(0), 1..100_usize, 10_000..150_000_usize];
    (length(), length(), any::<bool>()).prop_map(|(ask, answer, trailers)| Talk { ask, answer, trailers })
}

/// Frames that may or may not make sense.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let blocks = prop::sample::select(vec![GET, POST, OK, INTERIM, FIVE, b"\x40\x01x\x01y", b"\xbe", b""]);
    let payload = prop_oneof![
        3 => prop::collection::vec(blocks, 0..4).prop_map(|blocks| blocks.concat()),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => any::<u32>().prop_map(|number| (number >> 12).to_be_bytes().to_vec()),
        1 => Just(vec![0; 8]),
        1 => Just(vec![7; 16_000]),
    ];
    let kind = prop_oneof![4 => Just(0_u8), 6 => Just(1), 1 => 0..12_u8];
    let flags = prop::sample::select(vec![0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x25, 0xff]);
    let one = (kind, flags, 0..8_u32, payload).prop_map(|(kind, flags, id, payload)| frame(kind, flags, id, &payload));
    prop::collection::vec(one, 0..30).prop_map(|frames| frames.concat())
}

fn any_state(role: Role, raw: bool) -> State {
    let heads = if raw { Heads::Raw } else { Heads::hpack() };
    let mut state = begun(role, heads, SMALL);
    if role == Role::Client {
        let list = request();
        for end in [true, false] {
            state.open(if raw { Head::Raw(b"GET / HTTP/1.1") } else { Head::Fields(&list) }, end, false);
        }
    }
    state
}

/// What can be seen of a connection.
fn view(state: &mut State, heard: Result<(), Code>) -> String {
    let mut streams: Vec<_> = state
        .streams
        .iter()
        .map(|(id, stream)| {
            (
                *id,
                format!("{:?}", stream.inbox.front(usize::MAX)),
                stream.lost,
                stream.remote_ended,
                stream.receive_window,
                stream.send_window,
            )
        })
        .collect();
    streams.sort_by_key(|stream| stream.0);
    let windows = (state.receive_window + i64::from(state.unreturned), state.send_window);
    format!(
        "{heard:?} {streams:?} {windows:?} {:?}",
        said(state).iter().filter(|said| !matches!(said, Said::Window(0, _))).collect::<Vec<_>>()
    )
}

/// Nothing holds more than the windows and a head's parts.
fn check_memory(state: &State) {
    let waiting: usize = state.streams.values().map(|stream| stream.inbox.data()).sum();
    assert!(waiting <= state.profile.connection_window as usize);
    assert!(state.parts.len() <= 128 * 1024 && state.payload.len() <= 16_384 && state.begun.len() < HEAD);
    assert!(state.streams.len() <= 2 * state.profile.streams as usize && state.opened.len() <= state.streams.len());
    assert!(state.streams.values().all(|stream| stream.inbox.heads() < 256 * 1024));
    assert!(state.out.len() < MOST_UNREAD + 64 * 1024);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_heard(
        raw in any::<bool>(),
        talks in prop::collection::vec(talk(), 1..12),
        steps in prop::collection::vec((any::<u8>(), any::<usize>(), 0..30_000_usize), 0..400),
    ) {
        let mut pair = Pair::new(raw, talks);
        pair.carry(usize::MAX); // a first request may come before the settings that make its window smaller
        for (what, which, most) in steps {
            pair.step(what, which, most);
            check_memory(&pair.client);
            check_memory(&pair.server);
        }
        pair.finish();
        pair.check();
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        bytes in frames(), server in any::<bool>(), raw in any::<bool>(), step in 1..50_usize
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let (mut whole, mut pieces) = (any_state(role, raw), any_state(role, raw));
        let heard = hear(&mut whole, &bytes);
        let in_pieces = bytes.chunks(step).try_for_each(|piece| {
            let heard = hear(&mut pieces, piece);
            check_memory(&pieces);
            heard
        });
        prop_assert_eq!(view(&mut whole, heard), view(&mut pieces, in_pieces));
    }

    #[test]
    fn nothing_is_left_of_what_is_released(bytes in frames(), server in any::<bool>(), raw in any::<bool>()) {
        let mut state = any_state(if server { Role::Server } else { Role::Client }, raw);
        let heard = hear(&mut state, &bytes);
        check_memory(&state);
        state.take_opened();
        let mut ids: Vec<_> = state.streams.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if id % 4 == 1 {
                parts(&mut state, id);
            }
            state.release(id, Code::Cancel);
        }
        prop_assert!(state.streams.is_empty() && state.opened.is_empty());
        if heard.is_ok() {
            let state_is_between_frames = state.phase == crate::http::mux::receive::Phase::Head && state.begun.is_empty();
            if state_is_between_frames {
                assert_window_is_full(&state);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), raw in any::<bool>()) {
        for role in [Role::Server, Role::Client] {
            let mut state = any_state(role, raw);
            let _ = hear(&mut state, &bytes);
            check_memory(&state);
        }
    }
}
