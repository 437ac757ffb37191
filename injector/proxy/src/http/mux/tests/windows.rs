//! What may be sent, and what goes back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Wake;

use super::*;

/// Every byte of a payload goes back once, however it is lost.
#[test]
fn nothing_of_the_connections_window_is_lost() {
    let padded = [&b"\x0a"[..], b"hello", &[0; 10]].concat();
    let begun = || headers(1, WHOLE, POST);
    let scripts: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("plain", vec![begun(), data(1, END, b"hello")]),
        ("padded", vec![begun(), data(1, END | flags::PADDED, &padded)]),
        ("only padding", vec![begun(), data(1, flags::PADDED, &[0])]),
        ("reset", vec![begun(), data(1, 0, b"hello"), reset(1, 8)]),
        ("after a reset", vec![begun(), reset(1, 8), data(1, flags::PADDED, &padded), data(1, 0, b"hello")]),
        ("after the end", vec![headers(1, WHOLE | END, GET), data(1, flags::PADDED, &padded)]),
        ("malformed", vec![headers(1, WHOLE, &[POST, FIVE].concat()), data(1, 0, b"hel"), data(1, 0, b"lo, you")]),
        ("more than the stream has", vec![begun(), vec![data(1, 0, &[0; 16_384]); 4].concat(), data(1, 0, b"hello")]),
    ];
    for (name, frames) in scripts {
        for (step, releases_early) in [(1, false), (7, false), (usize::MAX, false), (7, true)] {
            let mut state = server();
            let bytes = frames.concat();
            for (at, piece) in bytes.chunks(step.min(bytes.len())).enumerate() {
                hear(&mut state, piece).unwrap();
                if releases_early && at == 3 {
                    state.release(1, Code::Cancel);
                }
            }
            parts(&mut state, 1);
            state.release(1, Code::Cancel);
            let all = state.receive_window + i64::from(state.unreturned);
            assert_eq!(all, i64::from(SMALL.connection_window), "{name} in pieces of {step}, {releases_early}");
        }
    }
}

#[test]
fn padding_alone_does_not_stop_a_stream() {
    let mut state = server();
    hear(&mut state, &headers(1, WHOLE, POST)).unwrap();
    let padding = [&[255][..], &[0; 255]].concat();
    let mut left = 65_535_u32;
    for _ in 0..400 {
        left = left.checked_sub(256).expect("the window comes back");
        hear(&mut state, &data(1, flags::PADDED, &padding)).unwrap();
        for said in said(&mut state) {
            if let Said::Window(1, more) = said {
                left += more;
            }
        }
    }
}

#[test]
fn a_body_takes_the_smaller_window_and_a_frame_at_most() {
    let mut state = client();
    assert_eq!(room(&mut state, 1), Some(Ok(16_384)));
    for _ in 0..3 {
        state.send(1, &[0; 16_384], false);
    }
    assert_eq!(room(&mut state, 1), Some(Ok(65_535 - 3 * 16_384)));
    state.send(1, &[0; 16_383], false);
    assert_eq!(room(&mut state, 1), None);
    hear(&mut state, &window(1, 100)).unwrap();
    assert_eq!(room(&mut state, 1), None, "the connection has none");
    hear(&mut state, &window(0, 50)).unwrap();
    assert_eq!(room(&mut state, 1), Some(Ok(50)));
}

#[test]
fn a_setting_moves_the_windows_that_are_there_even_below_zero() {
    let mut state = client();
    state.send(1, &[0; 1000], false);
    hear(&mut state, &settings(&[(4, 0)])).unwrap();
    assert_eq!((state.streams[&1].send_window, room(&mut state, 1)), (-1000, None));
    hear(&mut state, &window(1, 1000)).unwrap();
    assert_eq!(room(&mut state, 1), None);
    hear(&mut state, &window(1, 1)).unwrap();
    assert_eq!(room(&mut state, 1), Some(Ok(1)));
    hear(&mut state, &settings(&[(4, 65_535)])).unwrap();
    assert_eq!(state.streams[&1].send_window, 65_536);
    let later = state.open(Head::Fields(&request()), false, false).unwrap();
    assert_eq!(state.streams[&later].send_window, 65_535);
    hear(&mut state, &settings(&[(4, 7), (4, 8)])).unwrap();
    assert_eq!(state.streams[&later].send_window, 8, "the last one counts");
}

