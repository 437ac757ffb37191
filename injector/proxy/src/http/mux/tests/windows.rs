//! What may be sent, and what goes back.

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
