//! One request for a certificate: files, key, connection, call, and a look at what came.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::Settings;
use super::facts::MeshFacts;
use super::files::Files;
use super::kept::Certificate;
use super::metrics::Outcome;
use super::request::request;
use crate::api::identity_client::IdentityClient;
use crate::api::{CertifyRequest, CertifyResponse};
use crate::tls::channel::{self, Channel, Target};
use crate::tls::{Configs, Key, MOST_CERTIFICATES, Roots, SpiffeId, uncertified};

/// Time for an answer. The issuer asks the API server about the token, and both may be busy.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer: a chain of `MOST_CERTIFICATES` certificates of 4 KiB, and room.
const MOST_ANSWER: usize = 64 * 1024;
/// Characters of the issuer's own words that are repeated.
const SHOWN_WORDS: usize = 300;

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// For the metrics.
    pub outcome: Outcome,
    /// For a person: what was tried, what came.
    pub words: String,
}

fn fault<W: ToString>(outcome: Outcome) -> impl FnOnce(W) -> Fault {
    move |words| Fault { outcome, words: words.to_string() }
}

/// What the files say now.
#[derive(Debug)]
pub struct World {
    /// Where the control plane is.
    pub facts: MeshFacts,
    /// Whom we trust.
    pub roots: Roots,
    /// Who we are to be.
    pub spiffe: SpiffeId,
}

impl World {
    /// Reads it.
    pub fn read(files: &Files, settings: &Settings) -> Result<Self, Fault> {
        let facts = files.facts().map_err(fault(Outcome::NoFiles))?;
        let roots = files.roots().map_err(fault(Outcome::NoFiles))?;
        let spiffe = SpiffeId::new(&facts.trust_domain, &settings.namespace, &settings.service_account);
        Ok(Self { spiffe: spiffe.map_err(fault(Outcome::NoFiles))?, facts, roots })
    }

    /// A certificate made ready for use, or why it cannot be used in this world.
    pub fn admit(&self, certificate: &Certificate) -> Result<Configs, String> {
        let configs = Configs::new(certificate.chain.clone(), &certificate.key, self.roots.clone())?;
        let name = &configs.identity().spiffe;
        if *name != self.spiffe {
            return Err(format!("it is for {name}, and {} is wanted", self.spiffe));
        }
        configs.check_own().map_err(|failure| failure.to_string())?;
        Ok(configs)
    }
}

/// Asks the issuer. The key is new each time: one that leaked is of use for a day.
pub async fn certify(files: &Files, world: &World) -> Result<(Certificate, Configs), Fault> {
    let token = files.token().map_err(fault(Outcome::NoFiles))?;
    let key = Key::generate().map_err(fault(Outcome::Unusable))?;
    let csr = request(&key, &world.spiffe).map_err(fault(Outcome::Unusable))?;
    let (issuer, addresses) = (&world.facts.issuer, &world.facts.identity[..]);
    let target = Target { addresses, expected: issuer, ping_after: None };
    let channel = channel::open(&target, uncertified(&world.roots, issuer)).await;
    let channel = channel.map_err(|why| Fault { outcome: Outcome::Unreachable, words: format!("no issuer: {why}") })?;
    let answer = ask(channel, issuer, CertifyRequest { csr, token }).await?;
    let certificate = Certificate { key, chain: chain(answer)?, received: SystemTime::now() };
    let configs = world.admit(&certificate).map_err(|why| Fault {
        outcome: Outcome::Unusable,
        words: format!("the issuer's certificate cannot be used: {why}"),
    })?;
    Ok((certificate, configs))
}

async fn ask(channel: Channel, issuer: &SpiffeId, request: CertifyRequest) -> Result<CertifyResponse, Fault> {
    let mut client =
        IdentityClient::with_origin(channel, Channel::origin(issuer)).max_decoding_message_size(MOST_ANSWER);
    match timeout(ANSWER_TIME, client.certify(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(refusal(&status)),
        Err(_) => Err(Fault {
            outcome: Outcome::Unavailable,
            words: format!("the issuer did not answer within {} s", ANSWER_TIME.as_secs()),
        }),
    }
}

fn refusal(status: &Status) -> Fault {
    let (outcome, what) = match status.code() {
        Code::Unauthenticated => (Outcome::TokenRefused, "the issuer refuses the pod's token"),
        Code::InvalidArgument => (Outcome::RequestRefused, "the issuer refuses the request"),
        Code::ResourceExhausted => (Outcome::Busy, "the issuer has too many requests"),
        Code::Unavailable => (Outcome::Unavailable, "the issuer cannot work now"),
        _ => (Outcome::Unusable, "the issuer's answer was unexpected"),
    };
    let said: String = status.message().chars().filter(|char| !char.is_control()).take(SHOWN_WORDS).collect();
    Fault { outcome, words: format!("{what}: {said} ({})", status.code().description()) }
}

fn chain(answer: CertifyResponse) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let count = answer.chain.len();
    if (2..=MOST_CERTIFICATES).contains(&count) {
        return Ok(answer.chain.into_iter().map(CertificateDer::from).collect());
    }
    Err(Fault {
        outcome: Outcome::Unusable,
        words: format!("expected a chain of 2 to {MOST_CERTIFICATES} certificates from the issuer, got {count}"),
    })
}
