use super::*;
use crate::api::destination::State;
use proptest::prelude::*;

fn at(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    ([10, 0, high, low], 80).into()
}

/// A table, a clock, and what the controller at the other end has been told.
struct Rig {
    table: Table,
    now: Instant,
    followed: BTreeSet<SocketAddr>,
    acknowledged: HashMap<SocketAddr, u64>,
}

impl Rig {
    /// With an open stream.
    fn new() -> Self {
        let place = Place { trust_domain: "cluster.local".to_owned(), node: "node-1".to_owned() };
        let now = Instant::now() + IDLE * 10;
        let mut rig = Self { table: Table::new(place), now, followed: BTreeSet::new(), acknowledged: HashMap::new() };
        rig.begin();
        rig
    }

    fn begin(&mut self) {
        self.followed.clear();
        self.table.begin(self.now);
    }

    fn look(&mut self, number: u16) -> Look {
        self.table.look(at(number), self.now)
    }

    /// Says everything that is to be said now.
    fn talk(&mut self) {
        let decode = |wire: &api::Address| wire::address(Some(wire)).unwrap();
        while let Some(message) = self.table.message(self.now) {
            match message {
                Message::Subscribe(subscribe) => {
                    for destination in subscribe.destinations.iter().map(decode) {
                        assert!(self.followed.insert(destination), "{destination} is followed already");
                    }
                }
                Message::Unsubscribe(unsubscribe) => {
                    for destination in unsubscribe.destinations.iter().map(decode) {
                        assert!(self.followed.remove(&destination), "{destination} is not followed");
                    }
                }
                Message::Acknowledge(acknowledge) => {
                    let versions = acknowledge.versions.into_iter();
                    self.acknowledged.extend(versions.map(|one| (decode(&one.address.unwrap()), one.version)));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, number: u16, version: u64, state: Option<State>) -> Brought {
        let message = api::Destination { address: Some(wire::to_address(at(number))), version, state };
        self.table.take(message, self.now).unwrap()
    }

    /// Asked for, told, answered with so many endpoints.
    fn learn(&mut self, number: u16, version: u64, endpoints: u32) {
        self.look(number);
        self.talk();
        assert_eq!(self.take(number, version, Some(some(endpoints))), Brought::News);
    }
}

fn some(endpoints: u32) -> State {
    let endpoint = |number: u32| {
        let address = Some(api::Address { ip: number.to_be_bytes().to_vec(), port: 8080 });
        api::Endpoint { address, ..api::Endpoint::default() }
    };
    State::Endpoints(api::Endpoints { endpoints: (0..endpoints).map(endpoint).collect(), ..api::Endpoints::default() })
}

fn delta(base_version: u64) -> State {
    State::Delta(api::Delta { base_version, ..api::Delta::default() })
}

fn refused() -> State {
    State::Refused(api::Refused {})
}

#[test]
fn a_destination_is_asked_for_once_and_answered_to_all_that_wait() {
    let mut rig = Rig::new();
    let Look::Wait(first, None) = rig.look(1) else { panic!("nothing is known") };
    let Look::Wait(second, None) = rig.look(1) else { panic!("nothing is known") };
    assert!(rig.table.has_news());
    rig.talk();
    assert_eq!(rig.followed, [at(1)].into());
    assert!(!rig.table.has_news());
    assert_eq!(rig.take(1, 5, None), Brought::News);
    assert!(first.has_changed().is_err() && second.has_changed().is_err(), "the sender's end wakes them");
    assert!(matches!(rig.look(1), Look::Known(Known::NotOurs)));
    assert!(matches!(rig.table.known(at(1)), Some(Known::NotOurs)));
}

#[test]
fn acknowledgements_are_gathered_and_name_the_newest() {
    let mut rig = Rig::new();
    rig.learn(1, 5, 1);
    rig.learn(2, 1, 1);
    rig.take(1, 6, Some(delta(5)));
    rig.talk();
    assert!(rig.acknowledged.is_empty(), "too early");
    assert_eq!(rig.table.due(rig.now), Some(rig.now + GATHER));
    rig.now += GATHER;
    rig.talk();
    assert_eq!(rig.acknowledged, [(at(1), 6), (at(2), 1)].into());
    assert_eq!(rig.table.due(rig.now), None);
}

#[test]
fn a_difference_from_something_else_makes_us_ask_again() {
    let mut rig = Rig::new();
    rig.learn(1, 5, 3);
    assert_eq!(rig.take(1, 7, Some(delta(6))), Brought::OtherBase);
    let Some(Message::Unsubscribe(_)) = rig.table.message(rig.now) else { panic!("first not") };
    let Some(Message::Subscribe(_)) = rig.table.message(rig.now) else { panic!("then again") };
    assert!(matches!(rig.look(1), Look::Known(Known::Group(_))), "what is known stays in use");
    assert_eq!(rig.take(1, 8, Some(delta(7))), Brought::Nothing, "what was on its way");
    assert_eq!(rig.take(1, 8, Some(some(2))), Brought::News);
    assert_eq!(rig.take(1, 9, Some(delta(8))), Brought::News);
}

#[test]
fn idle_destinations_are_remembered_only() {
    let mut rig = Rig::new();
    rig.learn(1, 1, 1);
    rig.learn(2, 1, 1);
    rig.now += IDLE / 2;
    rig.look(2);
    rig.now += IDLE / 2;
    rig.table.sweep(rig.now);
    rig.talk();
    assert_eq!(rig.followed, [at(2)].into());
    assert_eq!(rig.take(1, 2, Some(some(5))), Brought::Nothing, "what was on its way");
    assert_eq!(rig.table.counts(), Counts { followed: 1, unanswered: 0, remembered: 1 });
    let Look::Wait(_, Some(Known::Group(old))) = rig.look(1) else { panic!("better wait for news") };
    assert_eq!(old.endpoints().len(), 1);
    rig.talk();
    assert_eq!(rig.followed, [at(1), at(2)].into());
}

#[test]
fn without_a_controller_everything_known_stays() {
    let mut rig = Rig::new();
    rig.learn(1, 1, 1);
    rig.table.end();
    rig.now += IDLE * 100;
    rig.table.sweep(rig.now);
    assert!(matches!(rig.look(1), Look::Known(_)));
    assert!(matches!(rig.look(2), Look::Wait(_, None)));
    assert!(!rig.table.has_news(), "nobody to tell");
}

#[test]
fn a_new_stream_asks_for_what_is_in_use_and_trusts_no_version() {
    let mut rig = Rig::new();
    rig.learn(1, 5, 1);
    rig.learn(2, 5, 1);
    rig.look(3);
    rig.talk();
    rig.table.end();
    rig.now += IDLE;
    rig.look(1);
    rig.look(3);
    rig.begin();
    rig.talk();
    assert_eq!(rig.followed, [at(1), at(3)].into(), "nobody used the other one");
    assert_eq!(rig.take(1, 6, Some(delta(5))), Brought::Nothing, "versions say nothing across streams");
    assert_eq!(rig.take(1, 2, Some(some(1))), Brought::News);
    rig.now += GATHER;
    rig.talk();
    assert_eq!(rig.acknowledged, [(at(1), 2)].into(), "and nothing of the old stream");
}

#[test]
fn what_was_refused_is_asked_for_again_later() {
    let mut rig = Rig::new();
    let Look::Wait(waiting, None) = rig.look(1) else { panic!("nothing is known") };
    rig.talk();
    assert_eq!(rig.take(1, 0, Some(refused())), Brought::Refusal);
    rig.followed.remove(&at(1));
    assert!(waiting.has_changed().is_err(), "no use to wait");
    assert!(matches!(rig.look(1), Look::Unknown));
    rig.now += ASK_AGAIN;
    assert!(matches!(rig.look(1), Look::Wait(_, None)));
    rig.talk();
    assert_eq!(rig.followed, [at(1)].into());
}

#[test]
fn a_scan_takes_the_place_of_the_idle_but_not_of_the_busy() {
    let mut rig = Rig::new();
    rig.table.allow(10);
    for number in 0..10 {
        rig.learn(number, 1, 1);
    }
    assert!(matches!(rig.look(100), Look::Unknown), "all of them were used just now");
    rig.now += LEAST_IDLE;
    for number in 0..5 {
        rig.look(number);
    }
    for number in 100..105 {
        assert!(matches!(rig.look(number), Look::Wait(_, None)));
    }
    assert!(matches!(rig.look(105), Look::Unknown));
    rig.talk();
    assert_eq!(rig.followed, (0..5).chain(100..105).map(at).collect());
}

#[test]
fn fewer_are_followed_where_fewer_are_allowed() {
    let mut rig = Rig::new();
    for number in 0..10 {
        rig.now += Duration::from_secs(1);
        rig.learn(number, 1, 1);
    }
    rig.table.allow(4);
    rig.talk();
    assert_eq!(rig.followed, (6..10).map(at).collect(), "those used last");
    rig.table.allow(0);
    assert_eq!(rig.table.most, MOST_FOLLOWED);
    rig.table.allow(u32::MAX);
    assert_eq!(rig.table.most, MOST_FOLLOWED, "our own memory has a limit, too");
}

#[test]
fn a_scan_that_the_controller_does_not_hear_of_takes_no_more_memory() {
    let mut rig = Rig::new();
    for number in 0..u16::try_from(MOST_KNOWN * 2).unwrap() {
        rig.now += LEAST_IDLE;
        rig.look(number);
        if number % 1024 == 0 {
            rig.talk(); // and then no more for a while
        }
    }
    assert!(rig.table.entries.len() <= MOST_KNOWN, "{}", rig.table.entries.len());
}

#[test]
fn memory_is_bounded() {
    let mut rig = Rig::new();
    for number in 0..u16::try_from(MOST_KNOWN * 2).unwrap() {
        rig.now += LEAST_IDLE;
        rig.learn(number, 1, 0);
    }
    assert!(rig.table.entries.len() <= MOST_KNOWN && rig.followed.len() <= MOST_FOLLOWED);
    let most = u32::try_from(MOST_ENDPOINTS).unwrap();
    for number in 0..3 {
        rig.now += LEAST_IDLE;
        rig.learn(number, 1, most / 2 + 1);
    }
    assert!(rig.table.known(at(1)).is_none() && rig.table.known(at(2)).is_some());
    rig.talk();
    assert!(!rig.followed.contains(&at(1)));
    rig.learn(9, 1, most + 5);
    assert!(rig.table.known(at(9)).is_some(), "one that is larger is kept, for it is in use");
}

#[test]
fn what_a_former_process_knew_keeps_its_order() {
    let mut rig = Rig::new();
    let all: Vec<_> = [3, 1, 2].map(|number| (at(number), Known::NotOurs)).into();
    rig.table.remember(all.clone(), rig.now);
    let order: Vec<_> = rig.table.all().into_iter().map(|(at, _)| at).collect();
    assert_eq!(order, [at(3), at(1), at(2)]);
    assert!(matches!(rig.look(1), Look::Wait(_, Some(Known::NotOurs))));
    rig.table.end();
    assert!(matches!(rig.look(2), Look::Known(Known::NotOurs)));
}

#[derive(Clone, Debug)]
enum Step {
    Look(u16),
    Answer(u16, u64),
    Delta(u16, u64),
    Refuse(u16),
    Talk,
    Wait(u64),
    Begin,
    End,
    Allow(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..20).prop_map(Step::Look),
        3 => (0u16..20, 0u64..5).prop_map(|(number, version)| Step::Answer(number, version)),
        2 => (0u16..20, 0u64..5).prop_map(|(number, version)| Step::Delta(number, version)),
        1 => (0u16..20).prop_map(Step::Refuse),
        3 => Just(Step::Talk),
        2 => (0u64..400).prop_map(Step::Wait),
        1 => Just(Step::Begin),
        1 => Just(Step::End),
        1 => (1u32..15).prop_map(Step::Allow),
    ]
}

proptest! {
    /// Whatever happens: nothing is told twice, nothing is taken back that was not told (`talk` checks it), as many are
    /// followed as may be, and after all is said both sides mean the same.
    #[test]
    fn both_sides_agree(steps in prop::collection::vec(step(), 0..200)) {
        let mut rig = Rig::new();
        for step in steps {
            match step {
                Step::Look(number) => drop(rig.look(number)),
                Step::Answer(number, version) => drop(rig.take(number, version, Some(some(1)))),
                Step::Delta(number, version) => drop(rig.take(number, version + 1, Some(delta(version)))),
                Step::Refuse(number) => {
                    if rig.take(number, 0, Some(refused())) == Brought::Refusal {
                        rig.followed.remove(&at(number));
                    }
                }
                Step::Talk => rig.talk(),
                Step::Wait(seconds) => {
                    rig.now += Duration::from_secs(seconds);
                    rig.table.sweep(rig.now);
                }
                Step::Begin => rig.begin(),
                Step::End => {
                    rig.table.end();
                    rig.followed.clear();
                }
                Step::Allow(most) => rig.table.allow(most),
            }
            prop_assert!(rig.table.followed() <= rig.table.most);
        }
        if rig.table.stream() == Stream::Away {
            rig.begin();
        }
        rig.talk();
        let wanted = |(_, entry): &(&SocketAddr, &Entry)| matches!(entry.follow, Follow::Asked | Follow::Answered(_));
        let wanted: BTreeSet<SocketAddr> = rig.table.entries.iter().filter(wanted).map(|(at, _)| *at).collect();
        prop_assert_eq!(&rig.followed, &wanted);
    }
}
