//! The chart in a real Kubernetes: the API server with its admission, controllers and scheduler, and nodes that kwok plays. No kubelet
//! is there, so no container runs by itself: the pods that the API server holds are made into containers by [`pods`], and run by
//! runc.
//!
//! `make test-kubernetes` starts the control plane and the servers, and runs this.

mod admission;
mod cluster;
mod delivery;
mod install;
mod pods;
mod upgrades;
mod work;

// The harness of the integration tests, and how they read the Dockerfile.
#[path = "../it/support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../it/image/dockerfile.rs"]
mod dockerfile;
