//! What Prometheus sees: every metric of callfeed, declared once with its help and its unit.
//!
//! ```text
//!  here       counters and times, moved once per page or transaction, never per row
//!  accounts   what the status board knows, looked up at each scrape, so that ages grow while nothing is read
//!  process    memory, CPU, descriptors, from the operating system
//!  text       the format for who asks
//! ```
//!
//! What always holds: labels are names from the configuration and words of closed lists, never anything of a call; with
//! [`Detail::Sums`] no label grows with the number of accounts; an account that this replica loses leaves nothing of its
//! own behind, or it would be counted twice when the next one has it.

mod accounts;
mod labels;
mod process;
mod text;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::domain::call::AccountId;
use crate::domain::filter::LeftOut;
use crate::domain::ledger::EventType;
use crate::domain::time::Instant;
use crate::status::AccountStatus;

use labels::{EventLabels, KindLabel, Of, ReasonLabel, RequestLabels, StageLabel, StreamLabels};
pub use text::{OPENMETRICS, PLAIN, negotiate, plain};

const PREFIX: &str = "callfeed";

/// From a fast answer to the longest that the default time-out allows.
const API_REQUEST_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From an idle local broker to librdkafka's default time-out of a transaction.
const TRANSACTION_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The stages of a dead letter (design 7).
const DEAD_LETTER_STAGES: [&str; 3] = ["decode", "encode", "too_large"];

/// What the Kafka edge tells of failures.
const KAFKA_ERRORS: [&str; 6] = ["aborted", "fenced", "rebuilt", "too_large", "refused", "unreachable"];

/// What the registry edge tells of failures.
const REGISTRY_ERRORS: [&str; 5] = ["unreachable", "denied", "incompatible", "unexpected", "settings"];

/// The metrics of the process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// Whose numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those of each account.
    PerAccount,
    /// Of all accounts together: what can be added is, and of ages the largest is shown.
    Sums,
}

impl Detail {
    fn of(self, account: &AccountId) -> Of {
        Of((self == Self::PerAccount).then(|| account.clone()))
    }
}

struct Inner {
    detail: Detail,
    registry: Registry,
    events_published: Family<EventLabels, Counter>,
    rows_read: Family<StreamLabels, Counter>,
    rows_filtered: Family<ReasonLabel, Counter>,
    dead_letters: Family<StageLabel, Counter>,
    api_requests: Family<RequestLabels, Counter>,
    api_request: Histogram,
    points_spent: Family<Of, Counter>,
    transaction: Histogram,
    owned_partitions: Gauge,
    state_partitions: Gauge,
    kafka_errors: Family<KindLabel, Counter>,
    registry_errors: Family<KindLabel, Counter>,
    ready: Gauge,
    config_successful: Gauge,
    config_loaded_at: Gauge,
    /// Every stream that was ever a label, so that all labels of an account can be found again.
    streams: Mutex<BTreeSet<&'static str>>,
}

