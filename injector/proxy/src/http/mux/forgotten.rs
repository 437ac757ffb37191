//! Streams that we have ended before the peer did: what comes on them was on its way, and is no fault of the peer's (RFC
//! 9113, section 5.1).

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use super::identity::Identity;

/// See the module. The oldest are forgotten for good.
#[derive(Debug)]
pub struct Forgotten {
    known: HashSet<u32, BuildHasherDefault<Identity>>,
    order: VecDeque<u32>,
    most: usize,
}

impl Forgotten {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self { known: HashSet::default(), order: VecDeque::new(), most }
    }

    /// Adds one.
    pub fn add(&mut self, id: u32) {
        if !self.known.insert(id) {
            return;
        }
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(id);
    }

    /// Whether that is one.
    pub fn has(&self, id: u32) -> bool {
        self.known.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_none_counts_twice() {
        let mut forgotten = Forgotten::new(3);
        for id in [1, 3, 3, 3, 5] {
            forgotten.add(id);
        }
        assert!([1, 3, 5].iter().all(|id| forgotten.has(*id)));
        forgotten.add(7);
        assert_eq!([1, 3, 5, 7].map(|id| forgotten.has(id)), [false, true, true, true]);
        assert_eq!((forgotten.known.len(), forgotten.order.len()), (3, 3));
    }
}
