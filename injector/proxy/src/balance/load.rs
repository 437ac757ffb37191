//! What is known of an endpoint's load: connections open to it, and how long it took to answer lately.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::health::Health;

/// Answers faster than this are all alike. Between nodes of a cluster a connection with its handshake stands after some
/// 2 ms; what is less is distance, and an endpoint nearby is no better for it: of two, it would get everything.
const FLOOR: Duration = Duration::from_millis(4);

/// What a failure counts for: 250 times the floor, so that nobody who answers is passed over for one who did not.
const FAILED: Duration = Duration::from_secs(1);

/// In this time an old answer loses 63 % of its weight: a failure is forgotten (1 s -> 4 ms) after 5.5 of it, 28 s.
const DECAY: Duration = Duration::from_secs(5);

/// The load of one endpoint, as this proxy sees it. All workers share it; nothing here waits for anybody.
#[derive(Debug, Default)]
pub struct Load {
    /// Whether it gets requests.
    pub health: Health,
    open: AtomicU32,
    /// The last latency in microseconds (high half), and when it was, in milliseconds of `clock` (low half). Two
    /// workers that write at once may lose one of two answers, which changes no choice that matters.
    latency: AtomicU64,
}

/// Milliseconds since this process first asked; wraps after 49 days, when a latency as old as that looks fresh once.
pub fn clock() -> u32 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    #[expect(clippy::cast_possible_truncation, reason = "wraps")]
    let milliseconds = START.elapsed().as_millis() as u32;
    milliseconds
}

impl Load {
    /// Counts a connection for as long as the result is kept.
    pub fn open(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }

    /// Takes note that a connection stood after `latency`. A slow answer counts at once, a fast one by and by: who just
    /// kept somebody waiting may do so again.
    pub fn answered(&self, latency: Duration, now: u32) {
        let (sample, before) = (micros(latency), self.latency(now));
        self.store(sample.max(before - before / 4), now);
    }

    /// Takes note that there was no connection.
    pub fn failed(&self, now: u32) {
        self.store(micros(FAILED), now);
    }

    /// What one more connection costs there: those open already and this one, times the latency.
    pub fn cost(&self, now: u32) -> u64 {
        let open = u64::from(self.open.load(Relaxed)) + 1;
        open * u64::from(self.latency(now).max(micros(FLOOR)))
    }

    /// The latency in microseconds, as much of it as still counts.
    fn latency(&self, now: u32) -> u32 {
        let packed = self.latency.load(Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "two halves")]
        let (micros, then) = ((packed >> 32) as u32, packed as u32);
        let age = f64::from(now.wrapping_sub(then)) / 1000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "smaller than it was")]
        let left = (f64::from(micros) * (-age / DECAY.as_secs_f64()).exp()) as u32;
        left
    }

    fn store(&self, micros: u32, now: u32) {
        self.latency.store(u64::from(micros) << 32 | u64::from(now), Relaxed);
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// A connection that is open, for the count.
#[derive(Debug)]
pub struct Open(Arc<Load>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 4_000;

    fn answered(millis: u64, now: u32) -> Load {
        let load = Load::default();
        load.answered(Duration::from_millis(millis), now);
        load
    }

    #[test]
    fn open_connections_cost_as_long_as_they_are_open() {
        let load = Arc::new(Load::default());
        let (first, second) = (load.open(), load.open());
        assert_eq!(load.cost(0), 3 * BASE);
        drop((first, second));
        assert_eq!(load.cost(0), BASE);
    }

    #[test]
    fn nearby_endpoints_are_all_alike() {
        assert_eq!(answered(0, 0).cost(0), answered(3, 0).cost(0));
        assert!(answered(8, 0).cost(0) > answered(4, 0).cost(0));
    }

    #[test]
    fn slow_answers_count_at_once_and_are_forgotten_slowly() {
        let load = answered(100, 1000);
        assert_eq!(load.cost(1000), 100_000);
        load.answered(Duration::from_millis(1), 1000);
        assert_eq!(load.cost(1000), 75_000);
        assert!((27_000..28_000).contains(&load.cost(6000)), "a third after one decay: {}", load.cost(6000));
    }

    #[test]
    fn a_failure_is_forgotten_after_half_a_minute() {
        let load = Load::default();
        load.failed(0);
        assert_eq!(load.cost(0), 1_000_000);
        assert!(load.cost(20_000) > BASE);
        assert_eq!(load.cost(28_000), BASE);
    }

    #[test]
    fn the_clock_may_wrap() {
        let load = answered(100, u32::MAX - 500);
        assert!(load.cost(500) > 50_000);
    }
}
