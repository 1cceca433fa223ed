//! Makes faults, as the lot has it, and lets them pass. Several may go on at the same time, but never in two brokers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use fastrand::Rng;

use crate::arguments::Arguments;
use crate::fault::{FaultKind, bad_api, bad_network, no_registry, within};
use crate::stage::Stage;
use crate::support::{N_BROKERS, Network};

/// So many faults may go on at the same time.
const AT_ONCE: usize = 3;

/// From one fault to the next; now and then a longer time, in which everything may come to rest.
const GAP_MILLIS: std::ops::Range<u64> = 200..2500;
const REST_MILLIS: std::ops::Range<u64> = 8000..15_000;
const RESTS: f64 = 0.06;

/// How many replicas there are in turn, when they are scaled; then as many as before.
const SCALES: [usize; 3] = [1, 5, 1];

/// How long a catch-up of brokers is not asked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub struct Trouble<'a> {
    stage: &'a mut Stage,
    lot: Rng,
    kinds: Vec<FaultKind>,
    counts: BTreeMap<FaultKind, u32>,
    passing: Vec<Passing>,
    /// The replica whose turn it is in a rolling restart.
    rolling: Option<usize>,
    n_scaled: usize,
    n_usual: usize,
    started: Instant,
}

/// A fault that is not within a replica.
struct Passing {
    until: Instant,
    what: Away,
}

#[derive(Clone, Copy, PartialEq)]
enum Away {
    /// The path of a replica.
    Network(usize),
    /// It does not run.
    Broker(usize),
    /// It runs, and lacks what came meanwhile.
    BrokerBehind,
    Registry,
    DataApi,
}

