//! Looks after a certificate: renews it, follows the projected files, and tells who builds on them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::certify::{Fault, World};
use super::establish::{Established, Seeker};
use super::facts::MeshFacts;
use super::kept::Certificate;
use super::{IssuerWish, Trust, renewal};
use crate::balance::fraction;
use crate::tls::{Configs, Credentials, Roots};

/// The projected files are looked at so often: a root that is to be trusted, or not any more, should not take longer
/// than the kubelet does (about a minute), and the look costs three small reads.
const POLL: Duration = Duration::from_secs(5);

/// Files that cannot be read are told of so often.
const TELL_AGAIN: Duration = Duration::from_mins(5);

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
    let keeper = Keeper { seeker, certificate, credentials, facts, trust, wished, due, failures: 0, blind: None };
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
    /// When it was last told that the files cannot be read.
    blind: Option<Instant>,
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
                self.blind = None;
                self.follow(&world);
                if self.due <= SystemTime::now() {
                    self.renew(&world).await;
                }
            }
            Err(fault) => {
                // A root that is not to be trusted any more goes, whatever is wrong with the other file.
                if let Ok(roots) = self.seeker.roots() {
                    self.take_roots(&roots);
                }
                if due {
                    self.seeker.count(fault.outcome);
                    self.failed(&fault);
                } else if self.blind.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    self.blind = Some(Instant::now());
                    warn!(why = fault.words, "the projected files cannot be read; what they said last stays in use");
                }
            }
        }
    }

    fn follow(&mut self, world: &World) {
        if *self.facts.borrow() != world.facts {
            self.facts.send_replace(world.facts.clone());
            if self.credentials.current().identity().spiffe != world.spiffe {
                self.due = SystemTime::now();
            }
        }
        self.take_roots(&world.roots);
    }

    /// Takes other roots into use, at once and for both directions; a certificate that they do not cover is renewed.
    fn take_roots(&mut self, roots: &Roots) {
        if self.credentials.current().roots() == roots {
            return;
        }
        match Configs::new(self.certificate.chain.clone(), &self.certificate.key, roots.clone()) {
            Ok(configs) => {
                if configs.check_own().is_err() {
                    self.due = SystemTime::now();
                }
                info!(roots = roots.fingerprints().len(), "the roots to trust have changed");
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
