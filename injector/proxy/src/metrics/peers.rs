//! Who opened connections to this pod: as many identities as a page of metrics should name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tls::SpiffeId;

/// Identities that are named; those that come later count together. Identities are from certificates, so nobody makes
/// them up; still a pod that everybody calls would have a line for each service account of the cluster.
const MOST: usize = 100;

/// What stands for all identities beyond `MOST`.
const OTHERS: &str = "other";

/// Connections by the identity of who opened them.
#[derive(Debug, Default)]
pub struct Peers(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    named: HashMap<SpiffeId, u64>,
    others: u64,
}

impl Peers {
    /// Counts a connection.
    pub fn add(&self, peer: &SpiffeId) {
        let mut counts = self.counts();
        if let Some(count) = counts.named.get_mut(peer) {
            *count += 1;
        } else if counts.named.len() < MOST {
            counts.named.insert(peer.clone(), 1);
        } else {
            counts.others += 1;
        }
    }

    /// The counts of all of these together, by identity.
    pub fn sum<'p>(all: impl IntoIterator<Item = &'p Self>) -> BTreeMap<String, u64> {
        let mut sum: BTreeMap<String, u64> = BTreeMap::new();
        for peers in all {
            let counts = peers.counts();
            for (peer, count) in &counts.named {
                let known = sum.contains_key(peer.as_str()) || sum.len() < MOST;
                *sum.entry(if known { peer.as_str() } else { OTHERS }.to_owned()).or_default() += count;
            }
            if counts.others > 0 {
                *sum.entry(OTHERS.to_owned()).or_default() += counts.others;
            }
        }
        sum
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_lines_are_bounded() {
        let (first, second) = (Peers::default(), Peers::default());
        let peer = |number: usize| SpiffeId::new("cluster.local", "shop", &format!("sa-{number}")).unwrap();
        for number in 0..2 * MOST {
            first.add(&peer(number));
            second.add(&peer(number));
            second.add(&peer(0));
        }
        let sum = Peers::sum([&first, &second]);
        assert_eq!(sum.len(), MOST + 1);
        assert_eq!(sum["spiffe://cluster.local/ns/shop/sa/sa-0"], 2 + 2 * MOST as u64);
        assert_eq!(sum[OTHERS], 2 * MOST as u64);
    }
}
