//! The stream to the controller: opened again whenever it ends, and spoken on in the contract's words.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::directory::Directory;
use super::metrics::ClientMetrics;
use crate::api;
use crate::api::discovery_client::DiscoveryClient;
use crate::api::watch_request::Message;
use crate::api::watch_response::Message as Answer;
use crate::balance::fraction;
use crate::identity::{IssuerWish, MeshFacts, Trust};
use crate::tls::Credentials;
use crate::tls::channel::{self, Channel, Target};

/// Pings after so long without a word, so that a controller that hangs is noticed within 50 s; it allows one in 10 s.
const PING_AFTER: Duration = Duration::from_secs(30);

/// Time for the controller's first word. It says its parameters at once; with 2,000 proxies at its door, this takes
/// some seconds.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// Bytes of an answer: a Service of 80,000 endpoints, 200 bytes each.
const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// Messages on their way to the connection. What there is to say more waits in the table, where it can still change.
const OUTGOING: usize = 4;

/// How often destinations are looked through for those that nobody uses any more.
const SWEEP: Duration = Duration::from_secs(30);

/// A stream that lasted so long has nothing to complain of: the controller ends each after about an hour.
const USUAL: Duration = Duration::from_mins(10);

/// While the controller is away: one line at first, then one in so long.
const TELL_EVERY: Duration = Duration::from_mins(5);

/// Keeps a directory fresh.
#[derive(Debug)]
pub struct Client {
    /// What is kept fresh.
    pub directory: Arc<Directory>,
    /// Whom this pod is, to the controller.
    pub credentials: Arc<Credentials>,
    /// Where the controller is now, and who must answer there.
    pub facts: watch::Receiver<MeshFacts>,
    /// Who speaks; what it says of trust is replaced by `trust`.
    pub hello: api::Hello,
    /// Whom this proxy trusts now, and who vouches for it.
    pub trust: watch::Receiver<Trust>,
    /// Which issuer's certificate the controller would like to see.
    pub wish: watch::Sender<Option<IssuerWish>>,
    /// What is counted.
    pub metrics: Arc<ClientMetrics>,
}

impl Client {
    /// Opens the stream, and opens it again, for as long as the process lives.
    pub async fn run(mut self) -> Infallible {
        let _ = self.metrics.directory.set(Arc::clone(&self.directory));
        let (mut backoff, mut told) = (Backoff::default(), None::<Instant>);
        loop {
            let began = Instant::now();
            let Err(why) = self.session(&mut told).await;
            self.directory.alone();
            let pause = backoff.next(began.elapsed(), fraction());
            if began.elapsed() >= USUAL {
                info!(%why, "the stream to the controller ended; opening another");
            } else if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                let seconds = pause.as_secs_f32();
                warn!(%why, "no stream to the controller; what is known stays in use, trying again in {seconds:.1} s");
            }
            sleep(pause).await;
        }
    }

    /// One stream, from its opening to its end; why it ended.
    async fn session(&mut self, told: &mut Option<Instant>) -> Result<Infallible, String> {
        let (requests, outgoing) = mpsc::channel(OUTGOING);
        let trust = to_trust(&self.trust.borrow_and_update());
        let hello = Message::Hello(api::Hello { trust: Some(trust), ..self.hello.clone() });
        let greeting = requests.try_send(request(hello));
        greeting.map_err(|_| "no room for a greeting")?;
        let mut answers = self.open(ReceiverStream::new(outgoing)).await?;
        info!("the controller answers");
        *told = None;
        self.metrics.streams.add(1);
        self.directory.table().begin(Instant::now());
        self.talk(&requests, &mut answers).await
    }

    async fn open(&self, outgoing: ReceiverStream<api::WatchRequest>) -> Result<Streaming<api::WatchResponse>, String> {
        let (addresses, identity) = {
            let facts = self.facts.borrow();
            (facts.discovery.clone(), facts.discoverer.clone())
        };
        let target = Target { addresses: &addresses, expected: &identity, ping_after: Some(PING_AFTER) };
        let channel = channel::open(&target, self.credentials.current().control(&identity)).await;
        let channel = channel.map_err(|error| error.to_string())?;
        let client = DiscoveryClient::with_origin(channel, Channel::origin(&identity));
        let mut client = client.max_decoding_message_size(MOST_ANSWER);
        let answers = timeout(FIRST_WORD, client.watch(outgoing)).await;
        let answers = answers.map_err(|_| format!("no word from {identity} in {} s", FIRST_WORD.as_secs()))?;
        Ok(answers.map_err(|status| said(&status))?.into_inner())
    }

    /// Speaks and listens until the stream ends.
    async fn talk(
        &mut self,
        requests: &mpsc::Sender<api::WatchRequest>,
        answers: &mut Streaming<api::WatchResponse>,
    ) -> Result<Infallible, String> {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trust = None;
        loop {
            let now = Instant::now();
            let due = if trust.is_some() { Some(now) } else { self.directory.table().due(now) };
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.take(answer),
                    Ok(None) => return Err("it ended the stream".to_owned()),
                    Err(status) => return Err(said(&status)),
                },
                // Only with room for it: whatever waits for room still changes.
                Ok(room) = room(requests, due), if due.is_some() => {
                    let message = trust.take().or_else(|| self.directory.table().message(Instant::now()));
                    if let Some(message) = message {
                        room.send(request(message));
                    }
                }
                Ok(()) = self.trust.changed() => trust = Some(Message::Trust(to_trust(&self.trust.borrow_and_update()))),
                () = self.directory.news.notified() => {} // something is due now
                _ = sweep.tick() => self.directory.table().sweep(Instant::now()),
            }
        }
    }

    fn take(&self, answer: api::WatchResponse) {
        match answer.message {
            Some(Answer::Destination(destination)) => match self.directory.table().take(destination, Instant::now()) {
                Ok(brought) => self.metrics.answers.of(brought).add(1),
                Err(fault) => {
                    self.metrics.faults.of(fault).add(1);
                    warn!(?fault, "the controller says something of a destination that makes no sense");
                }
            },
            Some(Answer::Parameters(parameters)) => {
                self.directory.table().allow(parameters.most_destinations);
                self.wish.send_replace(wish(&parameters));
            }
            None => {} // of a newer version
        }
    }
}

/// Room for a message, once it is due.
async fn room(
    requests: &mpsc::Sender<api::WatchRequest>,
    due: Option<Instant>,
) -> Result<mpsc::Permit<'_, api::WatchRequest>, mpsc::error::SendError<()>> {
    if let Some(due) = due {
        sleep_until(due).await;
    }
    requests.reserve().await
}

/// What the proxy says of its trust.
fn to_trust(trust: &Trust) -> api::Trust {
    let since = trust.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
    api::Trust {
        roots: trust.roots.iter().map(|root| root.to_vec()).collect(),
        issuer: trust.issuer.to_vec(),
        not_after: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
    }
}

/// Which issuer's certificate the controller would like to see; none for none, or for what is no fingerprint.
fn wish(parameters: &api::Parameters) -> Option<IssuerWish> {
    let issuer = parameters.issuer.as_slice().try_into().ok()?;
    Some(IssuerWish { issuer, within: Duration::from_secs(parameters.renew_within_seconds.into()) })
}

fn request(message: Message) -> api::WatchRequest {
    api::WatchRequest { message: Some(message) }
}

/// What a status says, for a log line.
fn said(status: &tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
