//! A real Prometheus that scrapes what a test starts, and its tool `promtool`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Servers, block_on, eventually, free_port, signal};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/prometheus");

/// How long a start may take. On an idle machine it takes less than a second.
const START: Duration = Duration::from_secs(60);

/// The folder of `prometheus` and `promtool`, fetched when they are not there yet.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let output = Command::new(SCRIPT).env("CALLFEED_CACHE", Servers::cache()).arg("fetch").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

/// Runs `promtool` with this on its standard input.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(programs().join("promtool"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading, as `check rules` does.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A server with its data in a folder that goes away with it.
pub struct Prometheus {
    folder: TempDir,
    url: String,
    child: Child,
}

impl Prometheus {
    /// Scrapes each target every second, a job and the URL of its admin port each, and evaluates the rules as often.
    pub fn start(targets: &[(&str, &str)], rules: &Path) -> Prometheus {
        let folder = TempDir::with_prefix("callfeed-prometheus-").unwrap();
        let jobs = targets.iter().map(|(job, url)| {
            let address = url.trim_start_matches("http://");
            json!({"job_name": job, "static_configs": [{"targets": [address]}]})
        });
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": jobs.collect::<Vec<Value>>(),
        });
        // JSON is YAML.
        fs::write(folder.path().join("prometheus.yaml"), config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(programs().join("prometheus"))
            .arg("--config.file=prometheus.yaml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut prometheus = Prometheus { folder, url: format!("http://{address}"), child };
        eventually("Prometheus to be ready", START, || {
            prometheus.assert_running();
            prometheus.ask("/-/ready", &[]).filter(|(code, _)| *code == 200).map(drop)
        });
        prometheus
    }

    /// What an expression gives now. The error is Prometheus's own.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        self.result("/api/v1/query", &[("query", expression)])
    }

    /// What an expression gives over the last minute, as a panel asks for it.
    pub fn query_range(&self, expression: &str) -> Result<Vec<Value>, String> {
        let now = jiff::Timestamp::now().as_second();
        let (start, end) = ((now - 60).to_string(), now.to_string());
        let range = [("query", expression), ("start", &start), ("end", &end), ("step", "5")];
        self.result("/api/v1/query_range", &range)
    }

    fn result(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let answer = self.api(path, parameters);
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(answer["error"].to_string()),
        }
    }

    pub fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let (_, answer) = self.ask(path, parameters).expect("Prometheus answers");
        serde_json::from_str(&answer).unwrap()
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<(u16, String)> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), parameters).unwrap();
        block_on(async move {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.get(url).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.ok()?))
        })
    }

    fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = signal::tail(&self.folder.path().join("log"), 20);
            panic!("Prometheus ended with {status}; the end of its log:\n{log}");
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; it is gone either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
