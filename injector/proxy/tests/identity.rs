//! From nothing to a certificate and on to the next: files, issuer, renewal, and what is said while there is none.

mod support;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use injector_proxy::identity::{
    Certificate, Established, IdentityMetrics, IssuerWish, Kept, Outcome, Seeker, Settings, Status,
};
use injector_proxy::tls::{Key, fingerprint};
use support::issuer::{FakeIssuer, Mood};
use support::pki::{Authority, Leaf, identity};
use support::soon;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Code;

/// The volumes of a pod, gone with the test.
struct Pod {
    directory: PathBuf,
    metrics: Arc<IdentityMetrics>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Pod {
    /// Everything in place, and an issuer at this address.
    fn new(roots: &str, issuer: SocketAddr) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("injector-identity-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let pod = Self { directory: std::env::temp_dir().join(name), metrics: Arc::default() };
        for volume in ["token", "identity"] {
            fs::create_dir_all(pod.directory.join(volume)).unwrap();
        }
        pod.project("token", "the.pods.token\n");
        pod.project("roots.pem", roots);
        pod.project("mesh.json", &facts(issuer));
        pod
    }

    /// Changes a projected file as the kubelet does: all at once.
    fn project(&self, name: &str, content: &str) {
        let path = self.directory.join("token").join(name);
        fs::write(path.with_extension("new"), content).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    fn kept(&self) -> PathBuf {
        self.directory.join("identity/identity.der")
    }

    fn seeker(&self) -> Seeker {
        let settings = Settings {
            token_directory: self.directory.join("token"),
            identity_directory: self.directory.join("identity"),
            namespace: "shop".to_owned(),
            service_account: "web".to_owned(),
        };
        Seeker::new(settings, Arc::clone(&self.metrics)).unwrap()
    }

    async fn established(&self) -> Established {
        soon(self.seeker().establish()).await
    }

    /// Starts to look for a certificate; the receiver hears what it waits for.
    fn seek(&self) -> (watch::Receiver<Status>, JoinHandle<Established>) {
        let seeker = self.seeker();
        (seeker.status(), tokio::spawn(seeker.establish()))
    }

    fn counted(&self, outcome: Outcome) -> u64 {
        self.metrics.renewals.of(outcome).get()
    }
}

fn facts(issuer: SocketAddr) -> String {
    format!(
        r#"{{"version": 1, "trustDomain": "cluster.local", "systemNamespace": "injector-system",
            "identity": ["{issuer}"], "discovery": ["127.0.0.1:1"], "networks": ["10.0.0.0/8"]}}"#
    )
}

async fn issuer(authority: Authority) -> FakeIssuer {
    FakeIssuer::start(authority, "injector-identity").await
}

