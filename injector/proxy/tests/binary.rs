//! The binary from outside: words, faults, exit codes.

#![allow(missing_docs, reason = "tests")]

use std::process::{Command, Output};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_injector-proxy"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn version_and_help() {
    for word in ["version", "--version"] {
        let output = run(&[word], &[]);
        assert!(output.status.success());
        assert_eq!(text(&output.stdout), format!("injector-proxy {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert!(text(&run(&["--help"], &[]).stdout).contains("usage: injector-proxy COMMAND"));
}

#[test]
fn a_bad_word_is_64() {
    for arguments in [&["walk"][..], &[], &["run", "now"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(64));
        assert_eq!(text(&output.stderr).lines().count(), 1);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn every_bad_setting_is_listed_and_64() {
    let environment = [
        ("INJECTOR_LOG_LEVEL", "loud"),
        ("INJECTOR_WORKERS", "many"),
        ("INJECTOR_OPAQUE_PORTS", "0"),
        ("INJECTOR_PROBES", "[{}, {}]"),
        ("INJECTOR_POD_IPS", "here"),
        ("INJECTOR_SERVICE_HOST", "10.96.0.1"),
    ];
    let output = run(&["run"], &environment);
    assert_eq!(output.status.code(), Some(64));
    let faults: Vec<&str> = text(&output.stderr).lines().collect();
    // The five above, INJECTOR_PROBES twice, and seven that are missing.
    assert_eq!(faults.len(), 13, "{faults:#?}");
    assert!(
        faults.iter().all(|fault| fault.starts_with("injector-proxy: INJECTOR_") && fault.contains("expected")
            || fault.contains("missing field")),
        "{faults:#?}"
    );
    assert_eq!(faults.iter().filter(|fault| fault.contains("got nothing")).count(), 7);
}

#[test]
fn init_without_rules_is_64() {
    let output = run(&["init"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(text(&output.stderr).lines().count(), 2);
}

#[test]
fn a_pod_without_the_volume_of_its_token_is_69_and_told() {
    let environment = [
        ("INJECTOR_POD_NAME", "web-1"),
        ("INJECTOR_POD_NAMESPACE", "shop"),
        ("INJECTOR_POD_UID", "1"),
        ("INJECTOR_NODE_NAME", "node-1"),
        ("INJECTOR_SERVICE_ACCOUNT", "web"),
        ("INJECTOR_WORKLOAD_KIND", "Deployment"),
        ("INJECTOR_WORKLOAD_NAME", "web"),
        ("INJECTOR_POD_IPS", "10.244.0.9"),
        ("INJECTOR_TOKEN_DIRECTORY", "/nowhere/token"),
    ];
    let output = run(&["run"], &environment);
    assert_eq!(output.status.code(), Some(69));
    let told = text(&output.stderr);
    assert!(told.starts_with("injector-proxy: /nowhere/token: expected the volume with token, roots.pem"), "{told}");
    assert!(told.contains("create the pod again"), "{told}");
}
