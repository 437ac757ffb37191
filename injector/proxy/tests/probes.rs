//! Probes performed on real applications: alive, dead, slow, redirecting, encrypted, and gRPC.

mod support;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use injector_proxy::config::{Declaration, Grpc, Handler, Header, HttpGet, Kind, Scheme, TcpSocket};
use injector_proxy::probe::{Outcome, Prober};
use rustls::pki_types::PrivateKeyDer;
use support::soon;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const PATH: &str = "/probes/app/livenessProbe";
const POD: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn performed(handler: Handler, port: u16, kind: Kind) -> Outcome {
    let timeout = Duration::from_secs(1);
    let declaration = Declaration { path: PATH.to_owned(), port, timeout, kind, handler };
    soon(Prober::new(vec![declaration], Some(POD)).perform(PATH)).await.unwrap()
}

async fn probed(handler: Handler, port: u16) -> Outcome {
    performed(handler, port, Kind::Probe).await
}

fn http(path: &str) -> Handler {
    Handler::HttpGet(HttpGet { path: path.to_owned(), ..HttpGet::default() })
}

fn https() -> Handler {
    Handler::HttpGet(HttpGet { scheme: Scheme::Https, path: "/".to_owned(), ..HttpGet::default() })
}

fn assert_failed(outcome: &Outcome, reason: &str) {
    match outcome {
        Outcome::Failed(said) => assert!(said.contains(reason), "{said} does not contain {reason}"),
        other => panic!("{other:?}, expected a failure: {reason}"),
    }
}

/// An application that answers each request head with what `answer` makes of it; the heads come out of the receiver.
async fn application(answer: fn(&str, u16) -> String) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((POD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, answer, port, &heads).await;
        }
    });
    (port, receiver)
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: fn(&str, u16) -> String,
    port: u16,
    heads: &mpsc::UnboundedSender<String>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let _ = stream.write_all(answer(&head, port).as_bytes()).await;
    let _ = stream.shutdown().await;
    let _ = heads.send(head); // few tests look at them
}

