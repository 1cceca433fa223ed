//! What an operator sees from outside: metrics, alerts and the dashboard, held against a real Prometheus.

mod dashboard;
mod queries;
mod rules;

use std::path::{Path, PathBuf};

/// A file of the chart, which includes them as they are.
fn chart(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/callfeed").join(path)
}
