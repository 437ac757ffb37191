//! How streams begin and end.

use super::*;
use crate::http::mux::state::Course;

#[test]
fn a_client_says_its_settings_first_and_opens_what_it_is_allowed() {
    let mut state = State::new(Role::Client, Heads::Raw, Profile::MESH, Instant::now());
    assert!(state.out.starts_with(PREFACE));
    assert_eq!(state.room(), 1024, "what another proxy allows");
    let application = State::new(Role::Client, Heads::Raw, Profile::APPLICATION, Instant::now());
    assert_eq!(application.room(), 256, "what we presume");
    hear(&mut state, &settings(&[(3, 2)])).unwrap();
    assert_eq!(state.open(Head::Raw(b"a"), true, false), Some(1));
    assert_eq!(state.open(Head::Raw(b"b"), false, false), Some(3));
    assert_eq!(state.open(Head::Raw(b"c"), true, false), None);
    let more = 96 * 1024 * 1024 - 65_535;
    let expected =
        [Said::Settings, Said::Window(0, more), Said::SettingsAck, Said::Head(1, true), Said::Head(3, false)];
    let said = said(&mut state);
    assert_eq!(said.iter().filter(|said| !matches!(said, Said::Window(1.., _))).cloned().collect::<Vec<_>>(), expected);
    hear(&mut state, &settings(&[(3, 0)])).unwrap();
    state.release(1, Code::Cancel);
    state.release(3, Code::Cancel);
    assert_eq!((state.room(), state.open(Head::Raw(b"d"), true, false)), (0, None));
}

#[test]
fn a_server_opens_nothing() {
    let mut state = server();
    assert_eq!((state.room(), state.open(Head::Fields(&response()), true, false)), (0, None));
}

#[test]
fn identifiers_run_out() {
    let mut state = begun(Role::Client, Heads::Raw, SMALL);
    state.next = (1 << 31) - 1;
    assert_eq!(state.open(Head::Raw(b"a"), false, false), Some((1 << 31) - 1));
    assert!(state.is_leaving() && state.room() == 0);
    assert_eq!(state.open(Head::Raw(b"a"), false, false), None);
    hear(&mut state, &headers((1 << 31) - 1, WHOLE | END, b"HTTP/1.1 200 OK\r\n\r\n")).unwrap();
    assert_eq!(parts(&mut state, (1 << 31) - 1), (vec![Part::Head], Some(Ok(()))));
}

#[test]
fn a_request_above_the_limit_is_refused_and_the_tables_follow() {
    let mut state = server();
    for id in 0..8 {
        hear(&mut state, &headers(2 * id + 1, WHOLE, POST)).unwrap();
    }
    assert_eq!(state.take_opened().len(), 8);
    // Its name goes into the table; the next stream's index means it.
    let kept = [POST, b"\x40\x01x\x01y"].concat();
    hear(&mut state, &headers(17, WHOLE, &kept)).unwrap();
    assert_eq!(said(&mut state), [Said::Reset(17, Code::RefusedStream)]);
    hear(&mut state, &data(17, END, b"on its way")).unwrap();
    assert_eq!((said(&mut state), state.take_opened()), (vec![], vec![]));
    state.say(1, Head::Fields(&response()), true);
    hear(&mut state, &data(1, END, b"")).unwrap();
    hear(&mut state, &headers(19, WHOLE | END, &[GET, b"\xbe"].concat())).unwrap();
    assert_eq!(state.take_opened(), [19], "what is over takes nobody's place, even if it is still in use");
    let Some(Ok(Some((Part::Head, list)))) = part(&mut state, 19, 0) else { panic!("no head") };
    let fields = Fields::read(&list).unwrap();
    assert!(fields.iter().any(|field| (field.name, field.value) == (&b"x"[..], &b"y"[..])));
}

