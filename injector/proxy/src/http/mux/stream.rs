//! One stream of a multiplexed connection, as both its ends see it (RFC 9113, section 5).

use std::task::Waker;
use std::time::Instant;

use super::inbox::Inbox;
use crate::http::h2::frame::Code;

/// Why nothing more comes on a stream, and nothing more can be said on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The peer has not looked at it: the same may be asked again elsewhere (sections 6.8 and 8.7).
    Unprocessed,
    /// The peer gave it up.
    Reset(Code),
    /// What the peer said on it makes no sense.
    Malformed,
    /// The connection broke.
    Broken,
    /// The peer gave no sign of life.
    Silent,
}

/// Where a stream stands.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not, whatever the others are")]
pub struct Stream {
    /// What has come and was not taken yet.
    pub inbox: Inbox,
    /// Bytes of bodies that the peer lets us send.
    pub send_window: i64,
    /// Bytes of bodies that we let the peer send.
    pub receive_window: i64,
    /// How large we let the receive window become.
    pub window: u32,
    /// The peer had used up most of it when it was last told of more, or since.
    pub pressed: bool,
    /// Bytes taken from the inbox that the peer has not been told of.
    pub unreturned: u32,
    /// When the peer has opened it; none if we have.
    pub opened: Option<Instant>,
    /// We have said all.
    pub local_ended: bool,
    /// The peer has said all.
    pub remote_ended: bool,
    /// A head has come that was not an interim one: what follows the body is trailers.
    pub headed: bool,
    /// Bytes of the body that the head promised and that have not come; none if it promised nothing.
    pub promised: Option<u64>,
    /// The response to it has no body, whatever its head promises: it was asked for by HEAD.
    pub bodiless: bool,
    /// The peer has given it up, and must say nothing more on it.
    pub reset_by_peer: bool,
    /// Nothing more will come or go.
    pub lost: Option<Lost>,
    /// Who waits for something to come.
    pub reader: Option<Waker>,
    /// Who waits to say more.
    pub writer: Option<Waker>,
    /// Whether the writer waits for something that is not this stream's own: it is in the list of those.
    pub blocked: bool,
    /// The last round in which it said some of a body (see `turns`).
    pub round: u64,
    /// How much in that.
    pub said: usize,
}

impl Stream {
    /// A new one, with the windows of the moment.
    pub fn new(send_window: i64, window: u32) -> Self {
        Self {
            inbox: Inbox::default(),
            send_window,
            receive_window: i64::from(window),
            window,
            pressed: false,
            unreturned: 0,
            opened: None,
            local_ended: false,
            remote_ended: false,
            headed: false,
            promised: None,
            bodiless: false,
            reset_by_peer: false,
            lost: None,
            reader: None,
            writer: None,
            blocked: false,
            round: 0,
            said: 0,
        }
    }

    /// Takes note of bytes of a body that come; false if they are more than was allowed.
    pub fn receives(&mut self, count: i64) -> bool {
        self.receive_window -= count;
        self.pressed |= self.receive_window < i64::from(self.window / 8);
        self.receive_window >= 0
    }

    /// Tells whoever waits that something changed.
    pub fn wake_all(&mut self) {
        self.wake_reader();
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Tells whoever waits for something to come.
    pub fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    /// Ends it for whoever uses it; the first reason counts. What has come whole may still be taken.
    pub fn lose(&mut self, lost: Lost) {
        if !self.is_over() {
            self.lost.get_or_insert(lost);
        }
        self.wake_all();
    }

    /// Whether both have said all, or it is lost.
    pub fn is_over(&self) -> bool {
        self.lost.is_some() || (self.local_ended && self.remote_ended)
    }

    /// Takes note that the consumer took `count` bytes of the body; how much to let the peer send more, if it is time to.
    ///
    /// It is told when half of the window is used up. If everything was taken and the peer had little left meanwhile, the
    /// window is what slows the stream down, and it doubles: what a fast path needs is its bandwidth times its delay.
    pub fn taken(&mut self, count: u32, most_window: u32) -> Option<u32> {
        self.unreturned += count;
        let grows = self.pressed && self.inbox.is_empty() && self.window < most_window;
        if self.remote_ended || self.lost.is_some() || (self.unreturned < self.window / 2 && !grows) {
            return None;
        }
        let mut more = std::mem::take(&mut self.unreturned);
        if grows {
            self.pressed = false;
            let grown = self.window.saturating_mul(2).min(most_window);
            more += grown - self.window;
            self.window = grown;
        }
        self.receive_window += i64::from(more);
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::mux::inbox::Part;

    #[test]
    fn the_window_is_given_back_in_halves() {
        let mut stream = Stream::new(0, 1000);
        stream.receive_window -= 499;
        assert_eq!(stream.taken(499, 1000), None);
        stream.receive_window -= 1;
        assert_eq!(stream.taken(1, 1000), Some(500));
        assert_eq!(stream.receive_window, 1000);
    }

    #[test]
    fn it_grows_where_the_reader_is_fast_and_stays_where_it_is_slow() {
        let mut fast = Stream::new(0, 1000);
        assert!(fast.receives(1000));
        assert_eq!(fast.taken(1000, 8000), Some(2000));
        assert_eq!((fast.window, fast.receive_window), (2000, 2000));
        let mut slow = Stream::new(0, 1000);
        assert!(slow.receives(1000));
        slow.inbox.push(Part::Data, b"more");
        assert_eq!(slow.taken(996, 8000), Some(996));
        assert_eq!(slow.window, 1000);
    }

    #[test]
    fn it_grows_in_whatever_pieces_all_of_it_is_taken() {
        let mut stream = Stream::new(0, 1000);
        stream.inbox.push(Part::Data, &[0; 1000]);
        assert!(stream.receives(1000));
        let mut there = 0;
        for _ in 0..10 {
            stream.inbox.take(100);
            there += stream.taken(100, 8000).unwrap_or(0);
        }
        assert_eq!((stream.window, there), (2000, 2000));
    }

    #[test]
    fn who_has_said_all_needs_no_window() {
        let mut stream = Stream::new(0, 1000);
        stream.remote_ended = true;
        assert_eq!(stream.taken(1000, 1000), None);
    }

    #[test]
    fn the_first_loss_counts_and_none_after_the_end() {
        let mut stream = Stream::new(0, 1000);
        stream.lose(Lost::Reset(Code::Cancel));
        stream.lose(Lost::Broken);
        assert_eq!(stream.lost, Some(Lost::Reset(Code::Cancel)));
        let mut ended = Stream::new(0, 1000);
        (ended.local_ended, ended.remote_ended) = (true, true);
        ended.lose(Lost::Broken);
        assert_eq!(ended.lost, None);
    }
}
