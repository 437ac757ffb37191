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

/// Whether a client may go on for a minute that gives up so many streams a second, each so many milliseconds old.
fn may_give_up(a_second: u32, age: u64) -> bool {
    let mut state = begun(Role::Server, Heads::hpack(), Profile::APPLICATION);
    let mut now = Instant::now();
    (0..60 * a_second).all(|count| {
        let id = 2 * count + 1;
        now += Duration::from_secs(1) / a_second;
        let mut heard = state.receive(&headers(id, WHOLE | END, GET), now);
        state.take_opened();
        heard = heard.and_then(|()| state.receive(&reset(id, 8), now + Duration::from_millis(age)));
        state.release(id, Code::Cancel);
        state.take_out();
        heard.is_ok()
    })
}

#[test]
fn a_client_may_give_up_what_it_wanted_and_not_what_it_did_not() {
    assert!(may_give_up(450, 20), "deadlines that pass are no attack");
    assert!(may_give_up(100, 0));
    assert!(!may_give_up(200, 0), "what is given up at once is one");
    assert!(!may_give_up(1_000, 20), "and so are too many");
}

#[test]
fn a_byte_of_window_earns_nothing() {
    for both in [false, true] {
        let mut state = server();
        hear(&mut state, &[settings(&[(4, 0)]), headers(1, WHOLE, POST)].concat()).unwrap();
        state.say(1, Head::Fields(&response()), false);
        let now = Instant::now();
        let mut heard = Ok(());
        let count = (0..10_000).take_while(|_| {
            heard = state.receive(&if both { [window(0, 1), window(1, 1)].concat() } else { window(1, 1) }, now);
            if let Some(Ok(room)) = room(&mut state, 1) {
                assert_eq!(room, 1);
                state.send(1, b"x", false);
            }
            state.take_out();
            heard.is_ok()
        });
        assert!(count.count() <= 1_000);
        assert_eq!(heard, Err(Code::EnhanceYourCalm));
    }
}

#[test]
fn small_messages_are_not_held_against_who_measures_them() {
    let mut state = server();
    hear(&mut state, &[headers(1, WHOLE, POST), window(0, 1 << 20), window(1, 1 << 20)].concat()).unwrap();
    state.say(1, Head::Fields(&response()), false);
    for _ in 0..10_000 {
        assert!(matches!(room(&mut state, 1), Some(Ok(_))));
        state.send(1, b"hello", false);
        hear(&mut state, &frame(6, 0, 0, &[0; 8])).unwrap(); // as gRPC does, to know the path's delay
        state.take_out();
    }
}

/// What a server says of a stream.
type Way = fn(u32) -> Vec<u8>;

#[test]
fn a_server_may_end_all_that_it_is_asked_in_whatever_way() {
    let answer = |id| headers(id, WHOLE | END, OK);
    let ways: [(&str, Way); 4] = [
        ("it has said all and wants no more of the request", |id| reset(id, 0)),
        ("it cannot", |id| reset(id, 2)),
        ("it makes no sense", |id| headers(id, WHOLE | END, INTERIM)),
        ("it lets us say more of what is over", |id| [window(id, 1 << 16), reset(id, 0)].concat()),
    ];
    for (at, (name, way)) in ways.into_iter().enumerate() {
        for late in [false, true] {
            let mut state = client();
            for _ in 0..10_000 {
                let id = state.open(Head::Fields(&request()), false, false).unwrap();
                let first = if at == 0 { answer(id) } else { Vec::new() };
                hear(&mut state, &first).unwrap();
                if late {
                    state.release(id, Code::NoError);
                }
                hear(&mut state, &way(id)).unwrap_or_else(|code| panic!("{name}, late: {late}: {code:?}"));
                state.release(id, Code::NoError);
                state.take_out();
            }
        }
    }
}

#[test]
fn a_server_floods_nobody_either() {
    let floods: Vec<Flood> = vec![
        ("pings", Box::new(|_| frame(6, 0, 0, &[0; 8]))),
        ("settings", Box::new(|_| settings(&[]))),
        ("interim heads", Box::new(|_| headers(1, WHOLE, INTERIM))),
        ("resets of what is over", Box::new(|_| reset(1, 0))),
        ("windows of nothing", Box::new(|_| window(1, 0))),
        ("empty DATA", Box::new(|count| if count == 0 { headers(1, WHOLE, OK) } else { data(1, 0, b"") })),
    ];
    for (name, next) in floods {
        let count = bearable(&mut client(), next).unwrap_or_else(|| panic!("{name} never end"));
        assert!((100..=1_001).contains(&count), "{name}: {count}");
    }
}
