//! State for scripts: a line of JSON for each account and stream.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::domain::time::{Instant, Interval};
use crate::state::CoverageRecord;
use crate::state_admin::figures::{AccountState, LedgerFigures};

use super::list::known;

pub fn write(accounts: &[AccountState], now: Instant, out: &mut impl Write) -> io::Result<()> {
    accounts.iter().try_for_each(|state| writeln!(out, "{}", of_account(state, now)))
}

fn of_account(state: &AccountState, now: Instant) -> Value {
    let mut value = Map::from_iter([
        ("account".to_owned(), json!(state.account.as_str())),
        ("stream".to_owned(), json!(state.stream)),
        ("partition".to_owned(), json!(state.partition)),
        ("in_config".to_owned(), json!(known(state.known))),
        ("bytes".to_owned(), json!(state.bytes)),
    ]);
    match &state.content {
        Ok(progress) => {
            value.insert(
                "coverage".to_owned(),
                progress.coverage.as_ref().map_or(Value::Null, |record| coverage(record, now)),
            );
            value.insert("paused_since".to_owned(), json!(progress.paused.map(|paused| paused.since.to_string())));
            value.insert("ledger".to_owned(), ledger(&progress.ledger));
        }
        Err(error) => {
            value.insert("error".to_owned(), json!(error.to_string()));
        }
    }
    Value::Object(value)
}

fn coverage(record: &CoverageRecord, now: Instant) -> Value {
    let coverage = &record.coverage;
    let tiers = record.clocks.0.iter().map(|(age, at)| {
        json!({"age_seconds": age.as_secs(), "read_at": at.to_string(), "seconds_ago": now.since(*at).as_secs()})
    });
    let read_as = record.read_as.views().iter().map(|view| json!({"zone": view.zone, "filters": view.filters}));
    json!({
        "step": record.sequence,
        "from": coverage.origin().to_string(),
        "till": coverage.frontier().to_string(),
        "intervals": intervals(coverage.intervals()),
        "gaps": intervals(&coverage.gaps(coverage.frontier())),
        "ledger_complete_from": record.floor.to_string(),
        "tiers": tiers.collect::<Vec<_>>(),
        "read_as": read_as.collect::<Vec<_>>(),
    })
}

fn intervals(intervals: &[Interval]) -> Value {
    intervals.iter().map(|interval| json!([interval.from.to_string(), interval.till.to_string()])).collect()
}

fn ledger(ledger: &LedgerFigures) -> Value {
    json!({
        "calls": ledger.calls,
        "withdrawn": ledger.withdrawn,
        "highest_revision": ledger.highest_revision,
        "set_aside": ledger.set_aside,
        "hours": ledger.hours,
        "first_hour": ledger.first_hour.map(|hour| hour.to_string()),
        "last_hour": ledger.last_hour.map(|hour| hour.to_string()),
        "bytes": ledger.bytes,
    })
}
