//! Three Kafka nodes that are one cluster, which a test stops and kills one by one; each client may be given a network of
//! its own towards them.

use std::time::Duration;

use super::{Cluster, Kafka, Network, Proxy, eventually, free_ports};

pub const N_BROKERS: usize = 3;

/// How many networks there are: each broker has a listener for each, as clients follow the addresses that brokers
/// advertise.
pub const N_PATHS: usize = 5;

/// How long a broker may take until it has all that it missed.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Any 22 characters of URL-safe base64 that end a multiple of four bits: the folders are new.
const CLUSTER_ID: &str = "callfeed-three-nodes-A";

pub struct Brokers {
    nodes: Vec<Kafka>,
    /// By path and broker.
    proxies: Vec<Vec<Proxy>>,
}

/// Where a broker listens: for other brokers and for clients with a good network, as a controller, and for each path.
struct Ports {
    own: u16,
    controller: u16,
    paths: [u16; N_PATHS],
}

impl Brokers {
    /// Starts all and waits until they serve. Everything has three replicas, and two must have a record before it
    /// counts; `properties` are those of each broker beside that.
    pub fn start(properties: &[(&str, &str)]) -> Brokers {
        let free = free_ports::<{ N_BROKERS * (2 + N_PATHS) }>();
        let ports: Vec<Ports> = free
            .chunks_exact(2 + N_PATHS)
            .map(|free| Ports { own: free[0], controller: free[1], paths: free[2..].try_into().unwrap() })
            .collect();
        let proxy = |path: usize, ports: &Ports| Proxy::before(([127, 0, 0, 1], ports.paths[path]).into());
        let proxies: Vec<Vec<Proxy>> =
            (0..N_PATHS).map(|path| ports.iter().map(|ports| proxy(path, ports)).collect()).collect();
        let mut nodes: Vec<Kafka> = (0..N_BROKERS).map(|broker| node(broker, &ports, &proxies, properties)).collect();
        nodes.iter_mut().for_each(Kafka::start);
        nodes.iter_mut().for_each(Kafka::wait_until_serving);
        let brokers = Brokers { nodes, proxies };
        brokers.wait_until_in_sync();
        brokers
    }

    /// All of them, over a network that is always good.
    pub fn cluster(&self) -> Cluster {
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.cluster().bootstrap).collect();
        Cluster::at(&addresses.join(","))
    }

    /// The addresses of all of them for one client.
    pub fn bootstrap(&self, path: usize) -> String {
        let addresses: Vec<String> =
            self.proxies[path].iter().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
        addresses.join(",")
    }

    /// Makes the network between one client and one broker so, or between it and all of them.
    pub fn set_network(&self, path: usize, broker: Option<usize>, network: Network) {
        let is_meant = |one: usize| broker.is_none_or(|broker| broker == one);
        self.proxies[path]
            .iter()
            .enumerate()
            .filter(|(one, _)| is_meant(*one))
            .for_each(|(_, proxy)| proxy.set(network));
    }

    pub fn node(&mut self, broker: usize) -> &mut Kafka {
        &mut self.nodes[broker]
    }

    /// Whether every broker has everything: only then may the next one go away.
    pub fn are_in_sync(&self) -> bool {
        self.cluster().replicas_in_sync() == Some(N_BROKERS)
    }

    pub fn wait_until_in_sync(&self) {
        eventually("all brokers to be in sync", CATCH_UP, || self.are_in_sync().then_some(()));
    }
}

fn node(broker: usize, ports: &[Ports], proxies: &[Vec<Proxy>], properties: &[(&str, &str)]) -> Kafka {
    let Ports { own, controller, paths } = &ports[broker];
    let each_path = |line: &dyn Fn(usize) -> String| -> String { (0..N_PATHS).map(line).collect() };
    let voters: Vec<String> =
        ports.iter().zip(1..).map(|(ports, id)| format!("{id}@127.0.0.1:{}", ports.controller)).collect();
    let listeners = each_path(&|path| format!(",PATH{path}://127.0.0.1:{}", paths[path]));
    let advertised = each_path(&|path| format!(",PATH{path}://127.0.0.1:{}", proxies[path][broker].port()));
    let protocols = each_path(&|path| format!(",PATH{path}:PLAINTEXT"));
    let mut all = vec![
        format!("node.id={}", broker + 1),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("listeners=PLAINTEXT://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller}{listeners}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{own}{advertised}"),
        format!("listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocols}"),
        // Of each listener.
        "num.network.threads=1".to_owned(),
        "default.replication.factor=3".to_owned(),
        "min.insync.replicas=2".to_owned(),
        "offsets.topic.replication.factor=3".to_owned(),
        "transaction.state.log.replication.factor=3".to_owned(),
        "transaction.state.log.min.isr=2".to_owned(),
    ];
    all.extend(properties.iter().map(|(key, value)| format!("{key}={value}")));
    let environment = vec![("CALLFEED_CLUSTER_ID", CLUSTER_ID.to_owned()), ("CALLFEED_KAFKA_HEAP", "300m".to_owned())];
    Kafka::prepare(*own, *controller, all, environment)
}
