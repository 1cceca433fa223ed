//! The metrics that are a view of the status board at the moment of a scrape.
//!
//! Of all accounts together, numbers are added and of ages the largest is shown. The points of one credential count
//! once there, however many accounts share it.
//!
//! Each metric is a text of its own, written when it is asked for: of ten thousand accounts all of them are 20 MB.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{BlockedLabels, Of, PointsLabels, StatusLabels, StreamLabels, TierLabels};
use super::{Detail, PREFIX};
use crate::domain::pace::PointsWindow;
use crate::outlook::short;
use crate::status::{AccountPoints, AccountStatus, PointsCounter, PointsLimit, State, StreamStatus};

/// The tier that stands for the ladder when accounts are added up: each may have tiers of its own.
const LIVE_TIER: &str = "live";

/// One registry for each metric.
pub fn registries(accounts: Vec<AccountStatus>, detail: Detail) -> impl Iterator<Item = Registry> + use<> {
    let shown = Arc::new(Shown { accounts, detail });
    METRICS.into_iter().map(move |write| {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Metric { shown: shown.clone(), write }));
        registry
    })
}

type Write = fn(&Shown, DescriptorEncoder<'_>) -> fmt::Result;

const METRICS: [Write; 12] = [
    status,
    blocked,
    lag,
    freshness,
    behind_plan,
    planned,
    promised,
    points_planned,
    points_remaining,
    points_limit,
    points_allowed,
    points_reset,
];

#[derive(Debug)]
struct Metric {
    shown: Arc<Shown>,
    write: Write,
}

impl Collector for Metric {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.write)(&self.shown, encoder)
    }
}

fn status(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.accounts().flat_map(|(of, account)| {
        let is = account.status;
        State::ALL.map(|state| (StatusLabels { of: of.clone(), status: state.as_str() }, u64::from(state == is)))
    });
    shown.added("account_status", "1 for the status that the account has, 0 for the others", samples, encoder)
}

fn blocked(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.accounts().filter_map(|(of, account)| {
        let cause = account.cause.filter(|_| account.status == State::Blocked)?;
        Some((BlockedLabels { of, reason: cause.as_str(), remedy: cause.remedy() }, 1))
    });
    shown.added("account_blocked", "1 while the account is blocked, with the reason and what helps", samples, encoder)
}

fn lag(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.of_streams(|stream| stream.frontier_lag_seconds);
    shown.oldest("frontier_lag", "Age of the newest moment up to which a stream was read", samples, encoder)
}

fn freshness(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.of_streams(|stream| stream.freshness_seconds);
    shown.oldest("freshness", "Age of the last complete read of the live tier", samples, encoder)
}

fn behind_plan(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.of_streams(|stream| stream.behind_plan_seconds);
    let help = "How much longer ago than planned the live tier was read; not of blocked and paused accounts";
    shown.oldest("behind_plan", help, samples, encoder)
}

fn planned(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.tiers().map(|(labels, planned, _)| (labels, planned));
    let help = "How often a tier of the ladder is read with the points there are";
    shown.oldest("planned_freshness", help, samples, encoder)
}

fn promised(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.tiers().map(|(labels, _, promised)| (labels, promised));
    shown.oldest("promised_freshness", "How often a tier of the ladder is to be read, as configured", samples, encoder)
}

fn points_planned(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.streams().filter_map(|(of, stream)| {
        Some((PointsLabels { of, window: PointsWindow::Day.as_str() }, stream.points_per_day?))
    });
    shown.added("points_planned", "Points that the ladder takes in the window as planned", samples, encoder)
}

fn points_remaining(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.counters(|counter| Some(counter.remaining));
    shown.added("points_remaining", "Points that the Data API says are left in the window", samples, encoder)
}

fn points_limit(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.limits(|limit| Some(limit.points));
    shown.added("points_limit", "Points that the Data API allows in the window", samples, encoder)
}

fn points_allowed(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.limits(|limit| Some(limit.allowed));
    shown.added("points_allowed", "Points that callfeed may use in the window, its share", samples, encoder)
}

fn points_reset(shown: &Shown, encoder: DescriptorEncoder<'_>) -> fmt::Result {
    let samples = shown.limits(|limit| limit.reset_seconds);
    shown.oldest("points_reset", "Time until the counter of the window starts anew", samples, encoder)
}

/// What the board shows, and how much of it.
#[derive(Debug)]
struct Shown {
    accounts: Vec<AccountStatus>,
    detail: Detail,
}

