//! From nothing to a certificate: the one that was kept, or one from the issuer, however long that takes.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::certify::{Fault, World, certify};
use super::facts::MeshFacts;
use super::files::Files;
use super::kept::{Certificate, Kept};
use super::metrics::{IdentityMetrics, Outcome};
use super::{IssuerWish, Settings, Trust, keeper, renewal};
use crate::balance::fraction;
use crate::tls::{Configs, Credentials, Roots};

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
    pub(super) metrics: Arc<IdentityMetrics>,
    /// When it was last told what it waits for.
    told: Option<Instant>,
    /// Whether it was told already why the kept certificate is of no use.
    told_of_kept: bool,
}

impl Seeker {
    /// Will look there. The error says that the volume with the token is missing.
    pub fn new(settings: Settings, metrics: Arc<IdentityMetrics>) -> Result<Self, String> {
        let (files, kept) =
            (Files::at(settings.token_directory.clone())?, Kept::at(settings.identity_directory.clone()));
        let status = watch::Sender::new(Status::Waiting("for its first answer".to_owned()));
        Ok(Self { settings, files, kept, status, metrics, told: None, told_of_kept: false })
    }

    /// Whether there is a certificate, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Waits for a certificate, however long that takes; from then on it is looked after in the background.
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
        self.status.send_replace(Status::Certified);
        keeper::start(self, certificate, configs, world.facts, kept)
    }

    /// What was kept if it is still good, or else a new one. Last: whether it was kept.
    async fn first(&mut self) -> Result<(Certificate, Configs, World, bool), Fault> {
        let world = self.world().inspect_err(|fault| self.count(fault.outcome))?;
        let kept = self.kept.load().and_then(|kept| match kept {
            Some(certificate) => world.admit(&certificate).map(|configs| Some((certificate, configs))),
            None => Ok(None),
        });
        match kept {
            Ok(Some((certificate, configs))) => return Ok((certificate, configs, world, true)),
            Err(why) if !mem::replace(&mut self.told_of_kept, true) => {
                warn!(why, "the kept certificate cannot be used; asking for another");
            }
            Ok(None) | Err(_) => {}
        }
        let (certificate, configs) = self.ask(&world).await?;
        Ok((certificate, configs, world, false))
    }

    /// What the projected files say now.
    pub(super) fn world(&self) -> Result<World, Fault> {
        World::read(&self.files, &self.settings)
    }

    /// Whom to trust, as its file says now, whatever the others say.
    pub(super) fn roots(&self) -> Result<Roots, String> {
        self.files.roots()
    }

    /// Asks the issuer, counts what came of it, and keeps what it gave.
    pub(super) async fn ask(&self, world: &World) -> Result<(Certificate, Configs), Fault> {
        let asked = Box::pin(certify(&self.files, world)).await;
        self.count(asked.as_ref().map_or_else(|fault| fault.outcome, |_| Outcome::Renewed));
        let (certificate, configs) = asked?;
        if let Err(why) = self.kept.save(&certificate) {
            warn!(why, "cannot keep the certificate; a restarted proxy will have to ask for another");
        }
        Ok((certificate, configs))
    }

    /// Counts what came of asking, or of trying to.
    pub(super) fn count(&self, outcome: Outcome) {
        self.metrics.renewals.of(outcome).add(1);
    }

    fn tell(&mut self, fault: &Fault) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            warn!(why = fault.words, "waiting for a certificate; until then this pod's connections wait");
        }
    }
}
