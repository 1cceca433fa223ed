//! What is played: accounts, points, and what goes wrong.

use std::time::Duration;

use callfeed::rehearsal::oracle::News;
use callfeed::rehearsal::{Rehearsal, latency};
use callfeed::simulator::{
    AccountScenario, CallsScenario, ClockScenario, Delay, Fault, FaultRule, Key, Limits, LongCalls, Scenario, TagHabits,
};
use jiff::Timestamp;

pub const ACCOUNT: &str = "acme";

const DAY: Duration = Duration::from_hours(24);

/// A call is lost that was shown for longer than this and is not published. The live tier needs a minute.
const LOST_AFTER: Duration = Duration::from_hours(2);

const CONFIG: &str = r#"
kafka: {bootstrap_servers: "kafka.invalid:9092"}
schema_registry: {url: "http://registry.invalid"}
accounts:
  - name: acme
    service: comagic
    credentials: {api_key: key}
    start_from: 1d
    filters: {channels: {static: all}}
"#;

/// A ladder for news that may wait for minutes: a tenth of the rows that the usual one re-reads.
const PATIENT: &str = r#"
    poll:
      adaptive: false
      tiers: [{age: 30m, every: 5m}, {age: 24h, every: 4h}, {age: 30d, every: 7d}]
"#;

/// One account with the usual ladder, for some days.
pub struct Play {
    pub name: &'static str,
    poll: &'static str,
    pub points_a_day: u32,
    calls: CallsScenario,
    happens: Happens,
}

enum Happens {
    Nothing,
    /// Nobody is answered for so long, from the third day on.
    Outage(Duration),
    /// Somebody else spends so many points every hour.
    Others(u32),
}

impl Play {
    /// Calls by day and few by night, tags within a week, the points of the documents' samples.
    pub fn usual(name: &'static str, calls_a_day: f64) -> Self {
        let night_share = 0.05;
        let calls = CallsScenario {
            per_hour: calls_a_day / (13.0 + 11.0 * night_share),
            night_share,
            tags: TagHabits { delay: Delay::secs(30, 7 * 86_400), ..TagHabits::default() },
            ..CallsScenario::default()
        };
        Self { name, poll: "", points_a_day: 3000, calls, happens: Happens::Nothing }
    }

    pub fn patient(name: &'static str, calls_a_day: f64) -> Self {
        Self { poll: PATIENT, ..Self::usual(name, calls_a_day) }
    }

    pub fn all() -> Vec<Self> {
        let usual = |name| Self::usual(name, 2000.0);
        let long = LongCalls { share: 0.05, talk: Delay::secs(3600, 5 * 3600) };
        let late = TagHabits { delay: Delay::secs(30, 29 * 86_400), ..TagHabits::default() };
        vec![
            usual("3000 points a day"),
            Self { points_a_day: 300, ..usual("300 points a day") },
            Self { points_a_day: 20_000, ..usual("20 000 points a day") },
            Self { calls: CallsScenario { long, tags: late, ..usual("").calls }, ..usual("long calls, late tags") },
            Self {
                calls: CallsScenario { visibility_delay: Duration::from_hours(6), ..usual("").calls },
                ..usual("embargo of 6 h")
            },
            Self { happens: Happens::Outage(Duration::from_mins(10)), ..usual("10 minutes of outage") },
            Self { happens: Happens::Outage(DAY), ..usual("a day of outage") },
            Self { happens: Happens::Others(50), ..usual("others spend 1200 points") },
        ]
    }

    /// Points of a day that callfeed may spend. What others take is not there for anybody.
    pub fn share_a_day(&self) -> f64 {
        let others = if let Happens::Others(an_hour) = self.happens { an_hour * 24 } else { 0 };
        f64::from(self.points_a_day) * 0.8 - f64::from(others)
    }

