//! When to ask for the next certificate. Pure: times in, times out; `chance` is a number from 0 up to 1.

use std::time::{Duration, SystemTime};

use super::IssuerWish;
use crate::tls::Fingerprint;

/// Renewed after a third of its life: two more tries of a day's certificate fit in, and 16 hours of a control plane away.
const THIRD: f64 = 1.0 / 3.0;
/// Earlier by up to a tenth of that, so that pods that started together do not come together.
const EARLIER: f64 = 0.1;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause of a pod that has no certificate and waits with all it contains.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The longest pause of a pod that has one.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// That is not made shorter than this for a certificate about to end.
const SHORTEST_LIMIT: Duration = Duration::from_secs(1);
/// A wish for another issuer is spread over at least this: its replicas may not all have heard of it.
const LEAST_WITHIN: Duration = Duration::from_secs(10);

/// When a certificate is to be renewed that was received at `received` and ends at `not_after`.
///
/// Counted from its receipt, not from its first moment: that lies some minutes back for the sake of clocks that differ,
/// and would leave nothing of a life of minutes.
pub fn due(received: SystemTime, not_after: SystemTime, chance: f64) -> SystemTime {
    let life = not_after.duration_since(received).unwrap_or_default();
    received + life.mul_f64(THIRD * (1.0 - EARLIER * chance))
}

/// When to ask another issuer, for one that has a certificate of `issuer`. None: nothing else is wished.
pub fn wished(wish: Option<&IssuerWish>, issuer: &Fingerprint, now: SystemTime, chance: f64) -> Option<SystemTime> {
    let wish = wish.filter(|wish| wish.issuer != *issuer)?;
    Some(now + wish.within.max(LEAST_WITHIN).mul_f64(chance))
}

/// How long to wait after so many `failures` in a row (1 is the first): doubling, and a random half of it, so that a
/// thousand pods that lost the same issuer do not come back as one.
///
/// Who still has a certificate has more time, yet not more than a tenth of what is `left` of it.
pub fn pause(failures: u32, left: Duration, chance: f64) -> Duration {
    let longest = if left.is_zero() { LONGEST_WAIT } else { (left / 10).clamp(SHORTEST_LIMIT, LONGEST_PAUSE) };
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(longest).mul_f64(0.5 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_is_renewed_after_eight_hours_or_a_little_less() {
        assert_eq!(due(at(0), at(24 * 3600), 0.0), at(8 * 3600));
        let earliest = due(at(0), at(24 * 3600), 1.0);
        assert!(earliest > at(7 * 3600) && earliest < at(8 * 3600));
    }

    #[test]
    fn what_has_ended_is_due() {
        assert_eq!(due(at(100), at(50), 0.5), at(100));
    }

    #[test]
    fn another_issuer_is_asked_within_the_time_given() {
        let wish = |within| IssuerWish { issuer: [1; 32], within: Duration::from_secs(within) };
        assert_eq!(wished(None, &[2; 32], at(0), 0.5), None);
        assert_eq!(wished(Some(&wish(3600)), &[1; 32], at(0), 0.5), None);
        assert_eq!(wished(Some(&wish(3600)), &[2; 32], at(7), 0.5), Some(at(1807)));
        assert_eq!(wished(Some(&wish(0)), &[2; 32], at(7), 0.5), Some(at(7) + LEAST_WITHIN / 2), "no hot loop");
    }

    #[test]
    fn pauses_double_to_a_limit_and_are_spread() {
        let none = Duration::ZERO;
        assert_eq!(pause(1, none, 1.0), FIRST_PAUSE);
        assert_eq!(pause(1, none, 0.0), FIRST_PAUSE / 2);
        assert_eq!(pause(3, none, 1.0), FIRST_PAUSE * 4);
        assert_eq!(pause(u32::MAX, none, 1.0), LONGEST_WAIT);
        assert_eq!(pause(u32::MAX, Duration::from_hours(16), 1.0), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX, Duration::from_mins(2), 1.0), Duration::from_secs(12));
        assert_eq!(pause(u32::MAX, Duration::from_secs(1), 1.0), SHORTEST_LIMIT);
    }
}
