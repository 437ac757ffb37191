//! Reads what was known from its file, and writes what is known to it, now and then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::directory::Directory;
use super::store::Store;
use crate::log::Seldom;

/// Time between two writes at least: a rolling update changes a destination many times a second, and what a restarted
/// sidecar misses of it the controller says again, or the next endpoint answers.
const EVERY: Duration = Duration::from_secs(5);

/// Remembers what the file says, before anybody asks. (Reading and writing wait for nobody: the file is in memory.)
pub fn restore(directory: &Directory, store: &Store) {
    match store.load() {
        Ok(known) if known.is_empty() => {}
        Ok(known) => {
            info!(destinations = known.len(), "remembered what a former process knew");
            directory.remember(known);
        }
        Err(error) => warn!(%error, "cannot read the destinations that a former process knew; beginning anew"),
    }
}

/// Keeps the file up to date.
pub async fn keep(directory: Arc<Directory>, store: Store) -> Infallible {
    static TOLD: Seldom = Seldom::new();
    let mut saved = directory.table().changes();
    loop {
        sleep(EVERY).await;
        let (changes, known) = {
            let table = directory.table();
            if table.changes() == saved {
                continue;
            }
            (table.changes(), table.all())
        };
        match store.save(&known) {
            Ok(()) => saved = changes,
            Err(error) => {
                if let Some(left_out) = TOLD.line(std::time::Instant::now()) {
                    warn!(%error, left_out, "cannot keep the known destinations for a restart; trying again");
                }
            }
        }
    }
}
