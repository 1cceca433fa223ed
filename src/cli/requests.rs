//! What a command has cost.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::edge::data_api::Observer;

/// The requests that were answered: each cost a point.
#[derive(Clone, Default)]
pub struct Requests(Arc<AtomicU64>);

impl Requests {
    pub fn observer(&self) -> Observer {
        let answered = self.0.clone();
        Arc::new(move |seen| {
            if seen.outcome == "ok" && seen.method != "login.user" {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.load(Ordering::Relaxed) {
            1 => f.write_str("1 point was used"),
            n => write!(f, "{n} points were used"),
        }
    }
}
