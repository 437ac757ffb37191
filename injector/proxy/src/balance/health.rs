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
    /// A request tries it.
    trial: bool,
    /// Its last failure was an answer.
    answered: bool,
    until: u32,
}

impl Health {
    /// It has answered.
    pub fn succeeded(&self) {
        if self.0.load(Relaxed) != 0 {
            self.store(Record::default());
        }
    }

    /// It has not, or has `answered` that nobody is there; whether that puts it out.
    pub fn failed(&self, answered: bool, now: u32) -> bool {
        let mut record = self.load();
        if record.outs > 0 && !record.trial && is_ahead(record.until, now) {
            return false; // of a request that was under way when it was put out
        }
        record.answered = answered;
        record.failures = record.failures.saturating_add(1);
        // Once it was out, the next failure is that of the one request that tried it.
        let out = record.outs > 0 || record.failures >= FAILURES;
        if out {
            record.until = now.wrapping_add(FIRST << record.outs.min(DOUBLINGS)).max(1);
            record.outs = record.outs.saturating_add(1);
            record.trial = false;
        }
        self.store(record);
        out
    }

    /// Whether it answers, at least: the last that was heard of it was an answer.
    pub fn answers(&self) -> bool {
        self.load().answered
    }

    /// How it stands now.
    pub fn standing(&self, now: u32) -> Standing {
        match self.load() {
            Record { outs: 0, .. } => Standing::In,
            record if is_ahead(record.until, now) => Standing::Out,
            _ => Standing::Trial,
        }
    }

    /// It is tried now, and by nobody else for a while.
    pub fn on_trial(&self, now: u32) {
        self.store(Record { until: now.wrapping_add(TRIAL), trial: true, ..self.load() });
    }

    fn load(&self) -> Record {
        let [failures, outs, trial, answered, a, b, c, d] = self.0.load(Relaxed).to_be_bytes();
        let (trial, answered) = (trial != 0, answered != 0);
        Record { failures, outs, trial, answered, until: u32::from_be_bytes([a, b, c, d]) }
    }

    fn store(&self, record: Record) {
        let Record { failures, outs, trial, answered, until } = record;
        let [a, b, c, d] = until.to_be_bytes();
        self.0.store(u64::from_be_bytes([failures, outs, trial.into(), answered.into(), a, b, c, d]), Relaxed);
    }
}

/// Whether a time lies ahead, as no more than the longest time out does: what seems to be further away has long passed,
/// for the clock wraps.
fn is_ahead(time: u32, now: u32) -> bool {
    (1..=FIRST << DOUBLINGS).contains(&time.wrapping_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(now: u32) -> Health {
        let health = Health::default();
        assert!((1..FAILURES).all(|_| !health.failed(false, now)));
        assert!(health.failed(false, now));
        health
    }

    #[test]
    fn five_failures_in_a_row_put_it_out_and_a_success_between_does_not() {
        let health = Health::default();
        for _ in 0..10 {
            assert!((1..FAILURES).all(|_| !health.failed(false, 0)));
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
    fn what_was_under_way_when_it_was_put_out_does_not_put_it_out_for_longer() {
        let health = out(0);
        assert!((0..100).all(|_| !health.failed(false, 1)));
        assert_eq!(health.standing(1_000), Standing::Trial);
        health.on_trial(1_000);
        assert!(health.failed(false, 1_001));
        assert!(!health.failed(false, 1_002), "one request tried it");
        assert_eq!((health.standing(3_000), health.standing(3_001)), (Standing::Out, Standing::Trial));
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
            health.failed(false, now);
        }
    }

    #[test]
    fn long_after_its_time_it_may_be_tried() {
        let health = out(0);
        for days in [1, 20, 25, 40, 49] {
            assert_eq!(health.standing(days * 86_400_000), Standing::Trial, "{days} days");
        }
    }

    #[test]
    fn the_clock_may_wrap() {
        let health = out(u32::MAX - 500);
        assert_eq!((health.standing(u32::MAX), health.standing(499)), (Standing::Out, Standing::Trial));
    }
}
