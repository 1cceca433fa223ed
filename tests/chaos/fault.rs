//! What can befall the replicas and what they depend on.

use std::time::Duration;

use callfeed::simulator::{Fault, FaultRule};
use clap::ValueEnum;
use fastrand::Rng;

use crate::support::Network;
use crate::world::SESSION_TIMEOUT;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FaultKind {
    /// SIGKILL; it is started again at once, or when others have its accounts.
    Kill,
    /// SIGSTOP for longer than the session time-out, then SIGCONT.
    Freeze,
    /// SIGTERM, then started again.
    Terminate,
    /// SIGTERM and a new start of one replica after another.
    Roll,
    /// Stopped by SIGSTOP, replaced by a process with its instance id, and only then let go on by SIGCONT.
    Supersede,
    /// To one replica, to five, to one, and back.
    Scale,
    /// SIGKILL of one broker.
    BrokerKill,
    /// SIGTERM of one broker.
    BrokerStop,
    /// A bad network between a replica and one broker or all of them.
    Network,
    /// No registry, while a replica starts.
    Registry,
    /// Requests to the Data API fail.
    DataApi,
}

impl FaultKind {
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Kill => "SIGKILL of a replica",
            FaultKind::Freeze => "SIGSTOP beyond the session time-out",
            FaultKind::Terminate => "SIGTERM of a replica",
            FaultKind::Roll => "rolling restart of all replicas",
            FaultKind::Supersede => "frozen and replaced",
            FaultKind::Scale => "scaling",
            FaultKind::BrokerKill => "SIGKILL of a broker",
            FaultKind::BrokerStop => "SIGTERM of a broker",
            FaultKind::Network => "bad network to brokers",
            FaultKind::Registry => "registry away",
            FaultKind::DataApi => "Data API fails",
        }
    }
}

/// A time between two shares of the session time-out.
pub fn within(lot: &mut Rng, from: f64, to: f64) -> Duration {
    SESSION_TIMEOUT.mul_f64(from + lot.f64() * (to - from))
}

pub fn bad_network(lot: &mut Rng) -> Network {
    match lot.u8(0..3) {
        0 => Network::Cut,
        1 => Network::Silent,
        _ => Network::Slow(Duration::from_millis(lot.u64(20..400))),
    }
}

/// No registry at all, or one that never answers.
pub fn no_registry(lot: &mut Rng) -> Network {
    if lot.bool() { Network::Cut } else { Network::Silent }
}

/// One way in which half of all requests fail.
pub fn bad_api(lot: &mut Rng) -> FaultRule {
    let faults = [
        Fault::Http { status: 502, json: false, retry_after: None },
        Fault::Http { status: 429, json: false, retry_after: Some(1) },
        Fault::Reset,
        Fault::Truncate,
        Fault::Hang,
        Fault::NotJson,
        Fault::InternalError,
        Fault::Latency { delay: Duration::from_millis(lot.u64(100..1500)) },
    ];
    faults[lot.usize(..faults.len())].clone().share(0.5)
}
