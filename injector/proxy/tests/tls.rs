//! Handshakes on the wire: who is let in, who is not and why, and what a later connection may take up again.

mod support;

use std::io;
use std::sync::Arc;

use injector_proxy::tls::{
    Configs, Credentials, HandshakeFailure, Key, MOST_CERTIFICATES, Roots, SpiffeId, TlsStream, accept, connect,
};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig};
use support::pki::{
    Authority, DOMAIN, Leaf, bearer, careless_client, careless_server, identity, proxy_of, thief, trailer,
};
use support::{pair, soon};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Served = Result<(TlsStream, SpiffeId), HandshakeFailure>;
type Dialled = Result<TlsStream, HandshakeFailure>;

/// What both say of a handshake in which the client expects `server`.
async fn meet(client: &Configs, server: &Configs, expected: &str) -> (Dialled, Served) {
    let (near, far) = pair().await;
    let expected = identity(expected);
    soon(async { tokio::join!(connect(near, &expected, client), accept(far, server)) }).await
}

/// A handshake that works, with a byte each way, so that the client has also read its tickets. True: it was resumed.
async fn good(client: &Configs, server: &Configs) -> bool {
    let (near, far) = meet(client, server, "web").await;
    let (mut near, (mut far, who)) = (near.unwrap(), far.unwrap());
    assert_eq!(who, identity("client"));
    near.write_all(b"?").await.unwrap();
    soon(far.read_exact(&mut [0])).await.unwrap();
    far.write_all(b"!").await.unwrap();
    soon(near.read_exact(&mut [0])).await.unwrap();
    assert_eq!(near.resumed(), far.resumed());
    near.resumed()
}

#[tokio::test]
async fn both_learn_who_the_other_is() {
    let mesh = Authority::new();
    assert!(!good(&mesh.good("client"), &mesh.good("web")).await);
}

#[tokio::test]
async fn an_orderly_end_is_told_from_a_cut() {
    let mesh = Authority::new();
    let (client, server) = (mesh.good("client"), mesh.good("web"));
    let (near, far) = meet(&client, &server, "web").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
    near.shutdown().await.unwrap();
    assert_eq!(soon(far.read(&mut [0; 8])).await.unwrap(), 0);
    far.write_all(b"after your end").await.unwrap();
    soon(near.read_exact(&mut [0; 14])).await.unwrap();
    let (near, far) = meet(&client, &server, "web").await;
    let (near, mut far) = (near.unwrap(), far.unwrap().0);
    drop(near);
    assert!(soon(far.read(&mut [0; 8])).await.is_err());
}

/// A leaf that is good but for what `spoil` does to it.
fn spoilt(account: &str, spoil: impl FnOnce(&mut Leaf)) -> Leaf {
    let mut leaf = Leaf::of(account);
    spoil(&mut leaf);
    leaf
}

/// Leaves of the right issuer that nobody may accept.
fn bad_leaves(account: &str) -> Vec<(Leaf, HandshakeFailure)> {
    let own = identity(account).to_string();
    let uris = |uris: &[&str]| spoilt(account, |leaf| leaf.uris = uris.iter().map(ToString::to_string).collect());
    let purpose = ExtendedKeyUsagePurpose::CodeSigning;
    vec![
        (spoilt(account, |leaf| leaf.not_after = leaf.not_before + Duration::minutes(1)), HandshakeFailure::Expired),
        (Leaf::of(account).shifted(Duration::minutes(10)), HandshakeFailure::NotYetValid),
        (uris(&[]), HandshakeFailure::WrongIdentity),
        (uris(&[&own, &own]), HandshakeFailure::WrongIdentity),
        (uris(&[&own, "https://a.b"]), HandshakeFailure::WrongIdentity),
        (uris(&[&own.replace("/sa/", "/sa//")]), HandshakeFailure::WrongIdentity),
        (uris(&[&own.replace(DOMAIN, "other.local")]), HandshakeFailure::WrongIdentity),
        (spoilt(account, |leaf| leaf.purposes = vec![purpose]), HandshakeFailure::BadCertificate),
        (spoilt(account, |leaf| leaf.purposes = vec![]), HandshakeFailure::BadCertificate),
    ]
}

