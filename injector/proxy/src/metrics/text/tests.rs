use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::http::h1::head::Refusal;
use crate::http::h2::frame::Code;
use crate::http::reason;
use crate::metrics::requests::{Class, Version, Whom};
use crate::refuse::Reason;

fn exposition() -> Exposition {
    let pod = Pod {
        name: "web-1".to_owned(),
        namespace: "shop".to_owned(),
        uid: "5a".to_owned(),
        node: "a\"b\\c\nd".to_owned(),
        service_account: "web".to_owned(),
        workload_kind: "Deployment".to_owned(),
        workload_name: "web".to_owned(),
        ips: Vec::new(),
    };
    let workers = vec![Arc::default(), Arc::default()];
    Exposition::new(pod, Instant::now(), workers, Arc::default(), Arc::default(), Arc::default())
}

fn whom() -> Whom {
    Whom {
        namespace: "shop".to_owned(),
        service: "web".to_owned(),
        port: "80".to_owned(),
        workload_kind: "Deployment".to_owned(),
        workload: "web".to_owned(),
        peer: "spiffe://a/ns/shop/sa/web".to_owned(),
        tls: true,
    }
}

#[test]
fn workers_are_added_up() {
    let exposition = exposition();
    for worker in &exposition.workers {
        worker.of(Direction::Outbound).bytes_in.add(21);
        worker.of(Direction::Outbound).refused.of(Reason::Loop).add(1);
    }
    let page = exposition.render();
    assert!(page.contains("injector_proxy_tcp_bytes_total{direction=\"outbound\",flow=\"in\"} 42\n"), "{page}");
    assert!(page.contains("injector_proxy_tcp_refused_total{direction=\"outbound\",reason=\"loop\"} 2\n"));
    assert!(page.contains("injector_proxy_workers 2\n"));
}

