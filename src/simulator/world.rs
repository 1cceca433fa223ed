//! The calls and dictionaries of one account, or of one customer of an agency, and how they go on.
//!
//! Calls are kept in the order of their wall-clock start, which is what windows and sorting go by, unless the scenario
//! says otherwise. A window therefore is a range of the vector. In the hour that a clock change repeats, calls of both
//! passes lie among each other, as their times without a zone make them look.

use std::sync::{Arc, Mutex, OnceLock};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    calls_scenario::CallsScenario,
    cast,
    generate::Generator,
    portrait::{Portrait, Sketch},
    row::{Call, RowText, RowWriter, What, call_column, wall_clock_text},
    scenario::{BoundBy, Bounds, Tables},
};

pub struct World {
    /// The name that truth and control use: the account's, or `agency.USER_ID`.
    pub name: String,
    pub app_id: i64,
    pub title: String,
    pub zone_name: String,
    pub zone: TimeZone,
    /// Rows of every method but the calls report.
    pub tables: Tables,
    generator: Generator,
    calls: Vec<Call>,
}

/// What a change of the account's time zone does to the times of the calls before it. The documents do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormerRows {
    /// They stay as they were written.
    KeepTheirText,
    /// The start and end of each call are shown by the new clock. Other times of a row stay as they are.
    ShowTheNewTime,
}

/// What a world is made from.
pub struct WorldPlan<'a> {
    pub name: String,
    pub app_id: i64,
    pub title: &'a str,
    pub timezone: &'a str,
    pub calls: &'a CallsScenario,
    pub rows: &'a [Map<String, Value>],
    pub tables: &'a Tables,
    pub seed: u64,
}

/// When a call came into the report, and when its row changed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    pub id: i64,
    pub start: Timestamp,
    /// `None`: it goes on without an end in sight.
    pub shown_at: Option<Timestamp>,
    /// In order of time; what happened before it was shown is not among them, nor that it vanished.
    pub changed_at: Vec<Timestamp>,
    pub vanishes_at: Option<Timestamp>,
}

/// One call that exists, with its row as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct TruthCall {
    pub id: i64,
    /// Wall-clock start, also of a row that shows none.
    pub start_time: String,
    /// Whether an ordinary request would get it.
    pub visible: bool,
    pub ongoing: bool,
    /// Whether the row is spoilt on purpose.
    pub bad: bool,
    pub row: Value,
}

impl World {
    pub fn new(plan: &WorldPlan<'_>, now: Timestamp) -> World {
        // The zone was checked with the scenario; one built in Rust with a wrong name lives in UTC.
        let zone = TimeZone::get(plan.timezone).unwrap_or(TimeZone::UTC);
        let tables = cast::complete(plan.tables, plan.app_id * 100);
        let generator = Generator::new(plan.calls, &tables, plan.seed, &zone, now);
        let mut world = World {
            name: plan.name.clone(),
            app_id: plan.app_id,
            title: plan.title.to_owned(),
            zone_name: plan.timezone.to_owned(),
            zone,
            tables,
            generator,
            calls: Vec::new(),
        };
        for call in world.generator.history(now) {
            world.take_in(call);
        }
        for row in plan.rows {
            world.add_row(row.clone(), now);
        }
        world
    }

    /// Lets the calls in that have started by `now`.
    pub fn go_on(&mut self, now: Timestamp) {
        for call in self.generator.live(now) {
            self.take_in(call);
        }
    }

    pub fn stop_live_calls(&mut self) {
        self.generator.stop_live_calls();
    }

    fn take_in(&mut self, mut call: Call) {
        self.generator.plan_changes(&mut call, &self.tables);
        self.insert(call);
    }

    fn insert(&mut self, call: Call) {
        let place = self.calls.partition_point(|other| other.start_wall <= call.start_wall);
        self.calls.insert(place, call);
    }

    /// The calls whose start lies in the window.
    pub fn window(&self, from: DateTime, till: DateTime, bounds: Bounds, by: BoundBy) -> impl Iterator<Item = &Call> {
        // No clock is put forward or back by more than a day.
        let margin = if by == BoundBy::Text { SignedDuration::ZERO } else { SignedDuration::from_hours(24) };
        let first = from.saturating_sub(margin);
        let last = till.saturating_add(margin);
        let first = self.calls.partition_point(|call| call.start_wall < first);
        let end = self.calls.partition_point(|call| call.start_wall <= last);
        let near = self.calls.get(first..end).unwrap_or(&[]).iter();
        let moments = (self.moment(from, by), self.moment(till, by));
        near.filter(move |call| match by {
            BoundBy::Text => bounds.contain(&call.start_wall, &from, &till),
            _ => bounds.contain(&call.start, &moments.0, &moments.1),
        })
    }

    fn moment(&self, bound: DateTime, by: BoundBy) -> Timestamp {
        let ambiguous = self.zone.to_ambiguous_timestamp(bound);
        let moment = if by == BoundBy::LaterMoment { ambiguous.later() } else { ambiguous.earlier() };
        // Only the ends of the calendar have none.
        moment.unwrap_or(if bound < DateTime::ZERO { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// Whether rows are put together from few texts: a million of them need no memory of their own.
    pub fn is_prerendered(&self) -> bool {
        self.generator.settings.prerendered
    }

    pub fn writer(&self) -> RowWriter<'_> {
        RowWriter { zone: &self.zone, extra_columns: &self.generator.settings.extra_columns }
    }

    /// The row's text, written at the first time somebody asks.
    pub fn body<'a>(&self, call: &'a Call) -> &'a Arc<RowText> {
        call.body.get_or_init(|| {
            let settings = &self.generator.settings;
            let sketch = Sketch::draw(settings, call.seed);
            let values = Portrait::new(&self.tables, settings, &sketch, call.seed, call.id).paint();
            Arc::new(RowText::of(&values))
        })
    }

