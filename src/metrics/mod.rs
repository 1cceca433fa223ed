//! What Prometheus sees: every metric of callfeed, declared once with its help and its unit.
//!
//! Counters are moved once per page or transaction, never per row. Ages (`frontier_lag_seconds`, `freshness_seconds`)
//! and the status of accounts are not kept here: they are taken from the status board at each scrape, so that they
//! grow while nothing is read. Labels hold names from the configuration and fixed words only, never anything of a call.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::domain::call::AccountId;
use crate::domain::filter::LeftOut;
use crate::domain::ledger::EventType;
use crate::domain::pace::PointsWindow;
use crate::domain::time::Instant;
use crate::status::{AccountStatus, State};

const PREFIX: &str = "callfeed";

/// From a fast answer to the longest that the default time-out allows.
const API_REQUEST_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From an idle local broker to librdkafka's default time-out of a transaction.
const TRANSACTION_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The stages of a dead letter (design 7).
const DEAD_LETTER_STAGES: [&str; 3] = ["decode", "encode", "too_large"];

/// The metrics of the process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    events_published: Family<EventLabels, Counter>,
    rows_read: Family<StreamLabels, Counter>,
    rows_filtered: Family<ReasonLabel, Counter>,
    dead_letters: Family<StageLabel, Counter>,
    api_requests: Family<RequestLabels, Counter>,
    api_request: Histogram,
    points_remaining: Family<PointsLabels, Gauge>,
    transaction: Histogram,
    owned_partitions: Gauge,
    kafka_errors: Family<KindLabel, Counter>,
    config_successful: Gauge,
    config_loaded_at: Gauge,
    /// Every stream that was ever a label, so that all labels of an account can be found again.
    streams: Mutex<BTreeSet<&'static str>>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let inner = Inner {
            events_published: registered(&mut registry, "events_published", "Events in committed transactions"),
            rows_read: registered(&mut registry, "rows_read", "Rows read from the Data API, re-reads included"),
            rows_filtered: registered(&mut registry, "rows_filtered", "Rows that the filters left out, by reason"),
            dead_letters: registered(&mut registry, "dead_letters", "Rows set aside as dead letters, by stage"),
            api_requests: registered(&mut registry, "api_requests", "Requests to the Data API, by outcome"),
            api_request: timed(&mut registry, "api_request", "Time of a request to the Data API", API_REQUEST_BUCKETS),
            points_remaining: registered(
                &mut registry,
                "points_remaining",
                "Points that the Data API says are left in the window",
            ),
            transaction: timed(&mut registry, "transaction", "Time of a Kafka transaction", TRANSACTION_BUCKETS),
            owned_partitions: registered(
                &mut registry,
                "owned_partitions",
                "Partitions of the state topic that this replica owns",
            ),
            kafka_errors: registered(&mut registry, "kafka_errors", "Errors of the Kafka client, by kind"),
            config_successful: registered(
                &mut registry,
                "config_last_reload_successful",
                "1 when the configuration was loaded at the last try, 0 when it was refused",
            ),
            config_loaded_at: registered_seconds(
                &mut registry,
                "config_last_reload_success_timestamp",
                "Unix time at which the configuration that runs was loaded",
            ),
            streams: Mutex::default(),
            registry,
        };
        inner.show_zeros();
        Self(Arc::new(inner))
    }

    pub fn event_published(&self, account: &AccountId, stream: &'static str, event: EventType, n: u64) {
        self.0.remember(stream);
        let labels = EventLabels { account: account.clone(), stream, r#type: event.as_str() };
        self.0.events_published.get_or_create(&labels).inc_by(n);
    }

    pub fn rows_read(&self, account: &AccountId, stream: &'static str, n: u64) {
        self.0.remember(stream);
        self.0.rows_read.get_or_create(&StreamLabels { account: account.clone(), stream }).inc_by(n);
    }

    pub fn row_filtered(&self, reason: LeftOut, n: u64) {
        self.0.rows_filtered.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(n);
    }

    pub fn dead_letter(&self, stage: &'static str, n: u64) {
        self.0.dead_letters.get_or_create(&StageLabel { stage }).inc_by(n);
    }

    /// `method` and `outcome` come from fixed lists of the client, so that the labels stay few.
    pub fn api_request(&self, method: &str, outcome: &str, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), outcome: outcome.to_owned() };
        self.0.api_requests.get_or_create(&labels).inc();
        self.0.api_request.observe(took.as_secs_f64());
    }

    pub fn points_remaining(&self, account: &AccountId, window: PointsWindow, points: u64) {
        let labels = PointsLabels { account: account.clone(), window: window.as_str() };
        self.0.points_remaining.get_or_create(&labels).set(i64::try_from(points).unwrap_or(i64::MAX));
    }

    pub fn transaction(&self, took: Duration) {
        self.0.transaction.observe(took.as_secs_f64());
    }

    pub fn kafka_error(&self, kind: &'static str) {
        self.0.kafka_errors.get_or_create(&KindLabel { kind }).inc();
    }

    pub fn owned_partitions(&self, n: i64) {
        self.0.owned_partitions.set(n);
    }

    pub fn config_loaded(&self, at: Instant) {
        self.0.config_successful.set(1);
        self.0.config_loaded_at.set(at.unix_seconds());
    }

    pub fn config_refused(&self) {
        self.0.config_successful.set(0);
    }

    /// Takes an account out of the metrics: it was removed, or another replica owns it now.
    pub fn forget_account(&self, account: &AccountId) {
        for window in PointsWindow::ALL {
            self.0.points_remaining.remove(&PointsLabels { account: account.clone(), window: window.as_str() });
        }
        for stream in self.0.known_streams() {
            self.0.rows_read.remove(&StreamLabels { account: account.clone(), stream });
            for event in EventType::ALL {
                self.0.events_published.remove(&EventLabels {
                    account: account.clone(),
                    stream,
                    r#type: event.as_str(),
                });
            }
        }
    }

    /// Everything in the text format of OpenMetrics, with the accounts as the board shows them now.
    pub fn encode(&self, accounts: &[AccountStatus]) -> String {
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.0.registry)
            .and_then(|()| encode_registry(&mut text, &of_accounts(accounts)))
            .and_then(|()| encode_eof(&mut text));
        // Writing to a `String` never fails, and no label or value above has an error of its own.
        written.expect("metrics are written to memory");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    /// A counter that is first seen at one hides its first increase from `rate()`: those that alerts watch begin at zero.
    fn show_zeros(&self) {
        for reason in LeftOut::ALL {
            self.rows_filtered.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(0);
        }
        for stage in DEAD_LETTER_STAGES {
            self.dead_letters.get_or_create(&StageLabel { stage }).inc_by(0);
        }
    }

    fn remember(&self, stream: &'static str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(stream);
    }

    fn known_streams(&self) -> BTreeSet<&'static str> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The metrics that are a view of the board at the moment of a scrape.
