//! Makes up calls: when they start, how long they take and what happens to them later.
//!
//! A call is a pure function of the account's seed and its place in the sequence, so the same scenario and clock give
//! the same calls however often and in whatever steps they are asked for. What the row holds is written in
//! [`portrait`](super::portrait), only when somebody asks for it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    calls_scenario::{BadRow, CallsScenario},
    portrait::{self, Portrait, Sketch},
    row::{Call, ColumnIndex, RowText, What, call_column, local_text},
    scenario::{Delay, Tables},
};

/// How many different rows a prerendered account has.
const TEMPLATES: u64 = 512;
const IDS_OF_AN_ACCOUNT: i64 = 100_000_000;
/// Share of the calls of the night among those that fall into it by lot.
const NIGHT_SHARE: f64 = 0.12;

pub struct Generator {
    pub settings: CallsScenario,
    seed: u64,
    zone: TimeZone,
    first_id: i64,
    next_id: i64,
    made: u64,
    added: i64,
    templates: Vec<Arc<RowText>>,
    live: Live,
}

/// The endless sequence of calls that come while the simulator runs.
struct Live {
    lot: Rng,
    /// Start of the next group of calls; `None`: no more come.
    next: Option<Timestamp>,
    left: usize,
}

impl Generator {
    pub fn new(settings: &CallsScenario, tables: &Tables, seed: u64, zone: &TimeZone, now: Timestamp) -> Generator {
        let live_from = now.checked_sub(settings.live_since).unwrap_or(now);
        let first_id = 3_000_000_000 + (seed % 400) as i64 * IDS_OF_AN_ACCOUNT;
        let mut generator = Generator {
            settings: settings.clone(),
            seed,
            zone: zone.clone(),
            first_id,
            next_id: first_id,
            made: 0,
            added: 0,
            templates: Vec::new(),
            live: Live {
                lot: Rng::with_seed(seed ^ 0x6c69_7665),
                next: (settings.per_hour > 0.0).then_some(live_from),
                left: settings.live_limit.unwrap_or(usize::MAX),
            },
        };
        generator.live_group_after(live_from);
        if settings.prerendered {
            generator.templates = (0..TEMPLATES).map(|index| generator.template(tables, index, now)).collect();
        }
        generator
    }

    /// The calls of the days before `now`, in the order of their start.
    pub fn history(&mut self, now: Timestamp) -> Vec<Call> {
        let settings = &self.settings;
        let total = settings.count.unwrap_or((settings.days * settings.per_day).round() as usize);
        let group = settings.same_second.max(1);
        let span = settings.days * 86_400.0;
        let mut lot = Rng::with_seed(self.seed ^ 0x6869_7374);
        let mut starts: Vec<Timestamp> =
            (0..total.div_ceil(group)).map(|_| self.draw_start(&mut lot, now, span)).collect();
        starts.sort_unstable();
        let of_groups = starts.into_iter().flat_map(|start| std::iter::repeat_n(start, group));
        of_groups.take(total).map(|start| self.make(start)).collect()
    }

    /// The live calls that have started by `now` and were not handed out yet.
    pub fn live(&mut self, now: Timestamp) -> Vec<Call> {
        let mut calls = Vec::new();
        while let Some(start) = self.live.next.filter(|start| *start <= now) {
            let group = self.settings.same_second.max(1).min(self.live.left);
            self.live.left -= group;
            calls.extend((0..group).map(|_| self.make(start)));
            self.live_group_after(start);
        }
        calls
    }

    /// Calls that come from now on are told by this zone's clock.
    pub fn move_to(&mut self, zone: &TimeZone) {
        self.zone = zone.clone();
    }

    pub fn stop_live_calls(&mut self) {
        self.live.next = None;
    }

    /// An id for a call that is added by hand, out of the way of those that are made up.
    pub fn id_for_added(&mut self) -> i64 {
        self.added += 1;
        self.first_id + IDS_OF_AN_ACCOUNT - 1_000_000 + self.added
    }

