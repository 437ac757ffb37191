//! One request and its response, from one side to the other.

use std::task::{Context, Poll, ready};

use super::side::{Broken, Flow, Gone, Side};

/// Interim responses to one request. They are passed on whatever the client has room for, 64 KiB each at most: 2 MiB. A
/// server that says "processing" every 10 s may take five minutes.
const MOST_INTERIM: u32 = 32;

/// The side that a request comes from.
pub trait Client: Side {
    /// What a response's head says of what follows.
    type Response: Response;

    /// Ready when nobody is there any more to answer.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone>;

    /// Says the head that was written for it.
    fn answer(&mut self, head: &mut Vec<u8>, response: &Self::Response) -> Result<(), Gone>;

    /// What it says from now on is no HTTP, and what is said to it.
    fn tunnel(&mut self);
}

/// The side that a request goes to.
pub trait Server<R>: Side {
    /// The next head that it says, with `head` written for the client; waits until there is one. None: it has ended
    /// without a word.
    fn poll_answer(&mut self, cx: &mut Context<'_>, head: &mut Vec<u8>) -> Poll<Result<Option<R>, Gone>>;

    /// What follows its last head.
    fn expect(&mut self, response: &R);

    /// What it says from now on is no HTTP, and what is said to it.
    fn tunnel(&mut self);
}

/// What an exchange must know of a response.
pub trait Response {
    /// Its status.
    fn status(&self) -> u16;
    /// Another one to the same request follows.
    fn is_interim(&self) -> bool;
    /// What follows is another protocol.
    fn is_tunnel(&self) -> bool;
    /// Nobody was there to serve the request, and whoever says so may be the proxy before the application.
    fn is_failure(&self) -> bool {
        matches!(self.status(), 502..=504)
    }
    /// Nothing follows its head.
    fn is_bodiless(&self) -> bool;
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has all of the response. `whole`: the server has all of the request, too, so that both sides may go on.
    Done {
        /// See above.
        whole: bool,
    },
    /// The client is gone, or what it says makes no sense.
    Client(Gone),
    /// The server is gone, or what it says makes no sense, and the client has heard nothing yet.
    Server(Gone),
    /// The same, in the middle of the response.
    Cut(Gone),
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing has been answered.
    Waiting,
    /// The response is on its way.
    Answering,
}

/// See the module.
pub struct Exchange<'e, C: Client, S> {
    /// The side that asks.
    pub client: &'e mut C,
    /// The side that answers.
    pub server: &'e mut S,
    forth: Flow,
    back: Flow,
    stage: Stage,
    /// The server takes no more of the request.
    deaf: Option<Gone>,
    /// The head as the client gets it.
    head: &'e mut Vec<u8>,
    /// The last head that came.
    response: Option<C::Response>,
    /// Interim ones among those that came.
    interim: u32,
}

impl<'e, C, S> Exchange<'e, C, S>
where
    C: Client,
    S: Server<C::Response>,
{
    /// Of a request whose head has been said to the server. `bodiless`: that was all of it. `head` is room to work in.
    pub fn new(client: &'e mut C, server: &'e mut S, bodiless: bool, head: &'e mut Vec<u8>) -> Self {
        let forth = if bodiless { Flow::over() } else { Flow::default() };
        let (back, stage) = (Flow::default(), Stage::Waiting);
        Self { client, server, forth, back, stage, deaf: None, head, response: None, interim: 0 }
    }

    /// The head that the client got last.
    pub fn response(&self) -> Option<&C::Response> {
        self.response.as_ref()
    }

    /// Bytes of bodies: the request's and the response's.
    pub fn bytes(&self) -> (u64, u64) {
        (self.forth.bytes, self.back.bytes)
    }

    /// Carries what can be carried now.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.poll_both(cx) {
            // A client that is gone is noticed whatever is waited for: nobody else might ever say a word.
            Poll::Pending => self.client.poll_gone(cx).map(Outcome::Client),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Poll::Ready(gone) = self.poll_request(cx) {
            return Poll::Ready(Outcome::Client(gone));
        }
        while self.stage == Stage::Waiting {
            match self.server.poll_answer(cx, self.head) {
                Poll::Ready(Ok(Some(response))) => {
                    self.interim += u32::from(response.is_interim());
                    if self.interim > MOST_INTERIM {
                        return Poll::Ready(Outcome::Server(Gone::Malformed));
                    }
                    if let Err(gone) = self.answer(response) {
                        return Poll::Ready(Outcome::Client(gone));
                    }
                    // What the client has said behind its request is the other protocol's, and nothing else may wake us for it.
                    if self.is_tunnel()
                        && let Poll::Ready(gone) = self.poll_request(cx)
                    {
                        return Poll::Ready(Outcome::Client(gone));
                    }
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Outcome::Server(self.deaf.unwrap_or(Gone::Cut))),
                Poll::Ready(Err(gone)) => return Poll::Ready(Outcome::Server(self.deaf.unwrap_or(gone))),
                Poll::Pending => {
                    // An interim response, perhaps: whoever waits for it sends nothing before.
                    return match self.client.poll_flush(cx) {
                        Poll::Ready(Err(gone)) => Poll::Ready(Outcome::Client(gone)),
                        _ => Poll::Pending,
                    };
                }
            }
        }
        match ready!(self.back.poll(cx, self.server, self.client)) {
            // In a tunnel each direction ends for itself.
            Ok(()) if self.is_tunnel() && !self.forth.is_done() && self.deaf.is_none() => Poll::Pending,
            Ok(()) => Poll::Ready(Outcome::Done { whole: self.forth.is_done() }),
            Err(Broken::Source(gone)) => Poll::Ready(Outcome::Cut(gone)),
            Err(Broken::Sink(gone)) => Poll::Ready(Outcome::Client(gone)),
        }
    }

    /// Carries on with what is left of the request when the client has its answer: who sends it may read the answer only
    /// then. Ready when it has come whole, whether the server took it or not.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        match self.poll_request(cx) {
            Poll::Ready(gone) => return Poll::Ready(Err(gone)),
            Poll::Pending if self.deaf.is_none() && !self.forth.is_done() => return Poll::Pending,
            Poll::Pending => {}
        }
        while !self.forth.is_done() {
            let ended = ready!(self.client.poll_body(cx, usize::MAX, |body| match body {
                super::side::Body::Data { last, .. } => last,
                super::side::Body::Trailers(_) | super::side::Body::End => true,
            }))?;
            if ended {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the client is gone.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        if self.deaf.is_some() || self.forth.is_done() {
            return Poll::Pending;
        }
        match self.forth.poll(cx, self.client, self.server) {
            Poll::Ready(Err(Broken::Source(gone))) => return Poll::Ready(gone),
            // What it has said before it went may still come.
            Poll::Ready(Err(Broken::Sink(gone))) => self.deaf = Some(gone),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Poll::Pending
    }

    fn answer(&mut self, response: C::Response) -> Result<(), Gone> {
        self.client.answer(self.head, &response)?;
        if !response.is_interim() {
            self.stage = Stage::Answering;
            if response.is_tunnel() {
                self.client.tunnel();
                self.server.tunnel();
                (self.forth, self.deaf) = (Flow::default(), None);
            } else {
                self.server.expect(&response);
                if response.is_bodiless() {
                    self.back = Flow::over();
                }
            }
        }
        self.response = Some(response);
        Ok(())
    }

    fn is_tunnel(&self) -> bool {
        self.response.as_ref().is_some_and(Response::is_tunnel)
    }
}
