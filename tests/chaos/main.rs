//! Replicas of callfeed on three real brokers, under every fault that may befall them: killed, frozen until others have
//! their accounts and then woken up, restarted one after another, scaled, without network, without brokers, without
//! registry, with a Data API that fails. In the end a `read_committed` consumer must have seen what happened in the
//! accounts: nothing lost, nothing doubled, no revision left out, one order for each call.
//!
//! `make test` runs it for some minutes with a fixed seed; `make chaos ARGS="--seed 7 --minutes 30"` runs it for longer.
//! The same seed draws the same faults, but not the same moments in the processes that they befall.

mod arguments;
mod fault;
mod reader;
mod replica;
mod stage;
mod trouble;
mod verdict;
mod world;

// The harness of the integration tests: processes of the built binary, real brokers, and what is in them.
#[path = "../it/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use arguments::Arguments;
use fault::FaultKind;
use reader::Reader;
use stage::Stage;
use support::{Problem, Servers};
use trouble::Trouble;
use verdict::Verdict;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.is_wanted() {
        return ExitCode::SUCCESS;
    }
    println!(
        "chaos: --seed {} --minutes {} --protocol {:?} --delivery {}",
        arguments.seed,
        arguments.minutes,
        arguments.protocol,
        arguments.delivery.name()
    );
    let mut stage = Stage::set(&arguments);
    // The logs are most wanted when something panics.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| play(&mut stage, &arguments)));
    if outcome.is_ok_and(|is_good| is_good) {
        return ExitCode::SUCCESS;
    }
    keep_logs(stage);
    ExitCode::FAILURE
}

/// Whether all went as it must.
fn play(stage: &mut Stage, arguments: &Arguments) -> bool {
    let started = Instant::now();
    stage.recover();
    let registry = Servers::shared().registry.clone();
    let reader = Reader::start(stage.brokers.cluster(), stage.world.topic.clone(), registry);
    let counts = Trouble::new(stage, arguments).make(arguments.duration());
    stage.recover();
    stage.world.calm_down();
    let verdict = verdict::reach(stage, &reader, arguments.delivery.judge());
    stage.close();

    print(&counts, &verdict);
    println!("{:7}  seconds in all", started.elapsed().as_secs());
    verdict.print_problems(&reader);
    stage.complaints.iter().for_each(|complaint| println!("{complaint}"));
    verdict.is_good() && stage.complaints.is_empty()
}

fn print(counts: &BTreeMap<FaultKind, u32>, verdict: &Verdict) {
    for (kind, count) in counts {
        println!("{count:7}  {}", kind.name());
    }
    println!("{:7}  faults in all", counts.values().sum::<u32>());
    println!("{:7}  events of {} calls", verdict.n_events, verdict.n_calls);
    println!(
        "{:7.1}  seconds: the longest from when a call was shown until a consumer saw it",
        verdict.longest_gap.as_secs_f64()
    );
    for problem in Problem::ALL {
        println!("{:7}  calls {problem}", verdict.count(problem));
    }
}

/// Leaves the folders of the replicas where they are, with the logs of their processes.
fn keep_logs(stage: Stage) {
    for replica in stage.replicas {
        println!("logs stay in {}", replica.end_and_keep().display());
    }
}
