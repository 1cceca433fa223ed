//! What the group gives to a process that reads its accounts once and ends.
//!
//! A newcomer gets its share bit by bit: what others have is theirs until they have given it up, so that its first
//! assignment is small or empty. Whoever waits for later ones anyhow need not care; a process that ends has to know
//! which accounts are its own. So leases are kept here until the group has divided everything.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant as Moment;

use crate::edge::kafka::{Division, Lease, Membership, Shares};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Without a word of the brokers on who has what: longer than others may take to give partitions up, and to be asked.
const QUIET: Duration = Duration::from_secs(25);

pub struct Share {
    shares: Shares,
    n_partitions: i32,
    leases: Vec<Lease>,
    granted_at: Option<Moment>,
}

impl Share {
    pub fn new(shares: Shares, n_partitions: i32) -> Self {
        Self { shares, n_partitions, leases: Vec::new(), granted_at: None }
    }

    pub fn add(&mut self, leases: Vec<Lease>) {
        if self.granted_at.replace(Moment::now()).is_none() {
            tracing::info!("waiting until the group has divided its partitions");
        }
        self.leases.extend(leases);
    }

    /// The leases, once they are all that this member gets. May be dropped and called again.
    pub async fn complete(&mut self, membership: &Membership) -> Vec<Lease> {
        while !self.is_complete(membership).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        std::mem::take(&mut self.leases)
    }

    async fn is_complete(&mut self, membership: &Membership) -> bool {
        let Some(granted_at) = self.granted_at else { return false };
        // Who takes a partition over waits until it is dropped here.
        self.leases.retain(|lease| !lease.is_ending());
        let held: BTreeSet<i32> = self.leases.iter().map(Lease::partition).collect();
        if (0..self.n_partitions).all(|partition| held.contains(&partition)) {
            return true;
        }
        match self.shares.look().await {
            Ok(Division::NotShown) => granted_at.elapsed() > QUIET,
            Ok(division) => {
                membership.member_id().is_some_and(|own| division.is_final_for(&own, &held, self.n_partitions))
            }
            Err(error) => {
                tracing::debug!(%error, "the group cannot be looked at");
                false
            }
        }
    }
}
