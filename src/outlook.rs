//! What an account is asked so that its plan can be foreseen: its points, and how many calls it has a day.
//!
//! One request answers both: a report of a whole week with a limit of one row tells how many rows there are, and its
//! metadata tells the points. An agency is asked for its customers, and two of them for their calls. Used by
//! `callfeed plan`, and by `callfeed check` for what it asks anyway.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::tz::TimeZone;

use crate::accounts::one_user_each;
use crate::clock::Clock;
use crate::config::{Account, Customers, StartFrom, Timezone};
use crate::domain::forecast::Reader;
use crate::domain::ladder::Ladder;
use crate::domain::pace::PointsWindow;
use crate::domain::time::{Interval, LocalInterval};
use crate::edge::data_api::{ApiError, Class, Client, Hurdle, ReportQuery};
use crate::opening::Subject;
use crate::stream::calls;

/// So many customers of an agency are asked for their calls; they stand for the others.
const CUSTOMERS_ASKED: usize = 2;

/// Seven days, so that every day of the week counts once. The last day is left out: it is over in every zone by then,
/// and every call of it shows, also where the API serves fresh rows late.
const WEEK: Duration = Duration::from_hours(7 * 24);
const LEFT_OUT: Duration = Duration::from_hours(24);

/// What the samples of the documents show (data-api, 7).
const USUAL_LIMITS: [(PointsWindow, u64); 2] = [(PointsWindow::Minute, 60), (PointsWindow::Day, 3000)];

/// What was learnt of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub limits: Limits,
    /// Of the account, or of one customer of an agency.
    pub calls_a_day: f64,
    pub calls_from: CallsFrom,
    /// None for an account that is no agency.
    pub n_customers: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsFrom {
    /// The user said so.
    Given,
    /// As in the week until yesterday; of an agency, as these many customers had on average.
    LastWeek { n_asked: usize },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limits {
    Told(BTreeMap<PointsWindow, u64>),
    /// The API answered and named none.
    NotTold,
    /// The API could not be asked.
    Assumed {
        why: String,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum OutlookError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the agency has no customers")]
    NoCustomers,
    #[error("the service does not say how many calls there were in the week until yesterday")]
    NoTotal,
}

impl OutlookError {
    /// What a person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Api(error) => error.remedy(),
            Self::NoCustomers => "give the agency customers in the client area, or set `customers: none`".to_owned(),
            Self::NoTotal => "say how many there are".to_owned(),
        }
    }
}

impl Limits {
    /// What the newest answer to the client said.
    pub fn of(client: &Client) -> Self {
        let Some(seen) = client.limits() else { return Self::NotTold };
        let told: BTreeMap<PointsWindow, u64> =
            seen.windows().into_iter().filter_map(|(window, seen)| Some((window, seen.limit?))).collect();
        if told.is_empty() { Self::NotTold } else { Self::Told(told) }
    }

    /// The limits to plan with.
    pub fn by_window(&self) -> BTreeMap<PointsWindow, u64> {
        match self {
            Self::Told(limits) => limits.clone(),
            Self::NotTold => BTreeMap::new(),
            Self::Assumed { .. } => BTreeMap::from(USUAL_LIMITS),
        }
    }
}

/// Asks an account; of an agency, all customers or the one that was named. `given` are the calls a day of the whole
/// account as the user knows them: then whatever keeps the API from being asked is no failure.
pub async fn ask(subject: &Subject, customer: Option<i64>, given: Option<f64>) -> Result<Facts, OutlookError> {
    match (asked(subject, customer, given).await, given) {
        (Err(error), Some(given)) => Ok(without_asking(subject, given, &error)),
        (outcome, _) => outcome,
    }
}

fn without_asking(subject: &Subject, given: f64, error: &OutlookError) -> Facts {
    let n_customers = match &subject.account.customers {
        Customers::None => None,
        Customers::All => Some(1),
        Customers::Ids(ids) => Some(ids.len()),
    };
    Facts {
        // A refusal tells of limits too.
        limits: match Limits::of(&subject.client) {
            told @ Limits::Told(_) => told,
            Limits::NotTold | Limits::Assumed { .. } => Limits::Assumed { why: error.to_string() },
        },
        calls_a_day: given / n_customers.unwrap_or(1) as f64,
        calls_from: CallsFrom::Given,
        n_customers,
    }
}

async fn asked(subject: &Subject, customer: Option<i64>, given: Option<f64>) -> Result<Facts, OutlookError> {
    let customers = customers(subject).await?;
    let n_customers = customers.as_ref().map(Vec::len);
    let asked = match (customers, customer) {
        (None, _) => vec![subject.clone()],
        // The list of customers has told the points already.
        (Some(_), _) if given.is_some() && subject.account.customers == Customers::All => Vec::new(),
        (Some(_), Some(id)) => vec![subject.customer(id)],
        (Some(customers), None) => {
            let n_asked = if given.is_some() { 1 } else { CUSTOMERS_ASKED };
            sample(&customers, n_asked).map(|id| subject.customer(id)).collect()
        }
    };
    let mut in_all = Some(0.0);
    for one in &asked {
        in_all = calls_of_week(one).await?.zip(in_all).map(|(calls, others)| calls + others);
    }
    let (calls_a_day, calls_from) = match given {
        Some(given) => (given / n_customers.unwrap_or(1) as f64, CallsFrom::Given),
        None => {
            let n_asked = asked.len();
            (in_all.ok_or(OutlookError::NoTotal)? / n_asked as f64, CallsFrom::LastWeek { n_asked })
        }
    };
    Ok(Facts { limits: Limits::of(&subject.client), calls_a_day, calls_from, n_customers })
}

