//! The metrics that are a view of the status board at the moment of a scrape.
//!
//! Of all accounts together, numbers are added and of ages the largest is shown. The points of one credential count
//! once there, however many accounts share it.

use std::collections::BTreeMap;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{BlockedLabels, Of, PointsLabels, StatusLabels, StreamLabels, TierLabels};
use super::{Detail, PREFIX, registered, registered_seconds};
use crate::domain::pace::PointsWindow;
use crate::status::{AccountPoints, AccountStatus, State, StreamStatus};

/// The tier that stands for the ladder when accounts are added up: each may have tiers of its own.
const LIVE_TIER: &str = "live";

pub fn registry(accounts: &[AccountStatus], detail: Detail) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let shown = Shown::registered(&mut registry);
    accounts.iter().for_each(|account| shown.account(account, detail));
    let points = accounts.iter().filter_map(|account| Some((&account.account, account.points.as_ref()?)));
    match detail {
        Detail::PerAccount => points.for_each(|(account, points)| shown.counters(&detail.of(account), points)),
        Detail::Sums => of_each_credential(points.map(|(_, points)| points))
            .into_iter()
            .for_each(|points| shown.counters(&Of(None), points)),
    }
    registry
}

/// What each credential was told last.
fn of_each_credential<'p>(points: impl Iterator<Item = &'p AccountPoints>) -> Vec<&'p AccountPoints> {
    let mut newest: BTreeMap<u64, &AccountPoints> = BTreeMap::new();
    for points in points {
        let known = newest.entry(points.credential).or_insert(points);
        if known.seen_at < points.seen_at {
            *known = points;
        }
    }
    newest.into_values().collect()
}

struct Shown {
    status: Family<StatusLabels, Gauge>,
    blocked: Family<BlockedLabels, Gauge>,
    lag: Family<StreamLabels, Gauge>,
    freshness: Family<StreamLabels, Gauge>,
    behind_plan: Family<StreamLabels, Gauge>,
    planned: Family<TierLabels, Gauge>,
    promised: Family<TierLabels, Gauge>,
    points_planned: Family<PointsLabels, Gauge>,
    points_remaining: Family<PointsLabels, Gauge>,
    points_limit: Family<PointsLabels, Gauge>,
    points_allowed: Family<PointsLabels, Gauge>,
    points_reset: Family<PointsLabels, Gauge>,
}

impl Shown {
    fn registered(registry: &mut Registry) -> Self {
        let r = registry;
        Self {
            status: registered(r, "account_status", "1 for the status that the account has, 0 for the others"),
            blocked: registered(r, "account_blocked", "1 while the account is blocked, with the reason and what helps"),
            lag: registered_seconds(r, "frontier_lag", "Age of the newest moment up to which a stream was read"),
            freshness: registered_seconds(r, "freshness", "Age of the last complete read of the live tier"),
            behind_plan: registered_seconds(
                r,
                "behind_plan",
                "How much longer ago than planned the live tier was read; not of blocked and paused accounts",
            ),
            planned: registered_seconds(
                r,
                "planned_freshness",
                "How often a tier of the ladder is read with the points there are",
            ),
            promised: registered_seconds(
                r,
                "promised_freshness",
                "How often a tier of the ladder is to be read, as configured",
            ),
            points_planned: registered(r, "points_planned", "Points that the ladder takes in the window as planned"),
            points_remaining: registered(r, "points_remaining", "Points that the Data API says are left in the window"),
            points_limit: registered(r, "points_limit", "Points that the Data API allows in the window"),
            points_allowed: registered(r, "points_allowed", "Points that callfeed may use in the window, its share"),
            points_reset: registered_seconds(r, "points_reset", "Time until the counter of the window starts anew"),
        }
    }

    fn account(&self, account: &AccountStatus, detail: Detail) {
        let of = detail.of(&account.account);
        for state in State::ALL {
            let labels = StatusLabels { of: of.clone(), status: state.as_str() };
            self.status.get_or_create(&labels).inc_by(i64::from(state == account.status));
        }
        if let Some(cause) = account.cause.filter(|_| account.status == State::Blocked) {
            let labels = BlockedLabels { of: of.clone(), reason: cause.as_str(), remedy: cause.remedy() };
            self.blocked.get_or_create(&labels).inc();
        }
        account.streams.iter().for_each(|stream| self.stream(&of, stream, detail));
    }

    fn stream(&self, of: &Of, stream: &StreamStatus, detail: Detail) {
        let labels = StreamLabels { of: of.clone(), stream: stream.stream };
        raise(&self.lag, &labels, stream.frontier_lag_seconds);
        raise(&self.freshness, &labels, stream.freshness_seconds);
        raise(&self.behind_plan, &labels, stream.behind_plan_seconds);
        let n_tiers = if detail == Detail::PerAccount { stream.tiers.len() } else { 1 };
        for tier in stream.tiers.iter().take(n_tiers) {
            let name = if detail == Detail::PerAccount { &tier.age } else { LIVE_TIER };
            let labels = TierLabels { of: of.clone(), stream: stream.stream, tier: name.to_owned() };
            raise(&self.planned, &labels, Some(tier.planned_seconds));
            raise(&self.promised, &labels, Some(tier.promised_seconds));
        }
        if let Some(points) = stream.points_per_day {
            let labels = PointsLabels { of: of.clone(), window: PointsWindow::Day.as_str() };
            add(&self.points_planned, &labels, points);
        }
    }

    fn counters(&self, of: &Of, points: &AccountPoints) {
        for counter in &points.counters {
            let labels = PointsLabels { of: of.clone(), window: counter.window.as_str() };
            add(&self.points_remaining, &labels, counter.remaining);
            if let Some(limit) = counter.limit {
                add(&self.points_limit, &labels, limit.points);
                add(&self.points_allowed, &labels, limit.allowed);
                raise(&self.points_reset, &labels, limit.reset_seconds);
            }
        }
    }
}

/// An age that is not known has no sample: a zero would look like perfect freshness.
fn raise<L>(gauge: &Family<L, Gauge>, labels: &L, seconds: Option<u64>)
where
    L: Clone + std::hash::Hash + Eq,
{
    if let Some(seconds) = seconds {
        let gauge = gauge.get_or_create(labels);
        gauge.set(gauge.get().max(whole(seconds)));
    }
}

fn add<L>(gauge: &Family<L, Gauge>, labels: &L, n: u64)
where
    L: Clone + std::hash::Hash + Eq,
{
    let gauge = gauge.get_or_create(labels);
    gauge.set(gauge.get().saturating_add(whole(n)));
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
