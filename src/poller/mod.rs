//! One account: the only place where rules meet I/O.
//!
//! Plan, fetch, compose, publish, apply, and again. One batch is in flight; while its transaction is on the way, the
//! next page is fetched, since where it starts follows from the page and not from the acknowledgement. Whatever goes
//! wrong, the progress holds what Kafka has acknowledged, and the next plan starts from there.

mod fetch;
mod missing;
mod quiet;
mod refresh;
mod show;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::tz::TimeZone;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant as Moment;

use crate::batch::{Batch, Composer, Reading as PageReading};
use crate::context::Context;
use crate::domain::call::AccountId;
use crate::domain::demand::{Demand, Pace};
use crate::domain::embargo::Embargo;
use crate::domain::experience::{Experience, Outcome};
use crate::domain::ladder::Ladder;
use crate::domain::ledger::Bucket;
use crate::domain::pace::{Budget, PointsWindow};
use crate::domain::paging::{Advance, PageFacts, PageRequest, Paging, PagingError};
use crate::domain::plan::{self, Next, Purpose, Reading, Situation, Why};
use crate::domain::read_as;
use crate::domain::time::{Instant, Interval, LocalHour, LocalInterval, LocalTime};
use crate::edge::data_api::{ApiError, Client, Page};
use crate::edge::kafka::{Acknowledged, PublishError, Record};
use crate::logging::events;
use crate::progress::{OutOfOrder, Progress, Step};
use crate::purse::{Errand, Purse};
use crate::territory::Holding;

pub use fetch::{UNKNOWN_RESET, calls_query};
pub use refresh::Refresh;

/// A blocked account is tried again this often.
pub const BLOCKED_RETRY: Duration = Duration::from_mins(5);

/// A plan holds no longer than this: points come and go, also by what others do.
const PLAN_AGAIN: Duration = Duration::from_mins(1);

/// Smaller pages are done sooner than another thread can take over.
const WORTH_A_THREAD: usize = 64 * 1024;

/// Everything one account's poller works with.
pub struct Poller {
    pub composer: Composer,
    pub progress: Progress,
    /// As it is configured.
    pub ladder: Ladder,
    /// As readings are planned by it, with what can be read besides for nothing.
    pub planned: Ladder,
    pub points_share: f64,
    pub page_size: u32,
    /// Whether calls that the API no longer has are withdrawn.
    pub withdraws_vanished: bool,
    pub client: Client,
    /// The points of the credential.
    pub purse: Arc<Purse>,
    /// The customer's user, with an agency credential.
    pub user_id: Option<i64>,
    pub context: Context,
    /// The account's partition.
    pub holding: Arc<Holding>,
    pub experience: Experience,
    /// How often each tier is read, as the plan stands.
    pub pace: Pace,
    /// The seconds between two readings of each tier, and the points of a day that they take, as shown last.
    pub shown_plan: (Vec<u64>, u64),
    /// How long before now windows end.
    pub embargo: Embargo,
    /// The start of the newest row seen.
    pub newest: Option<Instant>,
    pub refresh: Refresh,
    /// When a live reading has found nothing last, and no step was taken for it.
    pub looked_at: Option<Instant>,
    /// After a live reading within a longer one, that goes on until then.
    pub no_interlude_before: Option<Moment>,
}

/// How polling ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing more is due, and only what is due now was asked for.
    Done,
    Stopped,
    /// Progress has to be read from Kafka again.
    Restore,
    /// It is time to ask again for the account's zone and tags.
    Refresh,
}

/// Why a reading broke off.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Paging(#[from] PagingError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    #[error("asked to stop")]
    Stopped,
}

impl Poller {
    /// Polls until it is told to stop, or nothing more is due. An error is one that a person must act upon, or that
    /// lasted: the account is to be tried again later.
    pub async fn run(&mut self) -> Result<Ended, ReadError> {
        let ended = self.poll().await;
        self.purse.leave(self.account());
        ended
    }

    async fn poll(&mut self) -> Result<Ended, ReadError> {
        loop {
            if self.context.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            if self.refresh_is_due() {
                return Ok(Ended::Refresh);
            }
            self.plan_pace();
            let now = self.context.clock.planning_now();
            match plan::next(&self.situation(now, &self.budget())) {
                Next::Read(reading) => {
                    // In memory only while it reads: of ten thousand accounts most rest.
                    if let Some(ended) = Box::pin(self.read_once(&reading)).await? {
                        return Ok(ended);
                    }
                }
                Next::Wait { why: Why::NothingDue, .. } if self.context.clock.is_frozen() => return Ok(Ended::Done),
                Next::Wait { until, why } => {
                    self.show_wait(until, why);
                    // Points may be raised, or left over by others, meanwhile.
                    if self.rest_until(until.min(self.context.clock.now() + PLAN_AGAIN)).await.is_err() {
                        return Ok(Ended::Stopped);
                    }
                }
            }
        }
    }

