//! One page from the API: waits for points, and tries again while that can help.

use std::time::Duration;

use tokio::time::Instant as Moment;

use super::{Poller, ReadError};
use crate::domain::pace::backoff;
use crate::domain::paging::PageRequest;
use crate::domain::plan::Why;
use crate::domain::time::Instant;
use crate::edge::data_api::{ApiError, Class, Page, ReportQuery};
use crate::purse::{Errand, Spending};
use crate::stream::calls::{self, Call};

/// Tries of one page before its reading is given up and planned anew.
const TRIES: u32 = 6;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How long to wait when the API refuses for want of points and names no time.
pub const UNKNOWN_RESET: Duration = Duration::from_secs(60);
const LONGEST_UNKNOWN_RESET: Duration = Duration::from_mins(15);

impl Poller {
    /// One page, tried again while that can help. Waits for points.
    pub(super) async fn fetch(&self, request: &PageRequest, errand: Errand) -> Result<Page, ReadError> {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            let spending = self.point(errand).await?;
            let error = match self.ask(request).await? {
                Ok(page) => {
                    spending.answered();
                    self.context.metrics.points_spent(self.account(), 1);
                    return Ok(page);
                }
                Err(error) => error,
            };
            drop(spending);
            let wait = match error.class() {
                _ if error.is_too_large() => return Err(error.into()),
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
        let started = Moment::now();
        let answer = tokio::select! {
            answer = self.client.report(&query) => answer,
            () = self.context.stop.cancelled() => return Err(ReadError::Stopped),
        };
        self.show_points();
        self.show_answer(request, &answer, started.elapsed());
        Ok(answer)
    }

    /// Takes a point, in the order of asking where several accounts share a credential.
    async fn point(&self, errand: Errand) -> Result<Spending<'_>, ReadError> {
        let told = |until, window| self.show_wait(until, Why::Points(window));
        tokio::select! {
            spending = self.purse.point(self.points_share, errand, told) => Ok(spending),
            () = self.context.stop.cancelled() => Err(ReadError::Stopped),
        }
    }

    pub(super) async fn sleep_until(&self, until: Instant) -> Result<(), ReadError> {
        tokio::select! {
            biased;
            () = self.context.clock.sleep_until(until) => Ok(()),
            () = self.context.stop.cancelled() => Err(ReadError::Stopped),
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