fn of_accounts(accounts: &[AccountStatus]) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let lag: Family<StreamLabels, Gauge> =
        registered_seconds(&mut registry, "frontier_lag", "Age of the newest moment up to which a stream was read");
    let freshness: Family<StreamLabels, Gauge> =
        registered_seconds(&mut registry, "freshness", "Age of the last complete read of the live tier");
    let planned: Family<TierLabels, Gauge> = registered_seconds(
        &mut registry,
        "planned_freshness",
        "How often a tier of the ladder is read with the points there are",
    );
    let status: Family<StatusLabels, Gauge> =
        registered(&mut registry, "account_status", "1 for the status that the account has, 0 for the others");
    for account in accounts {
        let label = || account.account.clone();
        for state in State::ALL {
            let labels = StatusLabels { account: label(), status: state.as_str() };
            status.get_or_create(&labels).set(i64::from(state == account.status));
        }
        for stream in &account.streams {
            let labels = StreamLabels { account: label(), stream: stream.stream };
            set_age(&lag, &labels, stream.frontier_lag_seconds);
            set_age(&freshness, &labels, stream.freshness_seconds);
            for tier in &stream.tiers {
                let labels = TierLabels { account: label(), stream: stream.stream, tier: tier.age.clone() };
                planned.get_or_create(&labels).set(i64::try_from(tier.planned_seconds).unwrap_or(i64::MAX));
            }
        }
    }
    registry
}

