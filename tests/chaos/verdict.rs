//! Whether consumers have seen the truth, and how late they saw it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::reader::Reader;
use crate::stage::Stage;
use crate::support::{Judge, Problem, eventually};
use crate::world::{Account, World};

/// How long after the last change the feed may take to tell all of it.
const SETTLE_WITHIN: Duration = Duration::from_secs(180);

/// Of a long list of problems so many are shown.
const SHOWN: usize = 20;

/// By account and call.
type Problems = BTreeMap<(String, i64), Vec<Problem>>;

/// What came out.
pub struct Verdict {
    problems: Problems,
    pub n_events: usize,
    pub n_calls: usize,
    /// Of the calls that came while it ran: the longest time from when the API showed one until a consumer saw it.
    pub longest_gap: SignedDuration,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn count(&self, problem: Problem) -> usize {
        self.problems.values().filter(|problems| problems.contains(&problem)).count()
    }

    pub fn print_problems(&self, reader: &Reader) {
        for ((account, call), problems) in self.problems.iter().take(SHOWN) {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            println!("call {call} of {account}: {}", problems.join(", "));
            for event in reader.look(|feed| feed.histories(account)).remove(call).unwrap_or_default() {
                println!("    {event:?}");
            }
        }
        let n_left_out = self.problems.len().saturating_sub(SHOWN);
        if n_left_out > 0 {
            println!("and {n_left_out} more calls");
        }
    }
}

/// Waits until nothing happens in the accounts any more, until consumers have seen all of it, and until everything was
/// read again, which must tell nothing new.
pub fn reach(stage: &mut Stage, reader: &Reader, judge: Judge) -> Verdict {
    let settles_at = stage.world.settles_at() + SignedDuration::from_secs(1);
    while Timestamp::now() < settles_at {
        stage.go_on();
    }
    let deadline = Instant::now() + SETTLE_WITHIN;
    let mut left = problems(&stage.world, reader, judge);
    while left.values().flatten().any(|problem| problem.may_pass()) && Instant::now() < deadline {
        stage.go_on();
        left = problems(&stage.world, reader, judge);
    }
    if left.is_empty() {
        read_again(stage);
    }
    let world = &stage.world;
    let cluster = stage.brokers.cluster();
    // Another consumer, which saw no fault, sees the same.
    eventually("the reader to have read everything", SETTLE_WITHIN, || {
        let n_records = cluster.read_committed(&world.topic).len();
        (reader.look(|feed| feed.n_records()) == n_records).then_some(())
    });
    Verdict {
        problems: problems(world, reader, judge),
        n_events: reader.look(|feed| feed.n_records()),
        n_calls: world.accounts.iter().map(|account| world.simulator.visible_ids(&account.name).len()).sum(),
        longest_gap: longest_gap(world, reader),
    }
}

fn problems(world: &World, reader: &Reader, judge: Judge) -> Problems {
    let of_account = |account: &Account| {
        let told = reader.look(|feed| feed.histories(&account.name));
        let problems = judge.account(&world.simulator.truth(&account.name), &told, |state| account.wants(state));
        let name = account.name.clone();
        problems.into_iter().map(move |(call, problems)| ((name.clone(), call), problems.into_iter().collect()))
    };
    world.accounts.iter().flat_map(of_account).collect()
}

/// A reading of all rows of an account begins with the oldest start that is ever asked for; the next but one begins when
/// the next, which began after this call, is complete.
fn read_again(stage: &mut Stage) {
    drop(stage.world.simulator.take_requests());
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let mut starts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in stage.world.simulator.requests() {
            if let (Some(account), Some(start)) = (request.account, request.date_from) {
                starts.entry(account).or_default().push(start);
            }
        }
        let n_begun = |starts: &Vec<String>| starts.iter().filter(|start| Some(*start) == starts.iter().min()).count();
        let n_read = starts.values().filter(|starts| n_begun(starts) >= 2).count();
        if n_read == stage.world.accounts.len() {
            return;
        }
        assert!(Instant::now() < deadline, "only {n_read} accounts are read again");
        stage.go_on();
    }
}

fn longest_gap(world: &World, reader: &Reader) -> SignedDuration {
    let everything = world.accounts.iter().filter(|account| !account.tagged_only);
    let gaps = everything.flat_map(|account| {
        let shown = world.shown_since_start(&account.name);
        shown.filter_map(|(call, shown_at)| {
            let told_at = reader.look(|feed| feed.first_told(&account.name, call))?;
            Some(told_at.duration_since(shown_at))
        })
    });
    gaps.max().unwrap_or_default()
}
