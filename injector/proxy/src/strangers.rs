//! Connections whose peers have not shown yet who they are. Anybody can open them, so there are few at a time.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::seats::{Book, Seat};

/// Handshakes of one worker at once. A core finishes two thousand a second, so this is half a second of work. A peer can
/// leave 36 KiB in each (a message of 32 that is not whole, and rustls' state): 36 MiB at the very most.
const SEATS: usize = 1024;

/// Who is on the way to be known.
#[derive(Debug)]
pub struct Strangers {
    book: Mutex<Book<oneshot::Sender<()>>>,
}

impl Strangers {
    /// One source may have all seats as long as nobody else wants any: whoever opens a thousand connections at once may
    /// be a busy client.
    pub fn new() -> Self {
        Self { book: Mutex::new(Book::new(SEATS, SEATS)) }
    }

    /// A seat for a connection from `source`, to be kept until it is known who that is. The receiver hears when somebody
    /// else needs the seat.
    pub fn seat(&self, source: IpAddr) -> (Taken<'_>, oneshot::Receiver<()>) {
        let (send_away, sent_away) = oneshot::channel();
        let mut book = self.book();
        let Seat { number, evicted } = book.admit(source);
        book.sit(number, source, send_away);
        if let Some(evicted) = evicted {
            let _ = evicted.send(()); // it may have been known in this moment
        }
        (Taken { strangers: self, number }, sent_away)
    }

    fn book(&self) -> MutexGuard<'_, Book<oneshot::Sender<()>>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new()
    }
}

/// A seat, as long as it is kept.
#[derive(Debug)]
pub struct Taken<'s> {
    strangers: &'s Strangers,
    number: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.strangers.book().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const GREEDY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const MODEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn whoever_holds_all_seats_gives_its_oldest_to_a_newcomer() {
        let strangers = Strangers::new();
        let mut held: Vec<_> = (0..SEATS).map(|_| strangers.seat(GREEDY)).collect();
        let (seat, mut sent_away) = strangers.seat(MODEST);
        assert_eq!(held[0].1.try_recv(), Ok(()));
        assert!(held[1..].iter_mut().all(|(_, sent_away)| sent_away.try_recv().is_err()));
        drop(seat);
        assert!(sent_away.try_recv().is_err(), "who left by itself was not sent away");
        let (_, mut next) = strangers.seat(GREEDY);
        assert!(next.try_recv().is_err() && held[1].1.try_recv().is_err(), "there was a seat left");
    }
}