/// Everybody who has a key and a chain and must not get in.
fn strangers(mesh: &Authority, account: &str) -> Vec<(Arc<SingleCertAndKey>, HandshakeFailure)> {
    let mut all: Vec<_> = bad_leaves(account).iter().map(|(leaf, why)| (bearer(mesh, leaf), *why)).collect();
    all.push((bearer(&Authority::new(), &Leaf::of(account)), HandshakeFailure::OtherRoot));
    all.push((thief(mesh, account), HandshakeFailure::WrongKey));
    all.push((trailer(mesh, account, MOST_CERTIFICATES), HandshakeFailure::BadCertificate));
    all
}

/// What our server says of a client that is not ours, and what the client hears.
async fn visit(server: &Configs, client: ClientConfig) -> (Result<SpiffeId, HandshakeFailure>, io::Error) {
    let (near, far) = pair().await;
    let client = async {
        // A client of TLS 1.3 has finished before it is judged; it hears with its first read.
        let connector = TlsConnector::from(Arc::new(client));
        let mut stream = Box::pin(connector.connect(identity("web").server_name(), near)).await?;
        stream.read_exact(&mut [0]).await
    };
    let served = async { accept(far, server).await.map(|(_, who)| who) };
    let (served, heard) = soon(async { tokio::join!(served, client) }).await;
    (served, heard.unwrap_err())
}

#[tokio::test]
async fn a_server_refuses_every_wrong_client() {
    let mesh = Authority::new();
    let server = mesh.good("web");
    for (stranger, why) in strangers(&mesh, "client") {
        let (served, heard) = visit(&server, careless_client(&TLS13, Some("injector/1"), Some(stranger))).await;
        assert_eq!(served, Err(why));
        assert_eq!(HandshakeFailure::of(&heard), HandshakeFailure::Refused, "{why:?}");
    }
}

#[tokio::test]
async fn a_client_must_show_a_certificate_and_speak_our_protocol() {
    let mesh = Authority::new();
    let (server, good) = (mesh.good("web"), || Some(bearer(&mesh, &Leaf::of("client"))));
    for (client, why) in [
        (careless_client(&TLS13, Some("injector/1"), None), HandshakeFailure::NoCertificate),
        (careless_client(&TLS12, Some("injector/1"), good()), HandshakeFailure::OldVersion),
        (careless_client(&TLS13, Some("h2"), good()), HandshakeFailure::OtherProtocol),
        (careless_client(&TLS13, None, good()), HandshakeFailure::OtherProtocol),
    ] {
        assert_eq!(visit(&server, client).await.0, Err(why));
    }
    let (served, _) = visit(&server, careless_client(&TLS13, Some("injector/1"), good())).await;
    assert_eq!(served, Ok(identity("client")), "so it is not the client's making");
}

/// What our client says of a server that is not ours.
async fn call(client: &Configs, server: ServerConfig) -> Dialled {
    let (near, far) = pair().await;
    let expected = identity("web");
    let server = async { TlsAcceptor::from(Arc::new(server)).accept(far).await.map(drop) };
    soon(async { tokio::join!(connect(near, &expected, client), server) }).await.0
}

#[tokio::test]
async fn a_client_refuses_every_wrong_server() {
    let mesh = Authority::new();
    let (client, protocol) = (mesh.good("client"), Some("injector/1"));
    let mut wrong = strangers(&mesh, "web");
    wrong.push((bearer(&mesh, &Leaf::of("another")), HandshakeFailure::WrongIdentity));
    for (stranger, why) in wrong {
        assert_eq!(call(&client, careless_server(&TLS13, protocol, stranger)).await.map(drop), Err(why));
    }
    let good = || bearer(&mesh, &Leaf::of("web"));
    for (version, protocol, why) in
        [(&TLS12, protocol, HandshakeFailure::Refused), (&TLS13, None, HandshakeFailure::OtherProtocol)]
    {
        assert_eq!(call(&client, careless_server(version, protocol, good())).await.map(drop), Err(why));
    }
    assert!(call(&client, careless_server(&TLS13, protocol, good())).await.is_ok(), "so it is not the server's making");
}