    /// Whether the API was away when it should have shown this.
    pub fn is_away(&self, since_start: Duration) -> bool {
        let Happens::Outage(outage) = self.happens else { return false };
        (DAY * 2..DAY * 2 + outage).contains(&since_start)
    }

    pub async fn run(&self, days: u64) -> Rehearsal {
        let mut rehearsal =
            Rehearsal::new(&format!("{CONFIG}{}", self.poll), self.scenario()).expect("config and scenario are right");
        rehearsal.start().await.expect("nothing is missing");
        for day in 0..days {
            if let (Happens::Outage(outage), 2) = (&self.happens, day) {
                rehearsal.simulator.inject(Fault::Reset.every(1));
                rehearsal.run_for(*outage).await.expect("the service goes on");
                rehearsal.simulator.clear_faults();
                rehearsal.simulator.inject(usual_latency());
                rehearsal.run_for(DAY - *outage).await.expect("the service goes on");
                continue;
            }
            for _ in 0..24 {
                if let Happens::Others(points) = self.happens {
                    rehearsal.simulator.spend_elsewhere(ACCOUNT, points).expect("the account exists");
                }
                rehearsal.run_for(DAY / 24).await.expect("the service goes on");
            }
        }
        rehearsal
    }

    fn scenario(&self) -> Scenario {
        let account = AccountScenario {
            name: ACCOUNT.into(),
            keys: vec![Key::new("key")],
            limits: Limits::per(60, self.points_a_day),
            calls: self.calls.clone(),
            ..AccountScenario::default()
        };
        Scenario {
            clock: ClockScenario { start: "2026-03-02T00:00:00+03:00".parse().ok(), speed: 1.0 },
            faults: vec![usual_latency()],
            accounts: vec![account],
            ..Scenario::default()
        }
    }
}

fn usual_latency() -> FaultRule {
    Fault::Latency { delay: Duration::from_millis(300) }.every(1)
}

/// Calls that the report has shown for long and that nobody has heard of.
pub fn lost(rehearsal: &Rehearsal) -> usize {
    let events = &rehearsal.events[ACCOUNT];
    let shown_before = rehearsal.now() - LOST_AFTER;
    let timelines = rehearsal.simulator.timelines(ACCOUNT);
    let is_lost = |shown: Option<Timestamp>, id| shown.is_some_and(|at| at < shown_before) && !events.contains_key(id);
    timelines.iter().filter(|timeline| is_lost(timeline.shown_at, &timeline.id)).count()
}

/// New calls and changes of all days but the first and the last, and what the API could not show for being away.
pub fn news(rehearsal: &Rehearsal, play: &Play, days: u64) -> Vec<News> {
    let end = rehearsal.now();
    let start = end - DAY * u32::try_from(days).unwrap_or(u32::MAX);
    let measured = (start + DAY)..(end - DAY);
    let is_measured = |shown: Timestamp| {
        let since_start = Duration::try_from(shown.duration_since(start)).unwrap_or_default();
        measured.contains(&shown) && !play.is_away(since_start)
    };
    let seconds = |at: Timestamp| at.duration_since(start).as_secs_f64();
    let mut all = Vec::new();
    for timeline in rehearsal.simulator.timelines(ACCOUNT) {
        let Some(history) = rehearsal.events[ACCOUNT].get(&timeline.id) else { continue };
        let late = latency(&timeline, history, end);
        let mut add = |is_new_call, shown: Timestamp, waited: Option<Duration>| {
            if is_measured(shown) {
                let shown_at = seconds(shown);
                let committed_at = waited.map(|waited| shown_at + waited.as_secs_f64());
                all.push(News { is_new_call, call_started_at: seconds(timeline.start), shown_at, committed_at });
            }
        };
        if let Some(shown) = timeline.shown_at {
            add(true, shown, late.new);
        }
        for (changed, waited) in timeline.changed_at.iter().zip(late.changes) {
            add(false, *changed, waited);
        }
    }
    all
}
