//! The right to write for one state partition, as long as the group assigns it to this replica.
//!
//! ```text
//!   held ── partition is to go: asked to end ──> ending ── all copies dropped, or no time left ──> over
//!     └──────────────────────── partition was lost: others may own it already ─────────────────────^
//! ```
//!
//! What always holds: a lease that is over never comes back, and it is over before the group hears that the partition is
//! free. So whoever looks at the group first and then finds the lease held knows that the partition was his when he
//! looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// One assignment of one partition. Copies are the same lease; all are to be dropped when it ends.
#[derive(Clone, Debug)]
pub struct Lease {
    terms: Arc<Terms>,
    /// Closes the channel of [`Issued`] when the last copy is dropped.
    _tenancy: Option<Sender<()>>,
}

#[derive(Debug)]
struct Terms {
    partition: i32,
    ending: CancellationToken,
    is_over: AtomicBool,
}

impl Lease {
    /// A lease that nobody ends: for rehearsals, where nothing is shared.
    pub fn of_everything() -> Self {
        Self { terms: Arc::new(Terms::new(0)), _tenancy: None }
    }

    pub fn partition(&self) -> i32 {
        self.terms.partition
    }

    /// Whether what is sent under it may still be committed.
    pub fn is_held(&self) -> bool {
        !self.terms.is_over.load(Ordering::SeqCst)
    }

    pub fn is_ending(&self) -> bool {
        self.terms.ending.is_cancelled()
    }

    /// Returns when whoever works under it is to finish and drop it.
    pub async fn ending(&self) {
        self.terms.ending.cancelled().await;
    }
}

impl Terms {
    fn new(partition: i32) -> Self {
        Self { partition, ending: CancellationToken::new(), is_over: AtomicBool::new(false) }
    }
}

/// The other side of a lease: whoever gave it ends it.
pub(super) struct Issued {
    terms: Arc<Terms>,
    tenancies: Receiver<()>,
}

impl Issued {
    pub fn lease(partition: i32) -> (Lease, Self) {
        let terms = Arc::new(Terms::new(partition));
        let (tenancy, tenancies) = channel();
        (Lease { terms: terms.clone(), _tenancy: Some(tenancy) }, Self { terms, tenancies })
    }

    /// Asks everybody to finish.
    pub fn ask_to_end(&self) {
        self.terms.ending.cancel();
    }

    /// Waits for a while until nobody has the lease any more.
    pub fn is_returned_within(&self, within: Duration) -> bool {
        matches!(self.tenancies.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }

    /// It is over at once. False when somebody still had it.
    pub fn end(self) -> bool {
        let is_returned = matches!(self.tenancies.try_recv(), Err(TryRecvError::Disconnected));
        self.end_now();
        is_returned
    }

    /// The same, for a partition that may be another's already.
    pub fn end_now(self) {
        self.terms.is_over.store(true, Ordering::SeqCst);
        self.ask_to_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_when_its_last_copy_is_dropped() {
        let (lease, issued) = Issued::lease(3);
        let copy = lease.clone();
        assert!(copy.is_held() && !copy.is_ending());
        let worker = std::thread::spawn(move || {
            while !copy.is_ending() {
                std::thread::yield_now();
            }
            assert!(copy.is_held(), "what is in hand may be finished");
        });
        drop(lease);
        issued.ask_to_end();
        assert!(issued.is_returned_within(Duration::from_secs(60)));
        assert!(issued.end());
        worker.join().unwrap();
    }

    #[test]
    fn a_lease_that_is_not_given_back_is_over_all_the_same() {
        let (lease, issued) = Issued::lease(3);
        assert!(!issued.is_returned_within(Duration::ZERO));
        assert!(!issued.end());
        assert!(!lease.is_held() && lease.is_ending());
    }
}
