//! From nothing to a certificate, and then always to the next.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::certify::{Fault, World, certify};
use super::facts::MeshFacts;
use super::files::Files;
use super::kept::{Certificate, Kept};
use super::metrics::{IdentityMetrics, Outcome};
use super::{IssuerWish, Settings, Trust, renewal};
use crate::balance::fraction;
use crate::tls::{Configs, Credentials};

/// The projected files are looked at so often: a root that is to be trusted, or not any more, should not take longer
/// than the kubelet does (about a minute), and the look costs three small reads.
const POLL: Duration = Duration::from_secs(5);

/// The same reason to wait is told once in so much time.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Whether there is a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not yet, and what it waits for.
    Waiting(String),
    /// Since then the proxy can serve.
    Certified,
}

/// What others build on, once there is a certificate.
#[derive(Debug)]
pub struct Established {
    /// For every connection opened or accepted.
    pub credentials: Arc<Credentials>,
    /// Where the control plane is, as it changes.
    pub facts: watch::Receiver<MeshFacts>,
    /// Whom we trust, as it changes.
    pub trust: watch::Receiver<Trust>,
    /// For discovery, to say which issuer it would rather see.
    pub wish: watch::Sender<Option<IssuerWish>>,
    /// Whether the certificate is one that an earlier process had kept.
    pub kept: bool,
}

/// Looks for a certificate.
#[derive(Debug)]
pub struct Seeker {
    settings: Settings,
    files: Files,
    kept: Kept,
    status: watch::Sender<Status>,
    metrics: Arc<IdentityMetrics>,
    told: Option<Instant>,
}

impl Seeker {
    /// Will look there. The error says that the volume with the token is missing.
    pub fn new(settings: Settings, metrics: Arc<IdentityMetrics>) -> Result<Self, String> {
        let (files, kept) =
            (Files::at(settings.token_directory.clone())?, Kept::at(settings.identity_directory.clone()));
        let status = watch::Sender::new(Status::Waiting("for its first answer".to_owned()));
        Ok(Self { settings, files, kept, status, metrics, told: None })
    }

    /// Whether there is a certificate, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Waits for a certificate, however long that takes, and from then on renews it in the background.
    pub async fn establish(mut self) -> Established {
        let mut failures = 0;
        let (certificate, configs, world, kept) = loop {
            match self.first().await {
                Ok(first) => break first,
                Err(fault) => {
                    failures += 1;
                    self.tell(&fault);
                    self.status.send_replace(Status::Waiting(fault.words));
                    sleep(renewal::pause(failures, Duration::ZERO, fraction())).await;
                }
            }
        };
        let (facts, facts_seen) = watch::channel(world.facts);
        let (trust, trust_seen) = watch::channel(Trust::of(&configs));
        let (wish, wished) = watch::channel(None);
        self.metrics.in_use_until(configs.identity().not_after);
        self.status.send_replace(Status::Certified);
        let credentials = Arc::new(Credentials::new(configs));
        let keeper = Keeper {
            due: renewal::due(certificate.received, credentials.current().identity().not_after, fraction()),
            certificate,
            credentials: Arc::clone(&credentials),
            facts,
            trust,
            wished,
            failures: 0,
            blind: false,
            seeker: self,
        };
        tokio::spawn(keeper.keep());
        Established { credentials, facts: facts_seen, trust: trust_seen, wish, kept }
    }

    /// What was kept if it is still good, or else a new one. Last: whether it was kept.
    async fn first(&self) -> Result<(Certificate, Configs, World, bool), Fault> {
        let world = World::read(&self.files, &self.settings).inspect_err(|fault| self.count(fault.outcome))?;
        let kept = self.kept.load().and_then(|kept| match kept {
            Some(certificate) => world.admit(&certificate).map(|configs| Some((certificate, configs))),
            None => Ok(None),
        });
        match kept {
            Ok(Some((certificate, configs))) => return Ok((certificate, configs, world, true)),
            Ok(None) => {}
            Err(why) => warn!(why, "the kept certificate cannot be used; asking for another"),
        }
        let (certificate, configs) = self.ask(&world).await?;
        Ok((certificate, configs, world, false))
    }

    /// Asks the issuer, counts what came of it, and keeps what it gave.
    async fn ask(&self, world: &World) -> Result<(Certificate, Configs), Fault> {
        let asked = Box::pin(certify(&self.files, world)).await;
        self.count(asked.as_ref().map_or_else(|fault| fault.outcome, |_| Outcome::Renewed));
        let (certificate, configs) = asked?;
        if let Err(why) = self.kept.save(&certificate) {
            warn!(why, "cannot keep the certificate; a restarted proxy will have to ask for another");
        }
        Ok((certificate, configs))
    }

    fn count(&self, outcome: Outcome) {
        self.metrics.renewals.of(outcome).add(1);
    }

    fn tell(&mut self, fault: &Fault) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            warn!(why = fault.words, "waiting for a certificate; until then this pod's connections wait");
        }
    }
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
        match World::read(&self.seeker.files, &self.seeker.settings) {
            Ok(world) => {
                self.blind = false;
                self.follow(&world);
                if self.due <= SystemTime::now() {
                    self.renew(&world).await;
                }
            }
            Err(fault) if due => self.failed(&fault),
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