/// An age that is not known has no sample: a zero would look like perfect freshness.
fn set_age(gauge: &Family<StreamLabels, Gauge>, labels: &StreamLabels, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        gauge.get_or_create(labels).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}

fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn registered_seconds<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

fn timed<const N: usize>(registry: &mut Registry, name: &str, help: &str, buckets: [f64; N]) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

impl EncodeLabelValue for AccountId {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    account: AccountId,
    stream: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    account: AccountId,
    stream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    account: AccountId,
    stream: &'static str,
    tier: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    account: AccountId,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PointsLabels {
    account: AccountId,
    window: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::call::Service;
    use crate::status::{StatusBoard, TierStatus, Why};

    const CALLS: &str = "calls";

    fn account(name: &str) -> AccountId {
        AccountId::new(name)
    }

    /// Every metric moved once.
    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.event_published(&account("acme"), CALLS, EventType::Created, 3);
        metrics.rows_read(&account("acme"), CALLS, 5);
        metrics.row_filtered(LeftOut::StaticChannel, 2);
        metrics.dead_letter("decode", 1);
        metrics.api_request("get.calls_report", "ok", Duration::from_millis(300));
        metrics.points_remaining(&account("acme"), PointsWindow::Day, 2960);
        metrics.transaction(Duration::from_millis(20));
        metrics.kafka_error("transport");
        metrics.owned_partitions(12);
        metrics.config_loaded(at(1000));
        metrics
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_unix_seconds(seconds)
    }

    fn board() -> StatusBoard {
        let board = StatusBoard::default();
        board.register(&account("acme"), Service::Uis);
        board.set(&account("acme"), State::Live, Why::NOTHING);
        board.note_progress(&account("acme"), CALLS, at(1000));
        let tier = TierStatus { age: "15m".to_owned(), promised_seconds: 30, planned_seconds: 37 };
        board.note_plan(&account("acme"), CALLS, vec![tier]);
        board
    }

