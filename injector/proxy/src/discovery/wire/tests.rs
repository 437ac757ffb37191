use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn place() -> Place {
    Place { trust_domain: "cluster.local".to_owned(), node: "node-1".to_owned() }
}

fn at(number: u8, port: u32) -> api::Address {
    api::Address { ip: vec![10, 0, 0, number], port }
}

fn meshed(number: u8, account: &str) -> api::Endpoint {
    api::Endpoint {
        address: Some(at(number, 8080)),
        mesh: Some(api::Mesh { namespace: "shop".to_owned(), service_account: account.to_owned(), port: 0 }),
        ..api::Endpoint::default()
    }
}

fn all(endpoints: Vec<api::Endpoint>) -> State {
    State::Endpoints(api::Endpoints { endpoints, ..api::Endpoints::default() })
}

fn known(before: Option<&Known>, version: Option<u64>, state: State) -> Known {
    match take(before, version, Some(state), &place()) {
        Ok(Taken::Known(known)) => known,
        other => panic!("{other:?}"),
    }
}

fn group(known: &Known) -> &Group {
    match known {
        Known::Group(group) => group,
        Known::NotOurs => panic!("no group"),
    }
}

#[test]
fn every_field_is_read() {
    let endpoint = api::Endpoint {
        mesh: Some(api::Mesh { namespace: "shop".to_owned(), service_account: "web".to_owned(), port: 5000 }),
        readiness: api::Readiness::Terminating.into(),
        node: "node-1".to_owned(),
        opaque: true,
        workload: Some(api::Workload { kind: "Deployment".to_owned(), name: "web".to_owned() }),
        ..meshed(1, "web")
    };
    let target = api::endpoints::Target::Service(api::ServicePort::default());
    let state = api::Endpoints {
        endpoints: vec![endpoint],
        affinity_seconds: 10_800,
        node_local: true,
        target: Some(target.clone()),
        protocol: api::Protocol::Http2.into(),
    };
    let known = known(None, None, State::Endpoints(state.clone()));
    let group = group(&known);
    assert_eq!((group.affinity, group.node_local), (Some(Duration::from_hours(3)), true));
    assert_eq!((&group.target, group.protocol), (&Some(target), Protocol::Http2));
    let [endpoint] = group.endpoints() else { panic!("one endpoint") };
    let peer = endpoint.peer.clone().unwrap();
    assert_eq!((peer.identity.as_str(), peer.port), ("spiffe://cluster.local/ns/shop/sa/web", 5000));
    assert_eq!((endpoint.readiness, endpoint.near, endpoint.opaque), (Readiness::Terminating, true, true));
    let workload = endpoint.workload.as_deref().unwrap();
    assert_eq!((&*workload.kind, &*workload.name), ("Deployment", "web"));
    assert_eq!(to_destination("10.0.0.9:80".parse().unwrap(), &known, &place()).state, Some(State::Endpoints(state)));
}

#[test]
fn what_is_absent_or_unknown_has_its_meaning() {
    assert!(matches!(take(None, None, None, &place()), Ok(Taken::Known(Known::NotOurs))));
    let newer = api::Endpoint { readiness: 77, mesh: None, ..meshed(1, "web") };
    let known = known(None, None, all(vec![newer, meshed(2, "web")]));
    let endpoints = group(&known).endpoints();
    assert_eq!((endpoints[0].readiness, &endpoints[0].peer), (Readiness::Ready, &None));
    assert_eq!(endpoints[1].peer.as_ref().unwrap().port, INBOUND_PORT);
    assert_eq!(endpoints[1].workload, None);
    assert_eq!((group(&known).affinity, group(&known).protocol), (None, Protocol::Undeclared));
}

