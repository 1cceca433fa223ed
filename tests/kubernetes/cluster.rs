//! A namespace of the cluster for one test, with helm and kubectl in it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{eventually, unique_name};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm/callfeed");

/// How long anything may take that takes seconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The name of the release in each namespace, and with it of most of its objects.
pub const RELEASE: &str = "callfeed";

/// A namespace in which restricted Pod Security is enforced. It goes away with this.
pub struct Namespace {
    pub name: String,
    folder: TempDir,
}

impl Namespace {
    pub fn new() -> Namespace {
        let namespace =
            Namespace { name: unique_name("test").replace(['_', '.'], "-"), folder: TempDir::new().unwrap() };
        let enforce = |mode: &str| (format!("pod-security.kubernetes.io/{mode}"), json!("restricted"));
        let labels: Value = ["enforce", "warn"].map(enforce).into_iter().collect::<serde_json::Map<_, _>>().into();
        namespace.create(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": labels},
        }));
        // Pods can be made only when this is there.
        eventually("the default account", PATIENCE, || namespace.find("serviceaccount", "default"));
        namespace
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(tools().join(program));
        command.args(["--namespace", &self.name]).env("HELM_CACHE_HOME", self.folder.path());
        command
    }

    /// kubectl, which must succeed; what it said.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        succeeded(self.command("kubectl").args(arguments).output().unwrap())
    }

    /// What kubectl says to a manifest that the API server must refuse.
    #[track_caller]
    pub fn refused(&self, manifest: &Value) -> String {
        let output = self.try_create(manifest);
        assert!(!output.status.success(), "accepted: {manifest}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    pub fn create(&self, manifest: &Value) {
        succeeded(self.try_create(manifest));
    }

    fn try_create(&self, manifest: &Value) -> Output {
        let file = self.file("manifest.json", &manifest.to_string());
        self.command("kubectl").args(["create", "--filename"]).arg(file).stdin(Stdio::null()).output().unwrap()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A command of helm with the chart, values and more options.
    pub fn try_helm(&self, command: &str, values: &[&Value], options: &[&str]) -> Output {
        let mut helm = self.command("helm");
        helm.args([command, RELEASE, CHART]).args(options);
        for (number, values) in values.iter().enumerate() {
            helm.arg("--values").arg(self.file(&format!("values-{number}.json"), &values.to_string()));
        }
        helm.output().unwrap()
    }

    /// Installs, or upgrades to, values, and waits until all pods are ready. What helm said, its warnings included.
    #[track_caller]
    pub fn upgrade(&self, values: &[&Value]) -> String {
        let output = self.try_helm("upgrade", values, &["--install", "--wait", "--timeout", "3m"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        succeeded(output) + &told
    }

    /// helm without the chart, which must succeed: `rollback`, `test`, `uninstall` of the release.
    #[track_caller]
    pub fn helm(&self, command: &str, options: &[&str]) -> String {
        succeeded(self.command("helm").args([command, RELEASE]).args(options).output().unwrap())
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<Value> {
        let output = self.command("kubectl").args(["get", kind, name, "--output", "json"]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "--output", "json"])).unwrap()
    }

    /// The replicas, by their numbers.
    #[track_caller]
    pub fn pods(&self) -> Vec<Value> {
        let selector = "app.kubernetes.io/component=replica";
        let list: Value =
            serde_json::from_str(&self.kubectl(&["get", "pods", "--selector", selector, "--output", "json"])).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// The pod that `helm test` makes, made by hand.
    #[track_caller]
    pub fn pod_of_helm_test(&self) -> Value {
        let manifest = succeeded(self.command("helm").args(["get", "hooks", RELEASE]).output().unwrap());
        let file = self.file("hooks.yaml", &manifest);
        self.kubectl(&["create", "--filename", file.to_str().unwrap()]);
        self.get("pod", &format!("{RELEASE}-check"))
    }

    /// What tells each pod from one that took its place.
    #[track_caller]
    pub fn pod_ids(&self) -> Vec<String> {
        self.pods().iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
    }

    /// The images of the pods.
    #[track_caller]
    pub fn images(&self) -> Vec<String> {
        self.pods().iter().map(|pod| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that is in the namespace, but what Kubernetes puts into each, and events.
    pub fn content(&self) -> Vec<String> {
        let kinds = self.kubectl(&["api-resources", "--namespaced", "--verbs", "list", "--output", "name"]);
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let all = self.kubectl(&["get", &kinds.join(","), "--output", "name"]);
        let of_every_namespace = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
        all.lines().filter(|name| !of_every_namespace.contains(name)).map(str::to_owned).collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.command("kubectl").args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

#[track_caller]
fn succeeded(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}{stdout}");
    stdout.into_owned()
}

pub fn tools() -> &'static Path {
    static TOOLS: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    TOOLS.get_or_init(|| {
        let tools = env::var("CALLFEED_TEST_KUBERNETES");
        tools.expect("this test needs a control plane of Kubernetes: run `make test-kubernetes`").into()
    })
}

/// Values for as many replicas, with an account each of these names.
pub fn values(replicas: u32, accounts: &[&str]) -> Value {
    let account =
        |name: &&str| json!({"name": name, "service": "uis", "credentials": {"api_key": {"env": "ACME_KEY"}}});
    json!({
        "replicas": replicas,
        "config": {
            "kafka": {"bootstrap_servers": "kafka:9092"},
            "schema_registry": {"url": "http://registry:8081"},
            "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
        },
        "secrets": {"env": {"ACME_KEY": {"secret": "accounts", "key": "acme"}}},
    })
}
