//! Reads an account as the service would at first, and publishes nothing: `callfeed preview`.
//!
//! The same paging, decoding and filters as the service's; every call that passes would be a `CREATED`. Kafka and the
//! registry are not touched, so an event that its topic would find too large is not known. Points are respected as the
//! service does. Kept are the newest calls alone, the others are counted.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::tz::TimeZone;

use crate::batch::content_hash;
use crate::clock::Clock;
use crate::domain::call::RowId;
use crate::domain::filter::{Filters, LeftOut};
use crate::domain::ledger::{Change, EventType, Parts};
use crate::domain::pace::PointsWindow;
use crate::domain::paging::{Advance, PageFacts, PageRequest, Paging, PagingError};
use crate::domain::plan::{Purpose, Reading};
use crate::domain::time::{Instant, Interval, LocalInterval};
use crate::edge::data_api::{ApiError, Class, Page, Row};
use crate::opening::{OpenError, Subject};
use crate::poller;
use crate::stream::calls::{self, Call, CallEvent, Counted, EventSource, PartDigests};

/// Who looks at a screen waits for the points of the next minute, not for those of tomorrow.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub window: Interval,
    /// How many calls to keep, the newest.
    pub limit: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Preview {
    pub source: EventSource,
    pub n_passing: u64,
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Rows that would be set aside as dead letters, by the reason.
    pub bad: BTreeMap<String, u64>,
    /// The newest calls that pass, latest first.
    pub newest: Vec<KeptCall>,
}

/// The row of a call that passes, as it came.
#[derive(Debug)]
pub struct KeptCall {
    raw: String,
    observed_at_millis: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Paging(#[from] PagingError),
    #[error("callfeed's share of the points of this {} is used up until {until}", window.as_str())]
    ShareUsedUp { window: PointsWindow, until: Instant },
    #[error("a row that was read cannot be read again: {0}")]
    Row(#[from] serde_json::Error),
}

impl From<ApiError> for PreviewError {
    fn from(error: ApiError) -> Self {
        Self::Open(OpenError::Api(error))
    }
}

impl PreviewError {
    /// What a person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Open(error) => error.remedy(),
            Self::Paging(_) => "try again; if it lasts, report it with the name of the service".to_owned(),
            Self::ShareUsedUp { .. } => {
                "wait, raise the limit in the client area, or raise `poll.points_share`".to_owned()
            }
            Self::Row(_) => "report it to callfeed's makers".to_owned(),
        }
    }
}

/// Reads the account. `tell` hears of waits.
pub async fn read(subject: &Subject, extent: &Extent, tell: &impl Fn(&str)) -> Result<Preview, PreviewError> {
    let zone = (|| subject.zone()).retry(tries()).when(OpenError::passes).await?;
    let filters = (|| subject.filters()).retry(tries()).when(OpenError::passes).await?;
    let mut sieve = Sieve::new(filters, extent.limit);
    let reading = Reading { window: extent.window, purpose: Purpose::Backfill };
    for window in reading.windows() {
        read_window(subject, window.to_local(&zone), &zone, &mut sieve, tell).await?;
    }
    Ok(sieve.into_preview(subject.source(zone)))
}

async fn read_window(
    subject: &Subject,
    window: LocalInterval,
    zone: &TimeZone,
    sieve: &mut Sieve,
    tell: &impl Fn(&str),
) -> Result<(), PreviewError> {
    let mut paging = Paging::new(window, window.repeated(zone), subject.account.poll.page_size);
    loop {
        let page = fetch(subject, &paging.request(), tell).await?;
        let facts = sieve.take(&page, window);
        if paging.advance(&facts)? == Advance::Done {
            return Ok(());
        }
    }
}

/// One page. Points are waited for while that is bearable.
async fn fetch(subject: &Subject, request: &PageRequest, tell: &impl Fn(&str)) -> Result<Page, PreviewError> {
    let query = poller::calls_query(request, subject.user_id);
    let passes = |error: &ApiError| matches!(error.class(), Class::Retry { .. });
    let mut waits_left = 3;
    loop {
        wait_for_share(subject, tell).await?;
        let ask = || subject.client.report(&query);
        let error = match ask.retry(tries()).when(passes).await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        let Class::Limited { wait, .. } = error.class() else { return Err(error.into()) };
        let wait = wait.unwrap_or(Duration::from_secs(60));
        if wait > LONGEST_WAIT || waits_left == 0 {
            return Err(error.into());
        }
        waits_left -= 1;
        pause(wait, tell).await;
    }
}

