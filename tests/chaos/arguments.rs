//! What a run is like, from the command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::fault::FaultKind;
use crate::support::Judge;

/// Replicas of callfeed on three real brokers, under faults; in the end consumers must have seen the truth.
#[derive(Parser)]
#[command(name = "chaos", bin_name = "make chaos")]
pub struct Arguments {
    /// Decides which faults come, when, and how long they last.
    #[arg(long, default_value_t = 5)]
    pub seed: u64,
    /// How long faults go on.
    #[arg(long, default_value_t = 3.5)]
    pub minutes: f64,
    #[arg(long, default_value_t = 60)]
    pub accounts: usize,
    /// How many replicas there are but for scaling; 1: no scaling.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    #[arg(long, default_value = "classic")]
    pub protocol: Protocol,
    #[arg(long, default_value = "exactly_once")]
    pub delivery: Delivery,
    /// Only faults of these kinds.
    #[arg(long, value_delimiter = ',')]
    pub faults: Vec<FaultKind>,
    /// As `cargo test` has it: this runs when the word is part of `chaos`.
    pub filter: Option<String>,
    /// As `cargo test` has it; nothing is captured here.
    #[arg(long, hide = true)]
    pub nocapture: bool,
}

/// The protocol of the consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    Classic,
    /// KIP-848.
    Consumer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

impl Delivery {
    /// As the config has it.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::ExactlyOnce => "exactly_once",
            Delivery::AtLeastOnce => "at_least_once",
        }
    }

    pub fn judge(self) -> Judge {
        match self {
            Delivery::ExactlyOnce => Judge::ExactlyOnce,
            Delivery::AtLeastOnce => Judge::AtLeastOnce,
        }
    }
}

impl Arguments {
    pub fn is_wanted(&self) -> bool {
        self.filter.as_deref().is_none_or(|word| "chaos".contains(word))
    }

    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}
