use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::task::Waker;
use tokio::io::AsyncWriteExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that follows a script: what reads give, and how much writes take.
#[derive(Debug, Default)]
struct Scripted {
    reads: VecDeque<Step>,
    /// What each write takes at most; 0 means not now.
    takes: VecDeque<usize>,
    written: Vec<u8>,
    /// How much of what was written has been flushed; and how often a flush was not possible yet.
    flushed: usize,
    holds: usize,
    ended: usize,
    breaks_after: Option<usize>,
    /// What a broken write says; without it, that the pipe is broken.
    breaks_with: Option<io::ErrorKind>,
    /// What happened to it while nobody read or wrote.
    broke_unheard: Option<io::ErrorKind>,
}

#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    NotNow,
    Fail,
}

impl Leg for Scripted {
    fn broken(&self) -> Option<io::Error> {
        self.broke_unheard.map(Into::into)
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, chunk: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            None => {}
            Some(Step::NotNow) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Fail) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Step::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(chunk.remaining()));
                if !rest.is_empty() {
                    self.reads.push_front(Step::Bytes(rest));
                }
                chunk.put_slice(&bytes);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.breaks_after.is_some_and(|most| self.written.len() >= most) {
            return Poll::Ready(Err(self.breaks_with.unwrap_or(io::ErrorKind::BrokenPipe).into()));
        }
        match self.takes.pop_front() {
            Some(0) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            most => {
                let count = bytes.len().min(most.unwrap_or(usize::MAX));
                self.written.extend_from_slice(&bytes[..count]);
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.holds > 0 {
            self.holds -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.flushed = self.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended += 1;
        Poll::Ready(Ok(()))
    }
}

/// Relays to the end; every poll that waits has been woken by the script, so a lost wake would hang here for ever.
fn relayed(opener: &mut Scripted, target: &mut Scripted) -> (io::Result<()>, Carried) {
    let mut total = Carried::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut relay = Box::pin(relay(opener, target, |carried| {
        total.from_opener += carried.from_opener;
        total.to_opener += carried.to_opener;
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let result = loop {
        if let Poll::Ready(result) = relay.as_mut().poll(&mut cx) {
            break result;
        }
    };
    drop(relay);
    (result, total)
}

fn bytes_of(steps: &VecDeque<Step>) -> Vec<u8> {
    let pieces = steps.iter().filter_map(|step| if let Step::Bytes(bytes) = step { Some(bytes.clone()) } else { None });
    pieces.flatten().collect()
}

fn script() -> impl Strategy<Value = Scripted> {
    let step = prop_oneof![
        3 => (1usize..60_000, any::<u8>()).prop_map(|(length, seed)| {
            Step::Bytes((0..length).map(|at| seed.wrapping_add(at.to_le_bytes()[0])).collect())
        }),
        1 => Just(Step::NotNow),
    ];
    let take = prop_oneof![Just(0usize), 1usize..40_000];
    (prop::collection::vec(step, 0..12), prop::collection::vec(take, 0..30)).prop_map(|(reads, takes)| Scripted {
        reads: reads.into(),
        takes: takes.into(),
        ..Scripted::default()
    })
}

proptest! {
    #[test]
    fn every_byte_arrives_once_in_order_and_each_end_is_told_once(mut opener in script(), mut target in script()) {
        let (said, answered) = (bytes_of(&opener.reads), bytes_of(&target.reads));
        let (result, total) = relayed(&mut opener, &mut target);
        prop_assert!(result.is_ok());
        prop_assert_eq!(total, Carried { from_opener: said.len() as u64, to_opener: answered.len() as u64 });
        prop_assert!(target.written == said && opener.written == answered);
        prop_assert_eq!((opener.ended, target.ended), (1, 1));
    }

    #[test]
    fn what_is_kept_is_bounded(takes in prop::collection::vec(prop_oneof![Just(0usize), 1usize..5_000], 1..60)) {
        let mut source = Scripted { reads: [Step::Bytes(vec![7; 4 * MOST])].into(), ..Scripted::default() };
        let mut sink = Scripted { takes: takes.into(), ..Scripted::default() };
        let mut flow = Flow::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut waits = 0;
        while flow.poll(&mut cx, &mut source, &mut sink).is_pending() {
            if let State::Leftover { bytes, .. } = &flow.state {
                waits += 1;
                // The first time a flow was fast until now; from then on it reads little.
                let most = if waits == 1 { MOST } else { 2 * LEAST };
                prop_assert!(bytes.len() <= most || waits == 1, "{} bytes kept", bytes.len());
                prop_assert_eq!(flow.allowance, LEAST);
            }
        }
        prop_assert_eq!(sink.written.len(), 4 * MOST);
    }
}

#[test]
fn a_broken_source_ends_both_directions_at_once() {
    let mut opener = Scripted { reads: [Step::Bytes(vec![1]), Step::Fail].into(), ..Scripted::default() };
    let mut target = Scripted { reads: vec![Step::NotNow; 1000].into(), ..Scripted::default() };
    let (result, _) = relayed(&mut opener, &mut target);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(target.reads.len() > 900, "it was not waited for");
}

#[test]
fn a_broken_sink_may_still_have_said_something() {
    let mut opener = Scripted { reads: [Step::Bytes(vec![1; 10])].into(), ..Scripted::default() };
    let mut target = Scripted {
        reads: [Step::NotNow, Step::Bytes(b"too large".to_vec()), Step::Fail].into(),
        breaks_after: Some(0),
        ..Scripted::default()
    };
    let (result, total) = relayed(&mut opener, &mut target);
    assert!(result.is_err());
    assert_eq!(opener.written, b"too large");
    assert_eq!(total.to_opener, 9);
}

#[test]
fn a_peer_that_talks_to_a_broken_one_is_listened_to_until_it_reads() {
    // The opener is gone with a question half sent; the target takes no more of it before it has said all it has.
    let mut opener = Scripted {
        reads: [Step::Bytes(vec![1; 10])].into(),
        breaks_after: Some(0),
        breaks_with: Some(io::ErrorKind::ConnectionReset),
        ..Scripted::default()
    };
    let mut target = Scripted {
        reads: (0..100).flat_map(|_| [Step::Bytes(vec![2; 1000]), Step::NotNow]).collect(),
        takes: vec![0; 90].into(),
        ..Scripted::default()
    };
    let (result, _) = relayed(&mut opener, &mut target);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(target.written.len(), 10, "what the opener said before it went has arrived");
    assert!(target.reads.len() < 30, "the target's words were taken: {} pieces left", target.reads.len());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_not_kept_for_one_that_is_gone() {
    let mut opener = Scripted {
        reads: [Step::Bytes(vec![1; 10])].into(),
        breaks_after: Some(0),
        breaks_with: Some(io::ErrorKind::ConnectionReset),
        ..Scripted::default()
    };
    let (mut target, mut peer) = tokio::io::duplex(4);
    peer.write_all(b"hi").await.unwrap();
    let began = Instant::now();
    let relayed = relay(&mut opener, &mut target, |_| {}).await;
    assert_eq!(relayed.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_said_all_and_then_broke_is_not_waited_for() {
    let gone = Some(io::ErrorKind::ConnectionReset);
    let mut opener = Scripted { reads: [Step::Bytes(b"question".to_vec())].into(), ..Scripted::default() };
    let (mut target, _peer) = tokio::io::duplex(64);
    let waiting = tokio::time::timeout(LOOK * 5, relay(&mut opener, &mut target, |_| {})).await;
    assert!(waiting.is_err(), "who is there may wait as long as it likes");
    let mut opener = Scripted { broke_unheard: gone, ..Scripted::default() };
    let (mut target, _peer) = tokio::io::duplex(64);
    let began = Instant::now();
    let relayed = relay(&mut opener, &mut target, |_| {}).await;
    assert_eq!(relayed.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(began.elapsed(), LOOK);
}

#[test]
fn a_reset_that_a_write_heard_of_is_no_orderly_end() {
    let mut opener = Scripted { reads: [Step::Bytes(b"question".to_vec())].into(), ..Scripted::default() };
    // The kernel told the write of the reset, so the read finds nothing but an end.
    let mut target =
        Scripted { breaks_after: Some(0), breaks_with: Some(io::ErrorKind::ConnectionReset), ..Scripted::default() };
    let (result, _) = relayed(&mut opener, &mut target);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(opener.ended, 0, "the opener must not take a cut answer for a whole one");
}

#[test]
fn a_flow_that_never_waits_gives_others_a_turn() {
    let mut source = Scripted { reads: [Step::Bytes(vec![7; 3 * TURN])].into(), ..Scripted::default() };
    let mut sink = Scripted::default();
    let mut flow = Flow::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(flow.poll(&mut cx, &mut source, &mut sink).is_pending());
    assert!((TURN..TURN + MOST).contains(&sink.written.len()), "{}", sink.written.len());
}

#[test]
fn reads_grow_while_they_come_full() {
    let mut source = Scripted { reads: [Step::Bytes(vec![7; 4 * MOST])].into(), ..Scripted::default() };
    let mut flow = Flow::new();
    let mut cx = Context::from_waker(Waker::noop());
    while flow.poll(&mut cx, &mut source, &mut Scripted::default()).is_pending() {}
    assert_eq!(flow.allowance, MOST);
}

#[test]
fn nothing_stays_in_a_sink_while_the_source_is_waited_for() {
    let mut source =
        Scripted { reads: [Step::Bytes(vec![7; 10]), Step::NotNow, Step::NotNow].into(), ..Scripted::default() };
    let mut sink = Scripted { holds: 1, ..Scripted::default() };
    let mut flow = Flow::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(flow.poll(&mut cx, &mut source, &mut sink).is_pending());
    assert_eq!((sink.written.len(), sink.flushed), (10, 0), "it could not, and was asked");
    assert!(flow.poll(&mut cx, &mut source, &mut sink).is_pending());
    assert_eq!(sink.flushed, 10);
}