#[test]
fn every_protocol_goes_there_and_back_and_an_unknown_one_is_undeclared() {
    for (told, expected) in [
        (api::Protocol::Undeclared.into(), Protocol::Undeclared),
        (api::Protocol::Opaque.into(), Protocol::Opaque),
        (api::Protocol::Http.into(), Protocol::Http),
        (api::Protocol::Http2.into(), Protocol::Http2),
        (77, Protocol::Undeclared),
    ] {
        let state = State::Endpoints(api::Endpoints { protocol: told, ..api::Endpoints::default() });
        let first = known(None, None, state);
        assert_eq!(group(&first).protocol, expected, "{told}");
        let again = to_destination("10.0.0.9:80".parse().unwrap(), &first, &place()).state.unwrap();
        assert_eq!(group(&known(None, None, again)).protocol, expected, "{told}");
    }
}

#[test]
fn a_difference_keeps_the_protocol_and_a_snapshot_brings_another() {
    let told = |protocol: api::Protocol| {
        State::Endpoints(api::Endpoints { protocol: protocol.into(), ..api::Endpoints::default() })
    };
    let before = known(None, None, told(api::Protocol::Http));
    let delta = api::Delta { base_version: 1, changed: vec![meshed(1, "web")], removed: Vec::new() };
    let grown = known(Some(&before), Some(1), State::Delta(delta));
    assert_eq!((group(&grown).protocol, group(&grown).endpoints().len()), (Protocol::Http, 1));
    assert_eq!(group(&known(Some(&grown), None, told(api::Protocol::Opaque))).protocol, Protocol::Opaque);
}

#[test]
fn neighbours_of_one_workload_share_it_and_others_do_not() {
    let of = |number, name: &str| {
        let workload = Some(api::Workload { kind: "Deployment".to_owned(), name: name.to_owned() });
        api::Endpoint { workload, ..meshed(number, "web") }
    };
    let before = known(None, None, all(vec![of(1, "web"), of(2, "web"), of(3, "api"), meshed(4, "web")]));
    let [first, second, third, fourth] = group(&before).endpoints() else { panic!("four") };
    let shared = |endpoint: &Endpoint| Arc::as_ptr(endpoint.workload.as_ref().unwrap());
    assert_eq!(shared(first), shared(second));
    assert_eq!((&*third.workload.as_ref().unwrap().name, &fourth.workload), ("api", &None));
    let delta =
        State::Delta(api::Delta { base_version: 1, changed: vec![of(4, "api"), of(1, "api")], removed: vec![] });
    let after = known(Some(&before), Some(1), delta);
    let names: Vec<_> =
        group(&after).endpoints().iter().map(|one| one.workload.as_ref().unwrap().name.clone()).collect();
    assert_eq!(names.iter().filter(|name| &***name == "api").count(), 3, "{names:?}");
}

#[test]
fn malformed_messages_are_faults() {
    let with = |address| api::Endpoint { address, ..meshed(1, "web") };
    for (endpoint, fault) in [
        (with(None), Fault::Address),
        (with(Some(api::Address { ip: vec![10, 0, 0], port: 80 })), Fault::Address),
        (with(Some(api::Address { ip: vec![0; 17], port: 80 })), Fault::Address),
        (with(Some(at(1, 0))), Fault::Address),
        (with(Some(at(1, 65_536))), Fault::Address),
        (meshed(1, ""), Fault::Identity),
        (meshed(1, "web/sa/admin"), Fault::Identity),
    ] {
        assert_eq!(take(None, None, Some(all(vec![endpoint.clone()])), &place()).unwrap_err(), fault, "{endpoint:?}");
        let before = known(None, None, all(Vec::new()));
        let delta = State::Delta(api::Delta { base_version: 1, changed: vec![endpoint], removed: Vec::new() });
        assert_eq!(take(Some(&before), Some(1), Some(delta), &place()).unwrap_err(), fault);
    }
}