    /// How often the tiers are to be read from now on, with the points that there are and all who want some.
    fn plan_pace(&mut self) {
        let is_backfilling = self.is_backfilling();
        self.planned = match is_backfilling {
            // What was never read is no news.
            true => self.ladder.clone(),
            false => self.ladder.with_free_rungs(&self.experience, self.page_size),
        };
        let demand = Demand::of(&self.planned, &self.experience, self.page_size).with_backfill(is_backfilling);
        let (pace, points_per_second) = self.purse.pace(self.account(), demand, self.points_share);
        self.pace = pace;
        let per_day = points_per_second * PointsWindow::Day.length().as_secs_f64();
        self.show_plan(per_day.round() as u64);
    }

    /// One reading. `Some` when polling cannot go on from here.
    async fn read_once(&mut self, reading: &Reading) -> Result<Option<Ended>, ReadError> {
        self.show_reading(reading);
        let is_stale = self.progress.horizon_is_stale();
        match self.read(reading).await {
            Ok(outcome) => {
                self.show_done(reading, &outcome);
                // What other filters or another zone have changed tells nothing of what calls will do.
                let news = if is_stale { Vec::new() } else { outcome.news };
                self.learn(reading, &Outcome { news, ..outcome });
                Ok(None)
            }
            Err(ReadError::Stopped | ReadError::Publish(PublishError::Stopped | PublishError::Lost)) => {
                Ok(Some(Ended::Stopped))
            }
            Err(ReadError::Publish(PublishError::Restore) | ReadError::OutOfOrder(_)) => Ok(Some(Ended::Restore)),
            Err(ReadError::Publish(PublishError::TooLarge { .. })) => {
                tracing::warn!(account = %self.account(), "the broker takes smaller records than its topic says; reading the page again");
                Ok(None)
            }
            Err(error) if self.is_embargo(&error, reading) || self.shortens_pages(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a page was too large to be taken in. From then on shorter ones are asked for.
    fn shortens_pages(&mut self, error: &ReadError) -> bool {
        let is_too_large = matches!(error, ReadError::Api(error) if error.is_too_large());
        if !is_too_large || self.page_size == 1 {
            return false;
        }
        self.page_size = self.page_size.div_ceil(2);
        tracing::warn!(name: events::PAGE_SIZE_REDUCED, account = %self.account(), page_size = self.page_size, "a page does not fit into `limits.memory`, asking for shorter ones");
        true
    }

    /// Whether a reading was refused since it ended too late for this API. Then the next one ends earlier.
    fn is_embargo(&mut self, error: &ReadError, reading: &Reading) -> bool {
        let ReadError::Api(error) = error else { return false };
        if !error.refuses_date_till() {
            return false;
        }
        tracing::debug!(account = %self.account(), till = %reading.window.till, %error, "windows have to end earlier");
        self.embargo.refused(reading.window.till, self.context.clock.planning_now())
    }

    async fn read(&mut self, reading: &Reading) -> Result<Outcome, ReadError> {
        let mut outcome = Outcome::default();
        let as_of = self.context.clock.planning_now();
        let mut windows = reading.windows().peekable();
        while let Some(window) = windows.next() {
            let is_last = windows.peek().is_none();
            self.read_window(window, reading, is_last.then_some(as_of), &mut outcome).await?;
        }
        self.embargo.taken(reading.window.till, as_of);
        self.show_embargo();
        Ok(outcome)
    }

    /// Reads one window of a reading page by page. New calls do not wait for the end of a long one: the live reading
    /// comes between two pages when it is due. The last window completes the reading as of the time given.
    async fn read_window(
        &mut self,
        window: Interval,
        reading: &Reading,
        completes_as_of: Option<Instant>,
        outcome: &mut Outcome,
    ) -> Result<(), ReadError> {
        let local = self.asked(window, reading);
        let mut paging = Paging::new(local, local.repeated(self.zone()), self.page_size);
        let mut roll_call = self.roll_call(window);
        let errand = self.errand(reading);
        let mut page = self.fetch_in_turn(&paging.request(), self.first_errand(reading), reading).await?;
        loop {
            let page_reading = self.page_reading(window, reading);
            let batch = self.compose(&page, &page_reading);
            let room = page.into_room();
            let request = paging.request();
            let advance = paging.advance(&batch.facts)?;
            self.note_newest(&batch.facts);
            let batch = self.call_the_roll(&mut roll_call, &request, advance, &page_reading, batch);
            let completed = completes_as_of.filter(|_| advance == Advance::Done);
            let completes = completed.map(|as_of| (reading.purpose, as_of));
            self.show_page(&batch.counts);
            let step = self.step(window, advance, completes, batch.buckets);
            if batch.records.is_empty() && completed.is_some() && self.says_nothing(&step, reading) {
                self.looked_at = completed;
                outcome.note_page(batch.counts.rows);
                // It has begun before the frontier, so that there is no gap.
                self.count(&batch.counts, window.till);
                return Ok(());
            }
            let live = self.live_in_between(reading);
            let now = self.context.clock.latest_now();
            let (pending, state) = self.progress.prepare(step, &self.ladder, self.zone(), now, &self.context.place);
            let mut records = batch.records;
            records.extend(state);

            let publishing = async {
                let outcome = self.publish(records).await;
                drop(room);
                outcome
            };
            let fetching = async {
                // A page that waited for the live reading would take room in memory from it.
                let is_free = live.is_none() && self.purse.wait(self.points_share, errand).is_none();
                match advance {
                    Advance::More { .. } if is_free => Some(self.fetch(&paging.request(), errand).await),
                    Advance::More { .. } | Advance::Done => None,
                }
            };
            let (acknowledged, next) = tokio::join!(publishing, fetching);
            self.progress.apply(pending, acknowledged?)?;
            outcome.note_page(batch.counts.rows);
            outcome.news.extend(self.ages(&batch.news, reading));
            self.count(&batch.counts, self.progress.coverage().frontier());
            if advance == Advance::Done {
                return Ok(());
            }
            page = match next {
                Some(next) => next?,
                None => self.fetch_in_turn(&paging.request(), errand, reading).await?,
            };
        }
    }

    /// A page when there is a point for it. Live readings go first, also while a longer one waits for points.
    async fn fetch_in_turn(
        &mut self,
        request: &PageRequest,
        errand: Errand,
        reading: &Reading,
    ) -> Result<Page, ReadError> {
        if errand == Errand::Other {
            self.give_way_to_live(reading).await?;
        }
        self.fetch(request, errand).await
    }

    /// Until there is a point for a reading that is not live.
    async fn give_way_to_live(&mut self, reading: &Reading) -> Result<(), ReadError> {
        loop {
            if let Some(live) = self.live_in_between(reading) {
                self.read_in_between(live).await?;
            }
            let Some((until, window)) = self.purse.wait(self.points_share, Errand::Other) else { return Ok(()) };
            self.show_wait(until, Why::Points(window));
            let (now, budget) = (self.context.clock.now(), self.budget());
            let next_live = match budget.wait(now) {
                Some((until, _)) => until,
                None => plan::live_due(&self.situation(now, &budget)).max(now + Duration::from_secs(1)),
            };
            self.sleep_until(until.min(next_live)).await?;
        }
    }

    /// Of the first page. A larger reading in the place of the live one does not wait for that: it would cost a point
    /// more. Pages that were not expected of it do.
    fn first_errand(&self, reading: &Reading) -> Errand {
        let stands_for_live = self.planned.stands_for_live(reading, &self.experience, self.page_size);
        if stands_for_live { Errand::Live } else { Errand::Other }
    }

    fn errand(&self, reading: &Reading) -> Errand {
        if self.ladder.is_live(reading) { Errand::Live } else { Errand::Other }
    }

    /// Live readings take no more than half of the time of the longer one, or that would never end where the API is
    /// slow.
    fn live_in_between(&self, under_way: &Reading) -> Option<Reading> {
        if self.no_interlude_before.is_some_and(|moment| Moment::now() < moment) {
            return None;
        }
        let budget = self.budget();
        plan::live_in_between(&self.situation(self.context.clock.planning_now(), &budget), under_way)
    }

    /// The live reading, within another one.
    fn read_in_between(&mut self, live: Reading) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(async move {
            let started = Moment::now();
            let outcome = match self.read(&live).await {
                Err(error) if self.is_embargo(&error, &live) => return Ok(()),
                outcome => outcome?,
            };
            self.no_interlude_before = Some(Moment::now() + started.elapsed());
            self.show_done(&live, &outcome);
            self.learn(&live, &outcome);
            Ok(())
        })
    }

    fn learn(&mut self, reading: &Reading, outcome: &Outcome) {
        if let Some((watched, news)) = self.experience.lately(&self.planned, reading, outcome) {
            self.purse.note_news(watched, news);
        }
        self.experience.note(&self.planned, reading, outcome);
    }

    /// How old the calls are of which a reading brings news. Where the API shows rows hours late, a tier reaches back
    /// from the newest one.
    fn ages(&self, news: &[LocalTime], reading: &Reading) -> impl Iterator<Item = Duration> {
        let till = reading.window.till;
        let newest = self.newest.map_or(till, |newest| newest.min(till));
        news.iter().map(move |start| newest.since(start.to_instant(self.zone())))
    }

    fn note_newest(&mut self, page: &PageFacts) {
        let newest = page.starts.iter().max().map(|start| start.to_instant(self.zone()));
        self.newest = self.newest.max(newest);
    }

    fn compose(&self, page: &Page, reading: &PageReading) -> Batch {
        let compose = || self.composer.compose(page, reading, self.progress.ledger());
        if page.body_bytes() < WORTH_A_THREAD { compose() } else { at_work(compose) }
    }

    /// The window as the account's clock has it. While its zone changes, the reading of the horizon asks for what
    /// either clock takes for it.
    fn asked(&self, window: Interval, reading: &Reading) -> LocalInterval {
        let is_of_horizon = reading.purpose == Purpose::Tier { age: self.ladder.horizon() };
        match self.progress.former_zone().filter(|_| is_of_horizon) {
            Some(former) => read_as::local_window(window, self.zone(), &former),
            None => window.to_local(self.zone()),
        }
    }

    fn page_reading(&self, window: Interval, reading: &Reading) -> PageReading {
        let asked = self.asked(window, reading);
        let former_zone = self.progress.former_zone();
        let new_from = match &former_zone {
            Some(former) if self.progress.has_forgotten() && reading.purpose != Purpose::Backfill => {
                read_as::new_from(self.progress.floor(), self.zone(), former)
            }
            _ => asked.from,
        };
        PageReading {
            window: asked,
            new_from,
            observed_at_millis: self.context.clock.now_millis(),
            now: self.context.clock.now().to_local(self.zone()),
            former_zone,
        }
    }

    async fn publish(&self, records: Vec<Record>) -> Result<Acknowledged, PublishError> {
        let sizes: Vec<(Arc<str>, usize)> =
            records.iter().map(|record| (record.topic.clone(), record.size())).collect();
        let started = Moment::now();
        let outcome = self.watched(self.context.publisher.publish(&self.holding.lease, records)).await;
        self.show_published(sizes.len(), &outcome, started.elapsed());
        if let Err(PublishError::TooLarge { records: refused }) = &outcome {
            for (topic, size) in refused.iter().filter_map(|index| sizes.get(*index)) {
                self.composer.refuse_size(topic, *size);
            }
        }
        outcome
    }

    /// A transaction that takes so long says that Kafka does not answer, while the publisher tries on.
    async fn watched<T>(&self, publishing: impl Future<Output = T>) -> T {
        tokio::pin!(publishing);
        match tokio::time::timeout(self.context.kafka.patience, &mut publishing).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::warn!(account = %self.account(), "kafka does not acknowledge, waiting; nothing is lost");
                self.context.kafka.acknowledges(false);
                let outcome = publishing.await;
                // A refusal is an answer too.
                self.context.kafka.acknowledges(true);
                outcome
            }
        }
    }