/// A failure that passes by itself gets two more tries.
fn tries() -> ExponentialBuilder {
    ExponentialBuilder::default().with_max_times(2)
}

async fn wait_for_share(subject: &Subject, tell: &impl Fn(&str)) -> Result<(), PreviewError> {
    let clock = Clock::running();
    while let Some((until, window)) = subject.purse.budget(subject.account.poll.points_share).wait(clock.now()) {
        let wait = until.since(clock.now());
        if wait > LONGEST_WAIT {
            return Err(PreviewError::ShareUsedUp { window, until });
        }
        pause(wait, tell).await;
    }
    Ok(())
}

async fn pause(wait: Duration, tell: &impl Fn(&str)) {
    let wait = wait.max(Duration::from_secs(1));
    tell(&format!("waiting {} s for points", wait.as_secs()));
    tokio::time::sleep(wait).await;
}

/// Takes pages in the order of start time; a row that comes twice, as at the seam of two pages, counts once.
struct Sieve {
    filters: Filters,
    limit: usize,
    known: HashSet<RowId>,
    known_bad: HashSet<u64>,
    n_passing: u64,
    left_out: BTreeMap<LeftOut, u64>,
    bad: BTreeMap<String, u64>,
    newest: VecDeque<KeptCall>,
}

impl Sieve {
    fn new(filters: Filters, limit: usize) -> Self {
        Self {
            filters,
            limit,
            known: HashSet::new(),
            known_bad: HashSet::new(),
            n_passing: 0,
            left_out: BTreeMap::new(),
            bad: BTreeMap::new(),
            newest: VecDeque::new(),
        }
    }

    fn take(&mut self, page: &Page, window: LocalInterval) -> PageFacts {
        let observed_at_millis = Clock::running().now_millis();
        let mut facts = PageFacts { total_items: page.total_items(), ..PageFacts::default() };
        for Row { raw, decoded } in page.rows::<Call<'_>>() {
            facts.n_rows += 1;
            match decoded {
                Ok(call) => {
                    facts.starts.push(call.start_time.local);
                    facts.ids.push(call.row_id());
                    if window.contains(call.start_time.local) && self.known.insert(call.row_id()) {
                        self.judge(&call, || KeptCall { raw: raw.to_owned(), observed_at_millis });
                    }
                }
                Err(reason) => {
                    let content = content_hash(raw);
                    facts.unreadable.push(content);
                    if self.known_bad.insert(content) {
                        *self.bad.entry(without_place(&reason)).or_default() += 1;
                    }
                }
            }
        }
        facts
    }

    fn judge(&mut self, call: &Call<'_>, keep: impl FnOnce() -> KeptCall) {
        match self.filters.judge(&call.traits()) {
            Ok(()) => {
                self.n_passing += 1;
                if self.newest.len() == self.limit {
                    self.newest.pop_front();
                }
                if self.limit > 0 {
                    self.newest.push_back(keep());
                }
            }
            Err(why) => *self.left_out.entry(why).or_default() += 1,
        }
    }

    fn into_preview(self, source: EventSource) -> Preview {
        let newest = self.newest.into_iter().rev().collect();
        Preview { source, n_passing: self.n_passing, left_out: self.left_out, bad: self.bad, newest }
    }
}

/// The reason alone: where in its row the value stood would tell rows with the same fault apart.
fn without_place(reason: &serde_json::Error) -> String {
    let text = reason.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

impl KeptCall {
    pub fn call(&self) -> Result<Call<'_>, PreviewError> {
        Ok(serde_json::from_str(&self.raw)?)
    }

    /// The event that would be published, as JSON.
    pub fn event_json(&self, source: &EventSource) -> Result<String, PreviewError> {
        let call = self.call()?;
        let change = Change { event: EventType::Created, revision: 1, changed: Parts::NONE };
        let prints = call.prints(&Counted::all(), &source.zone, &mut PartDigests::default());
        let event_id = calls::event_id(&source.account, call.row_id(), change, &prints);
        let event = CallEvent { source, call: &call, change, event_id, observed_at_millis: self.observed_at_millis };
        Ok(serde_json::to_string(&event)?)
    }
}

impl Preview {
    pub fn zone(&self) -> &TimeZone {
        &self.source.zone
    }

    pub fn n_left_out(&self) -> u64 {
        self.left_out.values().sum()
    }

    pub fn n_bad(&self) -> u64 {
        self.bad.values().sum()
    }
}
