//! Which configuration runs, and whether a newer one was refused.

use serde::Serialize;

use super::as_text_or_null;
use crate::domain::time::Instant;

/// As the admin port shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConfigStatus {
    /// When the configuration that runs was loaded; none before the service has started.
    #[serde(serialize_with = "as_text_or_null")]
    pub loaded_at: Option<Instant>,
    /// The last try to reload it, when that was refused.
    pub refused: Option<RefusedConfig>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RefusedConfig {
    #[serde(serialize_with = "super::as_text")]
    pub at: Instant,
    /// Each with its key. No secret is in any.
    pub problems: Vec<String>,
}
