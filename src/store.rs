//! What the state topic holds of each account, from the last time it was read.
//!
//! Progress is taken from here once, when an account starts. When the outcome of a transaction is not known, the topic
//! is read again: once for all accounts that were in it, not once for each.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::call::AccountId;
use crate::edge::kafka::{MemoryLog, RestoreError, RestoreProgress, StateTopic};
use crate::state::{StateKey, StatePart, Stored};

/// A state topic of a million calls is read in seconds; this bounds a broker that hangs.
const RESTORE_WITHIN: Duration = Duration::from_mins(5);

/// Where the state is kept.
#[derive(Clone)]
pub enum StateSource {
    Topic(StateTopic),
    /// The log that a rehearsal publishes to.
    Memory(MemoryLog),
}

impl StateSource {
    /// The latest value of each key.
    async fn restore(&self) -> Result<HashMap<String, Vec<u8>>, RestoreError> {
        let report = |progress: RestoreProgress| {
            tracing::info!(
                records = progress.records,
                offset = progress.offset,
                total = progress.total,
                "restoring state"
            );
        };
        match self {
            Self::Topic(topic) => topic.restore(&topic.all_partitions(), RESTORE_WITHIN, report).await,
            Self::Memory(log) => Ok(log.state()),
        }
    }
}

pub struct Store {
    source: StateSource,
    content: Mutex<Content>,
}

struct Content {
    read_at: Instant,
    accounts: Accounts,
    /// Every account that was ever handed out by this process.
    handed_out: HashSet<(AccountId, String)>,
}

impl Content {
    async fn read_again(&mut self, source: &StateSource) -> Result<(), RestoreError> {
        (self.read_at, self.accounts) = read(source).await?;
        Ok(())
    }
}

impl Store {
    /// Reads the whole topic.
    pub async fn open(source: StateSource) -> Result<Self, RestoreError> {
        let (read_at, accounts) = read(&source).await?;
        let content = Content { read_at, accounts, handed_out: HashSet::new() };
        Ok(Self { source, content: Mutex::new(content) })
    }

    /// What is stored of an account's stream. `lost_at` is when progress in memory was lost: older content is read
    /// anew. So it is for an account that was handed out before, as it may have moved on since.
    pub async fn take(
        &self,
        account: &AccountId,
        stream: &str,
        lost_at: Option<Instant>,
    ) -> Result<Stored, RestoreError> {
        let key = (account.clone(), stream.to_owned());
        let mut content = self.content.lock().await;
        let is_stale = match lost_at {
            Some(lost_at) => content.read_at <= lost_at,
            None => content.handed_out.contains(&key),
        };
        if is_stale {
            content.read_again(&self.source).await?;
        }
        content.handed_out.insert(key.clone());
        Ok(content.accounts.remove(&key).unwrap_or_default())
    }
}

type Accounts = HashMap<(AccountId, String), Stored>;

async fn read(source: &StateSource) -> Result<(Instant, Accounts), RestoreError> {
    let read_at = Instant::now();
    let records = source.restore().await?;
    let mut accounts = Accounts::new();
    for (key, value) in records {
        let Some(key) = StateKey::parse(&key) else { continue };
        let stored = accounts.entry((key.account, key.stream)).or_default();
        match key.part {
            StatePart::Coverage => stored.coverage = Some(value),
            StatePart::Ledger { hour, .. } => stored.ledger.push((hour, value)),
        }
    }
    tracing::info!(n_accounts = accounts.len(), seconds = read_at.elapsed().as_secs_f64(), "state restored");
    Ok((read_at, accounts))
}