    fn assert_lines(text: &str, expected: &[&str]) {
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "`{line}` is missing in:\n{text}");
        }
    }

    #[test]
    fn each_metric_has_the_name_and_labels_of_the_contract() {
        let board = board();
        board.note_live_read(&account("acme"), CALLS, at(1050));
        let text = used().encode(&board.snapshot(at(1060)));
        let build = format!("callfeed_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        assert_lines(
            &text,
            &[
                &build,
                "callfeed_events_published_total{account=\"acme\",stream=\"calls\",type=\"CREATED\"} 3",
                "callfeed_rows_read_total{account=\"acme\",stream=\"calls\"} 5",
                "callfeed_rows_filtered_total{reason=\"static_channel\"} 2",
                "callfeed_dead_letters_total{stage=\"decode\"} 1",
                "callfeed_api_requests_total{method=\"get.calls_report\",outcome=\"ok\"} 1",
                "callfeed_api_request_seconds_bucket{le=\"0.25\"} 0",
                "callfeed_api_request_seconds_bucket{le=\"0.5\"} 1",
                "callfeed_api_request_seconds_count 1",
                "callfeed_points_remaining{account=\"acme\",window=\"day\"} 2960",
                "callfeed_transaction_seconds_bucket{le=\"0.01\"} 0",
                "callfeed_transaction_seconds_bucket{le=\"0.025\"} 1",
                "callfeed_owned_partitions 12",
                "callfeed_config_last_reload_successful 1",
                "callfeed_config_last_reload_success_timestamp_seconds 1000",
                "callfeed_kafka_errors_total{kind=\"transport\"} 1",
                "callfeed_frontier_lag_seconds{account=\"acme\",stream=\"calls\"} 60",
                "callfeed_freshness_seconds{account=\"acme\",stream=\"calls\"} 10",
                "callfeed_planned_freshness_seconds{account=\"acme\",stream=\"calls\",tier=\"15m\"} 37",
                "callfeed_account_status{account=\"acme\",status=\"live\"} 1",
                "callfeed_account_status{account=\"acme\",status=\"blocked\"} 0",
            ],
        );
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn each_metric_is_declared_once_with_help_and_durations_with_their_unit() {
        let board = board();
        board.note_live_read(&account("acme"), CALLS, at(1050));
        let text = used().encode(&board.snapshot(at(1060)));
        let mut declared: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            let (name, help) = line.split_once(' ').unwrap();
            assert!(help.len() > 20, "the help of {name} says too little: {help}");
            *declared.entry(name).or_default() += 1;
        }
        assert_eq!(declared.len(), 17, "{declared:?}");
        assert!(declared.values().all(|times| *times == 1), "{declared:?}");
        for name in declared.keys().filter(|name| name.ends_with("_seconds")) {
            assert_lines(&text, &[&format!("# UNIT {name} seconds")]);
        }
    }

    #[test]
    fn ages_grow_between_polls() {
        let (metrics, board) = (used(), board());
        let lag = |now| {
            let text = metrics.encode(&board.snapshot(at(now)));
            let line = text.lines().find(|line| line.starts_with("callfeed_frontier_lag_seconds{")).unwrap();
            line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()
        };
        assert_eq!((lag(1000), lag(1030), lag(5000)), (0, 30, 4000));
    }

    #[test]
    fn an_age_that_is_not_known_has_no_sample() {
        let text = used().encode(&board().snapshot(at(1060)));
        assert!(!text.contains("callfeed_freshness_seconds{"), "{text}");
    }

    #[test]
    fn an_account_has_one_status_of_six() {
        let text = Metrics::new().encode(&board().snapshot(at(1060)));
        let samples: Vec<&str> =
            text.lines().filter(|line| line.starts_with("callfeed_account_status{account=\"acme\"")).collect();
        assert_eq!(samples.len(), State::ALL.len(), "{samples:?}");
        assert_eq!(samples.iter().filter(|line| line.ends_with(" 1")).count(), 1, "{samples:?}");
    }

    #[test]
    fn what_alerts_watch_begins_at_zero() {
        let text = Metrics::new().encode(&[]);
        for stage in DEAD_LETTER_STAGES {
            assert_lines(&text, &[&format!("callfeed_dead_letters_total{{stage=\"{stage}\"}} 0")]);
        }
        for reason in LeftOut::ALL {
            assert_lines(&text, &[&format!("callfeed_rows_filtered_total{{reason=\"{reason}\"}} 0")]);
        }
    }

    #[test]
    fn a_forgotten_account_leaves_nothing_and_takes_nothing_from_others() {
        let metrics = used();
        metrics.event_published(&account("acme"), CALLS, EventType::Withdrawn, 1);
        metrics.rows_read(&account("acme"), "chats", 1);
        metrics.rows_read(&account("other"), CALLS, 7);
        metrics.forget_account(&account("acme"));
        let text = metrics.encode(&[]);
        assert!(!text.contains("acme"), "{text}");
        assert_lines(&text, &["callfeed_rows_read_total{account=\"other\",stream=\"calls\"} 7"]);
    }

    #[test]
    fn a_refused_configuration_shows_and_the_time_of_the_former_one_stays() {
        let metrics = used();
        metrics.config_refused();
        let expected =
            ["callfeed_config_last_reload_successful 0", "callfeed_config_last_reload_success_timestamp_seconds 1000"];
        assert_lines(&metrics.encode(&[]), &expected);
    }

    #[test]
    fn a_number_too_large_for_a_gauge_stays_at_its_end() {
        let metrics = Metrics::new();
        metrics.points_remaining(&account("acme"), PointsWindow::Minute, u64::MAX);
        let line = format!("callfeed_points_remaining{{account=\"acme\",window=\"minute\"}} {}", i64::MAX);
        assert_lines(&metrics.encode(&[]), &[&line]);
    }
}