/// Where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// What it says that it waits for, once that contains this.
async fn waits_for(status: &mut watch::Receiver<Status>, said: &str) {
    let waiting = status.wait_for(|status| matches!(status, Status::Waiting(why) if why.contains(said)));
    let heard = timeout(Duration::from_secs(15), waiting).await.map(drop);
    assert!(heard.is_ok(), "expected {said:?}, last was {:?}", *status.borrow());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_pod_is_certified_and_keeps_what_it_got() {
    let mesh = Authority::new();
    let (roots, issued_by) = (mesh.root_pem.clone(), fingerprint(&mesh.issuer_der));
    let issuer = issuer(mesh).await;
    let pod = Pod::new(&roots, issuer.address);
    let established = pod.established().await;
    let configs = established.credentials.current();
    assert_eq!(configs.identity().spiffe, identity("web"));
    assert!(!established.kept);
    assert_eq!(issuer.requests().iter().map(|request| &*request.token).collect::<Vec<_>>(), ["the.pods.token"]);
    let trust = established.trust.borrow().clone();
    assert_eq!((trust.issuer, trust.roots.len(), trust.not_after), (issued_by, 1, configs.identity().not_after));
    assert_eq!(established.facts.borrow().discovery, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!((pod.counted(Outcome::Renewed), pod.metrics.renewals.sum()), (1, 1));
    let not_after = trust.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(pod.metrics.not_after(), not_after);
    assert_eq!(mode(&pod.kept()), 0o400);
    assert_eq!(fs::read_dir(pod.directory.join("identity")).unwrap().count(), 1, "nothing unfinished is left");
}

#[tokio::test]
async fn a_restarted_proxy_needs_nobody() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let pod = Pod::new(&roots, issuer(mesh).await.address);
    let before = pod.established().await.trust.borrow().clone();
    pod.project("mesh.json", &facts(nobody().await));
    let started = Instant::now();
    let after = pod.established().await;
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert!(after.kept);
    assert_eq!(*after.trust.borrow(), before);
}

/// Keeps a certificate that an earlier process could have had.
fn keep(pod: &Pod, authority: &Authority, leaf: &Leaf) {
    let key = Key::generate().unwrap();
    let chain = authority.sign(key.public().unwrap().as_ref(), leaf);
    let kept = Kept::at(pod.directory.join("identity"));
    kept.save(&Certificate { key, chain, received: SystemTime::now() }).unwrap();
}

#[tokio::test]
async fn what_was_kept_is_used_only_if_it_is_good() {
    let mesh = Authority::new();
    let (roots, other) = (mesh.root_pem.clone(), Authority::new());
    let mut expired = Leaf::of("web");
    expired.not_after = time::OffsetDateTime::now_utc() - time::Duration::seconds(1);
    let pod = Pod::new(&roots, nobody().await);
    keep(&pod, &mesh, &Leaf::of("web"));
    assert!(pod.established().await.kept, "so it is not the making of this test");
    let good = fs::read(pod.kept()).unwrap();
    let issuer = issuer(mesh).await;
    pod.project("mesh.json", &facts(issuer.address));
    let authority = Authority::new();
    keep(&pod, &authority, &Leaf::of("web"));
    assert!(!pod.established().await.kept, "under no root of ours");
    keep(&pod, &other, &expired);
    assert!(!pod.established().await.kept, "expired");
    for bytes in [&b""[..], b"nonsense", &good[..good.len() - 1], &good[..200]] {
        fs::remove_file(pod.kept()).unwrap();
        fs::File::create(pod.kept()).unwrap().write_all(bytes).unwrap();
        assert!(!pod.established().await.kept);
        assert_eq!(mode(&pod.kept()), 0o400, "replaced, whatever was there");
    }
    assert_eq!(issuer.requests().len(), 6);
    let keys: std::collections::HashSet<_> = issuer.requests().into_iter().map(|request| request.csr).collect();
    assert_eq!(keys.len(), 6, "a key of its own each time");
}

#[tokio::test]
async fn every_refusal_is_told_and_got_over() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let issuer = issuer(mesh).await;
    let pod = Pod::new(&roots, issuer.address);
    for (mood, said, outcome) in [
        (Mood::Refuse(Code::Unauthenticated), "refuses the pod's token: as the test wants it", Outcome::TokenRefused),
        (Mood::Refuse(Code::InvalidArgument), "refuses the request: as the test", Outcome::RequestRefused),
        (Mood::Refuse(Code::ResourceExhausted), "too many requests", Outcome::Busy),
        (Mood::Refuse(Code::Unavailable), "cannot work now", Outcome::Unavailable),
        (Mood::Refuse(Code::Unimplemented), "unexpected", Outcome::Unusable),
        (Mood::OtherKey, "not this key's", Outcome::Unusable),
        (Mood::OtherName, "sa/another, and spiffe://cluster.local/ns/shop/sa/web is wanted", Outcome::Unusable),
        (Mood::Alone, "expected a chain of 2 to 5 certificates", Outcome::Unusable),
        (Mood::Good(time::Duration::seconds(-1)), "has expired", Outcome::Unusable),
    ] {
        issuer.behave(mood);
        let before = pod.counted(outcome);
        let (mut status, seeking) = pod.seek();
        waits_for(&mut status, said).await;
        assert!(pod.counted(outcome) > before, "{said}");
        assert!(!seeking.is_finished());
        issuer.behave(Mood::Good(time::Duration::hours(24)));
        let established = soon(seeking).await.unwrap();
        assert_eq!(*status.borrow(), Status::Certified);
        assert!(!established.kept);
        fs::remove_file(pod.kept()).unwrap();
    }
}

#[tokio::test]
async fn nobody_but_the_issuer_gets_the_token() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let impostor = FakeIssuer::start(mesh, "injector-discovery").await;
    let foreign = issuer(Authority::new()).await;
    let pod = Pod::new(&roots, impostor.address);
    let (mut status, seeking) = pod.seek();
    waits_for(&mut status, "its certificate is somebody else's, and spiffe://cluster.local/ns/injector-system/sa/injector-identity was expected").await;
    pod.project("mesh.json", &facts(foreign.address));
    waits_for(&mut status, "under none of the roots").await;
    pod.project("mesh.json", &facts(nobody().await));
    waits_for(&mut status, "refused").await;
    seeking.abort();
    assert!(impostor.requests().is_empty() && foreign.requests().is_empty());
    assert!(pod.counted(Outcome::Unreachable) >= 3);
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let issuer = issuer(mesh).await;
    issuer.behave(Mood::Hang);
    let pod = Pod::new(&roots, issuer.address);
    let (mut status, seeking) = pod.seek();
    waits_for(&mut status, "did not answer within 10 s").await;
    issuer.behave(Mood::Good(time::Duration::hours(24)));
    soon(seeking).await.unwrap();
    assert_eq!(pod.counted(Outcome::Unavailable), 1);
}