impl Metrics {
    pub fn new(detail: Detail) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let r = &mut registry;
        r.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let inner = Inner {
            detail,
            events_published: registered(r, "events_published", "Events in committed transactions"),
            rows_read: registered(r, "rows_read", "Rows read from the Data API, re-reads included"),
            rows_filtered: registered(r, "rows_filtered", "Rows that the filters left out, by reason"),
            dead_letters: registered(r, "dead_letters", "Rows set aside as dead letters, by stage"),
            api_requests: registered(r, "api_requests", "Requests to the Data API, by outcome"),
            api_request: timed(r, "api_request", "Time of a request to the Data API", API_REQUEST_BUCKETS),
            points_spent: registered(r, "points_spent", "Points of the Data API that callfeed has spent"),
            transaction: timed(r, "transaction", "Time of a Kafka transaction", TRANSACTION_BUCKETS),
            owned_partitions: registered(r, "owned_partitions", "Partitions of the state topic that this replica owns"),
            state_partitions: registered(r, "state_partitions", "Partitions that the state topic has"),
            kafka_errors: registered(r, "kafka_errors", "Errors of the Kafka client, by kind"),
            registry_errors: registered(r, "registry_errors", "Errors of the Schema Registry, by kind"),
            ready: registered(r, "ready", "1 while state is restored and Kafka reachable, as `/ready` tells"),
            config_successful: registered(
                r,
                "config_last_reload_successful",
                "1 when the configuration was loaded at the last try, 0 when it was refused",
            ),
            config_loaded_at: registered_seconds(
                r,
                "config_last_reload_success_timestamp",
                "Unix time at which the configuration that runs was loaded",
            ),
            streams: Mutex::default(),
            registry,
        };
        inner.show_zeros();
        Self(Arc::new(inner))
    }

    /// An account is about to be read here. Its counters begin at zero, or their first increase would not be seen.
    pub fn begin_account(&self, account: &AccountId, stream: &'static str) {
        self.rows_read(account, stream, 0);
        self.points_spent(account, 0);
        for event in EventType::ALL {
            self.event_published(account, stream, event, 0);
        }
    }

    pub fn event_published(&self, account: &AccountId, stream: &'static str, event: EventType, n: u64) {
        self.0.remember(stream);
        let labels = EventLabels { of: self.0.detail.of(account), stream, r#type: event.as_str() };
        self.0.events_published.get_or_create(&labels).inc_by(n);
    }

    pub fn rows_read(&self, account: &AccountId, stream: &'static str, n: u64) {
        self.0.remember(stream);
        self.0.rows_read.get_or_create(&StreamLabels { of: self.0.detail.of(account), stream }).inc_by(n);
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

    pub fn points_spent(&self, account: &AccountId, n: u64) {
        self.0.points_spent.get_or_create(&self.0.detail.of(account)).inc_by(n);
    }

    pub fn transaction(&self, took: Duration) {
        self.0.transaction.observe(took.as_secs_f64());
    }

    pub fn kafka_error(&self, kind: &'static str) {
        self.0.kafka_errors.get_or_create(&KindLabel { kind }).inc();
    }

    pub fn registry_error(&self, kind: &'static str) {
        self.0.registry_errors.get_or_create(&KindLabel { kind }).inc();
    }

    pub fn owned_partitions(&self, n: i64) {
        self.0.owned_partitions.set(n);
    }

    pub fn state_partitions(&self, n: i64) {
        self.0.state_partitions.set(n);
    }

    pub fn ready(&self, is_ready: bool) {
        self.0.ready.set(i64::from(is_ready));
    }

    pub fn config_loaded(&self, at: Instant) {
        self.0.config_successful.set(1);
        self.0.config_loaded_at.set(at.unix_seconds());
    }

    pub fn config_refused(&self) {
        self.0.config_successful.set(0);
    }

    /// Takes an account out of the metrics: it was removed, or another replica owns it now. Sums keep what was done.
    pub fn forget_account(&self, account: &AccountId) {
        if self.0.detail == Detail::Sums {
            return;
        }
        let of = self.0.detail.of(account);
        self.0.points_spent.remove(&of);
        for stream in self.0.known_streams() {
            self.0.rows_read.remove(&StreamLabels { of: of.clone(), stream });
            for event in EventType::ALL {
                self.0.events_published.remove(&EventLabels { of: of.clone(), stream, r#type: event.as_str() });
            }
        }
    }

    /// Everything in the text format of OpenMetrics, with the accounts as the board shows them now; part by part, each
    /// written when it is asked for.
    pub fn parts(&self, accounts: Vec<AccountStatus>) -> impl Iterator<Item = String> + use<> {
        let (metrics, detail) = (self.clone(), self.0.detail);
        let own = std::iter::once_with(move || text(&metrics.0.registry));
        let accounts = accounts::registries(accounts, detail).map(|registry| text(&registry));
        let process = std::iter::once_with(|| text(&process::registry()));
        own.chain(accounts).chain(process).chain(std::iter::once_with(end))
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a `String` never fails, and no label or value has an error of its own.
    encode_registry(&mut text, registry).expect("metrics are written to memory");
    text
}

/// Says that nothing was cut off.
fn end() -> String {
    let mut text = String::new();
    encode_eof(&mut text).expect("metrics are written to memory");
    text
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
        for kind in KAFKA_ERRORS {
            self.kafka_errors.get_or_create(&KindLabel { kind }).inc_by(0);
        }
        for kind in REGISTRY_ERRORS {
            self.registry_errors.get_or_create(&KindLabel { kind }).inc_by(0);
        }
    }

    fn remember(&self, stream: &'static str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(stream);
    }

    fn known_streams(&self) -> BTreeSet<&'static str> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

#[cfg(test)]
mod tests;
