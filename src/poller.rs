//! One account: the only place where rules meet I/O.
//!
//! Plan, fetch, compose, publish, apply, and again. One batch is in flight; while its transaction is on the way, the
//! next page is fetched, since where it starts follows from the page and not from the acknowledgement. Whatever goes
//! wrong, the progress holds what Kafka has acknowledged, and the next plan starts from there.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use futures::future::BoxFuture;
use jiff::tz::TimeZone;
use tokio::sync::OwnedSemaphorePermit;

use crate::batch::{Batch, Composer, Counts, Reading as PageReading};
use crate::clock::Clock;
use crate::context::Context;
use crate::domain::call::AccountId;
use crate::domain::ledger::Bucket;
use crate::domain::pace::{Budget, Points, PointsWindow, backoff};
use crate::domain::paging::{Advance, PageRequest, Paging, PagingError};
use crate::domain::plan::{self, Experience, Ladder, Next, Purpose, Reading, Situation, Why};
use crate::domain::time::{Instant, Interval, LocalHour};
use crate::edge::data_api::{ApiError, Class, Client, Page, ReportQuery, WindowLimits};
use crate::edge::kafka::{Acknowledged, PublishError, Record};
use crate::progress::{OutOfOrder, Progress, Step};
use crate::status::{State, Why as StatusWhy};
use crate::stream::calls::{self, Call};

/// Tries of one page before its reading is given up and planned anew.
const TRIES: u32 = 6;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Failures of one request in a row after which they are told.
const WORTH_TELLING: u32 = 3;

/// How long to wait when the API refuses for want of points and names no time.
pub const UNKNOWN_RESET: Duration = Duration::from_secs(60);
const LONGEST_UNKNOWN_RESET: Duration = Duration::from_mins(15);

/// A blocked account is tried again this often.
pub const BLOCKED_RETRY: Duration = Duration::from_mins(5);

/// No sleep is longer, so that a host clock that was put forward or back is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Waits shorter than this are not worth a change of status.
const NOTABLE_WAIT: Duration = Duration::from_secs(5);

/// Everything one account's poller works with.
pub struct Poller {
    pub composer: Composer,
    pub progress: Progress,
    pub ladder: Ladder,
    pub points_share: f64,
    pub page_size: u32,
    pub client: Client,
    /// The customer's user, with an agency credential.
    pub user_id: Option<i64>,
    pub context: Context,
    pub experience: Experience,
    /// After a live reading within a longer one, that goes on until then.
    pub no_interlude_before: Option<Moment>,
    /// What a row takes in memory, by the last page.
    pub row_bytes: usize,
}

/// How polling ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing more is due, and only what is due now was asked for.
    Done,
    Stopped,
    /// Progress has to be read from Kafka again.
    Restore,
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

/// A page with the room it takes.
struct Fetched {
    page: Page,
    room: OwnedSemaphorePermit,
}

/// What a reading has come to so far.
#[derive(Default)]
struct Tally {
    n_pages: u32,
    n_events: u64,
}

impl Poller {
    /// Rows are about this large until the first page tells better.
    pub const USUAL_ROW_BYTES: usize = 3 * 1024;

    /// Polls until it is told to stop, or nothing more is due. An error is one that a person must act upon, or that
    /// lasted: the account is to be tried again later.
    pub async fn run(&mut self) -> Result<Ended, ReadError> {
        loop {
            if self.context.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let now = self.context.clock.planning_now();
            match plan::next(&self.situation(now, &self.budget())) {
                Next::Read(reading) => {
                    if let Some(ended) = self.read_once(&reading).await? {
                        return Ok(ended);
                    }
                }
                Next::Wait { why: Why::NothingDue, .. } if self.context.clock.is_frozen() => return Ok(Ended::Done),
                Next::Wait { until, why } => {
                    self.show_wait(until, why);
                    if self.sleep_until(until).await.is_err() {
                        return Ok(Ended::Stopped);
                    }
                }
            }
        }
    }