#[tokio::test]
async fn files_that_are_missing_or_wrong_are_named() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let issuer = issuer(mesh).await;
    let pod = Pod::new(&roots, issuer.address);
    let token = pod.directory.join("token");
    fs::remove_file(token.join("mesh.json")).unwrap();
    let (mut status, seeking) = pod.seek();
    waits_for(&mut status, "mesh.json: No such file").await;
    pod.project("mesh.json", &facts(issuer.address));
    pod.project("roots.pem", "");
    waits_for(&mut status, "roots.pem: expected certificates as PEM, found none").await;
    pod.project("roots.pem", &roots);
    pod.project("token", " ");
    waits_for(&mut status, "token: expected a token, got nothing").await;
    pod.project("token", &"x".repeat(17_000));
    waits_for(&mut status, "token: expected at most 16384 bytes").await;
    pod.project("token", "good");
    soon(seeking).await.unwrap();
    assert!(pod.counted(Outcome::NoFiles) >= 4);
    assert_eq!(issuer.requests().len(), 1);
}

#[tokio::test]
async fn a_certificate_is_renewed_after_a_third_of_its_life_and_a_failure_is_got_over() {
    let mesh = Authority::new();
    let roots = mesh.root_pem.clone();
    let issuer = issuer(mesh).await;
    issuer.behave(Mood::Good(time::Duration::seconds(6)));
    let pod = Pod::new(&roots, issuer.address);
    let started = Instant::now();
    let mut established = pod.established().await;
    issuer.behave(Mood::Refuse(Code::Unavailable));
    let first = established.trust.borrow_and_update().not_after;
    soon(async {
        while pod.counted(Outcome::Unavailable) < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(started.elapsed() > Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(established.credentials.current().identity().not_after, first, "what there is stays in use");
    issuer.behave(Mood::Good(time::Duration::hours(24)));
    soon(established.trust.changed()).await.unwrap();
    assert!(established.trust.borrow().not_after > first);
    assert!(established.credentials.current().identity().not_after > first);
}

#[tokio::test]
async fn another_issuer_is_asked_for_when_that_is_wished() {
    let (old, new) = (Authority::new(), Authority::new());
    let both = format!("{}{}", old.root_pem, new.root_pem);
    let wished = fingerprint(&new.issuer_der);
    let issuer = issuer(old).await;
    let pod = Pod::new(&both, issuer.address);
    let mut established = pod.established().await;
    issuer.sign_with(new);
    established.trust.borrow_and_update();
    established.wish.send_replace(Some(IssuerWish { issuer: wished, within: Duration::ZERO }));
    timeout(Duration::from_secs(15), established.trust.changed()).await.unwrap().unwrap();
    assert_eq!(established.trust.borrow().issuer, wished);
}

#[tokio::test]
async fn roots_are_followed_and_a_removed_one_renews_at_once() {
    let (old, new, server) = (Authority::new(), Authority::new(), Authority::new());
    let bundle = |authorities: &[&Authority]| authorities.iter().map(|one| &*one.root_pem).collect::<String>();
    let (before, after, wanted) = (bundle(&[&old, &server]), bundle(&[&new, &server]), fingerprint(&new.issuer_der));
    let issuer = issuer(server).await;
    issuer.sign_with(old);
    let pod = Pod::new(&before, issuer.address);
    let mut established = pod.established().await;
    let first = established.credentials.current();
    let roots = established.trust.borrow_and_update().roots.clone();
    issuer.behave(Mood::Refuse(Code::Unavailable));
    issuer.sign_with(new);
    let facts = facts(issuer.address);
    pod.project("mesh.json", r#"{"version": 2}"#); // a root that must go does not wait for the other file
    pod.project("roots.pem", &after);
    soon(established.trust.changed()).await.unwrap();
    let trust = established.trust.borrow_and_update().clone();
    assert_ne!(trust.roots, roots, "in use at once, whether or not there is a certificate for them");
    assert_ne!(trust.issuer, wanted);
    assert!(!Arc::ptr_eq(&first, &established.credentials.current()), "and all sessions are forgotten");
    issuer.behave(Mood::Good(time::Duration::hours(24)));
    pod.project("mesh.json", &facts);
    soon(established.trust.changed()).await.unwrap();
    assert_eq!(established.trust.borrow().issuer, wanted);
}
