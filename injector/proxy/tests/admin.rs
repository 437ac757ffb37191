//! The admin port on real sockets: what it answers, and that nobody can keep the kubelet out.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use injector_proxy::admin::{self, Admin};
use injector_proxy::config::{Declaration, Handler, Kind, Pod, TcpSocket};
use injector_proxy::identity::Status;
use injector_proxy::metrics::Exposition;
use injector_proxy::probe::Prober;
use support::{raw, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket as Socket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// An admin port of a certified proxy; dropping the sender would say nothing, `true` says draining.
fn started(declarations: Vec<Declaration>) -> (SocketAddr, watch::Sender<bool>) {
    let (address, drain, certified) = uncertified(declarations);
    certified.send_replace(Status::Certified);
    (address, drain)
}

/// An admin port on every address of this machine, of a proxy that still waits for a certificate.
fn uncertified(declarations: Vec<Declaration>) -> (SocketAddr, watch::Sender<bool>, watch::Sender<Status>) {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let prober = Prober::new(declarations, Some(Ipv4Addr::LOCALHOST.into()));
    let pod = Pod {
        name: "web-1".to_owned(),
        namespace: "shop".to_owned(),
        uid: "1".to_owned(),
        node: "node-1".to_owned(),
        service_account: "web".to_owned(),
        workload_kind: "Deployment".to_owned(),
        workload_name: "web".to_owned(),
        ips: vec![Ipv4Addr::LOCALHOST.into()],
    };
    let exposition =
        Exposition::new(pod, Instant::now(), vec![Arc::default()], prober.metrics(), Arc::default(), Arc::default());
    let (drain, draining) = watch::channel(false);
    let (certify, certified) = watch::channel(Status::Waiting("no issuer".to_owned()));
    tokio::spawn(admin::serve(vec![listener], Arc::new(Admin { prober, exposition, certified, draining })));
    ((Ipv4Addr::LOCALHOST, port).into(), drain, certify)
}

fn tcp_probe(path: &str, port: u16, kind: Kind) -> Declaration {
    let handler = Handler::TcpSocket(TcpSocket { host: String::new() });
    Declaration { path: path.to_owned(), port, timeout: Duration::from_secs(1), kind, handler }
}

async fn get(address: SocketAddr, path: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n")).await
}

#[tokio::test]
async fn nobody_is_ready_without_a_certificate() {
    let (admin, drain, certified) = uncertified(Vec::new());
    let ready = get(admin, "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("waiting for a certificate: no issuer\n"), "{ready}");
    assert!(get(admin, "/live").await.starts_with("HTTP/1.1 200 "));
    certified.send_replace(Status::Certified);
    assert!(get(admin, "/ready").await.starts_with("HTTP/1.1 200 "));
    drain.send_replace(true);
    assert!(get(admin, "/ready").await.ends_with("draining\n"));
}

#[tokio::test]
async fn it_answers_what_it_has_and_nothing_else() {
    let (admin, _drain) = started(Vec::new());
    assert!(get(admin, "/live").await.starts_with("HTTP/1.1 200 "));
    assert!(get(admin, "/ready").await.ends_with("\r\n\r\nready\n"));
    let metrics = get(admin, "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"));
    assert!(metrics.contains("injector_proxy_info{version=\"") && metrics.contains("namespace=\"shop\",pod=\"web-1\""));
    for path in ["/", "/probes/web/livenessProbe", "/ready/", "/live/../metrics", "//ready", "/debug/pprof"] {
        assert!(get(admin, path).await.starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(raw(admin, "POST /live HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
    assert!(raw(admin, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn readiness_ends_with_the_drain_and_life_goes_on() {
    let (admin, drain) = started(Vec::new());
    drain.send_replace(true);
    assert!(get(admin, "/ready").await.starts_with("HTTP/1.1 503 "));
    assert!(get(admin, "/live").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn declared_probes_are_performed_and_counted() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = application.local_addr().unwrap().port();
    let (admin, _drain) = started(vec![
        tcp_probe("/probes/web/livenessProbe", port, Kind::Probe),
        tcp_probe("/probes/web/preStop", port, Kind::Hook),
    ]);
    assert!(get(admin, "/probes/web/livenessProbe").await.starts_with("HTTP/1.1 200 "));
    assert!(get(admin, "/probes/web/preStop").await.starts_with("HTTP/1.1 200 "));
    drop(application);
    let dead = get(admin, "/probes/web/livenessProbe").await;
    assert!(dead.starts_with("HTTP/1.1 503 ") && dead.contains("cannot connect to 127.0.0.1"), "{dead}");
    assert_eq!(get(admin, "/probes/web/preStop").await, "", "a hook's failure is told by silence");
    let metrics = get(admin, "/metrics").await;
    assert!(metrics.contains("probes_total{kind=\"tcp\",result=\"passed\"} 2\n"), "{metrics}");
    assert!(metrics.contains("probes_total{kind=\"tcp\",result=\"failed\"} 2\n"));
}

#[tokio::test]
async fn large_heads_are_refused() {
    let (admin, _drain) = started(Vec::new());
    let large = format!("GET /live HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(!raw(admin, &large).await.contains(" 200 "));
    let many = format!("GET /live HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(33));
    assert!(raw(admin, &many).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_slow_head_ends_by_itself() {
    let (admin, _drain) = started(Vec::new());
    let mut slow = TcpStream::connect(admin).await.unwrap();
    slow.write_all(b"GET /live HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    let mut answer = String::new();
    soon(slow.read_to_string(&mut answer)).await.unwrap();
    assert!(!answer.contains(" 200 "));
    assert!((4..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// A connection from another address of this machine's loopback network.
async fn from(source: [u8; 4], admin: SocketAddr) -> TcpStream {
    let socket = Socket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(source), 0).into()).unwrap();
    soon(socket.connect(admin)).await.unwrap()
}

#[tokio::test]
async fn one_source_has_a_share() {
    let (admin, _drain) = started(Vec::new());
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(from([127, 0, 0, 2], admin).await);
    }
    sleep(Duration::from_millis(200)).await;
    let mut open = 0;
    for stream in &mut held {
        // Refused ones have been closed; the others wait for a request.
        let read = tokio::time::timeout(Duration::from_millis(10), stream.read(&mut [0; 1])).await;
        open += usize::from(read.is_err());
    }
    assert_eq!(open, 16);
    assert!(get(admin, "/live").await.starts_with("HTTP/1.1 200 "), "another source is served");
}

#[tokio::test]
async fn a_flood_from_many_sources_keeps_nobody_out() {
    let (admin, _drain) = started(Vec::new());
    let mut held = Vec::new();
    for source in 0..20 {
        for _ in 0..16 {
            held.push(from([127, 0, 1, source + 1], admin).await);
        }
    }
    for _ in 0..20 {
        let began = Instant::now();
        assert!(get(admin, "/live").await.starts_with("HTTP/1.1 200 "));
        assert!(began.elapsed() < Duration::from_secs(1), "within the kubelet's default timeout");
    }
}
