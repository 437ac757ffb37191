//! Which destinations are known, which are followed, and what must be said to the controller about it. Knows no sockets
//! and no clocks: the time comes with each call.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::known::Known;
use super::wire::{self, Fault, Place, Taken};
use crate::api;
use crate::api::acknowledge::Version;
use crate::api::watch_request::Message;

/// Destinations that are followed at once, if the controller does not allow fewer: what the contract's 0 stands for.
pub const MOST_FOLLOWED: usize = 1024;

/// Destinations that are known at all: as many again that are remembered only. Some 300 bytes each without endpoints.
pub const MOST_KNOWN: usize = 2 * MOST_FOLLOWED;

/// Endpoints of all destinations together, but never fewer than the last answer's: some 140 bytes each, 14 MB.
pub const MOST_ENDPOINTS: usize = 100_000;

/// A destination that nobody has used for so long is not followed any more, only remembered.
pub const IDLE: Duration = Duration::from_mins(5);

/// Where as many are followed as may be, a new one takes the place of one that has not been used for so long. So a pod
/// that dials 60,000 addresses causes 1,024 subscriptions a second, and its busy destinations stay.
const LEAST_IDLE: Duration = Duration::from_secs(1);

/// A destination that was refused for want of room is asked for again when it is used after so long.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Acknowledgements wait so long for others: a rolling update's changes come in bursts, and the controller's measure is
/// a second.
const GATHER: Duration = Duration::from_millis(50);

/// Destinations in one message; the contract's number.
const MOST_IN_MESSAGE: usize = 1024;

/// How the stream to the controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Not yet open for the first time; a matter of milliseconds.
    Beginning,
    /// Open.
    Open,
    /// Lost, or could not be opened.
    Away,
}

/// What is known of a destination now.
#[derive(Debug)]
pub enum Look {
    /// This; use it.
    Known(Known),
    /// It was asked for; the receiver hears of the answer by its sender's end. What is remembered will do after a while.
    Wait(watch::Receiver<()>, Option<Known>),
    /// Nothing, and nothing will come.
    Unknown,
}

/// What this proxy wants of a destination, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// Nothing; it is only remembered.
    No,
    /// To hear of it; nothing came yet.
    Asked,
    /// To hear of it, and this is the version on this stream.
    Answered(u64),
    /// To hear of it, but the controller had no room, then.
    Refused(Instant),
}

/// What the controller at the other end of this stream has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing, or not to follow it.
    No,
    /// To follow it.
    Yes,
    /// To follow it, but it must begin again: not, and then to follow it.
    Again,
}

#[derive(Debug)]
struct Entry {
    known: Option<Known>,
    /// Whether `known` is from a time after which it was not followed.
    stale: bool,
    follow: Follow,
    told: Told,
    /// Since when it is in the table.
    since: Instant,
    used: Instant,
    /// Nothing is ever sent on it: who waits hears of the answer by the sender's end.
    waiting: Option<watch::Sender<()>>,
}

/// All destinations. Whoever holds it holds it for microseconds, and never waits meanwhile.
#[derive(Debug)]
pub struct Table {
    place: Place,
    entries: HashMap<SocketAddr, Entry>,
    stream: Stream,
    most: usize,
    /// Destinations for which what is wanted may differ from what was told.
    untold: BTreeSet<SocketAddr>,
    unacknowledged: HashMap<SocketAddr, u64>,
    acknowledge_at: Option<Instant>,
    changes: u64,
}

/// What a message brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// News, in use now.
    News,
    /// The controller does not follow it for us.
    Refusal,
    /// A difference from something else; all of it is asked for again.
    OtherBase,
    /// Something that is not followed any more.
    Nothing,
}

/// How many destinations stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kept fresh by the controller.
    pub followed: usize,
    /// Asked for and not answered, or refused.
    pub unanswered: usize,
    /// Not followed now, but known from before.
    pub remembered: usize,
}

