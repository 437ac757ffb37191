//! The client of discovery, on a real stream to a controller that says what a test wants.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use injector_proxy::api::destination::State;
use injector_proxy::api::watch_request::Message;
use injector_proxy::api::watch_response::Message as Answer;
use injector_proxy::api::{self, Delta, Endpoints, NotOurs, Parameters};
use injector_proxy::discovery::{
    Brought, Client, ClientMetrics, Decision, Directory, Fault, Known, Place, Store, Stream, keep, restore,
};
use injector_proxy::identity::{IssuerWish, MeshFacts, Trust};
use injector_proxy::tls::Credentials;
use support::controller::{Controller, wire};
use support::pki::{Authority, DOMAIN};
use support::{facts, soon};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

fn at(number: u8) -> SocketAddr {
    ([10, 96, 0, number], 80).into()
}

/// A client, and both ends of what it is told and tells.
struct Rig {
    directory: Arc<Directory>,
    metrics: Arc<ClientMetrics>,
    trust: watch::Sender<Trust>,
    wish: watch::Receiver<Option<IssuerWish>>,
    facts: watch::Sender<MeshFacts>,
}

fn place() -> Place {
    Place { trust_domain: DOMAIN.to_owned(), node: "node-1".to_owned() }
}

impl Rig {
    fn start(authority: &Authority, controller: SocketAddr) -> Self {
        let trust = Trust { roots: vec![[1; 32]], issuer: [2; 32], not_after: SystemTime::UNIX_EPOCH };
        let (facts, told) = watch::channel(facts(vec![controller]));
        let (trust, trusted) = watch::channel(trust);
        let (wishes, wish) = watch::channel(None);
        let (directory, metrics) = (Arc::new(Directory::new(place())), Arc::default());
        let client = Client {
            directory: Arc::clone(&directory),
            credentials: Arc::new(Credentials::new(authority.good("client"))),
            facts: told,
            hello: api::Hello { pod: "client-1".to_owned(), ..api::Hello::default() },
            trust: trusted,
            wish: wishes,
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn(client.run());
        Self { directory, metrics, trust, wish, facts }
    }

    async fn resolve(&self, destination: SocketAddr) -> Decision {
        soon(self.directory.resolve(destination, true)).await
    }

    async fn endpoints(&self, destination: SocketAddr) -> usize {
        match self.resolve(destination).await {
            Decision::Known(Known::Group(group)) => group.endpoints().len(),
            other => panic!("{other:?}"),
        }
    }
}

fn endpoint(number: u8) -> api::Endpoint {
    api::Endpoint { address: Some(wire(([10, 0, 0, number], 8080).into())), ..api::Endpoint::default() }
}

fn all(numbers: &[u8]) -> State {
    let endpoints = numbers.iter().map(|number| endpoint(*number)).collect();
    State::Endpoints(Endpoints { endpoints, ..Endpoints::default() })
}

#[tokio::test]
async fn a_destination_is_asked_for_answered_kept_fresh_and_acknowledged() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let (mut session, hello) = controller.session().await;
    let trust = hello.trust.unwrap();
    assert_eq!((hello.pod.as_str(), trust.roots, trust.issuer), ("client-1", vec![vec![1; 32]], vec![2; 32]));
    let answered = async {
        assert_eq!(session.hears_subscribe().await, [at(1)]);
        session.says_of(at(1), 7, all(&[1, 2])).await;
    };
    let (endpoints, ()) = tokio::join!(rig.endpoints(at(1)), answered);
    assert_eq!(endpoints, 2);
    let delta = Delta { base_version: 7, changed: vec![endpoint(3)], removed: Vec::new() };
    session.says_of(at(1), 8, State::Delta(delta)).await;
    let mut acknowledged = session.hears_acknowledge().await;
    if acknowledged == [(at(1), 7)] {
        acknowledged = session.hears_acknowledge().await; // the two were not gathered
    }
    assert_eq!(acknowledged, [(at(1), 8)]);
    assert_eq!(rig.endpoints(at(1)).await, 3);
    assert_eq!((rig.metrics.streams.get(), rig.metrics.answers.of(Brought::News).get()), (1, 2));
    assert_eq!(rig.directory.state().0, Stream::Open);
}

