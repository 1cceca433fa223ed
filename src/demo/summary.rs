//! The last lines: what has happened, and how to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::events::CallEvent;
use crate::simulator::{Outcome, Simulator};

/// So many accounts are listed, more are counted.
const LISTED: usize = 8;

/// What was seen of the events.
#[derive(Default)]
pub struct Tally {
    by_type: BTreeMap<String, u64>,
    by_account: BTreeMap<String, u64>,
}

impl Tally {
    pub fn count(&mut self, event: &CallEvent) {
        *self.by_type.entry(event.event_type.clone()).or_default() += 1;
        *self.by_account.entry(event.account.clone()).or_default() += 1;
    }

    pub fn events(&self) -> u64 {
        self.by_type.values().sum()
    }
}

pub fn text(tally: &Tally, simulator: &Simulator, took: Duration) -> String {
    let (events, seconds) = (tally.events(), took.as_secs_f64());
    let by_type: Vec<String> = tally.by_type.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let by_type = if by_type.is_empty() { String::new() } else { format!(": {}", by_type.join(", ")) };
    format!(
        "
{events} events in {seconds:.1} s{by_type}
{accounts}{requests}

The demo's Kafka is gone with it. Next, an account of your own, see README.md:
  callfeed check --config callfeed.yaml
  callfeed run --config callfeed.yaml
",
        accounts = accounts(tally),
        requests = requests(simulator),
    )
}

fn accounts(tally: &Tally) -> String {
    let mut accounts: Vec<(&String, &u64)> = tally.by_account.iter().collect();
    accounts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let mut text: String =
        accounts.iter().take(LISTED).map(|(name, count)| format!("  {name:<14} {count:>7}\n")).collect();
    if accounts.len() > LISTED {
        text += &format!("  and {} more accounts\n", accounts.len() - LISTED);
    }
    text
}

fn requests(simulator: &Simulator) -> String {
    let requests = simulator.requests();
    let is_answered = |outcome: &Outcome| matches!(outcome, Outcome::Answered { .. });
    let n_failed = requests.iter().filter(|request| !is_answered(&request.outcome)).count();
    let points: u64 = requests.iter().map(|request| u64::from(request.points)).sum();
    let answered = if n_failed == 0 { "all answered".to_owned() } else { format!("{n_failed} not answered") };
    format!("{} requests to the Data API for {points} points, {answered}", requests.len())
}