fn empty(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn http_passes_by_status() {
    let (port, _) = application(|head, _| empty(path(head).trim_start_matches('/'))).await;
    for status in ["200", "204", "302", "399"] {
        assert_eq!(probed(http(&format!("/{status}")), port).await, Outcome::Passed, "{status}");
    }
    for status in ["400", "404", "500", "503"] {
        assert_failed(&probed(http(&format!("/{status}")), port).await, &format!("the application answered {status}"));
    }
    // A hook wants an answer, whatever it is.
    assert_eq!(performed(http("/500"), port, Kind::Hook).await, Outcome::Passed);
}

#[tokio::test]
async fn the_request_is_the_kubelets() {
    let (port, mut heads) = application(|_, _| empty("200 OK")).await;
    assert_eq!(probed(http("healthz?deep=1"), port).await, Outcome::Passed);
    let head = heads.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{head}");
    for line in
        ["user-agent: kube-probe/injector", "accept: */*", "connection: close", &format!("host: 127.0.0.1:{port}")]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn declared_headers_win() {
    let (port, mut heads) = application(|_, _| empty("200 OK")).await;
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let headers = [
        header("Host", "shop.example"),
        header("User-Agent", "mine"),
        header("Accept", ""),
        header("X-A", "1"),
        header("X-A", "2"),
        header("Content-Length", "5"),
    ];
    let action = HttpGet { http_headers: headers.into(), ..HttpGet::default() };
    assert_eq!(probed(Handler::HttpGet(action), port).await, Outcome::Passed);
    let head = heads.recv().await.unwrap().to_lowercase();
    for line in ["host: shop.example", "user-agent: mine", "x-a: 1", "x-a: 2"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
    }
    assert!(!head.contains("accept") && !head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn a_dead_application_fails_every_kind() {
    let listener = TcpListener::bind((POD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for handler in [http("/"), https(), Handler::TcpSocket(TcpSocket::default()), Handler::Grpc(Grpc::default())] {
        assert_failed(&probed(handler, port).await, "cannot connect to 127.0.0.1");
    }
    match performed(http("/"), port, Kind::Hook).await {
        Outcome::Unreached(reason) => assert!(reason.contains("cannot connect"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_silent_application_fails_in_time() {
    let listener = TcpListener::bind((POD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for handler in [http("/"), https(), Handler::Grpc(Grpc::default())] {
        assert_failed(&probed(handler, port).await, "no answer from the application within 1 s");
    }
    assert_eq!(probed(Handler::TcpSocket(TcpSocket::default()), port).await, Outcome::Passed, "it does accept");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let (port, _) = application(|_, _| "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned()).await;
    assert_failed(&probed(http("/"), port).await, "no HTTP answer");
    let (port, _) = application(|_, _| "SSH-2.0-OpenSSH_9.2\r\n".to_owned()).await;
    assert_failed(&probed(http("/"), port).await, "no HTTP answer");
}

#[tokio::test]
async fn an_endless_answer_is_read_for_a_while() {
    let endless = |_: &str, _| format!("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n{}", "x".repeat(20_000));
    let (port, _) = application(endless).await;
    assert_eq!(probed(http("/"), port).await, Outcome::Passed);
}

fn redirecting(head: &str, port: u16) -> String {
    let location = match path(head) {
        "/relative" => "/well".to_owned(),
        "/absolute" => format!("http://127.0.0.1:{port}/well"),
        "/sick" => "ill".to_owned(),
        "/elsewhere" => "http://192.0.2.1/never-asked".to_owned(),
        "/admin" => "http://127.0.0.1:4191/live".to_owned(),
        "/loop" => "/loop".to_owned(),
        "/broken" => "ftp://127.0.0.1/".to_owned(),
        "/well" => return empty("200 OK"),
        _ => return empty("500 Ill"),
    };
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host() {
    let (port, _) = application(redirecting).await;
    for path in ["/relative", "/absolute", "/elsewhere"] {
        assert_eq!(probed(http(path), port).await, Outcome::Passed, "{path}");
    }
    assert_failed(&probed(http("/sick"), port).await, "the application answered 500");
    assert_failed(&probed(http("/loop"), port).await, "stopped after 10 redirects");
    assert_failed(&probed(http("/broken"), port).await, "no http or https URL");
    assert_failed(&probed(http("/admin"), port).await, "is the proxy itself");
}

#[tokio::test]
async fn https_takes_any_certificate() {
    let key = rcgen::generate_simple_self_signed(["expired.example".to_owned()]).unwrap();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((POD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, |_, _| empty("200 OK"), 0, &heads).await;
            }
        }
    });
    assert_eq!(probed(https(), port).await, Outcome::Passed);
    assert!(receiver.recv().await.unwrap().starts_with("GET / HTTP/1.1\r\n"));
    assert_failed(&probed(http("/"), port).await, "");
}

#[tokio::test]
async fn https_to_a_plain_server_fails() {
    let (port, _) = application(|_, _| empty("200 OK")).await;
    assert_failed(&probed(https(), port).await, "");
}

/// A gRPC server whose health answer depends on the service asked for.
async fn grpc_server() -> u16 {
    let listener = TcpListener::bind((POD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(health)));
        }
    });
    port
}

async fn health(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let service = asked.get(7..).map_or("", |name| std::str::from_utf8(name).unwrap()).to_owned();
    let (status, message) = match service.as_str() {
        "" => ("0", &[0, 0, 0, 0, 2, 8, 1][..]),
        "sick" => ("0", &[0, 0, 0, 0, 2, 8, 2][..]),
        "empty" => ("0", &[0, 0, 0, 0, 0][..]),
        "broken" => ("0", &[0, 0, 0, 0, 9, 8][..]),
        "unimplemented" => ("12", &[][..]),
        _ => ("5", &[][..]),
    };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
    let body = Full::new(Bytes::copy_from_slice(message)).with_trailers(async move { Some(Ok(trailers)) });
    Ok(Response::new(BoxBody::new(body)))
}

#[tokio::test]
async fn grpc_passes_when_it_is_serving() {
    let port = grpc_server().await;
    let ask = |service: &str| Handler::Grpc(Grpc { service: service.to_owned() });
    assert_eq!(probed(ask(""), port).await, Outcome::Passed);
    for (service, reason) in [
        ("sick", "NOT_SERVING"),
        ("empty", "UNKNOWN"),
        ("broken", "no HealthCheckResponse"),
        ("unimplemented", "does not implement gRPC health checks"),
        ("unheard-of", "does not know the service"),
    ] {
        assert_failed(&probed(ask(service), port).await, reason);
    }
    let (plain, _) = application(|_, _| empty("200 OK")).await;
    assert_failed(&probed(ask(""), plain).await, "no gRPC answer");
}
