use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const GOOD: [(&str, &str); 8] = [
    ("INJECTOR_POD_NAME", "web-1"),
    ("INJECTOR_POD_NAMESPACE", "shop"),
    ("INJECTOR_POD_UID", "5a-1"),
    ("INJECTOR_NODE_NAME", "node-1"),
    ("INJECTOR_SERVICE_ACCOUNT", "web"),
    ("INJECTOR_WORKLOAD_KIND", "Deployment"),
    ("INJECTOR_WORKLOAD_NAME", "web"),
    ("INJECTOR_POD_IPS", "10.0.0.2,fd00::2"),
];

fn with(changes: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables: HashMap<String, String> =
        GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(|name| variables.get(name).cloned())
}

fn probes(json: &str) -> Result<Vec<Declaration>, Vec<String>> {
    with(&[("INJECTOR_PROBES", json)]).map(|config| config.probes)
}

#[test]
fn defaults_are_the_annotations() {
    let config = with(&[]).unwrap();
    assert_eq!(config.log, log::Settings { level: LevelFilter::INFO, format: log::Format::Text });
    assert_eq!(config.workers.get(), 1);
    assert_eq!(config.grace, Duration::from_secs(30));
    assert_eq!(config.opaque_ports, PortSet::default());
    assert!(config.probes.is_empty());
    assert!(config.skip_inbound_ports.is_empty());
    assert_eq!(config.inbound_policy, Policy::AllUnauthenticated);
    assert_eq!(config.unknown_destinations, UnknownDestinations::Auto);
    assert_eq!(config.token_directory, PathBuf::from("/var/run/injector/token"));
    assert_eq!(config.identity_directory, PathBuf::from("/var/run/injector/identity"));
    assert_eq!(config.pod.ips, ["10.0.0.2".parse::<IpAddr>().unwrap(), "fd00::2".parse().unwrap()]);
}

#[test]
fn every_setting_is_read() {
    let config = with(&[
        ("INJECTOR_LOG_LEVEL", "debug"),
        ("INJECTOR_LOG_FORMAT", "json"),
        ("INJECTOR_WORKERS", "4"),
        ("INJECTOR_SHUTDOWN_GRACE_SECONDS", "0"),
        ("INJECTOR_OPAQUE_PORTS", "3306"),
        ("INJECTOR_SKIP_INBOUND_PORTS", "25,5000-5010"),
        ("INJECTOR_DEFAULT_INBOUND_POLICY", "cluster-authenticated"),
        ("INJECTOR_UNKNOWN_DESTINATIONS", "refuse"),
        ("INJECTOR_TOKEN_DIRECTORY", "/tmp/token"),
        ("INJECTOR_IDENTITY_DIRECTORY", "/tmp/identity"),
        ("INJECTOR_SERVICE_HOST", "10.96.0.7"), // what Kubernetes sets for a Service named injector
    ])
    .unwrap();
    assert_eq!(config.log, log::Settings { level: LevelFilter::DEBUG, format: log::Format::Json });
    assert_eq!(config.workers.get(), 4);
    assert_eq!(config.grace, Duration::ZERO);
    assert!(config.opaque_ports.contains(3306));
    assert_eq!(config.skip_inbound_ports.to_string(), "25,5000-5010");
    assert_eq!(config.inbound_policy, Policy::ClusterAuthenticated);
    assert_eq!(config.unknown_destinations, UnknownDestinations::Refuse);
    assert_eq!((config.token_directory, config.identity_directory), ("/tmp/token".into(), "/tmp/identity".into()));
}

