//! A Kafka node of a test's own, which it may stop, kill, restart and misconfigure. Three of them are [`super::Brokers`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Cluster, Servers, eventually, free_port, signal};

const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers");

/// How long a start may take. On an idle machine it takes four seconds.
const START: Duration = Duration::from_secs(120);

/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(60);

/// One node, broker and controller at once, with its data in a folder that goes away with it.
pub struct Kafka {
    folder: TempDir,
    port: u16,
    controller_port: u16,
    properties: Vec<String>,
    environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Kafka {
    /// Starts a node and waits until it serves. `properties` are broker properties beside those of
    /// `scripts/kafka-node.properties`, and count before them.
    pub fn own(properties: &[(&str, &str)]) -> Kafka {
        Kafka::with(|_| properties.iter().map(|(key, value)| format!("{key}={value}")).collect())
    }

    /// As [`Kafka::own`], for properties that depend on the node's own ports and folder.
    pub(super) fn with(properties: impl FnOnce(&Kafka) -> Vec<String>) -> Kafka {
        let mut kafka = Kafka::prepare(free_port(), free_port(), Vec::new(), Vec::new());
        kafka.properties = properties(&kafka);
        kafka.restart();
        kafka
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Without the word `listeners=`, as further listeners may follow.
    pub(super) fn listeners(&self) -> String {
        format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", self.port, self.controller_port)
    }

    /// Runs one of Kafka's own tools on this node.
    #[track_caller]
    pub fn tool(&self, class: &str, arguments: &[&str]) {
        let output = Command::new(SERVERS)
            .env("CALLFEED_CACHE", Servers::cache())
            .args(["tool", class, "--bootstrap-server", &self.cluster().bootstrap])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{class}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A node that does not run yet; `environment` is for `scripts/servers`.
    pub fn prepare(
        port: u16,
        controller_port: u16,
        properties: Vec<String>,
        environment: Vec<(&'static str, String)>,
    ) -> Kafka {
        let folder = TempDir::with_prefix("callfeed-kafka-").unwrap();
        Kafka { folder, port, controller_port, properties, environment, process: None }
    }

    /// How clients reach this node; the same after each restart.
    pub fn cluster(&self) -> Cluster {
        Cluster::at(&format!("127.0.0.1:{}", self.port))
    }

    /// Starts the node again, after [`Kafka::stop`] or [`Kafka::kill`], with its ports and its data, and
    /// waits until it serves.
    pub fn restart(&mut self) {
        self.start();
        self.wait_until_serving();
    }

    /// Waits until a node that was started answers its clients.
    pub fn wait_until_serving(&mut self) {
        let cluster = self.cluster();
        eventually("the Kafka node to serve", START, || {
            self.assert_running();
            cluster.is_ready().then_some(())
        });
    }

    /// As [`Kafka::restart`], but returns at once: for tests that watch clients come back by themselves.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "the Kafka node runs already");
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(SERVERS)
            .env("CALLFEED_CACHE", Servers::cache())
            .env("TMPDIR", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .arg("kafka")
            .arg(self.folder.path())
            .args([self.port.to_string(), self.controller_port.to_string()])
            .args(&self.properties)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
    }

    /// Stops the node as an operator does: it hands over, closes its logs and ends.
    pub fn stop(&mut self) {
        let mut child = self.process.take().expect("the Kafka node runs");
        signal::send("TERM", &child);
        eventually("the Kafka node to stop", STOP, || child.try_wait().unwrap());
    }

    /// Ends the node at once, as a power cut does.
    pub fn kill(&mut self) {
        let mut child = self.process.take().expect("the Kafka node runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn assert_running(&mut self) {
        let ended = self.process.as_mut().and_then(|child| child.try_wait().unwrap());
        if let Some(status) = ended {
            self.process = None;
            let log = signal::tail(&self.log(), 40);
            panic!("the Kafka node ended with {status}; the end of its log:\n{log}");
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            // It may have ended by itself; it is gone either way.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