#[test]
fn a_difference_needs_its_base() {
    let before = known(None, None, all(vec![meshed(1, "web")]));
    let delta = |base_version| State::Delta(api::Delta { base_version, ..api::Delta::default() });
    let taken = |before, version, base| take(before, version, Some(delta(base)), &place()).unwrap();
    assert!(matches!(taken(Some(&before), Some(7), 7), Taken::Known(_)));
    assert!(matches!(taken(Some(&before), Some(7), 6), Taken::OtherBase));
    assert!(matches!(taken(Some(&before), None, 7), Taken::OtherBase));
    assert!(matches!(taken(Some(&Known::NotOurs), Some(7), 7), Taken::OtherBase));
    assert!(matches!(taken(None, None, 0), Taken::OtherBase));
}

#[test]
fn loads_stay_with_their_endpoints_and_identities_are_shared() {
    let before = known(None, None, all(vec![meshed(1, "web"), meshed(2, "web")]));
    let load = |known: &Known, number: u8| {
        let endpoint = group(known).endpoints().iter().find(|one| one.address.ip() == IpAddr::from([10, 0, 0, number]));
        Arc::clone(&endpoint.unwrap().load)
    };
    let replaced = known(Some(&before), None, all(vec![meshed(2, "other"), meshed(3, "web")]));
    assert!(Arc::ptr_eq(&load(&before, 2), &load(&replaced, 2)));
    let changed = vec![meshed(1, "new")];
    let delta = State::Delta(api::Delta { base_version: 1, changed, removed: Vec::new() });
    let changed = known(Some(&before), Some(1), delta);
    assert!(Arc::ptr_eq(&load(&before, 1), &load(&changed, 1)));
    let [first, second] = group(&before).endpoints() else { panic!("two") };
    let text = |endpoint: &Endpoint| endpoint.peer.as_ref().unwrap().identity.as_str().as_ptr();
    assert_eq!(text(first), text(second), "one text for both");
}

type Set = BTreeMap<u8, (u8, bool)>;

fn wire(set: &Set) -> Vec<api::Endpoint> {
    let endpoint = |(number, (account, opaque)): (&u8, &(u8, bool))| api::Endpoint {
        opaque: *opaque,
        ..meshed(*number, &format!("sa-{account}"))
    };
    set.iter().map(endpoint).collect()
}

fn sorted(known: &Known) -> Vec<(SocketAddr, String, bool)> {
    let text = |endpoint: &Endpoint| endpoint.peer.as_ref().unwrap().identity.to_string();
    let endpoints = group(known).endpoints().iter();
    let mut all: Vec<_> = endpoints.map(|endpoint| (endpoint.address, text(endpoint), endpoint.opaque)).collect();
    all.sort();
    all
}

proptest! {
    #[test]
    fn differences_lead_where_a_snapshot_does(
        first in prop::collection::btree_map(0u8..30, (0u8..3, any::<bool>()), 0..20),
        second in prop::collection::btree_map(0u8..30, (0u8..3, any::<bool>()), 0..20),
    ) {
        let before = known(None, None, all(wire(&first)));
        let changed: Set = second.iter().filter(|(key, value)| first.get(*key) != Some(*value)).map(|(k, v)| (*k, *v)).collect();
        let removed = first.keys().filter(|key| !second.contains_key(*key)).map(|key| at(*key, 8080)).collect();
        let delta = api::Delta { base_version: 3, changed: wire(&changed), removed };
        let after = known(Some(&before), Some(3), State::Delta(delta));
        prop_assert_eq!(sorted(&after), sorted(&known(None, None, all(wire(&second)))));
    }

    #[test]
    fn any_bytes_are_understood_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = <api::Destination as prost::Message>::decode(&bytes[..]) {
            let _ = address(message.address.as_ref());
            let _ = take(None, None, message.state, &place());
        }
    }

    #[test]
    fn addresses_come_back(ip in any::<IpAddr>(), port in 1u16..) {
        let at = SocketAddr::new(ip, port);
        prop_assert_eq!(address(Some(&to_address(at))), Ok(at));
    }
}