    /// One reading. `Some` when polling cannot go on from here.
    async fn read_once(&mut self, reading: &Reading) -> Result<Option<Ended>, ReadError> {
        tracing::debug!(account = %self.account(), from = %reading.window.from, till = %reading.window.till, purpose = ?reading.purpose, "reading");
        self.show_reading();
        match self.read(reading).await {
            Ok(tally) => {
                self.experience.note(reading, tally.n_pages, tally.n_events > 0);
                self.show_done(reading, &tally);
                Ok(None)
            }
            Err(ReadError::Stopped | ReadError::Publish(PublishError::Stopped)) => Ok(Some(Ended::Stopped)),
            Err(ReadError::Publish(PublishError::Restore) | ReadError::OutOfOrder(_)) => Ok(Some(Ended::Restore)),
            Err(ReadError::Publish(PublishError::TooLarge { .. })) => {
                tracing::warn!(account = %self.account(), "the broker takes smaller records than its topic says; reading the page again");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self, reading: &Reading) -> Result<Tally, ReadError> {
        let mut tally = Tally::default();
        let mut windows = reading.windows().peekable();
        while let Some(window) = windows.next() {
            let is_last = windows.peek().is_none();
            self.read_window(window, reading, is_last, &mut tally).await?;
        }
        Ok(tally)
    }

    /// Reads one window of a reading page by page. New calls do not wait for the end of a long one: the live reading
    /// comes between two pages when it is due.
    async fn read_window(
        &mut self,
        window: Interval,
        reading: &Reading,
        is_last: bool,
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut paging = Paging::new(window.to_local(self.zone()), self.page_size);
        let mut fetched = self.fetch(&paging.request()).await?;
        loop {
            let Fetched { page, room } = fetched;
            let batch = self.compose(&page, window);
            self.learn_row_size(&page, &batch);
            drop(page);
            let advance = paging.advance(&batch.facts)?;
            let completes = (is_last && advance == Advance::Done).then_some(reading);
            let step = self.step(window, advance, completes, batch.buckets);
            let live = self.live_in_between(reading);
            let (pending, state) = self.progress.prepare(step, &self.ladder, self.zone(), &self.context.place);
            let mut records = batch.records;
            records.extend(state);

            let publishing = async {
                let outcome = self.publish(records).await;
                drop(room);
                outcome
            };
            let fetching = async {
                // A page that waited for the live reading would take room in memory from it.
                match (advance, live) {
                    (Advance::Done, _) | (_, Some(_)) => None,
                    (Advance::More { .. }, None) => Some(self.fetch(&paging.request()).await),
                }
            };
            let (acknowledged, next) = tokio::join!(publishing, fetching);
            self.progress.apply(pending, acknowledged?)?;
            tally.n_pages += 1;
            tally.n_events += batch.counts.events();
            self.count(&batch.counts);
            if advance == Advance::Done {
                return Ok(());
            }
            if let Some(live) = live {
                self.read_in_between(live).await?;
            }
            fetched = match next {
                Some(next) => next?,
                None => self.fetch(&paging.request()).await?,
            };
        }
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
            let tally = self.read(&live).await?;
            self.no_interlude_before = Some(Moment::now() + started.elapsed());
            self.experience.note(&live, tally.n_pages, tally.n_events > 0);
            self.show_done(&live, &tally);
            Ok(())
        })
    }

    fn compose(&self, page: &Page, window: Interval) -> Batch {
        let reading = PageReading {
            window: window.to_local(self.zone()),
            observed_at_millis: self.context.clock.now_millis(),
            now: self.context.clock.now().to_local(self.zone()),
        };
        // A page is tenths of a second of work: other accounts' requests must not wait behind it.
        tokio::task::block_in_place(|| self.composer.compose(page, &reading, self.progress.draft()))
    }

