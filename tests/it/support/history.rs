//! What consumers were told of the calls of an account, held against what happened there. It judges by the words of the
//! documents and calls none of callfeed's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use callfeed::simulator::TruthCall;
use serde_json::Value;

use super::Record;

/// The columns that are compared beside the tags and the start: they appear at different times of a call's life.
const COLUMNS: [&str; 4] = ["source", "talk_duration", "full_record_file_link", "last_answered_employee_rating"];

/// What a row says of a call, or an event.
#[derive(Clone, Debug, PartialEq)]
pub struct CallState {
    pub tags: BTreeSet<i64>,
    start_time: Value,
    columns: [Value; COLUMNS.len()],
}

impl CallState {
    pub fn of_event(event: &Value) -> CallState {
        CallState::of(event, event["start_time_local"].clone())
    }

    pub fn of_row(call: &TruthCall) -> CallState {
        CallState::of(&call.row, call.start_time.clone().into())
    }

    fn of(value: &Value, start_time: Value) -> CallState {
        let tags = value["tags"].as_array().into_iter().flatten().map(|tag| tag["tag_id"].as_i64().unwrap());
        CallState { tags: tags.collect(), start_time, columns: COLUMNS.map(|column| value[column].clone()) }
    }
}

/// One event of a call.
#[derive(Clone, Debug)]
pub struct Told {
    pub partition: i32,
    pub event_id: String,
    pub event_type: String,
    pub revision: i64,
    pub state: CallState,
}

impl Told {
    pub fn of(record: &Record, event: &Value) -> Told {
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        Told {
            partition: record.partition,
            event_id: text("event_id"),
            event_type: text("event_type"),
            revision: event["revision"].as_i64().unwrap(),
            state: CallState::of_event(event),
        }
    }

    fn is_withdrawal(&self) -> bool {
        self.event_type == "WITHDRAWN"
    }
}

/// What is wrong with what was told of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// It is wanted and was not told, or was withdrawn.
    Lost,
    /// What was told last is not how it is.
    Stale,
    /// It is not wanted, or not there, and stands as published.
    Unwanted,
    /// The same event twice, or two with the same revision.
    Doubled,
    /// A revision was left out.
    Gap,
    /// Revisions in another order than that of their numbers, or in two partitions.
    Disorder,
}

impl Problem {
    pub const ALL: [Problem; 6] =
        [Problem::Lost, Problem::Stale, Problem::Unwanted, Problem::Doubled, Problem::Gap, Problem::Disorder];

    /// Whether more reading may put it right.
    pub fn may_pass(self) -> bool {
        matches!(self, Problem::Lost | Problem::Stale | Problem::Unwanted)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Lost => "lost",
            Problem::Stale => "not told as it is",
            Problem::Unwanted => "published against the filters or the truth",
            Problem::Doubled => "doubled",
            Problem::Gap => "with a gap in its revisions",
            Problem::Disorder => "out of order",
        })
    }
}

/// By which promise events are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    ExactlyOnce,
    /// The same event may come again: with its id, and so with its content.
    AtLeastOnce,
}

impl Judge {
    /// The problems of all calls of an account: those that are there and those that events are about.
    pub fn account(
        self,
        truth: &[TruthCall],
        told: &BTreeMap<i64, Vec<Told>>,
        is_wanted: impl Fn(&CallState) -> bool,
    ) -> BTreeMap<i64, BTreeSet<Problem>> {
        let visible: BTreeMap<i64, CallState> =
            truth.iter().filter(|call| call.visible).map(|call| (call.id, CallState::of_row(call))).collect();
        let ids: BTreeSet<i64> = visible.keys().chain(told.keys()).copied().collect();
        let problems = ids.into_iter().map(|id| {
            let events = told.get(&id).map(Vec::as_slice).unwrap_or_default();
            let wanted = visible.get(&id).filter(|state| is_wanted(state));
            (id, self.history(events).into_iter().chain(self.outcome(events, wanted)).collect())
        });
        problems.filter(|(_, problems): &(i64, BTreeSet<Problem>)| !problems.is_empty()).collect()
    }

    /// How the events follow one another.
    pub fn history(self, events: &[Told]) -> BTreeSet<Problem> {
        let mut problems = BTreeSet::new();
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut latest = 0;
        for event in events {
            let is_repeated = !known.insert(&event.event_id);
            if event.partition != events[0].partition || (event.revision == 1) != (event.event_type == "CREATED") {
                problems.insert(Problem::Disorder);
            }
            if is_repeated && self == Judge::AtLeastOnce {
                continue;
            }
            if is_repeated || event.revision == latest {
                problems.insert(Problem::Doubled);
            } else if event.revision < latest {
                problems.insert(Problem::Disorder);
            } else if event.revision > latest + 1 {
                problems.insert(Problem::Gap);
            }
            latest = latest.max(event.revision);
        }
        problems
    }

    /// What stands in the end.
    fn outcome(self, events: &[Told], wanted: Option<&CallState>) -> Option<Problem> {
        let last = match self {
            Judge::ExactlyOnce => events.last(),
            // A repetition may come last.
            Judge::AtLeastOnce => first_tellings(events).max_by_key(|event| event.revision),
        };
        match (wanted, last.filter(|event| !event.is_withdrawal())) {
            (Some(_), None) => Some(Problem::Lost),
            (None, Some(_)) => Some(Problem::Unwanted),
            (Some(state), Some(event)) if event.state != *state => Some(Problem::Stale),
            _ => None,
        }
    }
}

fn first_tellings(events: &[Told]) -> impl Iterator<Item = &Told> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    events.iter().filter(move |event| known.insert(&event.event_id))
}