    /// Every call that exists and is wanted, in the order of their start.
    pub fn truth(&self, now: Timestamp, is_wanted: impl Fn(i64) -> bool) -> Vec<TruthCall> {
        let existing = self.calls.iter().filter(|call| is_wanted(call.id) && call.exists(now));
        existing.map(|call| self.truth_of(call, now)).collect()
    }

    /// The calls that an ordinary request would get. No row is written for that, so it costs little.
    pub fn visible_ids(&self, now: Timestamp) -> impl Iterator<Item = i64> {
        self.calls.iter().filter(move |call| call.is_visible(now)).map(|call| call.id)
    }

    pub fn timelines(&self) -> Vec<Timeline> {
        self.calls.iter().map(timeline).collect()
    }

    fn truth_of(&self, call: &Call, now: Timestamp) -> TruthCall {
        let mut text = String::new();
        self.writer().write(&mut text, call, self.body(call), now, None);
        TruthCall {
            id: call.id,
            start_time: wall_clock_text(call.start_wall),
            visible: call.is_visible(now),
            ongoing: call.is_ongoing(now),
            bad: call.bad.is_some(),
            // The writer puts JSON together from JSON.
            row: serde_json::from_str(&text).unwrap_or(Value::Null),
        }
    }

    /// When the last thing happens that is planned for the calls so far.
    pub fn settles_at(&self) -> Option<Timestamp> {
        let appear = self.calls.iter().filter_map(|call| call.visible_at);
        let change = self.calls.iter().filter_map(|call| Some(call.changes.last()?.at));
        appear.chain(change).max()
    }

    /// Adds a call given column by column. A `start_time` or `finish_time` with an offset tells which pass of a repeated
    /// hour is meant; the row shows the wall clock. Without `id` it gets the next one, without `start_time` it starts now,
    /// without `finish_time` it lasted a minute (`null`: it goes on). Times that cannot be read stay as they are, and the
    /// call counts as one of now.
    pub fn add_row(&mut self, mut row: Map<String, Value>, now: Timestamp) -> i64 {
        let id = row.get("id").and_then(Value::as_i64);
        let id = id.unwrap_or_else(|| self.generator.id_for_added());
        let start = self.take_time(&mut row, "start_time");
        let start = start.unwrap_or_else(|| {
            // Whole seconds, as all times of the API.
            Timestamp::from_second(now.as_second()).unwrap_or(now)
        });
        let finish = match row.get("finish_time") {
            Some(Value::Null) => None,
            _ => Some(self.take_time(&mut row, "finish_time").unwrap_or_else(|| after(start, 60))),
        };
        let delay = self.generator.settings.visibility_delay;
        let own = ["id", "start_time", "finish_time", "communication_id"];
        let overrides = row.iter().filter(|(name, _)| own.contains(&name.as_str()));
        let call = Call {
            id,
            start,
            start_wall: self.zone.to_datetime(start),
            finish,
            visible_at: finish.map(|finish| finish.checked_add(delay).unwrap_or(finish)),
            seed: 0,
            body: OnceLock::from(Arc::new(RowText::of(&row))),
            overrides: overrides.map(|(name, value)| (call_column(name), Some(value.clone()))).collect(),
            bad: None,
            changes: Vec::new(),
            written: Mutex::default(),
        };
        self.insert(call);
        id
    }

    /// From now on the account's clock is another one.
    pub fn move_to(&mut self, zone_name: &str, zone: TimeZone, former_rows: FormerRows) {
        self.generator.move_to(&zone);
        let former = std::mem::replace(&mut self.zone, zone);
        self.zone_name = zone_name.to_owned();
        for call in &mut self.calls {
            match former_rows {
                FormerRows::KeepTheirText => call.keep_times(&former),
                FormerRows::ShowTheNewTime => call.show_times(&self.zone),
            }
        }
        self.calls.sort_by_key(|call| call.start_wall);
    }

    /// The moment of a column, which is made to show the wall clock.
    fn take_time(&self, row: &mut Map<String, Value>, column: &str) -> Option<Timestamp> {
        let text = row.get(column)?.as_str()?;
        if let Ok(moment) = text.parse::<Timestamp>() {
            row.insert(column.to_owned(), wall_clock_text(self.zone.to_datetime(moment)).into());
            return Some(moment);
        }
        let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
        Some(self.zone.to_ambiguous_zoned(local).compatible().ok()?.timestamp())
    }

    /// Lets something happen to a call; `false`: there is no such call.
    pub fn change(&mut self, id: i64, at: Timestamp, what: What) -> bool {
        match self.calls.iter_mut().find(|call| call.id == id) {
            Some(call) => {
                call.add_change(at, what);
                true
            }
            None => false,
        }
    }
}

fn timeline(call: &Call) -> Timeline {
    let vanishing = call.changes.iter().find(|change| matches!(change.what, What::Vanish));
    let changes = call.changes.iter().filter(|change| !matches!(change.what, What::Vanish));
    let mut changed_at: Vec<Timestamp> = changes.map(|change| change.at).collect();
    changed_at.retain(|at| call.visible_at.is_some_and(|shown_at| *at > shown_at));
    changed_at.dedup();
    Timeline {
        id: call.id,
        start: call.start,
        shown_at: call.visible_at,
        changed_at,
        vanishes_at: vanishing.map(|change| change.at),
    }
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(time)
}