#[tokio::test]
async fn a_difference_from_another_base_is_asked_for_whole() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let (mut session, _) = controller.session().await;
    let answered = async {
        session.hears_subscribe().await;
        session.says_of(at(1), 7, all(&[1, 2])).await;
    };
    tokio::join!(rig.resolve(at(1)), answered);
    session.says_of(at(1), 9, State::Delta(Delta { base_version: 8, ..Delta::default() })).await;
    loop {
        match session.hears().await {
            Message::Acknowledge(_) => {}
            Message::Unsubscribe(gone) => break assert_eq!(gone.destinations, [wire(at(1))]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(session.hears_subscribe().await, [at(1)]);
    assert_eq!(rig.endpoints(at(1)).await, 2, "what is known stays in use");
}

#[tokio::test]
async fn trust_is_told_when_it_changes_and_wishes_are_passed_on() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let mut rig = Rig::start(&authority, controller.at);
    let (mut session, _) = controller.session().await;
    rig.trust.send_modify(|trust| trust.roots.push([9; 32]));
    let Message::Trust(trust) = session.hears().await else { panic!("a Trust") };
    assert_eq!(trust.roots, [vec![1; 32], vec![9; 32]]);
    let parameters = Parameters { issuer: vec![5; 32], renew_within_seconds: 60, ..Parameters::default() };
    session.says(Answer::Parameters(parameters)).await;
    soon(rig.wish.changed()).await.unwrap();
    let wish = rig.wish.borrow_and_update().clone().unwrap();
    assert_eq!((wish.issuer, wish.within), ([5; 32], Duration::from_mins(1)));
    session.says(Answer::Parameters(Parameters::default())).await;
    soon(rig.wish.changed()).await.unwrap();
    assert!(rig.wish.borrow().is_none());
}

#[tokio::test]
async fn without_a_controller_what_is_known_stays_and_a_new_one_is_asked_for_all_of_it() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let (mut session, _) = controller.session().await;
    let answered = async {
        session.hears_subscribe().await;
        session.says_of(at(1), 7, all(&[1, 2])).await;
    };
    tokio::join!(rig.resolve(at(1)), answered);
    let address = controller.at;
    drop((controller, session));
    soon(async {
        while rig.directory.state().0 != Stream::Away {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(rig.endpoints(at(1)).await, 2);
    let asked = Instant::now();
    assert!(matches!(rig.resolve(at(2)).await, Decision::Unknown));
    assert!(asked.elapsed() >= Duration::from_secs(3));
    let mut controller = Controller::at(&authority, address).await;
    let (mut session, _) = timeout(support::SOON, controller.session()).await.unwrap();
    assert_eq!(session.hears_subscribe().await, [at(1), at(2)]);
    session.says_of(at(1), 1, all(&[1])).await;
    session.says_of(at(2), 1, State::NotOurs(NotOurs {})).await;
    assert!(matches!(rig.resolve(at(2)).await, Decision::Known(Known::NotOurs)));
    assert_eq!(rig.endpoints(at(1)).await, 1);
}

#[tokio::test]
async fn an_address_inside_that_the_controller_has_not_seen_yet_is_asked_for_again() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let (mut session, _) = controller.session().await;
    let seen_late = async {
        session.hears_subscribe().await;
        session.says_of(at(1), 1, State::NotOurs(NotOurs {})).await;
        assert_eq!(session.hears_acknowledge().await, [(at(1), 1)]);
        sleep(Duration::from_millis(200)).await;
        session.says_of(at(1), 2, all(&[1])).await;
        assert_eq!(session.hears_acknowledge().await, [(at(1), 2)]);
    };
    let later = async {
        sleep(Duration::from_millis(100)).await; // a second connection, which finds an answer
        rig.resolve(at(1)).await
    };
    let (first, second, ()) = tokio::join!(rig.resolve(at(1)), later, seen_late);
    assert!(matches!(first, Decision::Known(Known::Group(_))), "{first:?}");
    assert!(matches!(second, Decision::Known(Known::Group(_))), "{second:?}");
    let asked = Instant::now();
    let answered = async {
        session.hears_subscribe().await;
        session.says_of(at(2), 1, State::NotOurs(NotOurs {})).await;
    };
    let (outside, ()) = tokio::join!(soon(rig.directory.resolve(at(2), false)), answered);
    assert!(matches!(outside, Decision::Known(Known::NotOurs)));
    assert!(asked.elapsed() < Duration::from_secs(1), "outside nothing is doubted");
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let authority = Authority::new();
    let mut impostor = Controller::start(&Authority::new()).await;
    let rig = Rig::start(&authority, impostor.at);
    assert!(timeout(Duration::from_secs(1), impostor.session()).await.is_err());
    assert_eq!((rig.directory.state().0, rig.metrics.streams.get()), (Stream::Away, 0));
    let mut controller = Controller::start(&authority).await;
    rig.facts.send_modify(|facts| facts.discovery = vec![impostor.at, controller.at]);
    timeout(support::SOON, controller.session()).await.expect("the other address is tried as well");
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing() {
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let (mut session, _) = controller.session().await;
    let answered = async {
        session.hears_subscribe().await;
        session.says_of(at(1), 7, all(&[1, 2])).await;
        session.says_of(at(9), 1, all(&[1])).await;
        let bad = api::Endpoint { address: None, ..endpoint(1) };
        let bad = State::Endpoints(Endpoints { endpoints: vec![bad], ..Endpoints::default() });
        session.says_of(at(1), 8, bad).await;
        session.says(Answer::Destination(api::Destination::default())).await;
    };
    tokio::join!(rig.resolve(at(1)), answered);
    soon(async {
        while rig.metrics.faults.of(Fault::Address).get() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(rig.endpoints(at(1)).await, 2);
    assert_eq!(rig.metrics.answers.of(Brought::Nothing).get(), 1, "nobody asked for that one");
}

#[tokio::test]
async fn what_is_known_is_kept_for_the_next_process() {
    let path = std::env::temp_dir().join(format!("injector-keeper-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let authority = Authority::new();
    let mut controller = Controller::start(&authority).await;
    let rig = Rig::start(&authority, controller.at);
    let store = Store::new(&path, place());
    tokio::spawn(keep(Arc::clone(&rig.directory), store.clone()));
    let (mut session, _) = controller.session().await;
    let answered = async {
        session.hears_subscribe().await;
        session.says_of(at(1), 7, all(&[1, 2])).await;
    };
    tokio::join!(rig.resolve(at(1)), answered);
    soon(async {
        while store.load().unwrap().is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let next = Arc::new(Directory::new(place()));
    next.alone();
    restore(&next, &store);
    let decision = next.resolve(at(1), true).await;
    assert!(matches!(&decision, Decision::Known(Known::Group(group)) if group.endpoints().len() == 2), "{decision:?}");
    std::fs::remove_dir_all(path).unwrap();
}
