//! How many calls an account has, what they are like and what happens to them later.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::scenario::{Delay, duration};

/// The calls that the simulator makes up for an account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallsScenario {
    /// How far back the history goes.
    pub days: f64,
    /// Calls of the history: so many a day, unless `count` says how many there are in all.
    pub per_day: f64,
    pub count: Option<usize>,
    /// Calls from the start of the simulator on.
    pub per_hour: f64,
    /// How many of them come in an hour of the night (21 to 8 of the account's clock), for one of the day.
    pub night_share: f64,
    /// So long before the start they came in already: some of them are going on when it starts, and tags come at once.
    #[serde(deserialize_with = "duration")]
    pub live_since: Duration,
    /// After so many live calls no more come.
    pub live_limit: Option<usize>,
    /// Weights of the values of `source`.
    pub sources: BTreeMap<String, f64>,
    /// Length of the answered part of a call.
    pub talk: Delay,
    pub lost_share: f64,
    /// Share of calls whose `attributes` hold `primary`.
    pub primary_share: f64,
    pub long: LongCalls,
    /// How long after its end a call appears in the report.
    #[serde(deserialize_with = "duration")]
    pub visibility_delay: Duration,
    /// So many calls in a row start in the same second.
    pub same_second: usize,
    pub tags: TagHabits,
    pub sales: SaleHabits,
    pub ratings: RatingHabits,
    /// How long after the end the links of the recording appear.
    pub records_delay: Delay,
    pub vanish: VanishHabits,
    pub bad_rows: BadRows,
    /// Columns that no document knows and that come back unasked.
    pub extra_columns: Map<String, Value>,
    /// Rows repeat a few hundred ready texts (only id and times are their own): for benchmarks.
    pub prerendered: bool,
}

impl Default for CallsScenario {
    fn default() -> CallsScenario {
        let sources = [
            ("dynamic_call_tracking", 0.55),
            ("simple_dt", 0.05),
            ("call_tracking", 0.20),
            ("va", 0.12),
            ("sip", 0.08),
        ];
        CallsScenario {
            days: 0.0,
            per_day: 0.0,
            count: None,
            per_hour: 0.0,
            night_share: 1.0,
            live_since: Duration::ZERO,
            live_limit: None,
            sources: sources.map(|(name, weight)| (name.to_owned(), weight)).into(),
            talk: Delay::secs(15, 900),
            lost_share: 0.2,
            primary_share: 0.45,
            long: LongCalls::default(),
            visibility_delay: Duration::from_secs(5),
            same_second: 1,
            tags: TagHabits::default(),
            sales: SaleHabits::default(),
            ratings: RatingHabits::default(),
            records_delay: Delay::secs(20, 120),
            vanish: VanishHabits::default(),
            bad_rows: BadRows::default(),
            extra_columns: Map::new(),
            prerendered: false,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LongCalls {
    pub share: f64,
    pub talk: Delay,
}

impl Default for LongCalls {
    fn default() -> LongCalls {
        LongCalls { share: 0.0, talk: Delay::secs(3600, 4 * 3600) }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TagHabits {
    /// Share of calls that ever get a tag.
    pub share: f64,
    /// When, counted from the end of the call.
    pub delay: Delay,
    /// Share of tagged calls that lose a tag again, and when, counted from the tagging.
    pub removed_share: f64,
    pub removed_delay: Delay,
}

impl Default for TagHabits {
    fn default() -> TagHabits {
        TagHabits {
            share: 0.3,
            delay: Delay::secs(30, 24 * 3600),
            removed_share: 0.0,
            removed_delay: Delay::secs(60, 24 * 3600),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaleHabits {
    pub share: f64,
    pub delay: Delay,
}

impl Default for SaleHabits {
    fn default() -> SaleHabits {
        SaleHabits { share: 0.05, delay: Delay::secs(3600, 7 * 24 * 3600) }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatingHabits {
    pub share: f64,
    pub delay: Delay,
}

impl Default for RatingHabits {
    fn default() -> RatingHabits {
        RatingHabits { share: 0.05, delay: Delay::secs(60, 3600) }
    }
}

/// Calls that the report has no longer after a while.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VanishHabits {
    pub share: f64,
    pub delay: Delay,
}

impl Default for VanishHabits {
    fn default() -> VanishHabits {
        VanishHabits { share: 0.0, delay: Delay::secs(60, 3600) }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BadRows {
    pub share: f64,
    pub kinds: Vec<BadRow>,
}

impl Default for BadRows {
    fn default() -> BadRows {
        BadRows { share: 0.0, kinds: BadRow::ALL.to_vec() }
    }
}

/// What is wrong with a bad row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadRow {
    /// `talk_duration` is an object.
    WrongType,
    /// No `id`.
    MissingId,
    /// `id` is a word.
    UnreadableId,
    /// `start_time` is `yesterday`.
    UnreadableStartTime,
    /// `tags` holds numbers for objects.
    BrokenNested,
}

impl BadRow {
    pub const ALL: [BadRow; 5] =
        [BadRow::WrongType, BadRow::MissingId, BadRow::UnreadableId, BadRow::UnreadableStartTime, BadRow::BrokenNested];
}