    fn next_id(&mut self) -> i64 {
        self.next_id += 1 + (xxh3_64_with_seed(&self.next_id.to_le_bytes(), self.seed) % 37) as i64;
        self.next_id
    }

    fn live_group_after(&mut self, start: Timestamp) {
        if self.live.left == 0 {
            self.live.next = None;
        }
        if self.live.next.is_none() {
            return;
        }
        let mean = 3600.0 / self.settings.per_hour * self.settings.same_second.max(1) as f64;
        let mut next = Some(start);
        while let Some(before) = next {
            let pause = -(1.0 - self.live.lot.f64()).ln() * mean;
            next = before.checked_add(seconds(pause)).ok();
            let comes = next.is_none_or(|at| self.is_day(at)) || self.live.lot.f64() < self.settings.night_share;
            if comes {
                break;
            }
        }
        self.live.next = next;
    }

    fn is_day(&self, at: Timestamp) -> bool {
        (8..21).contains(&self.zone.to_datetime(at).hour())
    }

    /// A moment of the last `span` seconds, more likely in the day than in the night.
    fn draw_start(&self, lot: &mut Rng, now: Timestamp, span: f64) -> Timestamp {
        loop {
            let start = now.checked_sub(seconds(lot.f64() * span)).unwrap_or(now);
            if self.is_day(start) || span < 86_400.0 || lot.f64() < NIGHT_SHARE {
                return start;
            }
        }
    }

    fn make(&mut self, start: Timestamp) -> Call {
        let id = self.next_id();
        let seed = xxh3_64_with_seed(&self.made.to_le_bytes(), self.seed);
        self.made += 1;
        // The API's times are whole seconds; the first of the second is taken, so that a call is never in the future.
        let start = Timestamp::from_second(start.as_second()).unwrap_or(start);
        let sketch = Sketch::draw(&self.settings, seed);
        let finish = plus(start, sketch.total());
        let mut call = Call {
            id,
            start,
            start_wall: self.zone.to_datetime(start),
            finish: Some(finish),
            visible_at: Some(plus(finish, self.settings.visibility_delay)),
            seed,
            body: OnceLock::new(),
            overrides: Vec::new(),
            bad: None,
            changes: Vec::new(),
            written: Mutex::default(),
        };
        if self.settings.prerendered {
            let template = &self.templates[(seed % TEMPLATES) as usize];
            call.body = OnceLock::from(template.clone());
        } else {
            self.plan_bad_row(&mut call);
        }
        call
    }

    /// Decides what will happen to the row; needs the cast, so the world does it after [`Generator::make`].
    pub fn plan_changes(&self, call: &mut Call, tables: &Tables) {
        if self.settings.prerendered {
            return;
        }
        let Some(finish) = call.finish else { return };
        let settings = &self.settings;
        let mut lot = Rng::with_seed(call.seed ^ 0x6368_616e);
        let sketch = Sketch::draw(settings, call.seed);
        self.plan_tags(call, tables, finish, &mut lot);
        if lot.f64() < settings.sales.share && !sketch.lost {
            let at = plus(finish, draw(settings.sales.delay, &mut lot));
            let cost = f64::from(lot.u32(200..20_000)) * 5.0 + 0.5 * f64::from(lot.u32(0..2));
            call.add_change(at, What::Set(call_column("sale_date"), local_text(at, &self.zone).into()));
            call.add_change(at, What::Set(call_column("sale_cost"), json!(cost)));
        }
        if lot.f64() < settings.ratings.share && !sketch.lost {
            let at = plus(finish, draw(settings.ratings.delay, &mut lot));
            let rating = json!(lot.u8(1..=5));
            call.add_change(at, What::Set(call_column("last_answered_employee_rating"), rating));
        }
        if !sketch.lost {
            let at = plus(finish, draw(settings.records_delay, &mut lot));
            let record = format!("{:016x}{:016x}", lot.u64(..), lot.u64(..));
            let link = format!("https://media.comagic.ru/{}/{record}", call.id);
            call.add_change(at, What::Set(call_column("call_records"), json!([record])));
            call.add_change(at, What::Set(call_column("full_record_file_link"), link.into()));
        }
        if lot.f64() < settings.vanish.share {
            let at = plus(finish, draw(settings.vanish.delay, &mut lot));
            call.add_change(at, What::Vanish);
        }
    }

