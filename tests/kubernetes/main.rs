//! The chart in a real Kubernetes: the API server with its admission, controllers and scheduler, and nodes that kwok plays. No kubelet
//! is there, so no container runs.
//!
//! `make test-kubernetes` starts the control plane and runs this.

mod admission;
mod cluster;
mod install;
mod upgrades;

// The harness of the integration tests.
#[path = "../it/support/mod.rs"]
mod support;
