//! The replicas, and what they depend on: brokers, registry, Data API.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Protocol};
use crate::replica::{Replica, Rivals};
use crate::support::{Brokers, N_PATHS, Network, Proxy, Registry, Servers, Setup};
use crate::world::{self, World};

/// How long it may take until everything runs again when no fault comes any more.
const RECOVER_WITHIN: Duration = Duration::from_secs(120);

/// How often it is looked at what is due.
const TICK: Duration = Duration::from_millis(50);

pub struct Stage {
    pub world: World,
    pub brokers: Brokers,
    pub registry: Proxy,
    pub replicas: Vec<Replica>,
    /// So many replicas are to run: the first ones.
    pub n_wanted: usize,
    /// What replicas did that they never may, and how often.
    pub complaints: Vec<String>,
}

impl Stage {
    pub fn set(arguments: &Arguments) -> Stage {
        let world = World::start(arguments);
        let properties = world::broker_properties();
        let properties: Vec<(&str, &str)> = properties.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let brokers = Brokers::start(&properties);
        let (registry, registry_url) = before_registry(&Servers::shared().registry);
        let rivals = match arguments.protocol {
            Protocol::Classic => Rivals::LaterWins,
            Protocol::Consumer => Rivals::MemberStays,
        };
        let replicas = (0..N_PATHS).map(|path| {
            let name = format!("replica-{path}");
            let config = world.config(&name, &brokers.bootstrap(path), &registry_url).to_string();
            Replica::new(name, Setup::new(&["run", "--config", "callfeed.yaml"]).file("callfeed.yaml", &config), rivals)
        });
        Stage {
            replicas: replicas.collect(),
            n_wanted: arguments.replicas.into(),
            complaints: Vec::new(),
            world,
            brokers,
            registry,
        }
    }

    /// Does what is due: replicas start, wake up, end.
    pub fn go_on(&mut self) {
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            if let Err(complaint) = replica.go_on(number < self.n_wanted) {
                eprintln!("{complaint}");
                self.complaints.push(complaint);
            }
        }
        std::thread::sleep(TICK);
    }

    /// Goes on until all replicas run that are wanted, and no other.
    pub fn recover(&mut self) {
        let deadline = Instant::now() + RECOVER_WITHIN;
        while !self.is_complete() {
            assert!(Instant::now() < deadline, "the replicas do not run as they are to: {:?}", self.conditions());
            self.go_on();
        }
        self.brokers.wait_until_in_sync();
    }

    fn is_complete(&self) -> bool {
        let is_right = |(number, replica): (usize, &Replica)| {
            !replica.has_former() && if number < self.n_wanted { replica.is_up() } else { replica.is_down() }
        };
        self.replicas.iter().enumerate().all(is_right)
    }

    fn conditions(&self) -> BTreeMap<&str, (bool, bool)> {
        self.replicas.iter().map(|replica| (replica.name.as_str(), (replica.is_up(), replica.is_down()))).collect()
    }

    /// Ends all replicas as an operator does.
    pub fn close(&mut self) {
        self.n_wanted = 0;
        self.recover();
    }

    pub fn heal_network(&self) {
        (0..N_PATHS).for_each(|path| self.brokers.set_network(path, None, Network::Good));
        self.registry.set(Network::Good);
        self.world.simulator.clear_faults();
    }
}

/// A proxy before the registry, and the URL that leads through it.
fn before_registry(registry: &Registry) -> (Proxy, String) {
    let (scheme, rest) = registry.url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_once('/').expect("a path");
    let address = authority.to_socket_addrs().unwrap().next().expect("an address");
    let proxy = Proxy::before(address);
    let url = format!("{scheme}://127.0.0.1:{}/{path}", proxy.port());
    (proxy, url)
}
