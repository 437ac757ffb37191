//! What all workers ask: where does a connection go?

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::known::Known;
use super::table::{Counts, Look, Stream, Table};
use super::wire::Place;

/// How long a connection waits for the controller's first word on its destination; the number. An answer takes
/// some milliseconds; a controller's replica that ended is replaced, and its proxies are back, within it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it waits where something is remembered from before, which will do if nothing better comes.
const PATIENCE_REMEMBERED: Duration = Duration::from_millis(500);

/// How old a destination inside the cluster's networks must be before "not ours" is believed of it. It may be a pod that
/// the controller's watches have not shown it yet, while its client has learned the address elsewhere; and a connection
/// that begins as plain bytes ends as plain bytes. Watches are behind by tens of milliseconds.
const DOUBT: Duration = Duration::from_secs(1);

/// Everything that is known of destinations; shared by all workers and the client that keeps it fresh.
#[derive(Debug)]
pub struct Directory {
    table: Mutex<Table>,
    /// There is something to tell the controller.
    pub(super) news: Notify,
}

/// What is known of a destination.
#[derive(Debug)]
pub enum Decision {
    /// This.
    Known(Known),
    /// Nothing, for nobody told in time.
    Unknown,
}

impl Directory {
    /// Knows nothing yet.
    pub fn new(place: Place) -> Self {
        Self { table: Mutex::new(Table::new(place)), news: Notify::new() }
    }

    /// What is known of `destination`. Waits for it as long as its being `inside` the cluster's networks makes it worth.
    pub async fn resolve(&self, destination: SocketAddr, inside: bool) -> Decision {
        if is_never_ours(destination.ip()) {
            return Decision::Known(Known::NotOurs);
        }
        match self.ask(destination, inside).await {
            Decision::Known(Known::NotOurs) if inside => self.doubt(destination).await,
            decision => decision,
        }
    }

    /// What is known of `destination`, if nobody has to wait for it.
    pub fn look(&self, destination: SocketAddr) -> Option<Known> {
        self.table().fresh(destination, Instant::now())
    }

    /// Asks once more what is said of a destination that would not be ours, if it is still a new one.
    async fn doubt(&self, destination: SocketAddr) -> Decision {
        let believed = {
            let table = self.table();
            table.since(destination).filter(|_| table.stream() == Stream::Open).map(|since| since + DOUBT)
        };
        if let Some(believed) = believed {
            sleep_until(believed).await;
        }
        Decision::Known(self.table().known(destination).unwrap_or(Known::NotOurs))
    }

    async fn ask(&self, destination: SocketAddr, inside: bool) -> Decision {
        let (look, stream, news) = {
            let mut table = self.table();
            let look = table.look(destination, Instant::now());
            (look, table.stream(), table.has_news())
        };
        if news {
            self.news.notify_one();
        }
        let (mut answered, remembered) = match look {
            Look::Known(known) => return Decision::Known(known),
            Look::Unknown => return Decision::Unknown,
            Look::Wait(answered, remembered) => (answered, remembered),
        };
        let _ = timeout(patience(stream, inside, remembered.is_some()), answered.changed()).await;
        self.table().known(destination).or(remembered).map_or(Decision::Unknown, Decision::Known)
    }

    /// Takes over what a former process knew, the most recently used first.
    pub fn remember(&self, known: impl IntoIterator<Item = (SocketAddr, Known)>) {
        self.table().remember(known, Instant::now());
    }

    /// There is no stream to the controller: what is known has to do.
    pub fn alone(&self) {
        self.table().end();
    }

    /// How the stream to the controller stands, and how many destinations stand how.
    pub fn state(&self) -> (Stream, Counts) {
        let table = self.table();
        (table.stream(), table.counts())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait for the first word on a destination.
fn patience(stream: Stream, inside: bool, remembered: bool) -> Duration {
    match (stream, remembered, inside) {
        (_, true, _) => PATIENCE_REMEMBERED,
        // Nobody to answer; and what lies outside is most likely not ours anyway.
        (Stream::Away, false, false) => Duration::ZERO,
        _ => PATIENCE,
    }
}

/// Addresses that are never a Service's nor a pod's of the mesh: they mean something else on every link.
fn is_never_ours(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        Directory::new(Place { trust_domain: "cluster.local".to_owned(), node: "node-1".to_owned() })
    }

    /// How long it takes to say that nobody knows.
    async fn unknown_after(directory: &Directory, inside: bool) -> Duration {
        let asked = Instant::now();
        let decision = directory.resolve("10.0.0.1:80".parse().unwrap(), inside).await;
        assert!(matches!(decision, Decision::Unknown), "{decision:?}");
        asked.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let directory = directory();
        let about = |duration: Duration| duration..duration + Duration::from_millis(2);
        assert!(about(PATIENCE).contains(&unknown_after(&directory, true).await));
        assert!(about(PATIENCE).contains(&unknown_after(&directory, false).await));
        directory.alone();
        assert!(about(PATIENCE).contains(&unknown_after(&directory, true).await));
        assert!(about(Duration::ZERO).contains(&unknown_after(&directory, false).await));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_will_do() {
        let directory = directory();
        let at = "10.0.0.1:80".parse().unwrap();
        directory.remember([(at, Known::NotOurs)]);
        let asked = Instant::now();
        assert!(matches!(directory.resolve(at, true).await, Decision::Known(Known::NotOurs)));
        assert!(asked.elapsed() >= PATIENCE_REMEMBERED && asked.elapsed() < PATIENCE);
        directory.alone();
        let asked = Instant::now();
        assert!(matches!(directory.resolve(at, true).await, Decision::Known(Known::NotOurs)));
        assert_eq!(asked.elapsed(), Duration::ZERO, "nobody to wait for");
    }

    #[tokio::test]
    async fn links_own_addresses_are_not_asked_for() {
        let directory = directory();
        for address in ["169.254.169.254:80", "[fe80::1%2]:80", "224.0.0.1:80", "255.255.255.255:80"] {
            let decision = directory.resolve(address.parse().unwrap(), true).await;
            assert!(matches!(decision, Decision::Known(Known::NotOurs)), "{address}: {decision:?}");
        }
        assert_eq!(directory.state().1, Counts::default());
    }
}
