//! One account, step by step, as the service will meet it: entry, customers, time zone, tags, rights, points.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::accounts::one_user_each;
use crate::clock::Clock;
use crate::config::{Account, Customers, TagRef, Timezone};
use crate::domain::pace::PointsWindow;
use crate::edge::data_api::{AccountInfo, ApiError, CustomerUser, Page, Tag};
use crate::opening::{OpenError, Subject, resolve, zone_named};
use crate::outlook::{calls_a_day, last_week, one_call, patiently};
use crate::stream::calls::{self, Call};

use super::Finding;
use super::entry;
use super::freshness::freshness;

/// Of an agency's customers so many are looked at; each costs points of the agency.
const CUSTOMERS_LOOKED_AT: usize = 20;

/// Names of customers that one line holds.
const CUSTOMERS_NAMED: usize = 8;

/// What was seen of an account.
pub(super) struct Seen {
    pub findings: Vec<Finding>,
    /// Topics of customers that could not be known before.
    pub topics: Vec<String>,
}

impl Seen {
    pub fn of(finding: Finding) -> Self {
        Self { findings: vec![finding], topics: Vec::new() }
    }
}

/// Looks at an account. `sharers` are the others that are read with its points.
pub(super) async fn look(subject: Subject, sharers: Vec<Account>) -> Seen {
    match &subject.account.customers {
        Customers::None => Seen { findings: look_at_plain(&subject, &sharers).await, topics: Vec::new() },
        Customers::All | Customers::Ids(_) => look_at_agency(&subject, &sharers).await,
    }
}

async fn look_at_plain(subject: &Subject, sharers: &[Account]) -> Vec<Finding> {
    let told = patiently(|| subject.client.account(None)).await;
    let entry = entry::judge(subject, told.as_ref().err());
    let mut findings = entry.findings;
    if entry.is_open {
        let reading = look_at_reading(subject, Some(told)).await;
        findings.extend(reading.findings);
        findings.push(points(subject));
        findings.extend(reading.calls_a_day.map(|calls| freshness(subject, calls, None, sharers)));
    }
    findings
}

async fn look_at_agency(agency: &Subject, sharers: &[Account]) -> Seen {
    let users = patiently(|| agency.client.customer_users()).await;
    let entry = entry::judge(agency, users.as_ref().err());
    let mut seen = Seen { findings: entry.findings, topics: Vec::new() };
    if !entry.is_open {
        return seen;
    }
    let (customers, findings) = customers(agency, users);
    seen.findings.extend(findings);
    let mut calls_of_each = Vec::new();
    for id in customers.iter().take(CUSTOMERS_LOOKED_AT) {
        let customer = agency.customer(*id);
        let reading = look_at_reading(&customer, None).await;
        seen.findings.extend(reading.findings);
        calls_of_each.extend(reading.calls_a_day);
        if agency.calls_topic.is_per_account() && agency.account.customers == Customers::All {
            seen.topics.push(agency.calls_topic.for_account(agency.account.service, &customer.id));
        }
    }
    if let Some(n_left @ 1..) = customers.len().checked_sub(CUSTOMERS_LOOKED_AT) {
        let detail =
            format!("{n_left} more are not looked at, to spare points; name one by `--account {}.ID`", agency.id);
        seen.findings.push(Finding::skipped(format!("{} customers", agency.id), detail));
    }
    seen.findings.push(points(agency));
    if !calls_of_each.is_empty() {
        let calls = calls_of_each.iter().sum::<f64>() / calls_of_each.len() as f64;
        seen.findings.push(freshness(agency, calls, Some(customers.len()), sharers));
    }
    seen
}

/// The customers that are read, and what is to be said about the list.
fn customers(agency: &Subject, users: Result<Vec<CustomerUser>, ApiError>) -> (BTreeSet<i64>, Vec<Finding>) {
    let label = format!("{} customers", agency.id);
    let users = match (users, &agency.account.customers) {
        (Ok(users), _) => users,
        // The list is not needed for customers that are named; each is tried.
        (Err(_), Customers::Ids(ids)) => {
            let detail = "the agency may not see the list of its customers; those of the configuration are tried";
            return (ids.iter().copied().collect(), vec![Finding::good(label, detail)]);
        }
        (Err(error), _) => return (BTreeSet::new(), vec![Finding::refused(label, &error)]),
    };
    let read = match &agency.account.customers {
        Customers::Ids(ids) => ids.iter().copied().collect(),
        Customers::All | Customers::None => one_user_each(&users),
    };
    if read.is_empty() {
        let remedy = "give the agency customers in the client area, or set `customers: none`";
        return (read, vec![Finding::bad(label, "the agency has no customers", remedy)]);
    }
    let (known, unknown): (BTreeSet<i64>, BTreeSet<i64>) =
        read.into_iter().partition(|id| users.iter().any(|user| user.id == *id));
    let mut findings = Vec::new();
    if !known.is_empty() {
        findings.push(Finding::good(&label, format!("read: {}", named(&users, Some(&known)))));
    }
    findings.extend(unknown.iter().map(|id| {
        let remedy = format!("correct `customers` of `{}`; there are {}", agency.id, named(&users, None));
        Finding::bad(&label, format!("{id} is no user of a customer of this agency"), remedy)
    }));
    (known, findings)
}