    async fn publish(&self, records: Vec<Record>) -> Result<Acknowledged, PublishError> {
        let sizes: Vec<(Arc<str>, usize)> =
            records.iter().map(|record| (record.topic.clone(), record.size())).collect();
        let outcome = self.watched(self.context.publisher.publish(records)).await;
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
                self.context.kafka.is_away();
                publishing.await
            }
        }
    }

    fn step(
        &self,
        window: Interval,
        advance: Advance,
        completes: Option<&Reading>,
        buckets: Vec<(LocalHour, Bucket)>,
    ) -> Step {
        let covered = match advance {
            Advance::Done => Some(window),
            Advance::More { read_before } => window.read_before(read_before, self.zone()),
        };
        let tier_read = completes.and_then(|reading| match reading.purpose {
            Purpose::Tier { age } => Some((age, reading.window.till)),
            Purpose::Backfill => None,
        });
        let forgotten = match completes {
            Some(_) => self.progress.forgettable(&self.ladder, self.zone(), self.context.clock.now()),
            None => Vec::new(),
        };
        Step { covered, tier_read, buckets, forgotten }
    }

    /// One page, tried again while that can help. Waits for points and for room in memory.
    async fn fetch(&self, request: &PageRequest) -> Result<Fetched, ReadError> {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            self.wait_for_points().await?;
            let room = self.room().await?;
            let error = match self.ask(request).await? {
                Ok(page) => return Ok(Fetched { page, room }),
                Err(error) => error,
            };
            drop(room);
            let wait = match error.class() {
                Class::Owner | Class::Bug => return Err(error.into()),
                Class::Retry { .. } if failures + 1 >= TRIES => return Err(error.into()),
                Class::Retry { after } => {
                    failures += 1;
                    after.unwrap_or_default().max(backoff(failures, FIRST_BACKOFF, LONGEST_BACKOFF, fastrand::f64()))
                }
                Class::Limited { wait, .. } => {
                    refusals += 1;
                    wait.unwrap_or_else(|| backoff(refusals, UNKNOWN_RESET, LONGEST_UNKNOWN_RESET, 1.0))
                }
            };
            self.show_failure(&error, failures, wait);
            self.sleep_until(self.context.clock.now() + wait.max(Duration::from_secs(1))).await?;
        }
    }

    /// The request itself. Asked to stop, the answer is not waited for.
    async fn ask(&self, request: &PageRequest) -> Result<Result<Page, ApiError>, ReadError> {
        let query = calls_query(request, self.user_id);
        let answer = tokio::select! {
            answer = self.client.report(&query) => answer,
            () = self.context.stop.cancelled() => return Err(ReadError::Stopped),
        };
        self.show_points();
        Ok(answer)
    }

    async fn wait_for_points(&self) -> Result<(), ReadError> {
        while let Some((until, window)) = self.budget().wait(self.context.clock.now()) {
            self.show_wait(until, Why::Points(window));
            self.sleep_until(until).await?;
        }
        Ok(())
    }

    /// Room for a page in memory, by what its rows have taken so far. A page larger than all the room takes all of it.
    async fn room(&self) -> Result<OwnedSemaphorePermit, ReadError> {
        let kib = (self.page_size as usize * self.row_bytes).div_ceil(1024);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX).clamp(1, self.context.memory_kib);
        tokio::select! {
            room = self.context.memory.clone().acquire_many_owned(kib) => room.map_err(|_| ReadError::Stopped),
            () = self.context.stop.cancelled() => Err(ReadError::Stopped),
        }
    }

    fn learn_row_size(&mut self, page: &Page, batch: &Batch) {
        if let Some(row_bytes) = page.body_bytes().checked_div(batch.counts.rows as usize) {
            self.row_bytes = row_bytes.max(1);
        }
    }

    async fn sleep_until(&self, until: Instant) -> Result<(), ReadError> {
        loop {
            let left = until.since(self.context.clock.now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
                () = self.context.stop.cancelled() => return Err(ReadError::Stopped),
            }
        }
    }

    fn situation<'a>(&'a self, now: Instant, budget: &'a Budget) -> Situation<'a> {
        Situation {
            ladder: &self.ladder,
            coverage: self.progress.coverage(),
            floor: self.progress.floor(),
            clocks: self.progress.clocks(),
            experience: &self.experience,
            budget,
            now,
        }
    }

    fn budget(&self) -> Budget {
        budget(&self.client, self.points_share, &self.context.clock)
    }

    fn account(&self) -> &AccountId {
        &self.composer.source.account
    }

    fn zone(&self) -> &TimeZone {
        &self.composer.source.zone
    }
}

