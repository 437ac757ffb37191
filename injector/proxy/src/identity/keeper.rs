//! Looks after a certificate: renews it, follows the projected files, and tells who builds on them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::certify::{Fault, World};
use super::establish::{Established, Seeker};
use super::facts::MeshFacts;
use super::kept::Certificate;
use super::{IssuerWish, Trust, renewal};
use crate::balance::fraction;
use crate::tls::{Configs, Credentials};

/// The projected files are looked at so often: a root that is to be trusted, or not any more, should not take longer
/// than the kubelet does (about a minute), and the look costs three small reads.
const POLL: Duration = Duration::from_secs(5);

/// Looks after this certificate in the background, for as long as the runtime lives.
pub fn start(seeker: Seeker, certificate: Certificate, configs: Configs, facts: MeshFacts, kept: bool) -> Established {
    let (facts, facts_seen) = watch::channel(facts);
    let (trust, trust_seen) = watch::channel(Trust::of(&configs));
    let (wish, wished) = watch::channel(None);
    seeker.metrics.in_use_until(configs.identity().not_after);
    let due = renewal::due(certificate.received, configs.identity().not_after, fraction());
    let credentials = Arc::new(Credentials::new(configs));
    let established =
        Established { credentials: Arc::clone(&credentials), facts: facts_seen, trust: trust_seen, wish, kept };
    let keeper = Keeper { seeker, certificate, credentials, facts, trust, wished, due, failures: 0, blind: false };
    tokio::spawn(keeper.keep());
    established
}

/// Has a certificate, and looks after it.
struct Keeper {
    seeker: Seeker,
    certificate: Certificate,
    credentials: Arc<Credentials>,
    facts: watch::Sender<MeshFacts>,
    trust: watch::Sender<Trust>,
    wished: watch::Receiver<Option<IssuerWish>>,
    /// When to ask for the next certificate.
    due: SystemTime,
    /// Failures in a row.
    failures: u32,
    /// Whether it was told already that the files cannot be read.
    blind: bool,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            let left = self.due.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = sleep(left.min(POLL)) => {}
                Ok(()) = self.wished.changed() => self.heed(),
            }
            self.look().await;
        }
    }

    /// Brings the renewal forward if another issuer is wished for.
    fn heed(&mut self) {
        let issuer = self.credentials.current().identity().issuer;
        if let Some(wished) = renewal::wished(self.wished.borrow().as_ref(), &issuer, SystemTime::now(), fraction()) {
            self.due = self.due.min(wished);
        }
    }

    /// Reads the files, acts on what has changed, and renews if that is due.
    async fn look(&mut self) {
        let due = self.due <= SystemTime::now();
        match self.seeker.world() {
            Ok(world) => {
                self.blind = false;
                self.follow(&world);
                if self.due <= SystemTime::now() {
                    self.renew(&world).await;
                }
            }
            Err(fault) if due => {
                self.seeker.count(fault.outcome);
                self.failed(&fault);
            }
            Err(fault) if !self.blind => {
                self.blind = true;
                warn!(why = fault.words, "the projected files cannot be read; what they said last stays in use");
            }
            Err(_) => {}
        }
    }

    fn follow(&mut self, world: &World) {
        if *self.facts.borrow() != world.facts {
            self.facts.send_replace(world.facts.clone());
            if self.credentials.current().identity().spiffe != world.spiffe {
                self.due = SystemTime::now();
            }
        }
        if *self.credentials.current().roots() != world.roots {
            self.trust_others(world);
        }
    }

    /// Takes other roots into use, at once and for both directions; a certificate that they do not cover is renewed.
    fn trust_others(&mut self, world: &World) {
        match Configs::new(self.certificate.chain.clone(), &self.certificate.key, world.roots.clone()) {
            Ok(configs) => {
                if configs.check_own().is_err() {
                    self.due = SystemTime::now();
                }
                info!(roots = world.roots.fingerprints().len(), "the roots to trust have changed");
                self.install(configs);
            }
            Err(why) => error!(why, "cannot take the changed roots into use"),
        }
    }

    async fn renew(&mut self, world: &World) {
        match self.seeker.ask(world).await {
            Ok((certificate, configs)) => {
                let not_after = configs.identity().not_after;
                (self.due, self.failures) = (renewal::due(certificate.received, not_after, fraction()), 0);
                self.certificate = certificate;
                self.install(configs);
                self.heed();
                info!(valid_for_seconds = left(not_after).as_secs(), "renewed the certificate");
            }
            Err(fault) => self.failed(&fault),
        }
    }

    fn install(&self, configs: Configs) {
        self.seeker.metrics.in_use_until(configs.identity().not_after);
        self.trust.send_replace(Trust::of(&configs));
        self.credentials.replace(configs);
    }

    /// Goes on with what there is, tells, and tries again later.
    fn failed(&mut self, fault: &Fault) {
        self.failures += 1;
        let left = left(self.credentials.current().identity().not_after);
        let pause = renewal::pause(self.failures, left, fraction());
        self.due = SystemTime::now() + pause;
        let (why, again_in_seconds) = (&fault.words, pause.as_secs());
        if left.is_zero() {
            error!(why, again_in_seconds, "the certificate has expired and is not renewed: no meshed peer takes it");
        } else {
            let valid_for_seconds = left.as_secs();
            warn!(why, valid_for_seconds, again_in_seconds, "the certificate is not renewed yet");
        }
    }
}

fn left(not_after: SystemTime) -> Duration {
    not_after.duration_since(SystemTime::now()).unwrap_or_default()
}
