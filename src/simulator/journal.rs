//! What was asked of the simulator, so that tests can count requests and points and find refusals. Holds no secrets.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// How many requests are remembered one by one; the counters go on.
const REMEMBERED: usize = 100_000;

/// One request and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// From 1, in the order of arrival.
    pub number: u64,
    /// When it came, in milliseconds of Unix time by the simulator's clock.
    pub at_millis: i64,
    /// The account's name in the scenario (of an agency: the agency's); `None`: nobody's token.
    pub account: Option<String>,
    /// Empty when the envelope could not be read.
    pub method: String,
    pub user_id: Option<i64>,
    pub date_from: Option<String>,
    pub date_till: Option<String>,
    pub limit: Option<u64>,
    pub offset: Option<u64>,
    /// What it cost. An answer that was made but spoilt on its way costs a point too.
    pub points: u32,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered {
        n_rows: usize,
        total_items: Option<usize>,
    },
    Refused {
        mnemonic: &'static str,
        /// The request itself was wrong.
        bug: bool,
    },
    /// A fault of the server took the place of the answer.
    Fault {
        kind: &'static str,
    },
}

impl RequestRecord {
    pub fn new(
        number: u64,
        now: Timestamp,
        account: Option<&str>,
        method: &str,
        params: &Map<String, Value>,
    ) -> RequestRecord {
        let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
        let number_of = |name: &str| params.get(name).and_then(Value::as_u64);
        RequestRecord {
            number,
            at_millis: now.as_millisecond(),
            account: account.map(str::to_owned),
            method: method.to_owned(),
            user_id: params.get("user_id").and_then(Value::as_i64),
            date_from: text("date_from"),
            date_till: text("date_till"),
            limit: number_of("limit"),
            offset: number_of("offset"),
            points: 0,
            outcome: Outcome::Fault { kind: "unanswered" },
        }
    }
}

/// Counts of one account and method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub answered: u64,
    pub points: u64,
    pub rows: u64,
    /// By mnemonic.
    pub refused: BTreeMap<&'static str, u64>,
    pub faults: u64,
}

impl Counts {
    pub fn requests(&self) -> u64 {
        self.answered + self.faults + self.refused.values().sum::<u64>()
    }
}

#[derive(Default)]
pub struct Journal {
    requests: VecDeque<RequestRecord>,
    counts: BTreeMap<(String, String), Counts>,
}

impl Journal {
    pub fn note(&mut self, record: RequestRecord) {
        let account = record.account.clone().unwrap_or_default();
        let counts = self.counts.entry((account, record.method.clone())).or_default();
        counts.points += u64::from(record.points);
        match &record.outcome {
            Outcome::Answered { n_rows, .. } => {
                counts.answered += 1;
                counts.rows += *n_rows as u64;
            }
            Outcome::Refused { mnemonic, .. } => *counts.refused.entry(mnemonic).or_default() += 1,
            Outcome::Fault { .. } => counts.faults += 1,
        }
        if self.requests.len() == REMEMBERED {
            self.requests.pop_front();
        }
        self.requests.push_back(record);
    }

    pub fn requests(&self) -> Vec<RequestRecord> {
        self.requests.iter().cloned().collect()
    }

    /// Hands the requests out and forgets them one by one.
    pub fn take_requests(&mut self) -> Vec<RequestRecord> {
        std::mem::take(&mut self.requests).into()
    }

    pub fn counts(&self, account: &str, method: &str) -> Counts {
        let key = (account.to_owned(), method.to_owned());
        self.counts.get(&key).cloned().unwrap_or_default()
    }
}