/// The customers of an agency, never none; None for an account that is no agency.
async fn customers(subject: &Subject) -> Result<Option<Vec<i64>>, OutlookError> {
    match &subject.account.customers {
        Customers::None => Ok(None),
        Customers::Ids(ids) => Ok(Some(ids.clone())),
        Customers::All => {
            let users = patiently(|| subject.client.customer_users()).await?;
            let customers: Vec<i64> = one_user_each(&users).into_iter().collect();
            if customers.is_empty() { Err(OutlookError::NoCustomers) } else { Ok(Some(customers)) }
        }
    }
}

/// The first ones and the last: old customers and a new one.
fn sample(customers: &[i64], n_asked: usize) -> impl Iterator<Item = i64> {
    let n_first = n_asked.saturating_sub(1).max(1);
    let first = customers.iter().take(n_first);
    first.chain(customers.iter().skip(n_first).rev().take(n_asked - n_first)).copied()
}

/// Calls a day, in the week until yesterday.
async fn calls_of_week(subject: &Subject) -> Result<Option<f64>, OutlookError> {
    let zone = match &subject.account.timezone {
        Timezone::Named(zone) => zone.clone(),
        // A few hours earlier or later make no difference.
        Timezone::Auto => TimeZone::UTC,
    };
    let Some(window) = last_week(&zone) else { return Ok(None) };
    let query = one_call(subject.user_id, window, &["id"]);
    let page = patiently(|| subject.client.report(&query)).await?;
    Ok(page.total_items().map(calls_a_day))
}

/// The week to ask for; None when the clock of this machine is out of all bounds.
pub fn last_week(zone: &TimeZone) -> Option<LocalInterval> {
    let till = Clock::running().now() - LEFT_OUT;
    Interval::new(till - WEEK, till).map(|week| week.to_local(zone))
}

pub fn calls_a_day(in_a_week: u64) -> f64 {
    in_a_week as f64 / 7.0
}

/// A request for one call of a window, for the sake of what is told beside it.
pub fn one_call<'a>(user_id: Option<i64>, window: LocalInterval, fields: &'a [&'a str]) -> ReportQuery<'a> {
    ReportQuery {
        method: calls::METHOD,
        user_id,
        date_from: window.from,
        date_till: window.till,
        limit: 1,
        offset: 0,
        fields,
        sort_by: calls::SORT_BY,
    }
}

/// How the account is read.
pub fn reader(account: &Account, calls_a_day: f64, n_customers: Option<usize>) -> Reader {
    let poll = &account.poll;
    let now = Clock::running().now();
    Reader {
        ladder: Ladder { tiers: poll.tiers.clone(), backfill: poll.backfill, adaptive: poll.adaptive },
        page_size: poll.page_size,
        calls_a_day,
        reach: match account.start_from {
            StartFrom::Ago(how_long) => how_long,
            StartFrom::At(local) => now.since(local.to_instant(&TimeZone::UTC)),
        },
        n_alike: n_customers.unwrap_or(1),
    }
}

/// Whether the two are read with the same points: by one credential at one address.
pub fn share_points(one: &Account, other: &Account) -> bool {
    one.base_url == other.base_url && one.credentials == other.credentials
}

/// An answer that broke on its way is asked for twice more. A host that cannot be reached is not.
pub async fn patiently<T, F>(ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let is_passing =
        |error: &ApiError| matches!(error.class(), Class::Retry { .. }) && error.hurdle() == Hurdle::Answer;
    ask.retry(ExponentialBuilder::default().with_max_times(2)).when(is_passing).await
}

/// A period as the configuration would write it, in its two largest units: `36s`, `1h 30m`, `24h`, `30d`.
pub fn short(period: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    /// A day is written as hours, as in the usual ladder.
    const DAYS_FROM: u64 = 2 * 86_400;
    let seconds = (period.as_secs_f64().round() as u64).max(1);
    let units = if seconds < DAYS_FROM { &UNITS[1..] } else { &UNITS[..] };
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let (unit, name) = units[largest];
    let (whole, rest) = (seconds / unit, seconds % unit);
    match units.get(largest + 1).map(|(smaller, name)| (rest / smaller, name)) {
        Some((more @ 1.., smaller)) => format!("{whole}{name} {more}{smaller}"),
        _ => format!("{whole}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_short_and_read_as_the_configuration_is_written() {
        let table = [
            (0, "1s"),
            (36, "36s"),
            (60, "1m"),
            (90, "1m 30s"),
            (3600, "1h"),
            (3601, "1h"),
            (7500, "2h 5m"),
            (86_400, "24h"),
            (129_600, "36h"),
            (172_800, "2d"),
            (273_600, "3d 4h"),
            (30 * 86_400, "30d"),
        ];
        for (seconds, text) in table {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
        assert_eq!(short(Duration::from_millis(30_600)), "31s");
        assert_eq!(short(Duration::MAX), format!("{}d 7h", u64::MAX / 86_400));
    }

    #[test]
    fn two_customers_stand_for_all() {
        let sampled = |customers: &[i64], n_asked| sample(customers, n_asked).collect::<Vec<_>>();
        assert_eq!(sampled(&[5], 2), [5]);
        assert_eq!(sampled(&[5, 6, 7, 8], 2), [5, 8]);
        assert_eq!(sampled(&[5, 6, 7, 8], 1), [5]);
    }
}
