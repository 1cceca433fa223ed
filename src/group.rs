//! This replica's part in the group that divides the accounts: what it is assigned is restored and opened.

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::edge::kafka::{Change, InvalidProperty, Lease, Membership, MembershipSettings, RestoreError};
use crate::share::Share;
use crate::territory::Territory;

pub struct Group {
    membership: Membership,
    changes: UnboundedReceiver<Change>,
    /// Partitions whose state is being read.
    restores: JoinSet<Result<(), RestoreError>>,
    /// Of a process that ends, while it does not know which partitions are its own.
    share: Option<Share>,
}

/// What of the group ends the service.
#[derive(Debug)]
pub enum GroupEnd {
    /// Another process has the same instance id.
    Superseded,
    /// The group was never joined, and cannot be.
    Refused {
        reason: String,
    },
    NotRestored(RestoreError),
}

impl Group {
    /// With a share to fill, nothing is opened until all of it is known.
    pub fn join(settings: MembershipSettings, share: Option<Share>) -> Result<Self, InvalidProperty> {
        let (membership, changes) = Membership::join(settings)?;
        Ok(Self { membership, changes, restores: JoinSet::new(), share })
    }

    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Follows what becomes of the membership until it ends the service. May be dropped and called again.
    pub async fn follow(&mut self, territory: &Territory) -> GroupEnd {
        loop {
            tokio::select! {
                Some(change) = self.changes.recv() => {
                    if let Some(end) = self.take(change, territory) {
                        return end;
                    }
                }
                Some(Ok(Err(error))) = self.restores.join_next() => return GroupEnd::NotRestored(error),
                leases = complete(&mut self.share, &self.membership) => {
                    self.share = None;
                    self.open(leases, territory);
                }
            }
        }
    }

    /// A replica that has been in the group waits when it is refused later.
    fn take(&mut self, change: Change, territory: &Territory) -> Option<GroupEnd> {
        match change {
            Change::Granted(leases) => {
                match &mut self.share {
                    Some(share) => share.add(leases),
                    None => self.open(leases, territory),
                }
                None
            }
            Change::Superseded => Some(GroupEnd::Superseded),
            Change::Refused(reason) if territory.is_known() => {
                tracing::error!(%reason, "kafka does not let this replica into the group any more, trying again");
                None
            }
            Change::Refused(reason) => Some(GroupEnd::Refused { reason }),
        }
    }

    fn open(&mut self, leases: Vec<Lease>, territory: &Territory) {
        let territory = territory.clone();
        self.restores.spawn(async move { territory.take(leases).await });
    }

    /// Takes no assignment any more: what comes is given back at once. The membership is to be left when all work has
    /// ended.
    pub fn into_membership(self) -> Membership {
        self.membership
    }
}

/// The share of a process that ends, when it is known.
async fn complete(share: &mut Option<Share>, membership: &Membership) -> Vec<Lease> {
    match share {
        Some(share) => share.complete(membership).await,
        None => std::future::pending().await,
    }
}