#[test]
fn the_tables_follow_whatever_becomes_of_a_stream() {
    let kept = b"\x40\x01x\x01y";
    let indexed = [GET, b"\xbe"].concat();
    let scripts: [(&str, Vec<Vec<u8>>); 4] = [
        ("half closed", vec![headers(1, WHOLE | END, GET), headers(1, WHOLE | END, kept)]),
        ("reset", vec![headers(1, WHOLE, POST), reset(1, 8), headers(1, WHOLE | END, kept)]),
        ("malformed", vec![headers(1, WHOLE, &[kept, GET].concat())]),
        ("trailers too early", vec![headers(1, WHOLE, POST), headers(1, WHOLE, kept)]),
    ];
    for (name, frames) in scripts {
        let mut state = server();
        hear(&mut state, &frames.concat()).unwrap();
        hear(&mut state, &headers(3, WHOLE | END, &indexed)).unwrap_or_else(|code| panic!("{name}: {code:?}"));
    }
}

#[test]
fn the_tables_follow_if_a_stream_is_released_within_a_head() {
    let mut state = client();
    hear(&mut state, &headers(1, 0, b"\x88\x40")).unwrap();
    state.release(1, Code::Cancel);
    hear(&mut state, &frame(9, WHOLE | END, 1, b"\x01x\x01y")).unwrap();
    assert_eq!(state.open(Head::Fields(&request()), true, false), Some(3));
    hear(&mut state, &headers(3, WHOLE | END, b"\x88\xbe")).unwrap();
    assert_eq!(parts(&mut state, 3), (vec![Part::Head], Some(Ok(()))));
}

#[test]
fn what_came_whole_can_be_taken_whatever_follows() {
    for fault in [data(1, 0, b"more"), headers(1, WHOLE | END, OK), reset(1, 0)] {
        let mut state = client();
        hear(&mut state, &[headers(1, WHOLE, OK), data(1, END, b"all"), fault].concat()).unwrap();
        assert_eq!(parts(&mut state, 1), (vec![Part::Head, Part::Data], Some(Ok(()))));
        assert!(matches!(room(&mut state, 1), Some(Err(_))));
        state.release(1, Code::Cancel);
        assert_window_is_full(&state);
    }
}

#[test]
fn half_a_body_never_looks_like_a_whole_one() {
    let cases: [(Vec<u8>, Lost); 3] = [
        (reset(1, 0), Lost::Reset(Code::NoError)),
        (data(1, END, b"1234567"), Lost::Malformed),
        (window(1, 0), Lost::Malformed),
    ];
    for (fault, lost) in cases {
        let mut state = client();
        let begun = [headers(1, WHOLE, &[OK, FIVE].concat()), data(1, 0, b"hal")].concat();
        hear(&mut state, &[begun, fault].concat()).unwrap();
        assert_eq!(parts(&mut state, 1).1, Some(Err(lost)));
        state.release(1, Code::Cancel);
        assert_window_is_full(&state);
    }
}

#[test]
fn what_a_leaving_server_has_not_looked_at_can_be_asked_again() {
    let mut state = client();
    let later = state.open(Head::Fields(&request()), true, false).unwrap();
    hear(&mut state, &go_away(LAST, 0)).unwrap();
    assert!(state.is_leaving() && state.poll_lost(&context(), later).is_pending());
    hear(&mut state, &go_away(1, 0)).unwrap();
    assert_eq!(state.poll_lost(&context(), later), Poll::Ready(Lost::Unprocessed));
    assert!(state.poll_lost(&context(), 1).is_pending());
    state.release(later, Code::Cancel);
    state.send(1, &[], true);
    hear(&mut state, &headers(1, WHOLE | END, OK)).unwrap();
    assert!(!state.is_done());
    state.release(1, Code::Cancel);
    assert!(state.is_done());
    assert_eq!(said(&mut state), [Said::Head(3, true), Said::Data(1, 0, true)], "neither is reset");
}

const LAST: u32 = (1 << 31) - 1;

#[test]
fn a_refusal_says_that_nothing_was_done() {
    let mut state = client();
    hear(&mut state, &reset(1, 7)).unwrap();
    assert_eq!(state.poll_lost(&context(), 1), Poll::Ready(Lost::Unprocessed));
    let mut state = server();
    hear(&mut state, &[headers(1, WHOLE, POST), reset(1, 7)].concat()).unwrap();
    assert_eq!(state.poll_lost(&context(), 1), Poll::Ready(Lost::Reset(Code::RefusedStream)), "no client refuses");
}

