//! The Helm chart, without a cluster: what it refuses, what it renders, and that it says the same as callfeed itself.
//!
//! helm, kubeconform and the schemas of the API are fetched once (`scripts/kubernetes tools`). What only a server of the API knows
//! is the matter of `make test-kubernetes`.

mod agreement;
mod examples;
mod helm;
mod refusals;
mod restarts;
mod values;
