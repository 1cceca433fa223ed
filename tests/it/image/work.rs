//! callfeed at work in the image, as the user that the Dockerfile names, on a root that cannot be written.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use callfeed::simulator::{Scenario, Simulator};
use serde_json::json;
use tempfile::TempDir;

use super::dockerfile;
use crate::delivery::feed::{Feed, PATIENCE, api_key, history, standing};
use crate::support::{Container, Spec, block_on, containers_run_here, root_of_image};

const CONFIG: &str = "/etc/callfeed/callfeed.yaml";

/// The image in a folder of its own, run by what the last stage of the Dockerfile says.
struct Image {
    root: PathBuf,
    folder: TempDir,
}

impl Image {
    fn new() -> Image {
        let folder = TempDir::with_prefix("callfeed-image-").unwrap();
        Image { root: root_of_image(&folder), folder }
    }

    fn spec(&self, arguments: &[&str]) -> Spec {
        let entrypoint: Vec<String> = serde_json::from_str(&dockerfile::only("ENTRYPOINT")).unwrap();
        let args: Vec<&str> = entrypoint.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let user = dockerfile::only("USER");
        let (user, group) = user.split_once(':').unwrap();
        Spec { user: user.parse().unwrap(), group: group.parse().unwrap(), ..Spec::new(&self.root, &args) }
    }

    /// The same with the configuration of a feed, and a name for the machine that only a file knows.
    fn spec_for(&self, feed: &Feed, arguments: &[&str]) -> Spec {
        let hosts = self.file("hosts", "127.0.0.1 localhost servers.internal\n");
        self.spec(arguments).mount(&feed.config_file(), CONFIG).mount(&hosts, "/etc/hosts")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn feed_by_name(scenario: Scenario) -> Feed {
    let mut feed = Feed::of(scenario);
    let kafka = feed.kafka.bootstrap.replace("127.0.0.1", "servers.internal");
    let registry = feed.registry.url.replace("127.0.0.1", "servers.internal");
    feed.configure(json!({"kafka": {"bootstrap_servers": kafka}, "schema_registry": {"url": registry}}));
    feed
}

#[test]
fn help_is_shown() {
    if !containers_run_here() {
        return;
    }
    let image = Image::new();

    let mut container = Container::start(&image.spec(&["--help"]));
    container.wait_exit(PATIENCE);

    assert_eq!(container.exit_code(), 0, "{}", container.stderr());
    assert!(container.stdout().contains("Usage: callfeed"), "{}", container.stdout());
}

#[test]
fn check_trusts_the_authorities_of_the_image_and_finds_all_in_order() {
    if !containers_run_here() {
        return;
    }
    let image = Image::new();
    let mut feed = feed_by_name(standing(history(20)));
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let authorities = image.file("authorities", &certificate.cert.pem());
    let simulator = start_with_tls(standing(history(20)), &certificate);
    feed.configure_account("acme", json!({"service": {"url": simulator.url("comagic")}}));
    let spec = image.spec_for(&feed, &["check", "--config", CONFIG]);

    let mut untrusting = Container::start(&spec);
    untrusting.wait_exit(PATIENCE);
    let mut trusting = Container::start(&spec.mount(&authorities, "/etc/ssl/certs/ca-certificates.crt"));
    trusting.wait_exit(PATIENCE);

    assert_eq!(trusting.exit_code(), 0, "{}{}", trusting.stdout(), trusting.stderr());
    assert!(!trusting.stdout().contains('✗') && trusting.stdout().contains("✓ acme rights"), "{}", trusting.stdout());
    assert_eq!(untrusting.exit_code(), 1, "{}", untrusting.stdout());
    assert!(untrusting.stdout().contains("no trusted TLS connection"), "{}", untrusting.stdout());
}

#[test]
fn calls_flow_without_any_right_until_sigterm() {
    if !containers_run_here() {
        return;
    }
    let image = Image::new();
    let mut feed = feed_by_name(standing(history(60)));
    let key = image.file("key", &api_key("acme"));
    feed.config["accounts"][0]["credentials"] = json!({"api_key": {"file": "/etc/callfeed/secrets/key"}});
    let spec = image.spec_for(&feed, &["run", "--config", CONFIG]).mount(&key, "/etc/callfeed/secrets/key");

    let mut container = Container::start(&Spec { hostname: "callfeed-7".to_owned(), ..spec });
    feed.wait_for_rereading("acme");
    let rights = Rights::of(container.first_process());
    let status = container.get("/api/v1/accounts/acme");
    container.terminate();
    container.wait_exit(PATIENCE);

    assert_eq!(container.exit_code(), 0, "{}", container.stderr());
    assert_eq!(feed.assert_equals_truth(), 60);
    assert!(status.contains("\"live\""), "{status}");
    rights.assert_none();
    // The group knows the replica by the name of its host.
    feed.kafka.leave_group(&feed.name, "callfeed-7");
}

/// What the kernel says of a process.
struct Rights {
    status: String,
    mounts: String,
}

impl Rights {
    fn of(process: u64) -> Rights {
        let read = |name: &str| fs::read_to_string(Path::new("/proc").join(process.to_string()).join(name)).unwrap();
        Rights { status: read("status"), mounts: read("mounts") }
    }

    fn assert_none(&self) {
        let value = |name: &str| {
            let line = self.status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(value(set), ["0000000000000000"], "{set} in {}", self.status);
        }
        assert_eq!(value("NoNewPrivs:"), ["1"]);
        assert_eq!((value("Uid:"), value("Gid:")), (vec!["65532".to_owned(); 4], vec!["65532".to_owned(); 4]));
        let root = self.mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).unwrap();
        assert!(root.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{root}");
    }
}

fn start_with_tls(scenario: Scenario, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Simulator {
    // Another test may have chosen it already; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    block_on(async move { Simulator::start_tls(scenario, listen, tls).await.unwrap() })
}
