//! Peers that make work for nothing, and how much they get.

use std::time::Duration;

use super::*;
use crate::http::mux::state::MOST_UNREAD;

/// How many times a peer may say something before it is too much; none if it may for ever, as far as is tried.
fn bearable(state: &mut State, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let now = Instant::now();
    for count in 0..10_000 {
        let heard = state.receive(&next(count), now);
        state.take_opened();
        state.take_out();
        match heard {
            Ok(()) => {}
            Err(code) => {
                assert_eq!(code, Code::EnhanceYourCalm);
                return Some(count);
            }
        }
    }
    None
}

type Flood = (&'static str, Box<dyn FnMut(u32) -> Vec<u8>>);

#[test]
fn floods_end() {
    let post = || headers(1, WHOLE, POST);
    let request = |count: u32| headers(2 * count + 3, WHOLE | END, GET);
    let floods: Vec<Flood> = vec![
        ("pings (CVE-2019-9512)", Box::new(|_| frame(6, 0, 0, &[0; 8]))),
        ("pings that answer nothing", Box::new(|_| frame(6, 1, 0, &[0; 8]))),
        ("resets (CVE-2023-44487)", Box::new(move |count| [request(count), reset(2 * count + 3, 8)].concat())),
        ("resets of what is over", Box::new(move |_| reset(1, 8))),
        ("faults (CVE-2025-8671)", Box::new(move |count| [request(count), data(2 * count + 3, 0, b"x")].concat())),
        ("malformed heads", Box::new(|count| headers(2 * count + 3, WHOLE, b"\x82"))),
        (
            "malformed heads in parts",
            Box::new(|count| [headers(2 * count + 3, 0, b"\x82"), frame(9, WHOLE, 2 * count + 3, b"")].concat()),
        ),
        ("windows on what is over", Box::new(move |_| window(1, 1 << 20))),
        ("a byte of window at a time", Box::new(|_| window(0, 1))),
        ("settings (CVE-2019-9515)", Box::new(|_| settings(&[(4, 65_535)]))),
        ("settings of nothing", Box::new(|_| settings(&[]))),
        (
            "empty DATA (CVE-2019-9518)",
            Box::new(|count| match count {
                0 => headers(3, WHOLE, POST),
                _ => data(3, 0, b""),
            }),
        ),
        (
            "DATA that is padding",
            Box::new(|count| match count {
                0 => headers(3, WHOLE, POST),
                _ => data(3, flags::PADDED, &[3, 0, 0, 0]),
            }),
        ),
        ("priorities (CVE-2019-9513)", Box::new(|_| frame(2, 0, 9, &[0, 0, 0, 11, 1]))),
        ("frames that nobody knows", Box::new(|_| frame(99, 0, 0, b"hello"))),
        ("leaving", Box::new(|_| go_away(0, 0))),
        ("trailers on what we gave up", Box::new(|_| headers(1, WHOLE | END, b"\0\x01x\x01y"))),
    ];
    for (name, next) in floods {
        let mut state = server();
        hear(&mut state, &post()).unwrap();
        state.release(1, Code::Cancel);
        state.take_out();
        let count = bearable(&mut state, next).unwrap_or_else(|| panic!("{name} never end"));
        assert!((100..=1_001).contains(&count), "{name}: {count}");
    }
}

#[test]
fn interim_heads_end_before_they_fill_the_memory() {
    for block in [INTERIM.to_vec(), [INTERIM, b"\0\x01x\x7f\x81\x5e", &[b'y'; 12_000 + 127 + 1]].concat()] {
        let mut state = client();
        let mut result = Ok(());
        while result.is_ok() && state.streams[&1].lost.is_none() {
            result = hear(&mut state, &headers(1, WHOLE, &block));
            let heads = state.streams[&1].inbox.heads();
            assert!(heads < 256 * 1024, "{heads}");
        }
    }
}

#[test]
fn parts_of_a_head_end() {
    for (part, most) in [(&b""[..], 32), (&[0; 16_384][..], 8)] {
        let mut state = server();
        hear(&mut state, &headers(1, 0, b"\x82")).unwrap();
        let count = (0..100).take_while(|_| hear(&mut state, &frame(9, 0, 1, part)).is_ok()).count();
        assert!(count <= most, "{count} parts of {}", part.len());
    }
}

#[test]
fn who_reads_nothing_is_not_answered_for_ever() {
    let mut state = begun(Role::Server, Heads::hpack(), Profile::APPLICATION);
    let mut now = Instant::now();
    let mut result = Ok(());
    for count in 0..200_000 {
        now += Duration::from_millis(5); // slowly enough for the budget
        let id = 2 * count + 1;
        result = state.receive(&[headers(id, WHOLE | END, GET), frame(6, 0, 0, &[0; 8])].concat(), now);
        for id in state.take_opened() {
            state.say(id, Head::Fields(&fields(&[(":status", "200"), ("x", &"y".repeat(1000))])), true);
            state.release(id, Code::Cancel);
        }
        if result.is_err() {
            break;
        }
        assert!(state.out.len() < MOST_UNREAD + 2_000);
    }
    assert!(state.out.len() < MOST_UNREAD + 2_000);
    assert!(result == Err(Code::EnhanceYourCalm) || state.out.len() < MOST_UNREAD);
}

#[test]
fn honest_peers_are_never_too_many() {
    let mut state = server();
    let served = bearable(&mut state, |count| headers(2 * count + 1, WHOLE | END, GET));
    assert_eq!(served, Some(257), "nobody answers, and who is refused pays: 8, then 999 / 4, for SETTINGS cost 1");
    let mut state = server();
    let now = Instant::now();
    for count in 0..10_000 {
        let id = 2 * count + 1;
        state.receive(&[headers(id, WHOLE, POST), data(id, END, b"hello")].concat(), now).unwrap();
        assert_eq!(state.take_opened(), [id]);
        assert_eq!(parts(&mut state, id), (vec![Part::Head, Part::Data], Some(Ok(()))));
        state.say(id, Head::Fields(&response()), false);
        state.send(id, b"hello", true);
        state.release(id, Code::Cancel);
        state.take_out();
        // Some say what they have read with every message.
        state.receive(&[window(0, 5), window(id, 5)].concat(), now).unwrap();
    }
    assert_eq!((state.in_use(), state.opened.len()), (0, 0));
    assert_window_is_full(&state);
}
