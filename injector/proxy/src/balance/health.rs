//! Whether an endpoint gets requests: who fails again and again is left alone for a while, and then tried with one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Failures in a row that put an endpoint out. One may be chance, and so may two where a pod is replaced; five requests
/// in a row that nobody answered are an endpoint that is gone.
const FAILURES: u8 = 5;

/// Milliseconds that it is left alone the first time: a process that was restarted is back by then.
const FIRST: u32 = 1_000;

/// How often that doubles: 64 s at most, so that one that comes back is not missed for longer than a minute.
const DOUBLINGS: u8 = 6;

/// Milliseconds that the one request has which tries it; then another may.
const TRIAL: u32 = 1_000;

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets requests.
    In,
    /// It gets none.
    Out,
    /// It may be tried with one.
    Trial,
}

/// The health of one endpoint, as this proxy sees it. Workers share it; two that write at once may lose one of two
/// failures, and the next one counts.
#[derive(Debug, Default)]
pub struct Health(AtomicU64);

/// Failures in a row, how often it was put out in a row, and until when it is out: a time of `clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Record {
    failures: u8,
    outs: u8,
    until: u32,
}

impl Health {
    /// It has answered.
    pub fn succeeded(&self) {
        if self.0.load(Relaxed) != 0 {
            self.store(Record::default());
        }
    }

    /// It has not; whether that puts it out.
    pub fn failed(&self, now: u32) -> bool {
        let mut record = self.load();
        record.failures = record.failures.saturating_add(1);
        // Once it was out, each failure more is the one request that tried it.
        let out = record.outs > 0 || record.failures >= FAILURES;
        if out {
            record.until = now.wrapping_add(FIRST << record.outs.min(DOUBLINGS)).max(1);
            record.outs = record.outs.saturating_add(1);
        }
        self.store(record);
        out
    }

    /// How it stands now.
    pub fn standing(&self, now: u32) -> Standing {
        match self.load() {
            Record { outs: 0, .. } => Standing::In,
            record if is_before(now, record.until) => Standing::Out,
            _ => Standing::Trial,
        }
    }

    /// It is tried now, and by nobody else for a while.
    pub fn on_trial(&self, now: u32) {
        self.store(Record { until: now.wrapping_add(TRIAL), ..self.load() });
    }

    fn load(&self) -> Record {
        let [failures, outs, _, _, a, b, c, d] = self.0.load(Relaxed).to_be_bytes();
        Record { failures, outs, until: u32::from_be_bytes([a, b, c, d]) }
    }

    fn store(&self, record: Record) {
        let [a, b, c, d] = record.until.to_be_bytes();
        self.0.store(u64::from_be_bytes([record.failures, record.outs, 0, 0, a, b, c, d]), Relaxed);
    }
}

/// Whether one time of a clock that wraps is before another; they are days apart at most.
fn is_before(one: u32, other: u32) -> bool {
    one != other && other.wrapping_sub(one) < u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(now: u32) -> Health {
        let health = Health::default();
        assert!((1..FAILURES).all(|_| !health.failed(now)));
        assert!(health.failed(now));
        health
    }

    #[test]
    fn five_failures_in_a_row_put_it_out_and_a_success_between_does_not() {
        let health = Health::default();
        for _ in 0..10 {
            assert!((1..FAILURES).all(|_| !health.failed(0)));
            health.succeeded();
        }
        assert_eq!(health.standing(0), Standing::In);
        assert_eq!(out(0).standing(0), Standing::Out);
    }

    #[test]
    fn one_request_tries_it_when_its_time_is_over() {
        let health = out(5_000);
        assert_eq!((health.standing(5_999), health.standing(6_000)), (Standing::Out, Standing::Trial));
        health.on_trial(6_000);
        assert_eq!(health.standing(6_001), Standing::Out);
        health.succeeded();
        assert_eq!(health.standing(6_001), Standing::In);
    }

    #[test]
    fn the_time_doubles_to_a_minute() {
        let health = out(0);
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(health.standing(now + expected * 1000 - 1), Standing::Out, "{expected}");
            now += expected * 1000;
            assert_eq!(health.standing(now), Standing::Trial, "{expected}");
            health.on_trial(now);
            health.failed(now);
        }
    }

    #[test]
    fn the_clock_may_wrap() {
        let health = out(u32::MAX - 500);
        assert_eq!((health.standing(u32::MAX), health.standing(499)), (Standing::Out, Standing::Trial));
    }
}
