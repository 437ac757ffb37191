//! The record layer and the handshake with OpenSSL at the other end.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use injector_proxy::tls::shake;
use rcgen::{CertificateParams, KeyPair};
use rustls::version::TLS13;
use support::pki::{Authority, Leaf, bearer, careless_client, careless_server, identity};
use support::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A certificate in files, gone with this.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("injector-openssl-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
        Self(directory)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn openssl(words: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new("openssl");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[tokio::test]
async fn an_openssl_server_answers_us() {
    let files = Files::new();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (at, own) = (format!("127.0.0.1:{port}"), files.0.display());
    let (certificate, key) = (format!("{own}/cert.pem"), format!("{own}/key.pem"));
    // It says every line backwards.
    let words = ["s_server", "-accept", &at, "-tls1_3", "-cert", &certificate, "-key", &key, "-rev", "-naccept", "1"];
    let mut server = openssl(&words).spawn().expect("these tests need the command openssl");
    let socket = soon(async {
        loop {
            match TcpStream::connect(&at).await {
                Ok(socket) => break socket,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    let mut config = careless_client(&TLS13, None, None);
    config.enable_secret_extraction = true;
    let shaken = soon(Box::pin(shake::client(socket, config.into(), identity("web").server_name()))).await.unwrap();
    let mut stream = shaken.stream;
    for line in ["desserts\n".to_owned(), "drawer\n".to_owned(), format!("{}b\n", "a".repeat(10_000))] {
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = vec![0; line.len()];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        let backwards: String = line.trim_end().chars().rev().chain(['\n']).collect();
        assert_eq!(String::from_utf8(answer).unwrap(), backwards);
    }
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await; // s_server does not always say close_notify
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test]
async fn an_openssl_client_is_answered_and_may_ask_for_new_keys() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let words = ["s_client", "-connect", &at, "-tls1_3"];
    let mut client = openssl(&words).spawn().expect("these tests need the command openssl");
    let mut config = careless_server(&TLS13, None, bearer(&Authority::new(), &Leaf::of("web")));
    config.enable_secret_extraction = true;
    let (socket, _) = soon(listener.accept()).await.unwrap();
    let mut stream = soon(Box::pin(shake::server(socket, config.into()))).await.unwrap().stream;
    let mut typed = client.stdin.take().unwrap();
    for (said, keys) in [(&b"before\n"[..], "K\n"), (b"between\n", "K\n"), (b"after\n", "Q\n")] {
        std::io::Write::write_all(&mut typed, said).unwrap();
        let mut heard = vec![0; said.len()];
        soon(stream.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, said);
        stream.write_all(&[b"echo ", said].concat()).await.unwrap();
        stream.flush().await.unwrap();
        // A line of a K asks for new keys both ways, one of a Q ends (s_client's connected commands). They are lines of
        // their own only if they come in a read of their own.
        sleep(Duration::from_millis(200)).await;
        std::io::Write::write_all(&mut typed, keys.as_bytes()).unwrap();
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0, "close_notify");
    let told = String::from_utf8_lossy(&client.wait_with_output().unwrap().stdout).into_owned();
    for line in ["echo before", "echo between", "echo after"] {
        assert!(told.contains(line), "{told}");
    }
}
