//! `callfeed check`: goes through all that has to be right before `callfeed run` can work, and changes nothing.
//!
//! Each fact is a [`Finding`]: good, doubtful or bad with what to do about it, or skipped. Accounts are looked at side by side, but
//! told in the order of the configuration. Requests cost points, so there are few: about four an account.

mod account;
mod cluster;
mod entry;
mod finding;
mod freshness;
mod state;

use std::io;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{Account, Config};
use crate::edge::data_api::Http;
use crate::opening::Subject;
use crate::outlook::share_points;
use crate::wiring;

pub use cluster::subject;
pub use finding::{Finding, Verdict};

/// Looks at everything and tells each finding as soon as its turn comes. An error is the teller's. `whole` is the
/// configuration that `config` may be a part of.
pub async fn everything(
    config: &Config,
    whole: &Config,
    mut tell: impl FnMut(Finding) -> io::Result<()>,
) -> io::Result<()> {
    tell(configuration(config))?;
    let accounts = look_at_accounts(config, &mut tell)?;
    let plan = wiring::topic_plan(config);
    for finding in cluster::kafka(config, &plan).await {
        tell(finding)?;
    }
    if let Some(finding) = state::unknown(whole).await {
        tell(finding)?;
    }
    for finding in cluster::registry(config, &plan.events).await {
        tell(finding)?;
    }
    let mut topics_of_customers = Vec::new();
    for account in accounts {
        let seen = account.finish().await;
        seen.findings.into_iter().try_for_each(&mut tell)?;
        topics_of_customers.extend(seen.topics);
    }
    for finding in cluster::topics_found_later(config, &plan, topics_of_customers).await {
        tell(finding)?;
    }
    Ok(())
}

fn configuration(config: &Config) -> Finding {
    let n_disabled = config.accounts.iter().filter(|account| !account.enabled).count();
    let accounts = match config.accounts.len() {
        1 => "1 account".to_owned(),
        n => format!("{n} accounts"),
    };
    let disabled = if n_disabled == 0 { String::new() } else { format!(", {n_disabled} of them disabled") };
    Finding::good("config", format!("{accounts}{disabled}"))
}

/// An account that is being looked at.
enum Looking {
    Done(account::Seen),
    Running(JoinHandle<account::Seen>),
}

impl Looking {
    async fn finish(self) -> account::Seen {
        match self {
            Self::Done(seen) => seen,
            Self::Running(task) => match task.await {
                Ok(seen) => seen,
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            },
        }
    }
}

/// Starts with every account. What keeps all of them from being asked is told at once.
fn look_at_accounts(config: &Config, tell: &mut impl FnMut(Finding) -> io::Result<()>) -> io::Result<Vec<Looking>> {
    match wiring::http(config) {
        Ok(http) => Ok(config.accounts.iter().map(|account| look_at(config, account, &http)).collect()),
        Err(error) => {
            let remedy = "correct `http` in the configuration; no account was looked at";
            tell(Finding::bad("http", error.to_string(), remedy))?;
            Ok(Vec::new())
        }
    }
}

fn look_at(config: &Config, account: &Account, http: &Http) -> Looking {
    if !account.enabled {
        let skipped = Finding::skipped(account.id.as_str(), "not looked at, as it has `enabled: false`");
        return Looking::Done(account::Seen::of(skipped));
    }
    match Subject::of(config, account, http, std::sync::Arc::new(|_| {}), &Clock::running()) {
        Ok(subject) => {
            let others = config.accounts.iter().filter(|other| other.enabled && other.id != account.id);
            let sharers = others.filter(|other| share_points(account, other)).cloned().collect();
            Looking::Running(tokio::spawn(account::look(subject, sharers)))
        }
        Err(error) => {
            let bad = Finding::bad(account.id.as_str(), error.to_string(), "correct `service` of the account");
            Looking::Done(account::Seen::of(bad))
        }
    }
}
