//! What the poller of an account tells the outside: status, metrics, log.

use std::time::Duration;

use super::Poller;
use crate::batch::Counts;
use crate::domain::experience::Outcome;
use crate::domain::ladder::Tier;
use crate::domain::pace::PointsWindow;
use crate::domain::paging::PageRequest;
use crate::domain::plan::{Purpose, Reading, Why};
use crate::domain::time::Instant;
use crate::edge::data_api::{ApiError, Class, Page};
use crate::edge::kafka::{Acknowledged, PublishError};
use crate::logging::events;
use crate::outlook::short;
use crate::status::{AccountPoints, Cause, PointsCounter, PointsLimit, State, TierStatus, Why as StatusWhy};
use crate::stream::calls;

/// Failures of one request in a row after which they are told.
const WORTH_TELLING: u32 = 3;

/// A live tier that is read so many times later than promised is limited, if that is long.
const CRAWL: u32 = 10;
const NOTABLE_CRAWL: Duration = Duration::from_mins(10);

/// Waits shorter than this are not worth a change of status.
const NOTABLE_WAIT: Duration = Duration::from_secs(5);

impl Poller {
    pub(super) fn show_reading(&self, reading: &Reading) {
        tracing::debug!(account = %self.account(), from = %reading.window.from, till = %reading.window.till, purpose = self.purpose_of(reading), "reading");
        self.context.board.begin(self.account(), self.state());
    }

    /// Why it is read now, in words.
    fn purpose_of(&self, reading: &Reading) -> String {
        let Purpose::Tier { age } = reading.purpose else { return "what was never read".to_owned() };
        let tier = self.planned.tiers.iter().find(|tier| tier.age == age);
        let planned = tier.map_or_else(String::new, |tier| {
            format!(", planned every {}, promised every {}", short(self.pace.interval(tier)), short(tier.every))
        });
        format!("the tier of {}{planned}", short(age))
    }

    /// What came of a request, and which points that has left.
    pub(super) fn show_answer(&self, request: &PageRequest, answer: &Result<Page, ApiError>, took: Duration) {
        let page = answer.as_ref().ok();
        tracing::debug!(
            account = %self.account(),
            method = calls::METHOD,
            from = %request.date_from,
            till = %request.date_till,
            limit = request.limit,
            offset = request.offset,
            error_type = answer.as_ref().err().map(ApiError::outcome),
            total_items = page.and_then(Page::total_items),
            bytes = page.map(Page::body_bytes),
            ms = millis(took),
            points = self.client.limits().map(tracing::field::display),
            "a page was asked for"
        );
    }

    /// What came of its rows.
    pub(super) fn show_page(&self, counts: &Counts) {
        let told = counts.published.values().chain(counts.left_out.values()).chain(counts.dead_letters.values());
        tracing::debug!(
            account = %self.account(),
            rows = counts.rows,
            unchanged = counts.rows.saturating_sub(told.sum()),
            published = ?counts.published,
            left_out = ?counts.left_out,
            dead_letters = ?counts.dead_letters,
            "its rows were filtered and compared"
        );
    }

    pub(super) fn show_published(
        &self,
        n_records: usize,
        outcome: &Result<Acknowledged, PublishError>,
        took: Duration,
    ) {
        let ms = millis(took);
        match outcome {
            Ok(_) => tracing::debug!(account = %self.account(), n_records, ms, "committed"),
            Err(error) => tracing::debug!(account = %self.account(), n_records, ms, %error, "not committed"),
        }
    }

    fn state(&self) -> State {
        if self.is_backfilling() { State::Backfilling } else { State::Live }
    }

    pub(super) fn show_done(&self, reading: &Reading, outcome: &Outcome) {
        self.context.board.set(self.account(), self.state(), StatusWhy::NOTHING);
        if let Purpose::Tier { .. } = reading.purpose {
            self.context.board.note_live_read(self.account(), calls::NAME, reading.window.till);
        }
        if !outcome.news.is_empty() {
            tracing::info!(name: events::CALLS_PUBLISHED, account = %self.account(), stream = calls::NAME, from = %reading.window.from, till = %reading.window.till, n_pages = outcome.n_pages, n_events = outcome.news.len(), "published");
        }
    }