impl Table {
    /// Nothing known yet, for a proxy that stands there.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            entries: HashMap::new(),
            stream: Stream::Beginning,
            most: MOST_FOLLOWED,
            untold: BTreeSet::new(),
            unacknowledged: HashMap::new(),
            acknowledge_at: None,
            changes: 0,
        }
    }

    /// What a connection to `at` should know. A destination that is used is followed.
    pub fn look(&mut self, at: SocketAddr, now: Instant) -> Look {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.used = now;
            match (entry.follow, &entry.known) {
                (Follow::Answered(_), Some(known)) => return Look::Known(known.clone()),
                (Follow::Refused(since), known) if now - since < ASK_AGAIN => {
                    return known.clone().map_or(Look::Unknown, Look::Known);
                }
                _ => {}
            }
        }
        if !self.follow(at, now) {
            return self.known(at).map_or(Look::Unknown, Look::Known);
        }
        let away = self.stream == Stream::Away;
        let Some(entry) = self.entries.get_mut(&at) else { return Look::Unknown };
        match entry.known.clone() {
            Some(known) if away || !entry.stale => Look::Known(known),
            known => Look::Wait(entry.waiting.get_or_insert_with(|| watch::channel(()).0).subscribe(), known),
        }
    }

    /// What is known of a destination that is followed. It counts as used.
    pub fn fresh(&mut self, at: SocketAddr, now: Instant) -> Option<Known> {
        let entry = self.entries.get_mut(&at).filter(|entry| matches!(entry.follow, Follow::Answered(_)))?;
        entry.used = now;
        entry.known.clone()
    }

    /// What is known of it, fresh or not.
    pub fn known(&self, at: SocketAddr) -> Option<Known> {
        self.entries.get(&at)?.known.clone()
    }

    /// Since when it is thought of at all.
    pub fn since(&self, at: SocketAddr) -> Option<Instant> {
        self.entries.get(&at).map(|entry| entry.since)
    }

    /// How the stream stands.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// A new stream: nothing is told and no version holds. What is in use is asked for again.
    pub fn begin(&mut self, now: Instant) {
        self.end();
        self.stream = Stream::Open;
        self.sweep(now);
        let wanted = self.entries.iter().filter(|(_, entry)| entry.follow != Follow::No);
        self.untold = wanted.map(|(at, _)| *at).collect();
    }

    /// The stream is gone, or there is none; what is known stays in use.
    pub fn end(&mut self) {
        self.stream = Stream::Away;
        self.most = MOST_FOLLOWED;
        self.untold.clear();
        self.unacknowledged.clear();
        self.acknowledge_at = None;
        for entry in self.entries.values_mut() {
            entry.told = Told::No;
            if entry.follow != Follow::No {
                entry.follow = Follow::Asked;
            }
        }
    }

    /// The controller allows to follow so many; 0 stands for what the contract says.
    pub fn allow(&mut self, most: u32) {
        let most = usize::try_from(most).unwrap_or(MOST_FOLLOWED);
        self.most = if most == 0 { MOST_FOLLOWED } else { most.min(MOST_FOLLOWED) };
        while self.followed() > self.most {
            let Some(at) = self.idlest(|_, entry| entry.follow != Follow::No) else { return };
            self.unfollow(at);
        }
    }

    /// Takes what the controller says of a destination.
    pub fn take(&mut self, message: api::Destination, now: Instant) -> Result<Brought, Fault> {
        let at = wire::address(message.address.as_ref())?;
        let wanted = |entry: &&mut Entry| entry.told == Told::Yes && entry.follow != Follow::No;
        let Some(entry) = self.entries.get_mut(&at).filter(wanted) else { return Ok(Brought::Nothing) };
        let version = match entry.follow {
            Follow::Answered(version) => Some(version),
            _ => None,
        };
        match wire::take(entry.known.as_ref(), version, message.state, &self.place)? {
            Taken::Known(known) => {
                (entry.known, entry.stale, entry.waiting) = (Some(known), false, None);
                entry.follow = Follow::Answered(message.version);
                self.unacknowledged.insert(at, message.version);
                self.acknowledge_at.get_or_insert(now + GATHER);
                self.changes += 1;
                self.shed(at);
                Ok(Brought::News)
            }
            Taken::Refused => {
                (entry.follow, entry.told, entry.waiting) = (Follow::Refused(now), Told::No, None);
                Ok(Brought::Refusal)
            }
            // What was on its way when all of it was asked for.
            Taken::OtherBase if version.is_none() => Ok(Brought::Nothing),
            Taken::OtherBase => {
                (entry.follow, entry.told) = (Follow::Asked, Told::Again);
                self.untold.insert(at);
                Ok(Brought::OtherBase)
            }
        }
    }

    /// Stops following what nobody has used for `IDLE`; only while there is a stream to ask again.
    pub fn sweep(&mut self, now: Instant) {
        if self.stream != Stream::Open {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.follow != Follow::No && now - entry.used >= IDLE);
        let idle: Vec<SocketAddr> = idle.map(|(at, _)| *at).collect();
        for at in idle {
            self.unfollow(at);
        }
    }

    /// What to tell the controller next, if anything is due.
    pub fn message(&mut self, now: Instant) -> Option<Message> {
        let destinations = self.tell(|entry| {
            let over = entry.told == Told::Again || (entry.told == Told::Yes && entry.follow == Follow::No);
            over.then_some(Told::No)
        });
        if !destinations.is_empty() {
            return Some(Message::Unsubscribe(api::Unsubscribe { destinations }));
        }
        let destinations = self.tell(|entry| {
            let wanted = matches!(entry.follow, Follow::Asked | Follow::Answered(_));
            (entry.told == Told::No && wanted).then_some(Told::Yes)
        });
        if !destinations.is_empty() {
            return Some(Message::Subscribe(api::Subscribe { destinations }));
        }
        self.untold.clear();
        self.acknowledge_at.filter(|at| *at <= now)?;
        self.acknowledge_at = None;
        let version = |(at, version)| Version { address: Some(wire::to_address(at)), version };
        let versions = self.unacknowledged.drain().map(version).collect();
        Some(Message::Acknowledge(api::Acknowledge { versions }))
    }

    /// Whether there is something to tell at once.
    pub fn has_news(&self) -> bool {
        self.stream == Stream::Open && !self.untold.is_empty()
    }

    /// When there is something to tell; none if not yet.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.has_news() { Some(now) } else { self.acknowledge_at }
    }

    /// Remembers what a former process knew, the most recently used first; nothing of it is followed until it is used.
    pub fn remember(&mut self, known: impl IntoIterator<Item = (SocketAddr, Known)>, now: Instant) {
        for (place, (at, known)) in (0..).zip(known.into_iter().take(MOST_KNOWN)) {
            let used = now.checked_sub(Duration::from_millis(place)).unwrap_or(now); // keeps their order
            self.entries.entry(at).or_insert(Entry::remembered(known, used));
        }
    }

    /// All that is known, the most recently used first.
    pub fn all(&self) -> Vec<(SocketAddr, Known)> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_unstable_by_key(|(_, entry)| Reverse(entry.used));
        all.into_iter().filter_map(|(at, entry)| Some((*at, entry.known.clone()?))).collect()
    }

    /// Grows whenever something becomes known.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// How many destinations stand how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.values() {
            match entry.follow {
                Follow::No => counts.remembered += 1,
                Follow::Answered(_) => counts.followed += 1,
                Follow::Asked | Follow::Refused(_) => counts.unanswered += 1,
            }
        }
        counts
    }

    /// Wants to hear of it from now on; false where that is not possible.
    fn follow(&mut self, at: SocketAddr, now: Instant) -> bool {
        let follow = self.entries.get(&at).map_or(Follow::No, |entry| entry.follow);
        if matches!(follow, Follow::Asked | Follow::Answered(_)) {
            return true;
        }
        if follow == Follow::No && self.followed() >= self.most {
            let idle = |_, entry: &Entry| entry.follow != Follow::No && now - entry.used >= LEAST_IDLE;
            let Some(idlest) = self.idlest(idle) else { return false };
            self.unfollow(idlest);
        }
        if self.entries.len() >= MOST_KNOWN && !self.entries.contains_key(&at) {
            let Some(idlest) = self.idlest(|_, entry| entry.follow == Follow::No) else { return false };
            self.forget(idlest);
            if self.entries.len() >= MOST_KNOWN {
                return false; // it stays until the controller was told, which takes long: nobody knows more meanwhile
            }
        }
        self.entries.entry(at).or_insert_with(|| Entry::new(now)).follow = Follow::Asked;
        self.untold.insert(at);
        true
    }

    /// Does not want to hear of it any more, and remembers what is known.
    fn unfollow(&mut self, at: SocketAddr) {
        let Some(entry) = self.entries.get_mut(&at) else { return };
        (entry.follow, entry.stale, entry.waiting) = (Follow::No, true, None);
        self.unacknowledged.remove(&at);
        if entry.told != Told::No {
            self.untold.insert(at);
        } else if entry.known.is_none() {
            self.entries.remove(&at);
        }
    }

    /// Does not even remember it; the entry stays until the controller was told.
    fn forget(&mut self, at: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.known = None;
        }
        self.unfollow(at);
    }

    /// Forgets the least used until the endpoints of the others and of `fresh` are not too many.
    fn shed(&mut self, fresh: SocketAddr) {
        while self.entries.values().map(Entry::endpoints).sum::<usize>() > MOST_ENDPOINTS {
            let Some(idlest) = self.idlest(|at, entry| at != fresh && entry.endpoints() > 0) else { return };
            self.forget(idlest);
        }
    }

    fn followed(&self) -> usize {
        self.entries.values().filter(|entry| entry.follow != Follow::No).count()
    }

    fn idlest(&self, among: impl Fn(SocketAddr, &Entry) -> bool) -> Option<SocketAddr> {
        let some = self.entries.iter().filter(|(at, entry)| among(**at, entry));
        some.min_by_key(|(_, entry)| entry.used).map(|(at, _)| *at)
    }

    /// The destinations of a message after which each has been told what `now_told` says, those that it says it of.
    fn tell(&mut self, now_told: impl Fn(&Entry) -> Option<Told>) -> Vec<api::Address> {
        let mut destinations = Vec::new();
        for at in &self.untold {
            let Some(entry) = self.entries.get_mut(at) else { continue };
            let Some(told) = now_told(entry) else { continue };
            entry.told = told;
            destinations.push(wire::to_address(*at));
            if entry.follow == Follow::No && entry.known.is_none() {
                self.entries.remove(at);
            }
            if destinations.len() == MOST_IN_MESSAGE {
                break;
            }
        }
        destinations
    }
}

impl Entry {
    fn new(used: Instant) -> Self {
        Self { known: None, stale: false, follow: Follow::No, told: Told::No, since: used, used, waiting: None }
    }

    fn remembered(known: Known, used: Instant) -> Self {
        Self { known: Some(known), stale: true, ..Self::new(used) }
    }

    fn endpoints(&self) -> usize {
        match &self.known {
            Some(Known::Group(group)) => group.endpoints().len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
