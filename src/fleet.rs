//! The accounts that run, and how they follow a configuration that changes.
//!
//! ```text
//!            start                 task ended by itself
//!  (none) ─────────> running ──────────────────────────> (none)
//!                       │ changed or removed                ^
//!                       v            task ended             │
//!                    stopping ──────────────────────────────┘ ──> running anew, when it was changed
//! ```
//!
//! An account that is stopped finishes the batch in hand. Only when its task has ended is it started anew, so that two
//! never poll one account; until then nobody waits for it. An account whose part of the configuration is the same is
//! not touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::accounts::{self, AccountEnd};
use crate::config::{Account, Config};
use crate::context::Context;
use crate::domain::call::AccountId;
use crate::edge::data_api::Http;
use crate::logging::events;
use crate::opening::Subject;
use crate::service::ServiceError;
use crate::status::{State, Why};

/// What a new configuration does to the accounts. Each is named once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: BTreeSet<AccountId>,
    pub removed: BTreeSet<AccountId>,
    pub changed: BTreeSet<AccountId>,
}

impl Changes {
    /// A disabled account is as good as none.
    pub fn between(old: &Config, new: &Config) -> Self {
        let (before, after) = (enabled(old), enabled(new));
        let is_same_for_all = old.topics == new.topics;
        let is_same = |id: &AccountId| is_same_for_all && before.get(id) == after.get(id);
        Self {
            added: after.keys().filter(|id| !before.contains_key(id)).cloned().collect(),
            removed: before.keys().filter(|id| !after.contains_key(id)).cloned().collect(),
            changed: after.keys().filter(|id| before.contains_key(id) && !is_same(id)).cloned().collect(),
        }
    }
}

fn enabled(config: &Config) -> BTreeMap<AccountId, &Account> {
    let enabled = config.accounts.iter().filter(|account| account.enabled);
    enabled.map(|account| (account.id.clone(), account)).collect()
}

/// The accounts that run.
pub struct Fleet {
    context: Arc<Context>,
    http: Http,
    config: Config,
    tasks: JoinSet<AccountEnd>,
    /// Which account each task is of.
    accounts: HashMap<task::Id, AccountId>,
    /// The stop of each account that has a task.
    running: BTreeMap<AccountId, CancellationToken>,
    /// Accounts that are started when the task they have now has ended.
    next: BTreeMap<AccountId, Subject>,
}

impl Fleet {
    /// Starts every account that is enabled.
    pub fn start(config: &Config, context: &Arc<Context>, http: Http) -> Result<Self, ServiceError> {
        let mut fleet = Self {
            context: context.clone(),
            http,
            config: config.clone(),
            tasks: JoinSet::new(),
            accounts: HashMap::new(),
            running: BTreeMap::new(),
            next: BTreeMap::new(),
        };
        let all = enabled(config).into_keys().collect();
        for subject in fleet.subjects(config, &all)? {
            fleet.spawn(subject);
        }
        Ok(fleet)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How many accounts run.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Follows a new configuration. When that cannot be, everything stays as it is.
    pub fn follow(&mut self, config: Config) -> Result<Changes, ServiceError> {
        let changes = Changes::between(&self.config, &config);
        let to_start = changes.added.union(&changes.changed).cloned().collect();
        let subjects = self.subjects(&config, &to_start)?;
        self.config = config;
        for id in &changes.removed {
            self.next.remove(id);
            self.stop_one(id);
        }
        for subject in subjects {
            if self.stop_one(&subject.id) {
                self.next.insert(subject.id.clone(), subject);
            } else {
                self.spawn(subject);
            }
        }
        Ok(changes)
    }

    /// The end of a task that nobody asked to stop; none when no account runs. May be dropped while it waits.
    pub async fn ended(&mut self) -> Option<Result<AccountEnd, JoinError>> {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (task, end) = match ended {
                Ok((task, end)) => (task, Ok(end)),
                Err(panicked) => (panicked.id(), Err(panicked)),
            };
            if let Err(panicked) = &end {
                self.show_crash(task, panicked);
            }
            let was_stopped = self.take_off(task);
            if !(was_stopped && matches!(end, Ok(AccountEnd::Stopped))) {
                return Some(end);
            }
        }
        None
    }

    /// Stops all accounts; those that take longer are broken off. The context must have been told to stop.
    pub async fn stop(&mut self, within: Duration) {
        let tasks = &mut self.tasks;
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all_ended).await.is_err() {
            tracing::warn!(n_accounts = self.tasks.len(), "accounts did not stop in time; their batches are aborted");
            self.tasks.shutdown().await;
        }
    }

    fn subjects(&self, config: &Config, wanted: &BTreeSet<AccountId>) -> Result<Vec<Subject>, ServiceError> {
        let wanted = config.accounts.iter().filter(|account| wanted.contains(&account.id));
        wanted.map(|account| accounts::subject(config, account, &self.context, &self.http)).collect()
    }

    fn spawn(&mut self, subject: Subject) {
        let (id, stop) = (subject.id.clone(), self.context.stop.child_token());
        let context = Arc::new(self.context.with_stop(stop.clone()));
        let task = self.tasks.spawn(accounts::run(context, subject)).id();
        self.accounts.insert(task, id.clone());
        self.running.insert(id, stop);
    }

    /// Tells whether the account has a task.
    fn stop_one(&self, id: &AccountId) -> bool {
        let stop = self.running.get(id);
        stop.inspect(|stop| stop.cancel()).is_some()
    }

    /// Notes the end of a task, and starts what was to come after it. Tells whether it was told to stop.
    fn take_off(&mut self, task: task::Id) -> bool {
        let Some(id) = self.accounts.remove(&task) else { return false };
        let was_stopped = self.running.remove(&id).is_some_and(|stop| stop.is_cancelled());
        if let Some(subject) = self.next.remove(&id) {
            self.context.board.customers_of(&id).iter().for_each(|customer| self.show_no_more(customer));
            self.spawn(subject);
        } else if was_stopped && !self.context.stop.is_cancelled() {
            let customers = self.context.board.customers_of(&id);
            customers.iter().chain([&id]).for_each(|account| {
                self.show_no_more(account);
                self.context.territory.forget(account);
            });
        }
        was_stopped
    }

    /// A fault of callfeed: the others go on, and this one does not look as if it did.
    fn show_crash(&self, task: task::Id, panicked: &JoinError) {
        let Some(id) = self.accounts.get(&task) else { return };
        tracing::error!(name: events::ACCOUNT_CRASHED, account = %id, error = %panicked, "an account's task ended unexpectedly");
        let why = Why::because("its task ended by a fault of callfeed")
            .with_remedy("restart this replica, and report it with the lines of the log before that");
        self.context.board.set(id, State::Blocked, why);
    }

    /// Takes an account out of status and metrics. Its state stays in Kafka.
    fn show_no_more(&self, account: &AccountId) {
        self.context.board.remove(account);
        self.context.metrics.forget_account(account);
    }
}

#[cfg(test)]
mod tests;