    fn plan_tags(&self, call: &mut Call, tables: &Tables, finish: Timestamp, lot: &mut Rng) {
        let habits = self.settings.tags;
        let dictionary = &tables["get.tags"];
        if lot.f64() >= habits.share || dictionary.is_empty() {
            return;
        }
        let how_many = 1 + usize::from(lot.f64() < 0.25);
        let chosen = lot.choose_multiple(dictionary.iter(), how_many);
        for row in chosen {
            let at = plus(finish, draw(habits.delay, lot));
            call.add_change(at, What::PutTag(tag(row, at, &self.zone)));
            let id = row.get("id").and_then(Value::as_i64);
            if let (true, Some(id)) = (lot.f64() < habits.removed_share, id) {
                let removed_at = plus(at, draw(habits.removed_delay, lot));
                call.add_change(removed_at, What::RemoveTag(id));
            }
        }
    }

    fn plan_bad_row(&self, call: &mut Call) {
        let mut lot = Rng::with_seed(call.seed ^ 0x6261_6400);
        if lot.f64() < self.settings.bad_rows.share {
            call.bad = lot.choice(&self.settings.bad_rows.kinds).copied();
            call.overrides.extend(call.bad.map(spoil));
        }
    }

    /// A ready row of a prerendered account. Its tags are there from the start and nothing changes later.
    fn template(&self, tables: &Tables, index: u64, now: Timestamp) -> Arc<RowText> {
        let seed = xxh3_64_with_seed(&index.to_le_bytes(), !self.seed);
        let mut lot = Rng::with_seed(seed);
        let sketch = Sketch::draw(&self.settings, seed);
        let mut values = Portrait::new(tables, &self.settings, &sketch, seed, 1).paint();
        if let (true, Some(row)) = (lot.f64() < self.settings.tags.share, lot.choice(&tables["get.tags"])) {
            values.insert("tags".into(), json!([tag(row, now, &self.zone)]));
        }
        if !sketch.lost {
            let record = format!("{:016x}{:016x}", lot.u64(..), lot.u64(..));
            values.insert("call_records".into(), json!([record]));
        }
        Arc::new(RowText::of(&values))
    }
}

/// A tag of the dictionary as it stands on a call.
pub fn tag(row: &Map<String, Value>, at: Timestamp, zone: &TimeZone) -> Value {
    json!({"tag_id": row.get("id"), "tag_name": row.get("name"), "tag_change_time": local_text(at, zone), "tag_type": "manual",
           "tag_user_id": 2870, "tag_user_login": portrait::TAGGER_LOGIN, "tag_employee_id": null,
           "tag_employee_full_name": null})
}

fn spoil(kind: BadRow) -> (ColumnIndex, Option<Value>) {
    match kind {
        BadRow::WrongType => (call_column("talk_duration"), Some(json!({"seconds": 12}))),
        BadRow::MissingId => (call_column("id"), None),
        BadRow::UnreadableId => (call_column("id"), Some(json!("unknown"))),
        BadRow::UnreadableStartTime => (call_column("start_time"), Some(json!("yesterday"))),
        BadRow::BrokenNested => (call_column("tags"), Some(json!([17, 18]))),
    }
}

/// Short delays are more likely than long ones: the logarithm is drawn evenly.
fn draw(delay: Delay, lot: &mut Rng) -> Duration {
    let (min, max) = (delay.min.as_secs_f64().max(0.5), delay.max.as_secs_f64().max(0.5));
    if delay.min == delay.max {
        return delay.min;
    }
    Duration::from_secs_f64(min * (max / min).powf(lot.f64()))
}

pub fn draw_seconds(delay: Delay, lot: &mut Rng) -> u64 {
    draw(delay, lot).as_secs()
}

/// Times of the simulator lie thousands of years from the ends of what can be told; there it would stop.
fn plus(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

fn seconds(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX)
}
