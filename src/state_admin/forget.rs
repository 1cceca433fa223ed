//! `callfeed state forget`: the account begins anew.

use std::collections::BTreeSet;

use crate::domain::call::AccountId;
use crate::edge::kafka::Record;

use super::seat::Seat;
use super::{AdminError, Known, StateAdmin};

/// What was forgotten.
#[derive(Debug)]
pub struct Forgotten {
    pub keys: usize,
    pub streams: BTreeSet<String>,
    /// Whether a service with this configuration reads the account again from its start.
    pub known: Known,
}

/// Removes all that is stored of an account, at once.
pub async fn carry_out(admin: &StateAdmin<'_>, seat: &Seat, name: &str) -> Result<Forgotten, AdminError> {
    let stored = admin.stored(seat, name).await?;
    let account = AccountId::new(name);
    let tombstones: Vec<Record> = stored.iter().map(|(key, _)| admin.place().record(key, None)).collect();
    let forgotten = Forgotten {
        keys: tombstones.len(),
        streams: stored.into_iter().map(|(key, _)| key.stream).collect(),
        known: Known::of(admin.config, &account),
    };
    seat.publish(admin.place().partition_of(&account), tombstones).await?;
    Ok(forgotten)
}
