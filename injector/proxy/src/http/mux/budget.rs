//! What a peer may make us do for nothing.
//!
//! Frames that cost us work and bring nobody forward (resets, pings, settings, empty frames: CVE-2019-9511 to 9518, and
//! CVE-2023-44487) are paid for from a purse that time refills. Whoever goes on without money is a flood.

use std::time::Instant;

/// What a frame costs that is answered or looked at, and no more.
pub const CHEAP: u32 = 1;
/// What a stream costs that is opened and given up at once, or broken: a request was begun at the application, perhaps.
pub const RESET: u32 = 4;

/// The purse.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    most: u32,
    a_second: u32,
    filled: Instant,
}

impl Budget {
    /// Begins full.
    pub fn new(most: u32, a_second: u32, now: Instant) -> Self {
        Self { left: most, most, a_second, filled: now }
    }

    /// Pays; false if there is not enough left.
    pub fn pay(&mut self, cost: u32, now: Instant) -> bool {
        if self.left < cost {
            let since = now.saturating_duration_since(self.filled).as_millis();
            let more = since * u128::from(self.a_second) / 1000;
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(self.most);
            self.filled = now;
        }
        let enough = self.left >= cost;
        self.left = self.left.saturating_sub(cost);
        enough
    }

    /// Gives some back to a peer that we give reason to speak.
    pub fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_pays_as_fast_as_time_fills_goes_on_for_ever() {
        let start = Instant::now();
        let mut budget = Budget::new(100, 50, start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            assert!((0..50).all(|_| budget.pay(CHEAP, now)), "second {second}");
        }
    }

    #[test]
    fn who_spends_faster_runs_out() {
        let start = Instant::now();
        let mut budget = Budget::new(100, 50, start);
        assert_eq!((0..1000).take_while(|_| budget.pay(RESET, start)).count(), 25);
        assert!(!budget.pay(CHEAP, start));
        assert!(budget.pay(CHEAP, start + Duration::from_secs(1)));
    }
}
