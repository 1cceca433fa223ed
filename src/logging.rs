//! Logs of the service: to standard error, as text for people or as JSON with OpenTelemetry's names.
//!
//! What changes lastingly has an event name ([`events`]) and is always told. Anything else that repeats is told now and
//! then, with how often it was left out ([`repeats`]). The decisions of single accounts can be told too, while people
//! want to see them ([`Traces`]). Nothing of a call, no phone number and no secret ever goes into a log.

pub mod events;
mod json;
mod lines;
mod names;
mod repeats;
mod traces;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;

pub use lines::{Lines, Origin};
pub use traces::Traces;

/// Starts to write lines. What is returned switches the traces of single accounts on and off.
///
/// The level in the configuration was checked when it was read.
pub fn start(log: &Log, origin: Origin) -> Traces {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    // What librdkafka has to say comes through the clients' own logs; its binding would say it a second time.
    let filter = match "rdkafka=off".parse() {
        Ok(silence) => filter.add_directive(silence),
        Err(_) => filter,
    };
    let traces = Traces::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Lines::new(log.format, origin))
        .with_filter(traces.beside(filter));
    // A subscriber that is there already, as in tests, stays.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    traces
}

#[cfg(test)]
mod tests;
