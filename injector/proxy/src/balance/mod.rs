//! Which of a destination's endpoints gets the next connection.
//!
//! Two are drawn by lot and the cheaper one is taken (Mitzenmacher 2001, "The Power of Two Choices"): with many proxies
//! that know nothing of each other nobody's favourite is overrun, for no endpoint is drawn with more than a chance of
//! 2/n. What is cheap is for `load` to say.
//!
//! Zones are not looked at, as kube-proxy does not look at them unless a Service asks for it: a zone's endpoints are safe
//! to prefer only if they can carry what all of the zone's clients send, and no proxy knows how much that is.

mod health;
mod load;
mod random;

use std::net::SocketAddr;

pub use health::{Health, Standing};
pub use load::{Load, Open, clock};
pub use random::{below, fraction};

/// Something to choose: an address, and its load.
pub trait Candidate {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// What is known of its load.
    fn load(&self) -> &Load;
}

/// The place among `candidates` of the one to dial next, which is none of those `tried` already; none if that leaves
/// nobody. `now` is a time of `clock`.
pub fn choose<C: Candidate>(candidates: &[C], tried: &[SocketAddr], now: u32) -> Option<usize> {
    let may = |candidate: &C| !tried.contains(&candidate.address());
    let first = draw(candidates, may, None)?;
    let second = draw(candidates, may, Some(first)).unwrap_or(first);
    Some(cheaper(candidates, first, second, now))
}

/// The place among `candidates` of the one that gets the next request: none of those `tried` already, and none that has
/// failed too often lately, but for the one request now and then that tries it. Where all have, those that answer at least
/// go on: whatever their answers are, the client shall see them.
pub fn choose_healthy<C: Candidate>(candidates: &[C], tried: &[SocketAddr], now: u32) -> Option<usize> {
    let standing = |candidate: &C| candidate.load().health.standing(now);
    let may = |candidate: &C| !tried.contains(&candidate.address()) && standing(candidate) != Standing::Out;
    let Some(first) = draw(candidates, may, None) else {
        let answers = |candidate: &C| !tried.contains(&candidate.address()) && candidate.load().health.answers();
        return draw(candidates, answers, None);
    };
    let second = draw(candidates, may, Some(first)).unwrap_or(first);
    // Whoever's time is over is tried when it is drawn, or it would never win against better ones.
    let trial = [first, second].into_iter().find(|place| standing(&candidates[*place]) == Standing::Trial);
    if let Some(place) = trial {
        candidates[place].load().health.on_trial(now);
        return Some(place);
    }
    Some(cheaper(candidates, first, second, now))
}

/// On a tie the first one drawn, which is either by the same chance.
fn cheaper<C: Candidate>(candidates: &[C], first: usize, second: usize, now: u32) -> usize {
    let cost = |place: usize| candidates[place].load().cost(now);
    if second != first && cost(second) < cost(first) { second } else { first }
}

