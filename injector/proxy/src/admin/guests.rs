//! Seats at the admin port: few, and whoever takes many gives one up first.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::seats::{Book, Seat};

/// Connections at once. At some 12 KiB each (head buffer, hyper's state, task) that is 1.5 MiB at most.
const SEATS: usize = 128;

/// Connections at once from one address, besides one for each declared probe: a kubelet runs a pod's probes at the same
/// moment, and a scraper may share its address.
const SEATS_A_SOURCE: usize = 16;

/// Who is connected, and the tasks that serve them.
pub struct Guests {
    book: Mutex<Book<AbortHandle>>,
}

impl Guests {
    /// Seats for a pod with so many declared probes.
    pub fn new(probes: usize) -> Self {
        Self { book: Mutex::new(Book::new(SEATS + probes, SEATS_A_SOURCE + probes)) }
    }

    /// Serves a guest from `source` in a task of its own, for which that source's longest guest goes if it has its share.
    pub fn seat(self: &Arc<Self>, source: IpAddr, service: impl Future<Output = ()> + Send + 'static) {
        let mut book = self.book();
        let Seat { number, evicted } = book.admit(source);
        if let Some(task) = evicted {
            task.abort();
        }
        let leave = Leave { guests: Arc::clone(self), number }; // moved into the task: an aborted one drops it too
        let task = tokio::spawn(async move {
            service.await;
            drop(leave);
        });
        book.sit(number, source, task.abort_handle());
    }

    fn book(&self) -> MutexGuard<'_, Book<AbortHandle>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the seat back when the task ends.
struct Leave {
    guests: Arc<Guests>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.guests.book().leave(self.number);
    }
}