impl<'a> Trouble<'a> {
    pub fn new(stage: &'a mut Stage, arguments: &Arguments) -> Trouble<'a> {
        let all = FaultKind::value_variants().iter().copied();
        let is_meant = |kind: &FaultKind| arguments.faults.is_empty() || arguments.faults.contains(kind);
        let is_possible = |kind: &FaultKind| *kind != FaultKind::Scale || arguments.replicas > 1;
        Trouble {
            n_usual: stage.n_wanted,
            stage,
            lot: Rng::with_seed(arguments.seed),
            kinds: all.filter(is_meant).filter(is_possible).collect(),
            counts: BTreeMap::new(),
            passing: Vec::new(),
            rolling: None,
            n_scaled: 0,
            started: Instant::now(),
        }
    }

    /// Makes faults for so long, and lets all of them pass; how many of each kind there were.
    pub fn make(mut self, duration: Duration) -> BTreeMap<FaultKind, u32> {
        let mut next_at = Instant::now();
        while self.started.elapsed() < duration {
            self.go_on();
            if Instant::now() >= next_at && self.n_going_on() < AT_ONCE {
                let kind = self.kinds[self.lot.usize(..self.kinds.len())];
                if self.strike(kind) {
                    *self.counts.entry(kind).or_default() += 1;
                    let gap = if self.lot.f64() < RESTS { REST_MILLIS } else { GAP_MILLIS };
                    next_at = Instant::now() + Duration::from_millis(self.lot.u64(gap));
                }
            }
        }
        self.stage.n_wanted = self.n_usual;
        while !self.passing.is_empty() {
            self.go_on();
        }
        self.stage.heal_network();
        self.counts
    }

    fn n_going_on(&self) -> usize {
        let wanted = self.stage.replicas[..self.stage.n_wanted].iter();
        self.passing.len() + wanted.filter(|replica| !replica.is_up()).count()
    }

    fn go_on(&mut self) {
        self.stage.go_on();
        self.roll_on();
        let now = Instant::now();
        let (over, passing) = std::mem::take(&mut self.passing).into_iter().partition(|one| one.until <= now);
        self.passing = passing;
        let over: Vec<Passing> = over;
        over.into_iter().for_each(|one| self.let_pass(one.what));
    }

    fn let_pass(&mut self, what: Away) {
        match what {
            Away::Network(path) => self.stage.brokers.set_network(path, None, Network::Good),
            Away::Registry => self.stage.registry.set(Network::Good),
            Away::DataApi => self.stage.world.simulator.clear_faults(),
            Away::Broker(broker) => {
                self.stage.brokers.node(broker).start();
                self.pass_after(LOOK_AGAIN, Away::BrokerBehind);
            }
            Away::BrokerBehind if self.stage.brokers.are_in_sync() => {}
            Away::BrokerBehind => self.pass_after(LOOK_AGAIN, Away::BrokerBehind),
        }
    }

    fn pass_after(&mut self, time: Duration, what: Away) {
        self.passing.push(Passing { until: Instant::now() + time, what });
    }

    fn is_away(&self, what: impl Fn(Away) -> bool) -> bool {
        self.passing.iter().any(|one| what(one.what))
    }

    /// Makes a fault of this kind, unless it cannot be now.
    fn strike(&mut self, kind: FaultKind) -> bool {
        let struck = match kind {
            FaultKind::Scale => self.scale(),
            FaultKind::BrokerKill | FaultKind::BrokerStop => self.strike_broker(kind),
            FaultKind::Network => self.strike_network(),
            FaultKind::Registry => self.strike_registry(),
            FaultKind::DataApi => self.strike_api(),
            FaultKind::Roll => self.rolling.is_none().then(|| {
                self.rolling = Some(0);
                "one after another".to_owned()
            }),
            FaultKind::Kill | FaultKind::Freeze | FaultKind::Terminate | FaultKind::Supersede => {
                self.strike_replica(kind)
            }
        };
        if let Some(what) = &struck {
            eprintln!("{:7.1} s  {}: {what}", self.started.elapsed().as_secs_f64(), kind.name());
        }
        struck.is_some()
    }

    fn strike_replica(&mut self, kind: FaultKind) -> Option<String> {
        let number = self.any_up()?;
        if kind == FaultKind::Supersede && self.stage.replicas[number].has_former() {
            return None;
        }
        let lot = &mut self.lot;
        let pause = match kind {
            // It is back within the session time-out, or after it.
            FaultKind::Kill if lot.bool() => within(lot, 0.0, 0.3),
            FaultKind::Kill => within(lot, 0.0, 2.0),
            FaultKind::Freeze => within(lot, 1.2, 3.0),
            FaultKind::Supersede => within(lot, 0.2, 2.0),
            _ => within(lot, 0.0, 0.7),
        };
        let replica = &mut self.stage.replicas[number];
        match kind {
            FaultKind::Kill => replica.kill(pause),
            FaultKind::Freeze => replica.freeze(pause),
            FaultKind::Supersede => replica.supersede(pause),
            _ => replica.terminate(pause),
        }
        Some(format!("{}, for {:.1} s", replica.name, pause.as_secs_f64()))
    }

    fn any_up(&mut self) -> Option<usize> {
        let up: Vec<usize> = (0..self.stage.n_wanted).filter(|one| self.stage.replicas[*one].is_up()).collect();
        (!up.is_empty()).then(|| up[self.lot.usize(..up.len())])
    }

    /// Each is restarted when all others run.
    fn roll_on(&mut self) {
        let Some(number) = self.rolling else { return };
        if number >= self.stage.n_wanted {
            self.rolling = None;
        } else if self.stage.replicas[..self.stage.n_wanted].iter().all(|replica| replica.is_up()) {
            self.stage.replicas[number].terminate(Duration::ZERO);
            self.rolling = Some(number + 1);
        }
    }

    fn scale(&mut self) -> Option<String> {
        let n_before = self.stage.n_wanted;
        self.stage.n_wanted = *SCALES.get(self.n_scaled).unwrap_or(&self.n_usual);
        self.n_scaled = (self.n_scaled + 1) % (SCALES.len() + 1);
        Some(format!("{n_before} to {} replicas", self.stage.n_wanted))
    }

    fn strike_broker(&mut self, kind: FaultKind) -> Option<String> {
        if self.is_away(|what| matches!(what, Away::Broker(_) | Away::BrokerBehind))
            || !self.stage.brokers.are_in_sync()
        {
            return None;
        }
        let broker = self.lot.usize(..N_BROKERS);
        let node = self.stage.brokers.node(broker);
        if kind == FaultKind::BrokerKill {
            node.kill()
        } else {
            node.stop()
        }
        let pause = within(&mut self.lot, 0.0, 2.0);
        self.pass_after(pause, Away::Broker(broker));
        Some(format!("broker {broker}, for {:.1} s", pause.as_secs_f64()))
    }

    fn strike_network(&mut self) -> Option<String> {
        let path = self.any_up()?;
        if self.is_away(|what| what == Away::Network(path)) {
            return None;
        }
        let broker = (self.lot.u8(0..3) == 0).then(|| self.lot.usize(..N_BROKERS));
        let (network, pause) = (bad_network(&mut self.lot), within(&mut self.lot, 0.2, 2.5));
        self.stage.brokers.set_network(path, broker, network);
        self.pass_after(pause, Away::Network(path));
        let brokers = broker.map_or("all brokers".to_owned(), |broker| format!("broker {broker}"));
        Some(format!("{network:?} between replica-{path} and {brokers}, for {:.1} s", pause.as_secs_f64()))
    }

    /// Only a replica that starts asks the registry.
    fn strike_registry(&mut self) -> Option<String> {
        if self.is_away(|what| what == Away::Registry) {
            return None;
        }
        let number = self.any_up()?;
        let (network, pause) = (no_registry(&mut self.lot), within(&mut self.lot, 0.5, 3.0));
        self.stage.registry.set(network);
        self.stage.replicas[number].kill(Duration::ZERO);
        self.pass_after(pause, Away::Registry);
        Some(format!("{network:?} for {:.1} s, and replica-{number} starts anew", pause.as_secs_f64()))
    }

    fn strike_api(&mut self) -> Option<String> {
        if self.is_away(|what| what == Away::DataApi) {
            return None;
        }
        let rule = bad_api(&mut self.lot);
        let pause = within(&mut self.lot, 0.5, 3.0);
        let name = rule.fault.name();
        self.stage.world.simulator.inject(rule);
        self.pass_after(pause, Away::DataApi);
        Some(format!("{name} at half of all requests, for {:.1} s", pause.as_secs_f64()))
    }
}
