//! A request on its way: reached, carried, tried again where that is safe, answered by ourselves where nothing
//! else is left.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::warn;

use super::buffer;
use super::exchange::{Client, Exchange, Outcome, Response, Server};
use super::kept::{Keeping, Kept};
use super::mux::Lost;
use super::reason::Reason;
use super::route::{Reached, Route, Unreached, unhealthy};
use super::side::Gone;
use super::streamed::Speech;
use crate::balance::{Load, clock};
use crate::log::Seldom;
use crate::metrics::Labelled as _;
use crate::metrics::requests::{Class, Row};
use crate::outbound::MOST_TRIES;
use crate::worker::Worker;

/// How long a client that has its answer may go on with its request before the connection is closed.
const REST_TIME: Duration = Duration::from_secs(5);

/// What becomes of a client's connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another request may come.
    Keep,
    /// It ends in order.
    Close,
    /// It ends in the middle of something.
    Reset,
}

/// What an attempt came to.
pub enum Verdict {
    /// The client has been answered, and had all of it then.
    Answered(Next, Instant),
    /// The client has been told a part, and no more comes.
    Cut,
    /// The client is gone.
    Abandoned,
    /// What the client says makes no sense.
    Malformed,
    /// The client has heard nothing; it may be tried `again` elsewhere.
    Failed {
        /// Why.
        reason: Reason,
        /// See above.
        again: bool,
    },
}

/// What must be known of a request, of whichever HTTP it is.
pub trait Request: Sync {
    /// Nothing follows its head.
    fn is_bodiless(&self) -> bool;
    /// To make it twice is as good as once (RFC 9110, section 9.2.2).
    fn is_idempotent(&self) -> bool;
}

/// A client whose requests are carried, of whichever HTTP it is.
pub trait Caller: Client + Send {
    /// How it speaks.
    const SPEECH: Speech;
    /// What it asks.
    type Request: Request;

    /// Says a request to what was reached, and carries it and its answer.
    fn attempt(
        &mut self,
        request: &Self::Request,
        kept: &mut Kept,
        reached: Reached,
        row: &Row,
    ) -> impl Future<Output = Verdict> + Send;

    /// Answers in the server's place.
    fn reply(&mut self, request: &Self::Request, status: u16, reason: Reason, text: &str);

    /// Lets the client's proxy try elsewhere, where there is one: nothing of the request was passed on, or it is no harm to
    /// make it again.
    fn decline(&mut self) -> bool;

    /// Whether it is a connection of its own, which may go on with the request when it has the answer.
    fn is_wire(&self) -> bool;
}

/// Carries one request to where it goes, and its answer back.
pub async fn answer<C: Caller>(client: &mut C, request: &C::Request, route: &Route, worker: &Arc<Worker>) -> Next {
    let began = Instant::now();
    let (mut tried, mut kept) = (Vec::new(), Kept::default());
    let (mut row, mut failed, mut attempts) = (None::<Arc<Row>>, None, 0);
    loop {
        let reached = match while_there(client, route.reach(worker, C::SPEECH, &mut tried)).await {
            Ok(Ok(reached)) => reached,
            Ok(Err(unreached)) => {
                // What was tried before could be tried again.
                let elsewhere = matches!(unreached.reason, Reason::Unreachable | Reason::Overloaded);
                let told = failed.unwrap_or(unreached);
                return give_up(client, request, route, worker, told, row.as_deref(), elsewhere);
            }
            Err(_) => {
                if let Some(row) = row {
                    row.ended.of(Class::Abandoned).add(1);
                }
                return Next::Reset;
            }
        };
        let place = Arc::clone(&reached.place);
        let row: &Row = row.get_or_insert_with(|| {
            let row = route.row(&place);
            row.begun.add(1);
            row
        });
        match client.attempt(request, &mut kept, reached, row).await {
            Verdict::Answered(next, at) => {
                row.took(at - began);
                return next;
            }
            Verdict::Cut => return Next::Reset,
            Verdict::Abandoned => {
                row.ended.of(Class::Abandoned).add(1);
                return Next::Reset;
            }
            Verdict::Malformed => {
                row.errors.of(Reason::BadRequest).add(1);
                row.ended.of(Class::ClientError).add(1);
                client.reply(request, 400, Reason::BadRequest, "the request's body is malformed");
                return Next::Close;
            }
            Verdict::Failed { reason, again } => {
                let unreached = Unreached { reason, endpoint: Some(place.key.endpoint) };
                // The pod's own application is the only one that there is; the next connection to it is a new one.
                if matches!(route, Route::Out { .. }) {
                    tried.push(place.key.endpoint);
                }
                attempts += 1;
                if !again || !kept.is_whole() || attempts == MOST_TRIES {
                    return give_up(client, request, route, worker, unreached, Some(row), again);
                }
                kept.rewind();
                failed = Some(unreached);
                row.retries.add(1);
            }
        }
    }
}

