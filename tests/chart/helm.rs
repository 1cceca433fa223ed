//! Runs helm and its companions, and looks at what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};
use tempfile::TempDir;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm/callfeed");

/// The least that the chart takes.
pub const LEAST: &str = "\
config:
  kafka: {bootstrap_servers: 'kafka:9092'}
  schema_registry: {url: 'http://registry:8081'}
  accounts:
    - {name: acme, service: comagic, credentials: {api_key: {env: ACME_KEY}}}
";

/// The folder of the tools, fetched when it is not there.
pub fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let output = Command::new(format!("{ROOT}/scripts/kubernetes")).arg("tools").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

/// Runs helm for the chart with values, later ones over former ones. It sees no cluster, whatever is set up here.
pub fn helm(command: &[&str], values: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let mut helm = Command::new(tools().join("helm"));
    helm.args(command).arg(CHART).env("KUBECONFIG", "/dev/null").env("HELM_CACHE_HOME", folder.path());
    for (number, text) in values.iter().enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, text).unwrap();
        helm.arg("--values").arg(file);
    }
    helm.output().unwrap()
}

/// What a program said, when it succeeded.
#[track_caller]
pub fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}{stdout}");
    stdout.into_owned()
}

/// The manifests that the chart renders, as YAML.
#[track_caller]
pub fn render_text(values: &[&str]) -> String {
    said(&helm(&["template", "callfeed"], values))
}

#[track_caller]
pub fn render(values: &[&str]) -> Manifests {
    Manifests(documents(&render_text(values)))
}

/// What helm says against values that it must refuse.
#[track_caller]
pub fn refusal(values: &[&str]) -> String {
    let output = helm(&["template", "callfeed"], values);
    assert!(!output.status.success(), "accepted: {values:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The values file of an example.
pub fn examples() -> BTreeMap<String, String> {
    let files = fs::read_dir(format!("{CHART}/examples")).unwrap().map(|entry| entry.unwrap().path());
    let read =
        |path: PathBuf| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
    files.map(read).collect()
}

/// The objects that a chart renders.
pub struct Manifests(pub Vec<Value>);

impl Manifests {
    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> &Value {
        self.find(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    pub fn pod(&self) -> &Value {
        &self.get("StatefulSet", "callfeed")["spec"]["template"]
    }

    pub fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    /// The configuration file in the ConfigMap.
    pub fn config(&self) -> &str {
        self.get("ConfigMap", "callfeed")["data"]["callfeed.yaml"].as_str().unwrap()
    }
}

/// The documents of a YAML stream that hold something.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.iter().map(to_json).filter(|document| !document.is_null()).collect()
}

fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Mapping(map) => {
            let entries = map.iter().map(|(key, value)| (to_json(key), to_json(value)));
            let entries: Map<String, Value> =
                entries.map(|(key, value)| (key.as_str().map_or(key.to_string(), str::to_owned), value)).collect();
            Value::Object(entries)
        }
        Yaml::Sequence(list) => list.iter().map(to_json).collect(),
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        other => panic!("not in a manifest: {other:?}"),
    }
}