    fn step(
        &self,
        window: Interval,
        advance: Advance,
        completes: Option<(Purpose, Instant)>,
        buckets: Vec<(LocalHour, Bucket)>,
    ) -> Step {
        let covered = match advance {
            Advance::Done => Some(window),
            Advance::More { read_before } => window.read_before(read_before, self.zone()),
        };
        let tier_read = completes.and_then(|(purpose, as_of)| match purpose {
            Purpose::Tier { age } => Some((age, as_of)),
            Purpose::Backfill => None,
        });
        let forgotten = match completes {
            Some(_) => self.progress.forgettable(&self.ladder, self.zone(), self.context.clock.now()),
            None => Vec::new(),
        };
        Step { covered, tier_read, buckets, forgotten }
    }

    fn situation<'a>(&'a self, now: Instant, budget: &'a Budget) -> Situation<'a> {
        Situation {
            ladder: &self.planned,
            coverage: self.progress.coverage(),
            floor: self.progress.floor(),
            clocks: self.progress.clocks(),
            looked_at: self.looked_at,
            horizon_is_stale: self.progress.horizon_is_stale(),
            experience: &self.experience,
            pace: &self.pace,
            page_size: self.page_size,
            budget,
            is_last: self.context.clock.is_frozen(),
            end: self.embargo.end(now),
            newest: self.newest,
            now,
        }
    }

    fn is_backfilling(&self) -> bool {
        plan::is_backfilling(&self.situation(self.context.clock.planning_now(), &self.budget()))
    }

    fn budget(&self) -> Budget {
        self.purse.budget(self.points_share)
    }

    fn account(&self) -> &AccountId {
        &self.composer.source.account
    }

    fn zone(&self) -> &TimeZone {
        &self.composer.source.zone
    }
}

/// A page is tenths of a second of work: other accounts' requests must not wait behind it. On a runtime of one thread,
/// as rehearsals have, they do.
fn at_work<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}
