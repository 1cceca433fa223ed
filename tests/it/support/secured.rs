//! A Kafka node with users and rights: SASL_SSL with SCRAM for clients, and ACLs that are asked for everything.

use std::fs;
use std::path::PathBuf;

use super::{Cluster, Kafka, free_port};

/// A node of a test's own. The test itself goes in by a listener without a login, as the super user.
pub struct SecuredKafka {
    node: Kafka,
    port: u16,
}

/// Who logs in, by SCRAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
}

impl SecuredKafka {
    /// Starts a node that has these users, none of whom may do anything.
    pub fn start(users: &[User]) -> SecuredKafka {
        let port = free_port();
        let node = Kafka::with(|node| {
            let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
            let (key, chain) = (certificate.signing_key.serialize_pem(), certificate.cert.pem());
            let keystore = node.folder().join("server.pem");
            fs::write(&keystore, format!("{key}{chain}")).unwrap();
            fs::write(ca_file(node), chain).unwrap();
            let plain = node.cluster().bootstrap;
            let mut properties = vec![
                format!("listeners={},SECURED://127.0.0.1:{port}", node.listeners()),
                format!("advertised.listeners=PLAINTEXT://{plain},SECURED://127.0.0.1:{port}"),
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL".to_owned(),
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
                // Who comes without a login: the test, the broker and the controller.
                "super.users=User:ANONYMOUS".to_owned(),
                "sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned(),
                "listener.name.secured.scram-sha-512.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;"
                    .to_owned(),
                "listener.name.secured.ssl.keystore.type=PEM".to_owned(),
                format!("listener.name.secured.ssl.keystore.location={}", keystore.display()),
            ];
            let scram =
                |user: &User| format!("--add-scram=SCRAM-SHA-512=[name={},password={}]", user.name, user.password);
            properties.extend(users.iter().map(scram));
            properties
        });
        SecuredKafka { node, port }
    }

    /// The cluster as its super user sees it.
    pub fn cluster(&self) -> Cluster {
        self.node.cluster()
    }

    /// The address for users.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate that users trust.
    pub fn ca_file(&self) -> PathBuf {
        ca_file(&self.node)
    }

    /// Grants an operation on a resource, given as options of `kafka-acls.sh`.
    #[track_caller]
    pub fn grant(&self, users: &[&User], operation: &str, resource: &[&str]) {
        self.acls(&["--add"], users, operation, resource);
    }

    #[track_caller]
    pub fn take_away(&self, user: &User, operation: &str, resource: &[&str]) {
        self.acls(&["--remove", "--force"], &[user], operation, resource);
    }

    #[track_caller]
    fn acls(&self, action: &[&str], users: &[&User], operation: &str, resource: &[&str]) {
        let principals: Vec<String> = users.iter().map(|user| format!("User:{}", user.name)).collect();
        let principals = principals.iter().flat_map(|principal| ["--allow-principal", principal]);
        let mut arguments: Vec<&str> = action.to_vec();
        arguments.extend(principals);
        arguments.extend(["--operation", operation]);
        arguments.extend(resource);
        self.node.tool("org.apache.kafka.tools.AclCommand", &arguments);
    }
}

fn ca_file(node: &Kafka) -> PathBuf {
    node.folder().join("ca.pem")
}
