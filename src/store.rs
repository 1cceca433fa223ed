//! What the state topic holds of each account, from the last time it was read.
//!
//! Progress is taken from here once, when an account starts. When the outcome of a transaction is not known, the topic
//! is read again: once for all accounts that were in it, not once for each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::domain::call::AccountId;
use crate::edge::kafka::{RestoreError, RestoreProgress, StateTopic};
use crate::state::{StateKey, StatePart, Stored};

/// A state topic of a million calls is read in seconds; this bounds a broker that hangs.
const RESTORE_WITHIN: Duration = Duration::from_mins(5);

pub struct Store {
    topic: StateTopic,
    content: Mutex<Content>,
}

struct Content {
    read_at: Instant,
    accounts: HashMap<(AccountId, String), Stored>,
}

impl Store {
    /// Reads the whole topic.
    pub async fn open(topic: StateTopic) -> Result<Self, RestoreError> {
        let content = read(&topic).await?;
        Ok(Self { topic, content: Mutex::new(content) })
    }

    /// What is stored of an account's stream, as it was after `newer_than`. It is handed out once.
    pub async fn take(
        &self,
        account: &AccountId,
        stream: &str,
        newer_than: Option<Instant>,
    ) -> Result<Stored, RestoreError> {
        let mut content = self.content.lock().await;
        if newer_than.is_some_and(|moment| content.read_at <= moment) {
            *content = read(&self.topic).await?;
        }
        Ok(content.accounts.remove(&(account.clone(), stream.to_owned())).unwrap_or_default())
    }
}

async fn read(topic: &StateTopic) -> Result<Content, RestoreError> {
    let read_at = Instant::now();
    let report = |progress: RestoreProgress| {
        tracing::info!(records = progress.records, offset = progress.offset, total = progress.total, "restoring state");
    };
    let records = topic.restore(&topic.all_partitions(), RESTORE_WITHIN, report).await?;
    let mut accounts: HashMap<(AccountId, String), Stored> = HashMap::new();
    for (key, value) in records {
        let Some(key) = StateKey::parse(&key) else { continue };
        let stored = accounts.entry((key.account, key.stream)).or_default();
        match key.part {
            StatePart::Coverage => stored.coverage = Some(value),
            StatePart::Ledger { hour, .. } => stored.ledger.push((hour, value)),
        }
    }
    tracing::info!(n_accounts = accounts.len(), seconds = read_at.elapsed().as_secs_f64(), "state restored");
    Ok(Content { read_at, accounts })
}
