//! How far the first read is: the calls that were there when the demo started, each once.

use std::collections::{BTreeMap, BTreeSet};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::events::CallEvent;
use crate::simulator::{AccountScenario, Simulator};

const TEMPLATE: &str = "first read {wide_bar:.cyan/dim} {pos}/{len} calls, {msg}";

pub struct FirstRead {
    /// By account as the events name it: the ids that have not come yet. Accounts that are done are taken out.
    missing: BTreeMap<String, BTreeSet<i64>>,
    accounts: Vec<String>,
    n_calls: usize,
    n_seen: usize,
    bar: ProgressBar,
}

impl FirstRead {
    /// Of all calls that the simulator shows now; with a bar if there is somebody to look at it.
    pub fn begin(simulator: &Simulator, accounts: &[String], is_watched: bool) -> Self {
        let shown = accounts.iter().map(|account| (account.clone(), simulator.visible_ids(account)));
        let missing: BTreeMap<String, BTreeSet<i64>> = shown.filter(|(_, ids)| !ids.is_empty()).collect();
        let n_calls = missing.values().map(BTreeSet::len).sum();
        let target = if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(n_calls as u64), target);
        // A template that could not be read would leave the plain one.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        let first_read = Self { accounts: missing.keys().cloned().collect(), n_calls, n_seen: 0, missing, bar };
        first_read.show();
        first_read
    }

    /// Takes note of an event: its call may have been missing until now.
    pub fn saw(&mut self, event: &CallEvent) {
        let Some(ids) = self.missing.get_mut(&event.account) else { return };
        if !ids.remove(&event.id) {
            return;
        }
        self.n_seen += 1;
        if ids.is_empty() {
            self.missing.remove(&event.account);
        }
        self.show();
    }

    /// The names of the accounts that have calls.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.accounts.iter().map(String::as_str)
    }

    pub fn is_over(&self) -> bool {
        self.missing.is_empty()
    }

    /// What the first read came to, once it is over.
    pub fn came_to(&self) -> String {
        format!("{} calls of {} accounts", self.n_calls, self.accounts.len())
    }

    /// Lets something else be written to the terminal.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the bar away; it does not come back.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        self.bar.set_position(self.n_seen as u64);
        let n_accounts = self.accounts.len();
        self.bar.set_message(format!("{} of {n_accounts} accounts", n_accounts - self.missing.len()));
    }
}

/// The names that the events of these accounts carry: of an agency those of its customers.
pub fn names(accounts: &[AccountScenario]) -> Vec<String> {
    let names = accounts.iter().flat_map(|account| {
        let users = account.customers.iter().flat_map(|customer| &customer.users);
        let of_customers: Vec<String> = users.map(|user| format!("{}.{}", account.name, user.id)).collect();
        if account.customers.is_empty() { vec![account.name.clone()] } else { of_customers }
    });
    names.collect()
}
