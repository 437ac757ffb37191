//! HTTP: recognised by itself, carried request by request.

mod attempt;
pub mod buffer;
mod client1;
pub mod detect;
mod exchange;
mod first;
pub mod h1;
pub mod h2;
pub mod http1;
mod kept;
mod links;
mod message1;
mod message2;
pub mod mux;
mod places;
mod presence;
pub mod reason;
mod route;
mod serve1;
mod serve2;
mod server1;
pub mod side;
mod streamed;
mod watched;
pub mod wire;

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Gauge;

pub use client1::Begun;
pub use first::{First, Learned, Speaker, first, who_speaks};
pub use places::{Places, Waiting};
pub use route::Route;
pub use serve1::{serve, serve_link};
pub use serve2::serve as serve2;
pub use streamed::Speech;
pub use watched::Watched;
pub use wire::Wire;

/// How long connections without a request may take to say that they end.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// What the requests of one worker share.
#[derive(Debug, Default)]
pub struct Http {
    /// Where requests go, and the connections that wait there.
    pub places: Places,
    /// The tasks that drive multiplexed connections which we opened.
    pub tasks: TaskTracker,
    /// Destinations whose servers speak first.
    pub learned: Learned,
    /// Whoever is served goes on with what is under way, and no further.
    pub stop: CancellationToken,
}

impl Http {
    /// Closes what has waited too long, now and then, for ever, and counts in `waiting` what still waits.
    pub async fn keep(&self, waiting: &Gauge) {
        loop {
            sleep(places::SWEEP).await;
            waiting.set(self.places.sweep());
        }
    }

    /// Ends the connections that we opened, when nobody has requests for them any more.
    pub async fn leave(&self) {
        self.places.leave();
        self.tasks.close();
        let _ = timeout(LEAVE_TIME, self.tasks.wait()).await;
    }
}