/// Answers in the server's place, or lets the client's proxy try `elsewhere`, if that can do no harm.
fn give_up<C: Caller>(
    client: &mut C,
    request: &C::Request,
    route: &Route,
    worker: &Worker,
    unreached: Unreached,
    row: Option<&Row>,
    elsewhere: bool,
) -> Next {
    let Unreached { reason, endpoint } = unreached;
    let nowhere;
    let row = if let Some(row) = row {
        row
    } else {
        nowhere = route.nowhere(worker, C::SPEECH);
        nowhere.begun.add(1);
        &*nowhere
    };
    row.errors.of(reason).add(1);
    row.ended.of(Class::of(reason.status())).add(1);
    tell(route, reason, endpoint);
    // A client's proxy may have another endpoint.
    let by_proxy = matches!(route, Route::In { client: Some(_), .. });
    if elsewhere && by_proxy && client.decline() {
        return Next::Close;
    }
    client.reply(request, reason.status(), reason, reason.text());
    Next::Keep
}

fn tell(route: &Route, reason: Reason, endpoint: Option<SocketAddr>) {
    static TOLD: Seldom = Seldom::new();
    if let Some(left_out) = TOLD.line(Instant::now()) {
        let destination = route.destination();
        let (direction, endpoint) = (route.direction().label(), endpoint.map(tracing::field::display));
        let (reason, text) = (reason.label(), reason.text());
        warn!(direction, %destination, endpoint, reason, left_out, "answered a request in the server's place: {text}");
    }
}

/// Carries a request whose head was said, and its answer. `reused`: others went before it on the same connection, which
/// may have ended for a reason of its own. `endpoint`: how it does, and where it is counted that it does badly; the request
/// itself counts in `row`, that of the first endpoint that it was tried at.
pub async fn carry<C: Caller, S: Server<C::Response>>(
    client: &mut C,
    server: &mut S,
    request: &C::Request,
    kept: &mut Kept,
    row: &Row,
    endpoint: Option<(&Load, &Row)>,
    reused: bool,
) -> Verdict {
    let began = Instant::now();
    let mut head = buffer::lend();
    let mut keeping = Keeping { client, kept };
    let mut exchange = Exchange::new(&mut keeping, server, request.is_bodiless(), &mut head);
    let mut answered = false;
    let outcome = poll_fn(|cx| {
        let polled = exchange.poll(cx);
        if let Some(response) = exchange.response().filter(|response| !answered && !response.is_interim()) {
            answered = true;
            note(endpoint, response.is_failure(), began.elapsed());
        }
        polled
    })
    .await;
    let verdict = judge(&mut exchange, outcome, request, reused).await;
    let (asked, answered) = exchange.bytes();
    row.request_bytes.add(asked);
    row.response_bytes.add(answered);
    if let Some(response) = exchange.response().filter(|response| !response.is_interim()) {
        row.ended.of(Class::of(response.status())).add(1);
    } else if let (Verdict::Failed { .. }, Some((load, at))) = (&verdict, endpoint) {
        load.failed(clock());
        unhealthy(load, at, false);
    }
    buffer::give_back(&mut head);
    verdict
}

/// Takes note of how an endpoint does. Its answers that nobody is there to serve count as failures of its own.
fn note(endpoint: Option<(&Load, &Row)>, failure: bool, latency: Duration) {
    let Some((load, row)) = endpoint else { return };
    load.answered(latency, clock());
    if failure {
        unhealthy(load, row, true);
    } else {
        load.health.succeeded();
    }
}

async fn judge<C: Caller, S: Server<C::Response>>(
    exchange: &mut Exchange<'_, Keeping<'_, C>, S>,
    outcome: Outcome,
    request: &C::Request,
    reused: bool,
) -> Verdict {
    let begun = exchange.response().is_some_and(|response| !response.is_interim());
    match outcome {
        Outcome::Done { whole } => {
            let at = Instant::now();
            let tunnel = exchange.response().is_some_and(Response::is_tunnel);
            if !whole && !tunnel && exchange.client.client.is_wire() {
                let rest = timeout(REST_TIME, poll_fn(|cx| exchange.poll_rest(cx))).await;
                return Verdict::Answered(if matches!(rest, Ok(Ok(()))) { Next::Keep } else { Next::Close }, at);
            }
            Verdict::Answered(if tunnel { Next::Close } else { Next::Keep }, at)
        }
        Outcome::Client(Gone::Malformed) if !begun => Verdict::Malformed,
        Outcome::Client(_) if !begun => Verdict::Abandoned,
        Outcome::Client(_) | Outcome::Cut(_) => Verdict::Cut,
        Outcome::Server(gone) => Verdict::Failed { reason: reason(gone), again: may_again(gone, request, reused) },
    }
}

fn reason(gone: Gone) -> Reason {
    match gone {
        Gone::Malformed => Reason::BadResponse,
        Gone::Lost(Lost::Unprocessed) => Reason::Unreachable,
        Gone::Lost(Lost::Silent) => Reason::Timeout,
        Gone::Cut | Gone::Broken(_) | Gone::Lost(_) => Reason::Closed,
    }
}

/// Whether a request that got no answer may be made again: if nobody has looked at it, or if it is no harm to do it twice
/// and the connection may have ended for a reason of its own.
fn may_again(gone: Gone, request: &impl Request, reused: bool) -> bool {
    let unprocessed = gone == Gone::Lost(Lost::Unprocessed);
    let chance = reused && matches!(gone, Gone::Cut | Gone::Broken(_) | Gone::Lost(Lost::Broken | Lost::Silent));
    unprocessed || (chance && request.is_idempotent())
}

/// Does something for a client, but no longer than the client is there.
async fn while_there<C: Client, T>(client: &mut C, work: impl Future<Output = T>) -> Result<T, Gone> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => client.poll_gone(cx).map(Err),
    })
    .await
}