/// What this poller tells the outside.
impl Poller {
    fn show_reading(&self) {
        let budget = self.budget();
        let situation = self.situation(self.context.clock.planning_now(), &budget);
        let state = if plan::is_backfilling(&situation) { State::Backfilling } else { State::Live };
        self.context.board.set(self.account(), state, StatusWhy::NOTHING);
    }

    fn show_done(&self, reading: &Reading, tally: &Tally) {
        self.show_reading();
        if let Purpose::Tier { .. } = reading.purpose {
            self.context.board.note_live_read(self.account(), calls::NAME, reading.window.till);
        }
        if tally.n_events > 0 {
            tracing::info!(account = %self.account(), from = %reading.window.from, till = %reading.window.till, n_pages = tally.n_pages, n_events = tally.n_events, "published");
        }
    }

    fn show_wait(&self, until: Instant, why: Why) {
        let Why::Points(window) = why else { return };
        if until.since(self.context.clock.now()) >= NOTABLE_WAIT {
            let reason = format!("callfeed's share of the points of this {} is used up until {until}", window.as_str());
            let remedy = "wait, raise the limit in the client area, or raise `poll.points_share`";
            self.context.board.set(self.account(), State::Limited, StatusWhy::because(reason).with_remedy(remedy));
        }
    }

    fn show_failure(&self, error: &ApiError, failures: u32, wait: Duration) {
        if failures < WORTH_TELLING {
            tracing::debug!(account = %self.account(), %error, ?wait, "the request failed, trying again");
        } else {
            tracing::warn!(account = %self.account(), %error, failures, ?wait, "the request keeps failing, trying again");
        }
        if matches!(error.class(), Class::Limited { .. }) {
            self.context.board.set(
                self.account(),
                State::Limited,
                StatusWhy::because(error).with_remedy(error.remedy()),
            );
        }
    }

    fn show_points(&self) {
        let Some(limits) = self.client.limits() else { return };
        for (window, seen) in
            [(PointsWindow::Minute, limits.minute), (PointsWindow::Hour, limits.hour), (PointsWindow::Day, limits.day)]
        {
            if let Some(remaining) = seen.remaining {
                self.context.metrics.points_remaining(self.account(), window, remaining);
            }
        }
    }

    fn count(&self, counts: &Counts) {
        self.context.board.note_progress(self.account(), calls::NAME, self.progress.coverage().frontier());
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

/// Asks for a page of calls, with all columns that are known.
pub fn calls_query(request: &PageRequest, user_id: Option<i64>) -> ReportQuery<'static> {
    ReportQuery {
        method: calls::METHOD,
        user_id,
        date_from: request.date_from,
        date_till: request.date_till,
        limit: request.limit,
        offset: request.offset,
        fields: Call::COLUMNS,
        sort_by: calls::SORT_BY,
    }
}

/// The points of a credential as it last heard of them.
pub fn budget(client: &Client, share: f64, clock: &Clock) -> Budget {
    let Some(limits) = client.limits() else { return Budget::new(share, []) };
    let (age, now_millis) = (limits.seen_at.elapsed(), clock.now_millis());
    let points = |window: PointsWindow, seen: WindowLimits| {
        // A counter that has started anew since says nothing about what is left.
        let resets_at = whole_second_after(now_millis, seen.reset?.checked_sub(age)?);
        Some((window, Points { limit: seen.limit?, remaining: seen.remaining?, resets_at }))
    };
    let windows = [
        points(PointsWindow::Minute, limits.minute),
        points(PointsWindow::Hour, limits.hour),
        points(PointsWindow::Day, limits.day),
    ];
    Budget::new(share, windows.into_iter().flatten())
}

/// Rounded up: a request in the second before the reset would be refused, and the reset waited for once more.
fn whole_second_after(now_millis: i64, wait: Duration) -> Instant {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Instant::from_unix_seconds(now_millis.saturating_add(wait).saturating_add(999).div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_within_a_second_is_waited_for_until_its_end() {
        let after =
            |now_millis, wait_millis| whole_second_after(now_millis, Duration::from_millis(wait_millis)).unix_seconds();
        assert_eq!(after(10_000, 3_000), 13);
        assert_eq!(after(10_900, 3_000), 14);
        assert_eq!(after(10_900, 3_100), 14);
        assert_eq!(after(10_000, 2_001), 13);
    }
}