#[test]
fn a_server_leaves_in_two_steps_and_loses_nothing() {
    let mut state = server();
    hear(&mut state, &headers(1, WHOLE | END, GET)).unwrap();
    state.ping();
    state.leave();
    state.leave();
    let [.., Said::GoAway(LAST, Code::NoError), Said::Ping(ping)] = said(&mut state)[..] else { panic!("no word") };
    hear(&mut state, &frame(6, 1, 0, b"injector")).unwrap();
    assert_eq!((state.course, said(&mut state)), (Course::Leaving, vec![]), "an older ping means nothing");
    hear(&mut state, &headers(3, WHOLE | END, GET)).unwrap(); // it was on its way
    assert_eq!(state.take_opened(), [1, 3]);
    hear(&mut state, &frame(6, 1, 0, &ping)).unwrap();
    assert_eq!(said(&mut state), [Said::GoAway(3, Code::NoError)]);
    hear(&mut state, &headers(5, WHOLE | END, GET)).unwrap();
    assert_eq!((said(&mut state), state.take_opened()), (vec![Said::Reset(5, Code::RefusedStream)], vec![]));
    for id in [1, 3] {
        assert!(!state.is_done());
        state.say(id, Head::Fields(&response()), true);
        state.release(id, Code::Cancel);
    }
    assert!(state.is_done());
    state.take_out();
    state.fail(Code::ProtocolError);
    assert_eq!(said(&mut state), [Said::GoAway(3, Code::ProtocolError)], "what was said last does not rise");
}

#[test]
fn who_opened_the_connection_just_opens_no_more() {
    let mut state = client();
    state.leave();
    assert!(state.is_leaving() && !state.is_done());
    assert_eq!(state.open(Head::Fields(&request()), true, false), None);
    state.release(1, Code::NoError);
    assert_eq!(said(&mut state), [Said::Reset(1, Code::NoError)]);
    assert!(state.is_done());
}

#[test]
fn what_a_peer_opens_and_gives_up_at_once_nobody_hears_of() {
    let mut state = server();
    let frames = [headers(1, WHOLE | END, GET), reset(1, 8), headers(3, WHOLE, POST), headers(5, WHOLE | END, GET)];
    hear(&mut state, &frames.concat()).unwrap();
    assert_eq!((state.take_opened(), state.in_use()), (vec![3, 5], 2));
}

#[test]
fn the_end_of_the_connection_is_the_end_of_what_is_not_over() {
    let mut state = client();
    hear(&mut state, &headers(1, WHOLE, OK)).unwrap();
    state.end(Lost::Silent);
    assert_eq!(parts(&mut state, 1), (vec![Part::Head], Some(Err(Lost::Silent))));
    assert!(state.is_done() && state.open(Head::Fields(&request()), true, false).is_none());
}

#[test]
fn heads_of_http1_go_as_they_are() {
    let mut state = begun(Role::Client, Heads::Raw, SMALL);
    state.open(Head::Raw(b"GET / HTTP/1.1\r\n\r\n"), true, false);
    let heads: [&[u8]; 2] = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"];
    let frames = [headers(1, WHOLE, heads[0]), headers(1, WHOLE, heads[1]), headers(1, WHOLE | END, b"X: y\r\n")];
    hear(&mut state, &frames.concat()).unwrap();
    for expected in [(Part::Head, heads[0]), (Part::Head, heads[1]), (Part::Trailers, b"X: y\r\n")] {
        let Some(Ok(Some((part, bytes)))) = part(&mut state, 1, 0) else { panic!("nothing came") };
        assert_eq!((part, &bytes[..]), expected);
    }
    assert_eq!(part(&mut state, 1, 0), Some(Ok(None)));
}

#[test]
fn a_long_head_comes_whole() {
    let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 60_000], b"\r\n\r\n".to_vec()].concat();
    let mut state = begun(Role::Client, Heads::Raw, SMALL);
    state.open(Head::Raw(&long), true, false);
    let out = state.take_out();
    let mut state = begun(Role::Server, Heads::Raw, SMALL);
    for byte in out.chunks(7) {
        hear(&mut state, byte).unwrap();
    }
    assert_eq!(state.take_opened(), [1]);
    assert_eq!(part(&mut state, 1, 0), Some(Ok(Some((Part::Head, long)))));
}