    /// Tells how long before now windows end, when that has changed.
    pub(super) fn show_embargo(&mut self) {
        if let Some(lag) = self.embargo.news(self.context.clock.planning_now()) {
            let lag = humantime::format_duration(lag);
            tracing::info!(name: events::EMBARGO_CHANGED, account = %self.account(), %lag, "the api serves no rows that are more recent, windows end so long before now");
        }
    }

    /// Tells how often the tiers are read, when that has changed.
    pub(super) fn show_plan(&mut self, points_per_day: u64) {
        let planned = |tier: &Tier| self.pace.interval(tier).as_secs();
        let (shown, shown_points) = &self.shown_plan;
        if *shown_points == points_per_day && self.ladder.tiers.iter().map(planned).eq(shown.iter().copied()) {
            return;
        }
        let tiers = self.ladder.tiers.iter().map(|tier| TierStatus {
            age: tier.age,
            promised_seconds: tier.every.as_secs(),
            planned_seconds: planned(tier),
        });
        self.context.board.note_plan(self.account(), calls::NAME, tiers.collect(), points_per_day);
        self.shown_plan = (self.ladder.tiers.iter().map(planned).collect(), points_per_day);
    }

    pub(super) fn show_wait(&self, until: Instant, why: Why) {
        let reason = match why {
            Why::NothingDue => "nothing is due",
            Why::Points(PointsWindow::Minute) => "no points are left in this minute",
            Why::Points(PointsWindow::Hour) => "no points are left in this hour",
            Why::Points(PointsWindow::Day) => "no points are left in this day",
        };
        tracing::debug!(account = %self.account(), %until, reason, "waiting");
        match why {
            Why::Points(window) if until.since(self.context.clock.now()) >= NOTABLE_WAIT => {
                self.context.board.set(self.account(), State::Limited, StatusWhy::points_used_up(window, until));
            }
            Why::NothingDue => self.show_crawl(),
            Why::Points(_) => {}
        }
    }

    /// Points that suffice for hardly anything are told of like none.
    fn show_crawl(&self) {
        let Some(live) = self.ladder.tiers.first() else { return };
        let interval = self.pace.interval(live);
        if interval > live.every * CRAWL && interval > NOTABLE_CRAWL {
            let interval = humantime::format_duration(Duration::from_secs(interval.as_secs()));
            self.context.board.set(self.account(), State::Limited, StatusWhy::points_are_few(interval));
        }
    }

    pub(super) fn show_failure(&self, error: &ApiError, failures: u32, wait: Duration) {
        if failures < WORTH_TELLING {
            tracing::debug!(account = %self.account(), error_type = error.outcome(), %error, ?wait, "the request failed, trying again");
        } else {
            tracing::warn!(account = %self.account(), error_type = error.outcome(), %error, failures, ?wait, "the request keeps failing, trying again");
        }
        if matches!(error.class(), Class::Limited { .. }) {
            self.context.board.set(
                self.account(),
                State::Limited,
                StatusWhy::because(error).with_remedy(error.remedy()).with_cause(Cause::new(error.outcome())),
            );
        }
    }

    pub(super) fn show_points(&self) {
        let Some(limits) = self.client.limits() else { return };
        let budget = self.budget();
        let limit = |window| {
            let (seen, allowed) = budget.counter(window).zip(budget.allowed(window))?;
            Some(PointsLimit { points: seen.limit, allowed, resets_at: seen.resets_at, reset_seconds: None })
        };
        let counters = limits.windows().into_iter().filter_map(|(window, seen)| {
            Some(PointsCounter { window, remaining: seen.remaining?, limit: limit(window) })
        });
        let points = AccountPoints {
            credential: self.purse.number(),
            seen_at: self.context.clock.now(),
            counters: counters.collect(),
        };
        self.context.board.note_points(self.account(), points);
    }

    /// What came of a page, and up to where the stream is read without a gap now.
    pub(super) fn count(&self, counts: &Counts, read_till: Instant) {
        self.context.board.go_on(self.account(), self.state());
        self.context.board.note_progress(self.account(), calls::NAME, read_till);
        self.context.metrics.rows_read(self.account(), calls::NAME, counts.rows);
        for (event, n) in &counts.published {
            self.context.metrics.event_published(self.account(), calls::NAME, *event, *n);
        }
        for (reason, n) in &counts.left_out {
            self.context.metrics.row_filtered(*reason, *n);
        }
        for (stage, n) in &counts.dead_letters {
            self.context.metrics.dead_letter(stage.as_str(), *n);
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
