//! The end: by SIGTERM (or Ctrl-C), in good order.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

/// Resolves when the process is asked to end. Must be called where the process may still fail to start.
pub async fn terminated() -> io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Stops accepting and waits until every worker's last connection has ended, or for `grace` at most.
pub async fn drain(
    stop: &watch::Sender<bool>,
    workers: Vec<oneshot::Receiver<()>>,
    grace: Duration,
    open: impl Fn() -> u64,
) {
    info!(open = open(), grace_seconds = grace.as_secs(), "stopped accepting; open connections may finish");
    stop.send_replace(true);
    let all = async {
        for worker in workers {
            let _ = worker.await;
        }
    };
    if timeout(grace, all).await.is_ok() {
        info!("every connection has ended");
    } else {
        warn!(open = open(), "the grace period is over; closing what is still open");
    }
}
