//! When to try again: later each time, and never all at once.

use std::time::Duration;

/// The first attempt comes within so long: with 2,000 proxies that lost their controller in the same moment, 1,000 a
/// second at most; and a connection that waits 3 s for an answer still gets it.
const FIRST: Duration = Duration::from_secs(2);

/// The longest range to draw from: a controller that is back is noticed by the last proxy after so long, by half of them
/// in half the time.
const LONGEST: Duration = Duration::from_secs(30);

/// A stream that lasted so long was a good one: what comes after it begins anew.
const GOOD: Duration = Duration::from_secs(10);

/// How often it failed in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after something that lasted so long, drawn by `fraction` (from 0 up to 1).
    ///
    /// The whole range is drawn from (Brooker 2015, "full jitter"): whatever brought the proxies into step, one draw
    /// spreads them evenly.
    pub fn next(&mut self, lasted: Duration, fraction: f64) -> Duration {
        if lasted >= GOOD {
            self.failures = 0;
        }
        let range = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        range.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_doubles_until_it_is_long_enough() {
        let mut backoff = Backoff::default();
        let ranges: Vec<u64> = (0..40).map(|_| backoff.next(Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(ranges[..6], [2, 4, 8, 16, 30, 30]);
        assert!(ranges[6..].iter().all(|range| *range == 30));
        assert_eq!(backoff.next(GOOD, 0.5), FIRST / 2, "a good stream begins anew");
        assert_eq!(backoff.next(Duration::ZERO, 0.0), Duration::ZERO);
    }
}