/// Customers by id and name; all, or only these.
fn named(users: &[CustomerUser], only: Option<&BTreeSet<i64>>) -> String {
    let wanted: Vec<&CustomerUser> =
        users.iter().filter(|user| only.is_none_or(|only| only.contains(&user.id))).collect();
    let name = |user: &&CustomerUser| match user.name.as_ref().or(user.login.as_ref()) {
        Some(name) => format!("{} ({name})", user.id),
        None => user.id.to_string(),
    };
    let names: Vec<String> = wanted.iter().take(CUSTOMERS_NAMED).map(name).collect();
    match wanted.len().saturating_sub(CUSTOMERS_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What was found of reading an account, or one customer of an agency.
struct Reading {
    findings: Vec<Finding>,
    /// None when the report may not be read or does not say how many calls there are.
    calls_a_day: Option<f64>,
}

/// What reading needs. `told` is the answer to `get.account`, if that was asked already.
async fn look_at_reading(subject: &Subject, told: Option<Result<AccountInfo, ApiError>>) -> Reading {
    let zone = zone(subject, told).await;
    let mut findings = vec![zone_finding(subject, &zone)];
    findings.extend(tags(subject).await);
    // Any window will do to see whether the report may be read.
    let zone = zone.unwrap_or(TimeZone::UTC);
    let (rights, calls_a_day) = rights(subject, &zone).await;
    findings.push(rights);
    Reading { findings, calls_a_day }
}

async fn zone(subject: &Subject, told: Option<Result<AccountInfo, ApiError>>) -> Result<TimeZone, OpenError> {
    match (&subject.account.timezone, told) {
        (Timezone::Auto, Some(told)) => zone_named(&told?.timezone),
        (Timezone::Auto, None) => zone_named(&patiently(|| subject.client.account(subject.user_id)).await?.timezone),
        (Timezone::Named(zone), _) => Ok(zone.clone()),
    }
}

fn zone_finding(subject: &Subject, zone: &Result<TimeZone, OpenError>) -> Finding {
    let label = format!("{} time zone", subject.id);
    match zone {
        Ok(zone) => {
            let said_by = match subject.account.timezone {
                Timezone::Auto => "as the account says",
                Timezone::Named(_) => "as `timezone` says",
            };
            Finding::good(label, format!("{}, {said_by}", zone.iana_name().unwrap_or("UTC")))
        }
        Err(error @ OpenError::Api(_)) => {
            Finding::bad(label, error.to_string(), format!("{}; or name the zone in `timezone`", error.remedy()))
        }
        Err(error) => Finding::bad(label, error.to_string(), error.remedy()),
    }
}

/// Whether the tags of the filters exist; nothing to say when there are none.
async fn tags(subject: &Subject) -> Vec<Finding> {
    let wanted = &subject.account.filters.tags;
    let label = format!("{} tags", subject.id);
    if wanted.is_empty() {
        return Vec::new();
    }
    let known = match patiently(|| subject.client.tags(subject.user_id)).await {
        Ok(known) => known,
        Err(error) => return vec![Finding::refused(label, &error)],
    };
    let unknown: Vec<OpenError> = wanted.iter().filter_map(|tag| missing(tag, &known)).collect();
    if unknown.is_empty() {
        let detail = if wanted.len() == 1 { "the tag of `filters.tags` exists" } else { "all of `filters.tags` exist" };
        return vec![Finding::good(label, detail)];
    }
    unknown.iter().map(|error| Finding::bad(&label, error.to_string(), error.remedy())).collect()
}

fn missing(tag: &TagRef, known: &[Tag]) -> Option<OpenError> {
    match tag {
        TagRef::Id(id) if known.iter().any(|tag| tag.id == *id) => None,
        TagRef::Id(id) => Some(OpenError::UnknownTag { name: id.to_string(), near: Vec::new() }),
        TagRef::Name(_) => resolve(tag, known).err(),
    }
}

/// A request as the service makes it, all columns included: some need components of their own. What it tells beside is
/// how many calls there are a day.
async fn rights(subject: &Subject, zone: &TimeZone) -> (Finding, Option<f64>) {
    let label = format!("{} rights", subject.id);
    let Some(window) = last_week(zone) else {
        return (Finding::skipped(label, "the clock of this machine is out of all bounds"), None);
    };
    let query = one_call(subject.user_id, window, Call::COLUMNS);
    match patiently(|| subject.client.report(&query)).await {
        Ok(page) => {
            let detail = format!("{} may be read{}", calls::METHOD, in_the_last_week(&page));
            (Finding::good(label, detail), page.total_items().map(calls_a_day))
        }
        Err(error) => (Finding::refused(label, &error), None),
    }
}

fn in_the_last_week(page: &Page) -> String {
    match page.total_items() {
        Some(1) => ", 1 call in the week until yesterday".to_owned(),
        Some(n) => format!(", {n} calls in the week until yesterday"),
        None => String::new(),
    }
}

/// The points that are left after all these requests.
fn points(subject: &Subject) -> Finding {
    let label = format!("{} points", subject.id);
    let share = subject.account.poll.points_share;
    let Some(limits) = subject.client.limits() else {
        return Finding::good(label, "the service does not say how many are left");
    };
    let detail = format!("left are {limits}; callfeed uses up to {:.0} % of them (`poll.points_share`)", share * 100.0);
    let clock = Clock::running();
    match subject.purse.budget(share).wait(clock.now()) {
        // A minute's points come back sooner than anybody could act.
        None | Some((_, PointsWindow::Minute)) => Finding::good(label, detail),
        Some((until, _)) => {
            let remedy = "wait, raise the limit in the client area, or raise `poll.points_share`";
            Finding::bad(label, format!("{detail}; its share is used up until {until}"), remedy)
        }
    }
}