#[test]
fn labels_are_escaped() {
    assert!(exposition().render().contains(r#"node="a\"b\\c\nd""#));
}

#[test]
fn requests_are_shown_by_who_asks_whom() {
    let exposition = exposition();
    for worker in &exposition.workers {
        let row = worker.requests.row(Direction::Outbound, Version::Http2, whom());
        row.begun.add(3);
        row.ended.of(Class::ServerError).add(1);
        row.errors.of(reason::Reason::Ejected).add(1);
        row.grpc.add(14);
        row.ejections.add(1);
        row.took(Duration::from_micros(1_500));
        row.took(Duration::from_secs(61));
    }
    let page = exposition.render();
    let labels = "direction=\"outbound\",protocol=\"http2\",namespace=\"shop\",service=\"web\",port=\"80\",\
                  workload_kind=\"Deployment\",workload=\"web\",peer=\"spiffe://a/ns/shop/sa/web\",tls=\"true\"";
    for expected in [
        format!("http_requests_total{{{labels}}} 6"),
        format!("http_open_requests{{{labels}}} 4"),
        format!("http_responses_total{{{labels},class=\"5xx\"}} 2"),
        format!("http_errors_total{{{labels},reason=\"ejected\"}} 2"),
        format!("grpc_responses_total{{{labels},status=\"UNAVAILABLE\"}} 2"),
        format!("http_retries_total{{{labels}}} 0"),
        format!("balance_ejections_total{{{labels}}} 2"),
        format!("http_request_duration_seconds_bucket{{{labels},le=\"0.001\"}} 0"),
        format!("http_request_duration_seconds_bucket{{{labels},le=\"0.002\"}} 2"),
        format!("http_request_duration_seconds_bucket{{{labels},le=\"60\"}} 2"),
        format!("http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 4"),
        format!("http_request_duration_seconds_sum{{{labels}}} 122.003"),
        format!("http_request_duration_seconds_count{{{labels}}} 4"),
    ] {
        assert!(page.contains(&format!("\ninjector_proxy_{expected}\n")), "{expected} in {page}");
    }
    // What has not occurred is left out.
    for left_out in ["class=\"2xx\"", "tls=\"true\",reason=\"timeout\"", "status=\"OK\""] {
        assert!(!page.contains(left_out), "{left_out}");
    }
}

#[test]
fn connections_that_carry_requests_are_shown() {
    let exposition = exposition();
    let page = exposition.render();
    assert!(page.contains("injector_proxy_http_links{direction=\"inbound\"} 0\n"), "{page}");
    assert!(!page.contains("injector_proxy_http_refused_requests_total{"));
    let _open = exposition.workers[0].of(Direction::Outbound).links.hold();
    for worker in &exposition.workers {
        worker.waiting.set(7);
        worker.of(Direction::Inbound).refused_requests.of(Refusal::TwoFramings).add(1);
        worker.of(Direction::Inbound).violations.of(Code::EnhanceYourCalm).add(1);
        worker.of(Direction::Outbound).faults.of(Code::ProtocolError).add(3);
    }
    let page = exposition.render();
    for expected in [
        "http_links{direction=\"outbound\"} 1",
        "http_waiting_connections 14",
        "http_refused_requests_total{direction=\"inbound\",reason=\"two_framings\"} 2",
        "http_connection_errors_total{direction=\"inbound\",code=\"enhance_your_calm\"} 2",
        "http_stream_errors_total{direction=\"outbound\",code=\"protocol_error\"} 6",
    ] {
        assert!(page.contains(&format!("\ninjector_proxy_{expected}\n")), "{expected} in {page}");
    }
}

/// A page on which every family has samples, with labels that are hard to write.
fn full() -> String {
    let exposition = exposition();
    for (worker, hard) in exposition.workers.iter().zip(["a\"b\\c\nd", "{,}= \u{e9}"]) {
        for (direction, version) in [(Direction::Inbound, Version::Http1), (Direction::Outbound, Version::Http2)] {
            let row = worker.requests.row(direction, version, Whom { workload: hard.to_owned(), ..whom() });
            for class in Class::ALL {
                row.ended.of(*class).add(1);
            }
            for reason in reason::Reason::ALL {
                row.errors.of(*reason).add(1);
            }
            (0..20).for_each(|status| row.grpc.add(status));
            (0..30).for_each(|power| row.took(Duration::from_micros(1 << power)));
            for refusal in Refusal::ALL {
                worker.of(direction).refused_requests.of(*refusal).add(1);
            }
            for code in Code::ALL {
                worker.of(direction).violations.of(*code).add(1);
                worker.of(direction).faults.of(*code).add(1);
            }
        }
    }
    exposition.render()
}

/// A sample's name, labels and value; panics at what the format does not allow.
fn sample(line: &str) -> (&str, Vec<(&str, &str)>, f64) {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap();
            assert!(!label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let mut escaped = false;
            let end = behind.find(|c| {
                let ends = c == '"' && !escaped;
                assert!(!escaped || matches!(c, '"' | '\\' | 'n'), "{line}");
                escaped = c == '\\' && !escaped;
                ends
            });
            labels.push((label, &behind[..end.unwrap()]));
            rest = &behind[end.unwrap() + 1..];
            if let Some(value) = rest.strip_prefix('}') {
                rest = value;
                break;
            }
            rest = rest.strip_prefix(',').unwrap();
        }
    }
    (name, labels, rest.strip_prefix(' ').unwrap().parse().unwrap())
}

#[test]
fn every_line_is_of_the_format_and_every_sample_of_the_family_above_it() {
    let page = full();
    let (mut family, mut kind) = ("", "");
    let (mut families, mut samples) = (HashSet::new(), HashSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(families.insert(family), "{line}");
        } else if !line.starts_with("# HELP injector_proxy_") {
            let (name, mut labels, value) = sample(line);
            match name.strip_prefix(family).unwrap() {
                "" => assert_ne!(kind, "histogram", "{line}"),
                "_bucket" => assert!(kind == "histogram" && labels.last().unwrap().0 == "le", "{line}"),
                suffix => assert!(kind == "histogram" && matches!(suffix, "_sum" | "_count"), "{line}"),
            }
            assert!(value >= 0.0, "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            labels.sort_unstable();
            assert!(samples.insert((name, labels)), "twice: {line}");
        }
    }
    assert!(page.ends_with('\n') && families.len() > 30);
}

#[test]
fn histograms_rise_to_their_count() {
    let page = full();
    let (mut last, mut histograms) = ((-1.0, 0.0), 0);
    for line in page.lines().filter(|line| line.starts_with("injector_proxy_http_request_duration_seconds")) {
        let (name, labels, value) = sample(line);
        if name.ends_with("_bucket") {
            let end: f64 = labels.last().unwrap().1.parse().unwrap();
            assert!(end > last.0 && value >= last.1, "{line} after {last:?}");
            last = (end, value);
        } else if name.ends_with("_count") {
            assert_eq!((f64::INFINITY, value), last, "{line}");
            (last, histograms) = ((-1.0, 0.0), histograms + 1);
        }
    }
    assert_eq!(histograms, 4);
}

#[test]
fn as_many_rows_as_there_may_be_make_a_page_of_two_megabytes() {
    let exposition = exposition();
    for number in 0..1000 {
        let whom = Whom { service: format!("web-{number}"), ..whom() };
        let row = exposition.workers[0].requests.row(Direction::Outbound, Version::Http1, whom);
        row.ended.of(Class::Success).add(1);
    }
    let length = exposition.render().len();
    assert!((500_000..2_000_000).contains(&length), "{length}");
}
