//! Seats at the admin port: few, and whoever takes many gives one up first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Connections at once. At some 12 KiB each (head buffer, hyper's state, task) that is 1.5 MiB at most.
const SEATS: usize = 128;

/// Connections at once from one address, besides one for each declared probe: a kubelet runs a pod's probes at the same
/// moment, and a scraper may share its address.
const SEATS_A_SOURCE: usize = 16;

/// Who is connected, and the tasks that serve them.
pub struct Guests {
    book: Mutex<Book<AbortHandle>>,
}

impl Guests {
    /// Seats for a pod with so many declared probes.
    pub fn new(probes: usize) -> Self {
        Self { book: Mutex::new(Book::new(SEATS + probes, SEATS_A_SOURCE + probes)) }
    }

    /// Serves a guest from `source` in a task of its own, or drops `service` if that source has its share.
    pub fn seat(self: &Arc<Self>, source: IpAddr, service: impl Future<Output = ()> + Send + 'static) {
        let mut book = self.book();
        let Some(Seat { number, evicted }) = book.admit(source) else { return };
        if let Some(task) = evicted {
            task.abort();
        }
        let leave = Leave { guests: Arc::clone(self), number }; // moved into the task: an aborted one drops it too
        let task = tokio::spawn(async move {
            service.await;
            drop(leave);
        });
        book.sit(number, source, task.abort_handle());
    }

    fn book(&self) -> MutexGuard<'_, Book<AbortHandle>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the seat back when the task ends.
struct Leave {
    guests: Arc<Guests>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.guests.book().leave(self.number);
    }
}

/// Who sits where; `H` is whatever ends a guest's visit. Seats are numbered in the order of arrival.
struct Book<H> {
    seats: usize,
    a_source: usize,
    next: u64,
    seated: BTreeMap<u64, (IpAddr, H)>,
    by_source: HashMap<IpAddr, usize>,
}

/// A seat that was given, and whom it was taken from if all were taken.
struct Seat<H> {
    number: u64,
    evicted: Option<H>,
}

impl<H> Book<H> {
    fn new(seats: usize, a_source: usize) -> Self {
        Self { seats, a_source, next: 0, seated: BTreeMap::new(), by_source: HashMap::new() }
    }

    /// A seat for a newcomer, to be sat on next. None if its source has its share. If the room is full, the longest
    /// visitor of the source that has most seats goes.
    fn admit(&mut self, source: IpAddr) -> Option<Seat<H>> {
        if self.by_source.get(&source).is_some_and(|seats| *seats >= self.a_source) {
            return None;
        }
        let evicted = if self.seated.len() < self.seats { None } else { self.evict() };
        self.next += 1;
        Some(Seat { number: self.next, evicted })
    }

    fn sit(&mut self, number: u64, source: IpAddr, handle: H) {
        self.seated.insert(number, (source, handle));
        *self.by_source.entry(source).or_default() += 1;
    }

    fn evict(&mut self) -> Option<H> {
        let most = self.by_source.values().copied().max()?;
        let mut oldest_first = self.seated.iter();
        let (&number, _) = oldest_first.find(|(_, (source, _))| self.by_source.get(source) == Some(&most))?;
        self.leave(number)
    }

    fn leave(&mut self, number: u64) -> Option<H> {
        let (source, handle) = self.seated.remove(&number)?;
        if let Some(seats) = self.by_source.get_mut(&source) {
            *seats -= 1;
            if *seats == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn source(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    fn arrive(book: &mut Book<u64>, from: u8) -> Option<(u64, Option<u64>)> {
        let Seat { number, evicted } = book.admit(source(from))?;
        book.sit(number, source(from), number);
        Some((number, evicted))
    }

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let mut book = Book::new(10, 2);
        assert!(arrive(&mut book, 1).is_some());
        assert!(arrive(&mut book, 1).is_some());
        assert!(arrive(&mut book, 1).is_none());
        assert!(arrive(&mut book, 2).is_some());
        assert_eq!(book.leave(1), Some(1));
        assert!(arrive(&mut book, 1).is_some());
    }

    #[test]
    fn in_a_full_room_the_newcomer_gets_the_greediest_ones_oldest_seat() {
        let mut book = Book::new(4, 3);
        for from in [9, 1, 1, 1] {
            arrive(&mut book, from).unwrap();
        }
        assert_eq!(arrive(&mut book, 2), Some((5, Some(2))), "the oldest of source 1, not the kubelet's (9)");
        assert_eq!(book.leave(2), None, "it has left already");
    }

    proptest! {
        #[test]
        fn the_books_balance(steps in prop::collection::vec((any::<bool>(), 0u8..12), 0..200)) {
            let mut book = Book::new(8, 3);
            for (comes, number) in steps {
                if comes {
                    arrive(&mut book, number);
                } else {
                    book.leave(number.into());
                }
                prop_assert!(book.seated.len() <= 8);
                prop_assert_eq!(book.by_source.values().sum::<usize>(), book.seated.len());
                prop_assert!(book.by_source.values().all(|seats| (1..=3).contains(seats)));
            }
        }
    }
}
