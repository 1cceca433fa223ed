//! The servers that `make test` starts once for all tests.

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Cluster, Registry};

/// The Kafka and the Schema Registry that all tests share. A test takes topic names and subjects of its
/// own there ([`super::unique_name`]); one that stops, restarts or misconfigures Kafka starts its own
/// ([`super::Kafka`]).
pub struct Servers {
    pub kafka: Cluster,
    pub registry: Registry,
}

impl Servers {
    pub fn shared() -> &'static Servers {
        static SHARED: OnceLock<Servers> = OnceLock::new();
        SHARED.get_or_init(|| {
            let servers = Servers {
                kafka: Cluster::at(&from_environment("CALLFEED_TEST_KAFKA")),
                registry: Registry::at(&from_environment("CALLFEED_TEST_REGISTRY")),
            };
            servers.kafka.wait_until_ready();
            servers
        })
    }

    /// Where `scripts/servers` keeps the programs of the servers.
    pub fn cache() -> PathBuf {
        from_environment("CALLFEED_TEST_SERVERS").into()
    }

    /// The callfeed before this one, as `scripts/former-version` makes it.
    pub fn former_version() -> PathBuf {
        from_environment("CALLFEED_TEST_FORMER").into()
    }
}

fn from_environment(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("this test needs a real Kafka and a real Schema Registry: run `make test` ({name} is not set)")
    })
}