#[test]
fn a_slow_reader_stops_its_own_stream_only() {
    let mut state = server();
    hear(&mut state, &[headers(1, WHOLE, POST), headers(3, WHOLE, POST)].concat()).unwrap();
    hear(&mut state, &vec![data(1, 0, &[1; 13_107]); 5].concat()).unwrap();
    state.take_out();
    let mut there = 100_000 - 65_535_u32;
    for _ in 0..20 {
        there = there.checked_sub(5_000).expect("what is read comes back");
        hear(&mut state, &data(3, 0, &[3; 5_000])).unwrap();
        parts(&mut state, 3);
        for said in said(&mut state) {
            match said {
                Said::Window(0, more) => there += more,
                Said::Window(1, _) => panic!("nobody has read stream 1"),
                _ => {}
            }
        }
    }
    let (all, _) = parts(&mut state, 1);
    assert_eq!(all, [Part::Head, Part::Data]);
    assert_window_is_full(&state);
}

#[test]
fn what_waits_for_the_socket_holds_bodies_back() {
    let mut state = client();
    hear(&mut state, &[window(0, 1 << 30), window(1, 1 << 30)].concat()).unwrap();
    state.take_out();
    let mut sent = 0;
    while let Some(Ok(room)) = room(&mut state, 1) {
        state.send(1, &vec![0; room], false);
        sent += room;
    }
    assert!((200_000..300_000).contains(&sent), "{sent}");
    state.take_out();
    assert!(matches!(room(&mut state, 1), Some(Ok(_))));
}

#[test]
fn what_is_left_of_the_connections_window_is_never_kept_back() {
    let mut state = server();
    hear(&mut state, &[headers(1, WHOLE, POST), headers(3, WHOLE, POST)].concat()).unwrap();
    hear(&mut state, &vec![data(1, 0, &[1; 13_107]); 5].concat()).unwrap();
    hear(&mut state, &vec![data(3, 0, &[3; 6_893]); 5].concat()).unwrap();
    assert_eq!(state.receive_window, 0);
    assert!(matches!(part(&mut state, 3, 0), Some(Ok(Some((Part::Head, _))))));
    assert!(matches!(part(&mut state, 3, 100), Some(Ok(Some((Part::Data, _))))));
    assert_eq!(said(&mut state), [Said::Window(0, 100)]);
}

#[test]
fn every_stream_has_its_first_window_whatever_the_others_do() {
    for profile in [Profile::APPLICATION, Profile::MESH] {
        assert!(profile.growth() >= 2 * (profile.most_window - profile.window), "one can be fast, and another one");
        let mut state = begun(Role::Server, Heads::hpack(), profile);
        for number in 0..profile.streams {
            let id = 2 * number + 1;
            hear(&mut state, &[headers(id, WHOLE, POST), vec![data(id, 0, &[0; 16_384]); 4].concat()].concat())
                .unwrap();
        }
        assert_eq!(state.in_use(), profile.streams as usize);
        assert!(state.receive_window >= i64::from(profile.growth()));
    }
}

/// Grows until the window stays as it is, with a reader who takes all at once.
fn fill(state: &mut State, id: u32) -> u32 {
    loop {
        let before = state.streams[&id].window;
        let mut left = state.streams[&id].receive_window;
        while left > 0 {
            let piece = left.min(16_384);
            hear(state, &data(id, 0, &vec![0; usize::try_from(piece).unwrap()])).unwrap();
            left -= piece;
        }
        parts(state, id);
        if state.streams[&id].window == before {
            return before;
        }
    }
}

