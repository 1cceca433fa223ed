//! Outages of the API and of Kafka, and ends of the process: nothing is lost or told twice.

use std::time::Duration;

use callfeed::edge::kafka::Trouble;
use callfeed::rehearsal::Rehearsal;
use callfeed::simulator::Fault;

use super::stage::{DAY, HOUR, Stage, calls};

#[test]
fn ten_minutes_without_the_api() {
    Stage::of(calls(8.0)).play(async |mut rehearsal| {
        outage(&mut rehearsal, Duration::from_mins(10)).await;
        rehearsal
    });
}

#[test]
fn a_day_without_the_api() {
    Stage::of(calls(8.0)).play(async |mut rehearsal| {
        outage(&mut rehearsal, DAY).await;
        rehearsal
    });
}

async fn outage(rehearsal: &mut Rehearsal, how_long: Duration) {
    rehearsal.run_for(3 * HOUR).await.unwrap();
    rehearsal.simulator.inject(Fault::Reset.every(1));
    rehearsal.run_for(how_long).await.unwrap();
    rehearsal.simulator.clear_faults();
    rehearsal.run_for(3 * HOUR).await.unwrap();
}

#[test]
fn ends_and_unknown_outcomes_lose_nothing() {
    Stage::of(calls(8.0)).play(async |mut rehearsal| {
        for (step, committed) in [(1, true), (7, false), (50, true), (51, false), (52, true)] {
            rehearsal.kafka.trouble(step, Trouble::Unknown { committed });
            rehearsal.kafka.trouble(step + 3, Trouble::Silence { committed: !committed });
        }
        rehearsal.run_for(6 * HOUR).await.unwrap();
        rehearsal.crash().await;
        rehearsal.start().await.unwrap();
        rehearsal.run_for(HOUR).await.unwrap();
        rehearsal
    });
}
