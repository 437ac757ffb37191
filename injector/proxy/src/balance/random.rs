//! Random numbers for choices, not for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

thread_local! {
    /// Seeded from the operating system's randomness by way of the standard library's hash keys.
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// Any number; SplitMix64 (Steele, Lea, Flood 2014): every state is a good one, and a call costs a nanosecond.
pub fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `end`, which is not 0. (By multiplication: biased by `end` / 2^64, which nobody can see.)
pub fn below(end: usize) -> usize {
    let product = u128::from(next()) * end as u128;
    usize::try_from(product >> 64).unwrap_or(0)
}

/// A number from 0 up to 1, without it.
pub fn fraction() -> f64 {
    const BITS: u32 = f64::MANTISSA_DIGITS;
    #[expect(clippy::cast_precision_loss, reason = "as many bits as an f64 holds")]
    let (bits, all) = ((next() >> (u64::BITS - BITS)) as f64, (1u64 << BITS) as f64);
    bits / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_below_the_end_and_reach_all_of_it() {
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[below(7)] += 1;
        }
        assert!(seen.iter().all(|count| (700..1300).contains(count)), "{seen:?}");
        assert_eq!(below(1), 0);
        assert!((0..1000).map(|_| fraction()).all(|number| (0.0..1.0).contains(&number)));
    }

    #[test]
    fn threads_draw_their_own() {
        let other = std::thread::spawn(|| (next(), next())).join().unwrap();
        assert_ne!(other, (next(), next()));
    }
}