#[test]
fn all_faults_come_at_once() {
    let faults = with(&[
        ("INJECTOR_LOG_LEVEL", "loud"),
        ("INJECTOR_LOG_FORMAT", "xml"),
        ("INJECTOR_WORKERS", "0"),
        ("INJECTOR_SHUTDOWN_GRACE_SECONDS", "3601"),
        ("INJECTOR_OPAQUE_PORTS", "70000"),
        ("INJECTOR_DEFAULT_INBOUND_POLICY", "allow"),
        ("INJECTOR_UNKNOWN_DESTINATIONS", "maybe"),
        ("INJECTOR_POD_NAME", ""),
        ("INJECTOR_POD_IPS", "10.0.0"),
        ("INJECTOR_PROBES", r#"[{"path":"/x","port":1,"handler":{"tcpSocket":{}}}, 7]"#),
    ])
    .unwrap_err();
    let starts = [
        "INJECTOR_LOG_LEVEL: expected trace, debug, info, warn or error, got \"loud\"",
        "INJECTOR_LOG_FORMAT: expected text or json, got \"xml\"",
        "INJECTOR_WORKERS: expected a whole number from 1 to 1024, got \"0\"",
        "INJECTOR_SHUTDOWN_GRACE_SECONDS: expected seconds from 0 to 3600, got \"3601\"",
        "INJECTOR_OPAQUE_PORTS: expected ports",
        "INJECTOR_DEFAULT_INBOUND_POLICY: expected one of all-unauthenticated, ",
        "INJECTOR_UNKNOWN_DESTINATIONS: expected auto, pass or refuse, got \"maybe\"",
        "INJECTOR_POD_NAME: expected the pod's name, got nothing",
        "INJECTOR_POD_IPS: expected IP addresses",
        "INJECTOR_PROBES: [0]: path: expected /probes/",
        "INJECTOR_PROBES: [1]: ",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault} does not start with {start}");
    }
}

#[test]
fn probes_keep_the_original_handler() {
    let parsed = probes(
        r#"[{"path":"/probes/web/livenessProbe","port":8080,"timeoutSeconds":3,"handler":{"httpGet":
            {"scheme":"HTTPS","host":"","port":"http","path":"/healthz?x=1","new":{},"httpHeaders":[{"name":"Host","value":"a"}]}}},
           {"path":"/probes/db/readinessProbe","port":5432,"handler":{"tcpSocket":{"port":5432}}},
           {"path":"/probes/api/startupProbe","port":9000,"timeoutSeconds":1,"handler":{"grpc":{"port":9000,"service":null}}},
           {"path":"/probes/web/preStop","port":80,"handler":{"httpGet":{"port":80}}}]"#,
    )
    .unwrap();
    assert_eq!(parsed[0].timeout, Duration::from_secs(3));
    assert_eq!(
        parsed[0].handler,
        Handler::HttpGet(HttpGet {
            scheme: Scheme::Https,
            host: String::new(),
            path: "/healthz?x=1".to_owned(),
            http_headers: vec![Header { name: "Host".to_owned(), value: "a".to_owned() }],
        })
    );
    assert_eq!((parsed[1].timeout, parsed[1].kind), (Duration::from_secs(1), Kind::Probe));
    assert_eq!(parsed[2].handler, Handler::Grpc(Grpc::default()));
    assert_eq!((parsed[3].timeout, parsed[3].kind), (Duration::from_hours(1), Kind::Hook));
}

#[test]
fn bad_probes_are_refused_with_their_place() {
    for (json, expected) in [
        ("{}", "expected a JSON list"),
        (r#"[{"path":"/probes/a/livenessProbe","port":0,"handler":{"tcpSocket":{}}}]"#, "[0]: port"),
        (r#"[{"path":"/probes/a/livenessProbe","port":1,"handler":{"exec":{}}}]"#, "unknown variant `exec`"),
        (r#"[{"path":"/probes//livenessProbe","port":1,"handler":{"tcpSocket":{}}}]"#, "path: expected"),
        (r#"[{"path":"/probes/a/b/livenessProbe","port":1,"handler":{"tcpSocket":{}}}]"#, "path: expected"),
        (
            r#"[{"path":"/probes/a/livenessProbe","port":1,"timeoutSeconds":0,"handler":{"tcpSocket":{}}}]"#,
            "timeoutSeconds: expected at least 1",
        ),
        (
            r#"[{"path":"/probes/a/preStop","port":1,"handler":{"tcpSocket":{}}},
                {"path":"/probes/a/preStop","port":1,"handler":{"tcpSocket":{}}}]"#,
            "declared twice",
        ),
    ] {
        let faults = probes(json).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(expected), "{} does not contain {expected}", faults[0]);
    }
}

proptest! {
    #[test]
    fn hostile_values_give_faults_that_name_the_variable(value in ".{1,200}") {
        for name in ["INJECTOR_WORKERS", "INJECTOR_LOG_LEVEL", "INJECTOR_POD_IPS", "INJECTOR_PROBES"] {
            if let Err(faults) = with(&[(name, &value)]) {
                prop_assert!(faults.iter().all(|fault| fault.starts_with(name) && fault.chars().count() < 500));
            }
        }
    }
}