#[tokio::test]
async fn a_client_tells_the_server_that_it_is_refused() {
    let mesh = Authority::new();
    let (near, far) = meet(&mesh.good("client"), &mesh.good("another"), "web").await;
    assert_eq!(near.map(drop), Err(HandshakeFailure::WrongIdentity));
    assert_eq!(far.map(|(_, who)| who), Err(HandshakeFailure::Refused));
}

#[tokio::test]
async fn an_issuer_whose_clock_is_behind_costs_life_and_nothing_else() {
    let mesh = Authority::new();
    assert!(!good(&mesh.with(&Leaf::of("client").shifted(Duration::minutes(-10))), &mesh.good("web")).await);
    assert!(!good(&mesh.with(&Leaf::of("client").shifted(Duration::minutes(4))), &mesh.good("web")).await);
}

#[tokio::test]
async fn what_is_no_tls_is_told_from_an_end() {
    let mesh = Authority::new();
    let server = mesh.good("web");
    for (bytes, why) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], HandshakeFailure::Broken), (b"", HandshakeFailure::Closed)] {
        let (mut near, far) = pair().await;
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(soon(accept(far, &server)).await.map(drop).unwrap_err(), why);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up() {
    let mesh = Authority::new();
    let (configs, (_silent, far)) = (mesh.good("web"), pair().await);
    assert_eq!(accept(far, &configs).await.map(drop), Err(HandshakeFailure::Timeout));
    let (near, _silent) = pair().await;
    assert_eq!(connect(near, &identity("web"), &configs).await.map(drop), Err(HandshakeFailure::Timeout));
}

#[tokio::test]
async fn sessions_are_taken_up_again() {
    let mesh = Authority::new();
    let (client, server) = (mesh.good("client"), mesh.good("web"));
    assert!(!good(&client, &server).await);
    for _ in 0..20 {
        assert!(good(&client, &server).await, "each connection leaves a ticket for the next");
    }
}

#[tokio::test]
async fn pods_of_one_identity_do_not_spoil_each_others_sessions() {
    let mesh = Authority::new();
    let (client, expected) = (mesh.good("client"), identity("web"));
    let pods = [("127.0.0.2", mesh.good("web")), ("127.0.0.3", mesh.good("web"))];
    let mut resumed = Vec::new();
    for (address, server) in pods.iter().chain(&pods) {
        let listener = TcpListener::bind((*address, 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let far = listener.accept().await.unwrap().0;
        let (near, far) = soon(async { tokio::join!(connect(near, &expected, &client), accept(far, server)) }).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        resumed.push(near.resumed());
        far.write_all(b"!").await.unwrap();
        soon(near.read_exact(&mut [0])).await.unwrap();
    }
    assert_eq!(resumed, [false, false, true, true]);
}

#[tokio::test]
async fn a_session_is_nobody_elses() {
    let mesh = Authority::new();
    let (client, web) = (mesh.good("client"), mesh.good("web"));
    assert!(!good(&client, &web).await);
    // The same place, and now expected to be somebody else.
    let (near, _) = meet(&client, &web, "another").await;
    assert_eq!(near.map(drop), Err(HandshakeFailure::WrongIdentity));
    // Another pod of the same identity has other keys for its tickets.
    assert!(!good(&client, &mesh.good("web")).await);
    // Another client, at a server that has sessions of the first.
    let (near, far) = meet(&mesh.good("thief"), &web, "web").await;
    assert!(!near.unwrap().resumed());
    assert_eq!(far.unwrap().1, identity("thief"));
}

#[tokio::test]
async fn a_removed_root_ends_its_sessions() {
    let (old, new) = (Authority::new(), Authority::new());
    let both = || Roots::parse(format!("{}{}", old.root_pem, new.root_pem).as_bytes()).unwrap();
    let client = proxy_of(&old, &Leaf::of("client"), both());
    let server = Credentials::new(proxy_of(&new, &Leaf::of("web"), both()));
    assert!(!good(&client, &server.current()).await);
    assert!(good(&client, &server.current()).await);
    server.replace(proxy_of(&new, &Leaf::of("web"), new.roots()));
    let (near, far) = meet(&client, &server.current(), "web").await;
    assert_eq!(far.map(drop), Err(HandshakeFailure::OtherRoot));
    assert!(!near.unwrap().resumed());
}

#[tokio::test]
async fn a_session_ends_with_the_certificate_it_began_with() {
    let mesh = Authority::new();
    let brief = spoilt("client", |leaf| leaf.not_after = OffsetDateTime::now_utc() + Duration::seconds(2));
    let (client, server) = (mesh.with(&brief), mesh.good("web"));
    assert!(!good(&client, &server).await);
    assert!(good(&client, &server).await);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let (near, far) = meet(&client, &server, "web").await;
    assert!(near.unwrap().resumed(), "the server's certificate is still good");
    assert_eq!(far.map(drop), Err(HandshakeFailure::Expired));
}

#[tokio::test]
async fn certificates_change_under_open_connections() {
    let mesh = Authority::new();
    let (client, server) = (Credentials::new(mesh.good("client")), Credentials::new(mesh.good("web")));
    let (near, far) = meet(&client.current(), &server.current(), "web").await;
    let (mut near, (mut far, _)) = (near.unwrap(), far.unwrap());
    client.replace(mesh.good("client"));
    server.replace(mesh.good("web"));
    near.write_all(b"still here").await.unwrap();
    soon(far.read_exact(&mut [0; 10])).await.unwrap();
    assert!(!good(&client.current(), &server.current()).await);
}

#[test]
fn a_chain_must_fit_its_key_and_hold_an_identity() {
    let mesh = Authority::new();
    let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let chain = mesh.sign(key.public().unwrap().as_ref(), &Leaf::of("web"));
    assert!(Configs::new(chain.clone(), &key, mesh.roots()).is_ok());
    assert!(Configs::new(chain.clone(), &other, mesh.roots()).unwrap_err().contains("not this key's"));
    assert!(Configs::new(chain[..1].to_vec(), &key, mesh.roots()).unwrap_err().contains("and its issuer"));
    let nobody = mesh.sign(key.public().unwrap().as_ref(), &spoilt("web", |leaf| leaf.uris.clear()));
    assert!(Configs::new(nobody, &key, mesh.roots()).unwrap_err().contains("SPIFFE"));
}

#[test]
fn half_a_bundle_is_none() {
    let mesh = Authority::new();
    let bundle = |text: String| Roots::parse(text.as_bytes()).map(|roots| roots.fingerprints().len());
    assert_eq!(bundle(mesh.root_pem.repeat(2)), Ok(1));
    assert!(bundle(String::new()).is_err());
    assert!(bundle("no certificate".to_owned()).is_err());
    assert!(bundle(mesh.root_pem.clone() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    assert!(bundle(mesh.root_pem.clone() + "-----BEGIN CERTIFICATE-----\nAA").is_err());
}

#[tokio::test]
async fn the_connection_underneath_can_be_asked() {
    let mesh = Authority::new();
    let (near, far) = meet(&mesh.good("client"), &mesh.good("web"), "web").await;
    let peer = |stream: &TcpStream| stream.peer_addr().unwrap();
    assert_eq!(peer(near.unwrap().tcp()).ip(), peer(far.unwrap().0.tcp()).ip());
}
