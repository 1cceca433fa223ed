//! The example values: each renders to objects that the API of Kubernetes knows, and to a configuration that callfeed takes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::helm::{LEAST, Manifests, examples, helm, render, render_text, said, tools};

/// Everything that can be switched on.
const ALL: &str = "\
networkPolicy: {enabled: true}
podMonitor: {enabled: true, labels: {release: prometheus}, relabelings: [{action: labelmap, regex: a}]}
prometheusRule: {enabled: true}
dashboard: {enabled: true, annotations: {folder: calls}}
";

#[test]
fn the_examples_are_those_that_the_readme_lists() {
    let names: Vec<String> = examples().into_keys().collect();
    assert_eq!(names, ["agency", "external-secrets", "production", "strimzi", "try-out"]);
}

#[test]
fn helm_finds_no_fault_in_the_chart() {
    for (name, values) in examples() {
        let told = said(&helm(&["lint", "--strict"], &[&values]));
        assert!(told.contains("1 chart(s) linted, 0 chart(s) failed"), "{name}: {told}");
    }
}

#[test]
fn what_the_examples_render_is_known_to_the_api() {
    for (name, values) in examples().into_iter().chain([("all".to_owned(), format!("{LEAST}{ALL}"))]) {
        let text = render_text(&[&values]);
        let n_objects = render(&[&values]).0.len();
        let (is_good, told) = kubeconform(&text);
        assert!(is_good, "{name}: {told}");
        let expected = format!("{n_objects} resources found parsing stdin - Valid: {n_objects}, Invalid: 0");
        assert!(n_objects > 5 && told.contains(&expected), "{name}: {told}");
    }
}

#[test]
fn the_check_against_the_api_finds_faults() {
    let text = render_text(&[LEAST, ALL]);
    for (good, bad) in [
        ("replicas: 1", "replicas: '1'"),
        ("podManagementPolicy: Parallel", "podManagmentPolicy: Parallel"),
        ("podMetricsEndpoints:", "podMetricEndpoints:"),
        ("apiVersion: policy/v1", "apiVersion: policy/v1beta1"),
        ("  replicas: 1", "  replicas: 1\n  replicas: 1"),
    ] {
        assert!(text.contains(good), "{good}");
        let (is_good, told) = kubeconform(&text.replace(good, bad));
        assert!(!is_good, "{bad}: {told}");
    }
}

/// Whether kubeconform finds manifests good, and what it says.
fn kubeconform(manifests: &str) -> (bool, String) {
    let schemas = tools().join("schemas");
    let mut command = Command::new(tools().join("kubeconform"));
    command.args(["-strict", "-summary", "-schema-location"]);
    command.arg(format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display())).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifests.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// With nothing but the environment and the files that its pod has.
#[test]
fn callfeed_takes_the_configuration_of_each_example_in_its_pod() {
    for (name, values) in examples() {
        let manifests = render(&[&values]);
        let folder = TempDir::new().unwrap();
        let environment = environment(&manifests);
        let text = with_files_in(&manifests, folder.path());
        let given = |name: &str| environment.contains(name).then(|| "long enough for a token".to_owned());
        let config =
            callfeed::config::parse(&text, &given).unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
        assert_eq!(config.admin.listen.to_string(), "0.0.0.0:9464");
        let peers = config.admin.peers.map(|peers| peers.to_string());
        assert_eq!(peers.as_deref(), Some("callfeed-headless.default.svc:9464"));
        assert!(!config.accounts.is_empty());
    }
}

/// The names of a pod's environment variables.
fn environment(manifests: &Manifests) -> BTreeSet<String> {
    let container = manifests.container();
    let single = container["env"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
    let made = manifests.find("Secret", "callfeed").map(|secret| &secret["data"]);
    assert_eq!(made.is_some(), container["envFrom"][0]["secretRef"]["name"] == "callfeed");
    let whole = made.and_then(Value::as_object).into_iter().flat_map(|data| data.keys().cloned());
    single.chain(whole).collect()
}

/// The configuration, with the files of Secrets in a folder of this machine, as far as they are mounted.
fn with_files_in(manifests: &Manifests, folder: &Path) -> String {
    const SECRETS: &str = "/run/secrets/callfeed/";
    let text = manifests.config();
    for named in text.split(SECRETS).skip(1).map(|rest| rest.split_whitespace().next().unwrap()) {
        let (mounted, key) = named.split_once('/').unwrap();
        let at = |mount: &&Value| mount["mountPath"] == format!("{SECRETS}{mounted}");
        let mount = manifests.container()["volumeMounts"].as_array().unwrap().iter().find(at);
        let mount = mount.unwrap_or_else(|| panic!("{named} is not mounted"));
        let volumes = manifests.pod()["spec"]["volumes"].as_array().unwrap();
        let secret = &volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap()["secret"];
        let items = secret["items"].as_array();
        assert!(items.is_none_or(|items| items.iter().any(|item| item["path"] == key)), "{named} is not mounted");
        fs::create_dir_all(folder.join(mounted)).unwrap();
        fs::write(folder.join(named), "the content").unwrap();
    }
    text.replace(SECRETS, &format!("{}/", folder.display()))
}

#[test]
fn numbers_and_texts_arrive_as_they_are_written() {
    let config = "config: {accounts: [{name: acme, service: comagic, start_from: '2026-01-01 00:00:00',
        credentials: {api_key: '0123'}, customers: [10000000001, 7], filters: {tags: ['17', 17], channels: {static:
        {virtual_numbers: [74951234567, '+74957654321']}}}}], topics: {calls: 'calls.{account}'}}";
    let manifests = render(&[LEAST, config]);
    let text = manifests.config();
    for line in [
        "- 74951234567",
        "- \"+74957654321\"",
        "- 10000000001",
        "- \"17\"",
        "- 17",
        "api_key: \"0123\"",
        "calls: calls.{account}",
    ] {
        assert!(text.lines().any(|own| own.trim() == line), "{line}: {text}");
    }
    callfeed::config::parse(text, &|_| Some("callfeed-0".to_owned())).unwrap();
}