#[test]
fn fast_streams_share_what_windows_grow_by_and_the_last_gets_some() {
    let profile = Profile { most_window: 1 << 20, connection_window: 8 * 65_535 + (3 << 20), ..SMALL };
    let mut state = begun(Role::Server, Heads::hpack(), profile);
    let mut sizes = Vec::new();
    for id in [1, 3, 5, 7, 9] {
        hear(&mut state, &headers(id, WHOLE, POST)).unwrap();
        sizes.push(fill(&mut state, id));
        let grown: u32 = state.streams.values().map(|stream| stream.window - profile.window).sum();
        assert_eq!(grown + state.spare, profile.growth());
    }
    assert_eq!(sizes[0], 1 << 20);
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.iter().all(|size| *size > profile.window), "{sizes:?}");
    for id in [1, 3, 5, 7, 9] {
        state.release(id, Code::Cancel);
    }
    assert_eq!(state.spare, profile.growth());
    assert_window_is_full(&state);
}

#[test]
fn a_stream_begins_with_more_while_they_are_few() {
    let mut client = begun(Role::Client, Heads::Raw, Profile::MESH);
    let ids: Vec<_> = (0..1024).map(|_| client.open(Head::Raw(b"GET"), true, false).unwrap()).collect();
    let said = said(&mut client);
    let more = said.iter().filter(|said| matches!(said, Said::Window(_, 196_608))).count();
    assert_eq!(more, 16 * 1024 / 192, "half of what there is");
    assert!(client.spare >= client.profile.growth() / 2);
    for id in ids {
        client.release(id, Code::Cancel);
    }
    assert_eq!(client.spare, client.profile.growth());
    let mut server = begun(Role::Server, Heads::hpack(), Profile::APPLICATION);
    let frames =
        [headers(1, WHOLE, POST), headers(3, WHOLE, POST), data(3, END, b"small"), headers(5, WHOLE | END, GET)];
    hear(&mut server, &frames.concat()).unwrap();
    server.take_opened();
    assert_eq!(super::said(&mut server), [Said::Window(1, 196_608)], "the others have said all");
}

/// Writes down who is woken, in that order.
struct Call(u32, Arc<Mutex<VecDeque<u32>>>);

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push_back(self.0);
    }
}

/// How much so many streams say that all have more to say than the socket takes, in `rounds` writes of it.
fn said_by_each(count: u32, rounds: usize) -> Vec<usize> {
    let mut state = begun(Role::Client, Heads::Raw, Profile::MESH);
    hear(&mut state, &[settings(&[(4, 1 << 30)]), window(0, 1 << 30)].concat()).unwrap();
    let calls = Arc::new(Mutex::new(VecDeque::new()));
    let ids: Vec<_> = (0..count).map(|_| state.open(Head::Raw(b"POST"), false, false).unwrap()).collect();
    calls.lock().unwrap().extend(&ids);
    let mut said = vec![0; ids.len()];
    for _ in 0..rounds {
        state.take_out();
        loop {
            let Some(id) = calls.lock().unwrap().pop_front() else { break };
            let waker = Waker::from(Arc::new(Call(id, Arc::clone(&calls))));
            while let Poll::Ready(room) = state.poll_room(&Context::from_waker(&waker), id) {
                let room = room.unwrap();
                state.send(id, &vec![0; room], false);
                said[id as usize / 2] += room;
            }
        }
        assert!(state.out.len() > 200_000, "the socket has enough to do");
    }
    said
}

#[test]
fn streams_that_have_much_to_say_take_turns() {
    for count in [1, 2, 3, 15, 16, 17, 100] {
        let said = said_by_each(count, 200);
        let (least, most) = (said.iter().min().unwrap(), said.iter().max().unwrap());
        assert!(*least > 0 && most <= &(2 * least), "{count} streams: {least} to {most}");
    }
}

#[test]
fn whoever_is_alone_has_the_whole_buffer() {
    assert!(said_by_each(1, 10)[0] > 10 * 250_000);
}
