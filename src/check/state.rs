//! The progress of accounts that the configuration does not know.

use crate::config::Config;
use crate::edge::kafka::topics::TopicProblem;
use crate::state_admin::{AdminError, first, more, unknown_accounts};

use super::Finding;

const SUBJECT: &str = "state";

/// Looks for state that no account will go on from: a renamed account is a new one. None when the topic tells what keeps
/// it from being read.
pub(super) async fn unknown(config: &Config) -> Option<Finding> {
    let unknown = match unknown_accounts(config).await {
        Ok(unknown) => unknown,
        Err(AdminError::Topics(TopicProblem::Refused { .. } | TopicProblem::Unreachable(_))) => return None,
        Err(AdminError::NoTopic { .. } | AdminError::Secret(_) | AdminError::Property(_)) => return None,
        Err(error) => return Some(Finding::bad(SUBJECT, error.to_string(), "see the message")),
    };
    let [example, ..] = unknown.as_slice() else {
        return Some(Finding::good(SUBJECT, "every account that has progress is in the configuration"));
    };
    let names = format!("`{}`{}", first(&unknown).join("`, `"), more(&unknown));
    let remedy = format!(
        "a renamed account is a new one, and its calls are published anew under the new name: keep the former name; for one that is gone, stop all replicas and run `callfeed state forget {example}`"
    );
    Some(Finding::doubtful(
        SUBJECT,
        format!("there is progress of accounts that the configuration does not know: {names}"),
        remedy,
    ))
}