/// How samples with the same labels come to one.
type Merge = fn(u64, u64) -> u64;

impl Shown {
    fn accounts(&self) -> impl Iterator<Item = (Of, &AccountStatus)> {
        self.accounts.iter().map(|account| (self.detail.of(&account.account), account))
    }

    fn streams(&self) -> impl Iterator<Item = (Of, &StreamStatus)> {
        self.accounts().flat_map(|(of, account)| account.streams.iter().map(move |stream| (of.clone(), stream)))
    }

    /// An age that is not known has no sample: a zero would look like perfect freshness.
    fn of_streams(&self, age: fn(&StreamStatus) -> Option<u64>) -> impl Iterator<Item = (StreamLabels, u64)> {
        self.streams().filter_map(move |(of, stream)| Some((StreamLabels { of, stream: stream.stream }, age(stream)?)))
    }

    /// With the seconds planned and promised.
    fn tiers(&self) -> impl Iterator<Item = (TierLabels, u64, u64)> {
        let is_each = self.detail == Detail::PerAccount;
        self.streams().flat_map(move |(of, stream)| {
            let tiers = stream.tiers.iter().take(if is_each { usize::MAX } else { 1 });
            tiers.map(move |tier| {
                let name = if is_each { short(tier.age) } else { LIVE_TIER.to_owned() };
                let labels = TierLabels { of: of.clone(), stream: stream.stream, tier: name };
                (labels, tier.planned_seconds, tier.promised_seconds)
            })
        })
    }

    fn counters(
        &self,
        number: impl Fn(&PointsCounter) -> Option<u64> + Copy,
    ) -> impl Iterator<Item = (PointsLabels, u64)> {
        self.points().into_iter().flat_map(move |(of, points)| {
            points.counters.iter().filter_map(move |counter| {
                Some((PointsLabels { of: of.clone(), window: counter.window.as_str() }, number(counter)?))
            })
        })
    }

    fn limits(&self, number: fn(&PointsLimit) -> Option<u64>) -> impl Iterator<Item = (PointsLabels, u64)> {
        self.counters(move |counter| number(&counter.limit?))
    }

    /// What each account was told last; without accounts, what each credential was told.
    fn points(&self) -> Vec<(Of, &AccountPoints)> {
        let points = self.accounts().filter_map(|(of, account)| Some((of, account.points.as_ref()?)));
        if self.detail == Detail::PerAccount {
            return points.collect();
        }
        let mut newest: BTreeMap<u64, (Of, &AccountPoints)> = BTreeMap::new();
        for (of, points) in points {
            let known = newest.entry(points.credential).or_insert((of, points));
            if known.1.seen_at < points.seen_at {
                known.1 = points;
            }
        }
        newest.into_values().collect()
    }

    fn added<L: EncodeLabelSet + Eq + Hash>(
        &self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (L, u64)>,
        encoder: DescriptorEncoder<'_>,
    ) -> fmt::Result {
        self.write(name, help, None, samples, u64::saturating_add, encoder)
    }

    fn oldest<L: EncodeLabelSet + Eq + Hash>(
        &self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (L, u64)>,
        encoder: DescriptorEncoder<'_>,
    ) -> fmt::Result {
        self.write(name, help, Some(Unit::Seconds), samples, u64::max, encoder)
    }

    fn write<L: EncodeLabelSet + Eq + Hash>(
        &self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl Iterator<Item = (L, u64)>,
        merge: Merge,
        encoder: DescriptorEncoder<'_>,
    ) -> fmt::Result {
        match self.detail {
            Detail::PerAccount => write(name, help, unit, samples, encoder),
            Detail::Sums => write(name, help, unit, merged(samples, merge).into_iter(), encoder),
        }
    }
}

fn merged<L: Eq + Hash>(samples: impl Iterator<Item = (L, u64)>, merge: Merge) -> HashMap<L, u64> {
    let mut all = HashMap::new();
    for (labels, number) in samples {
        all.entry(labels).and_modify(|known| *known = merge(*known, number)).or_insert(number);
    }
    all
}

/// Nothing at all where there is no sample.
fn write<L: EncodeLabelSet>(
    name: &str,
    help: &str,
    unit: Option<Unit>,
    samples: impl Iterator<Item = (L, u64)>,
    mut encoder: DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    // As the library ends the help of those that it keeps itself.
    let help = format!("{help}.");
    let mut family = encoder.encode_descriptor(name, &help, unit.as_ref(), MetricType::Gauge)?;
    samples.try_for_each(|(labels, number)| {
        let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&labels)?)
    })
}