/// One by lot; from there on the first that may be taken.
fn draw<C>(candidates: &[C], may: impl Fn(&C) -> bool, but: Option<usize>) -> Option<usize> {
    let count = candidates.len();
    if count == 0 {
        return None;
    }
    // From just behind the one that is out, so that its neighbour does not inherit its chance.
    let (start, range) = but.map_or((0, count), |but| (but + 1, (count - 1).max(1)));
    let lot = start + below(range);
    let places = (0..count).map(|step| (lot + step) % count);
    places.into_iter().find(|place| Some(*place) != but && may(&candidates[*place]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    struct Server(SocketAddr, Arc<Load>);

    impl Candidate for Server {
        fn address(&self) -> SocketAddr {
            self.0
        }

        fn load(&self) -> &Load {
            &self.1
        }
    }

    fn servers(count: u16) -> Vec<Server> {
        (0..count).map(|port| Server(([10, 0, 0, 1], port + 1).into(), Arc::default())).collect()
    }

    fn shares(servers: &[Server], tried: &[SocketAddr], now: u32) -> Vec<usize> {
        let mut shares = vec![0; servers.len()];
        for _ in 0..10_000 {
            shares[choose(servers, tried, now).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn equals_get_equal_shares() {
        for count in [2, 3, 5] {
            let even = 10_000 / usize::from(count);
            let shares = shares(&servers(count), &[], 0);
            assert!(shares.iter().all(|share| share.abs_diff(even) < even / 5), "{shares:?}");
        }
    }

    #[test]
    fn the_fewest_open_wins_and_nobody_is_overrun() {
        let servers = servers(5);
        let open: Vec<_> = servers[1..].iter().map(|server| server.1.open()).collect();
        let favourite = shares(&servers, &[], 0)[0];
        assert!((3_600..4_400).contains(&favourite), "drawn by a chance of 2/5, then always taken: {favourite}");
        drop(open);
    }

    #[test]
    fn connections_that_stay_are_spread_evenly() {
        let servers = servers(10);
        let mut open = Vec::new();
        for _ in 0..1000 {
            open.push(servers[choose(&servers, &[], 0).unwrap()].1.open());
        }
        let most = servers.iter().map(|server| server.1.cost(0) / 4000 - 1).max().unwrap();
        assert!(most <= 105, "{most} of 1,000 on one of ten");
    }

    #[test]
    fn who_failed_is_left_alone_while_another_is_there() {
        let servers = servers(2);
        servers[0].1.failed(0);
        assert_eq!(shares(&servers, &[], 100), [0, 10_000]);
        servers[1].1.answered(Duration::from_secs(3), 100);
        assert!(shares(&servers, &[], 100)[0] > 0, "the other one is no better");
    }

    #[test]
    fn who_fails_again_and_again_gets_nothing_and_then_one_request() {
        let servers = servers(3);
        let chosen = |now| {
            let places: Vec<_> = (0..300).filter_map(|_| choose_healthy(&servers, &[], now)).collect();
            (0..3).map(|place| places.iter().filter(|chosen| **chosen == place).count()).collect::<Vec<_>>()
        };
        for _ in 0..5 {
            servers[0].1.health.failed(false, 1);
        }
        assert_eq!(chosen(2)[0], 0);
        assert_eq!(chosen(1_001)[0], 1, "one tries it");
        servers[0].1.health.succeeded();
        assert!(chosen(1_002)[0] > 50);
        for server in &servers {
            assert_eq!((0..5).filter(|_| server.1.health.failed(false, 2_000)).count(), 1);
        }
        assert_eq!(chosen(2_001), [0, 0, 0], "fail fast");
    }

    #[test]
    fn where_all_fail_those_that_answer_go_on() {
        let servers = servers(3);
        for (server, answered) in servers.iter().zip([true, false, true]) {
            while !server.1.health.failed(answered, 1) {}
        }
        let places: Vec<_> = (0..300).filter_map(|_| choose_healthy(&servers, &[], 2)).collect();
        assert_eq!(places.len(), 300);
        assert!(places.contains(&0) && places.contains(&2) && !places.contains(&1));
        assert_eq!(choose_healthy(&servers, &[servers[0].0, servers[2].0], 2), None);
    }

    proptest! {
        #[test]
        fn what_was_tried_is_not_chosen_again(count in 0u16..6, tried in prop::collection::vec(1u16..8, 0..4)) {
            let servers = servers(count);
            let tried: Vec<SocketAddr> = tried.into_iter().map(|port| ([10, 0, 0, 1], port).into()).collect();
            let left = servers.iter().filter(|server| !tried.contains(&server.0)).count();
            let chosen = choose(&servers, &tried, 0);
            prop_assert_eq!(chosen.is_some(), left > 0);
            prop_assert!(chosen.is_none_or(|place| !tried.contains(&servers[place].0)));
        }
    }
}
