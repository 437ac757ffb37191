//! Few seats for many visitors: who takes many gives one up first, so that nobody can keep the others out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Who sits where; `H` is whatever ends a guest's visit. Seats are numbered in the order of arrival.
#[derive(Debug)]
pub struct Book<H> {
    seats: usize,
    a_source: usize,
    next: u64,
    seated: BTreeMap<u64, (IpAddr, H)>,
    by_source: HashMap<IpAddr, usize>,
}

/// A seat that was given, and whom it was taken from if there was none left.
#[derive(Debug)]
pub struct Seat<H> {
    /// Its number.
    pub number: u64,
    /// Who sat there, to be sent away.
    pub evicted: Option<H>,
}

impl<H> Book<H> {
    /// So many seats, and so many for one source.
    pub fn new(seats: usize, a_source: usize) -> Self {
        Self { seats, a_source, next: 0, seated: BTreeMap::new(), by_source: HashMap::new() }
    }

    /// A seat for a newcomer, to be sat on next. If its source has its share, its own longest visitor goes; else, if the
    /// room is full, the longest visitor of the source that has most seats.
    pub fn admit(&mut self, source: IpAddr) -> Seat<H> {
        let own = self.by_source.get(&source).copied().unwrap_or_default();
        let evicted = if own >= self.a_source {
            self.evict(|candidate| candidate == source)
        } else if self.seated.len() >= self.seats {
            let most = self.by_source.values().copied().max();
            let greediest: Vec<IpAddr> =
                self.by_source.iter().filter(|(_, seats)| Some(**seats) == most).map(|(source, _)| *source).collect();
            self.evict(|candidate| greediest.contains(&candidate))
        } else {
            None
        };
        self.next += 1;
        Seat { number: self.next, evicted }
    }

    /// Seats the newcomer, with what ends its visit.
    pub fn sit(&mut self, number: u64, source: IpAddr, handle: H) {
        self.seated.insert(number, (source, handle));
        *self.by_source.entry(source).or_default() += 1;
    }

    fn evict(&mut self, among: impl Fn(IpAddr) -> bool) -> Option<H> {
        let (&number, _) = self.seated.iter().find(|(_, (source, _))| among(*source))?;
        self.leave(number)
    }

    /// Frees a seat; None if somebody else has freed it.
    pub fn leave(&mut self, number: u64) -> Option<H> {
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

    fn arrive(book: &mut Book<u64>, from: u8) -> (u64, Option<u64>) {
        let Seat { number, evicted } = book.admit(source(from));
        book.sit(number, source(from), number);
        (number, evicted)
    }

    #[test]
    fn whoever_has_its_share_takes_turns_with_itself() {
        let mut book = Book::new(10, 2);
        for (from, seat) in [(1, (1, None)), (1, (2, None)), (2, (3, None)), (1, (4, Some(1))), (1, (5, Some(2)))] {
            assert_eq!(arrive(&mut book, from), seat);
        }
        assert_eq!(book.leave(4), Some(4));
        assert_eq!(arrive(&mut book, 1), (6, None));
    }

    #[test]
    fn in_a_full_room_the_newcomer_gets_the_greediest_ones_oldest_seat() {
        let mut book = Book::new(4, 3);
        for from in [9, 1, 1, 1] {
            arrive(&mut book, from);
        }
        assert_eq!(arrive(&mut book, 2), (5, Some(2)), "the oldest of source 1, not the kubelet's (9)");
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
