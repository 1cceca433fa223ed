//! A changed configuration file, or SIGHUP: the file is read and checked anew as a whole, and followed or refused.
//!
//! The content is compared and not the time of change: Kubernetes replaces the file by moving a symbolic link. What is
//! refused changes nothing, is told in the log, status and metrics, and is not tried again before the file changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{self, Config, Problems};
use crate::context::Context;
use crate::domain::call::AccountId;
use crate::fleet::{Changes, Fleet};
use crate::logging::events;
use crate::orders::{OrderError, Outcome};
use crate::service::ServiceError;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Accounts that a line of the log names.
const NAMED: usize = 10;

/// Why a configuration is not followed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Problems(#[from] Problems),
    #[error("{}: cannot change while callfeed runs; restart it, or take the former values back", keys.join(", "))]
    NeedsRestart { keys: Vec<&'static str> },
    #[error(transparent)]
    Account(#[from] ServiceError),
}

impl Refusal {
    /// Each thing that is wrong, with its key.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
            Self::NeedsRestart { .. } | Self::Account(_) => vec![self.to_string()],
        }
    }
}

/// What asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    FileChanged,
    HangUp,
    /// Through the admin port.
    Asked,
}

/// Watches over a configuration file.
pub struct Watch {
    path: PathBuf,
    hang_up: Signal,
    look: Interval,
    /// The content that was last asked to be followed.
    known: Content,
    /// Another one, seen once: a file that is being written is not taken for a whole one.
    seen: Option<Content>,
}

/// A hash of what a file holds; none when it cannot be read.
type Content = Option<u64>;

impl Watch {
    /// Starts from what the file holds now: to be called before it is loaded, so that no change falls in between.
    pub fn start(path: &Path) -> std::io::Result<Self> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hang_up = signal(SignalKind::hangup())?;
        Ok(Self { path: path.to_owned(), hang_up, look, known: content(path), seen: None })
    }

    /// Waits for a reason to reload. May be dropped while it waits.
    pub async fn changed(&mut self) -> Cause {
        loop {
            let hung_up = tokio::select! {
                _ = self.hang_up.recv() => true,
                _ = self.look.tick() => false,
            };
            let content = content_of(&self.path).await;
            if hung_up {
                (self.known, self.seen) = (content, None);
                return Cause::HangUp;
            }
            if self.is_new(content) {
                return Cause::FileChanged;
            }
        }
    }

    /// Whether this content was seen twice in a row, and is not the known one.
    fn is_new(&mut self, content: Content) -> bool {
        if content == self.known {
            self.seen = None;
            return false;
        }
        let is_settled = self.seen == Some(content);
        self.seen = Some(content);
        if is_settled {
            (self.known, self.seen) = (content, None);
        }
        is_settled
    }
}

async fn content_of(path: &Path) -> Content {
    let path = path.to_owned();
    // A file may lie on a disk that hangs.
    tokio::task::spawn_blocking(move || content(&path)).await.ok().flatten()
}

fn content(path: &Path) -> Content {
    config::read(path).ok().map(|text| xxh3_64(text.as_bytes()))
}

/// Reads the file again and has the accounts follow it, or says why not: in the log, and to whoever asked.
pub async fn reload(watch: &Watch, cause: Cause, fleet: &mut Fleet, context: &Context) -> Outcome {
    let loaded = load(&watch.path, fleet.config()).await;
    let now = context.clock.now();
    let outcome = match loaded.and_then(|config| Ok(fleet.follow(config)?)) {
        Ok(changes) => {
            let (n_added, n_removed, n_changed) = (changes.added.len(), changes.removed.len(), changes.changed.len());
            let names = names(&changes);
            tracing::info!(name: events::CONFIG_RELOADED, ?cause, n_added, n_removed, n_changed, names, "configuration reloaded");
            context.board.config_loaded(now);
            context.metrics.config_loaded(now);
            Ok(format!("reloaded: {n_added} accounts added, {n_removed} removed, {n_changed} changed"))
        }
        Err(refusal) => {
            let problems = refusal.lines();
            tracing::error!(
                name: events::CONFIG_REFUSED,
                ?cause,
                problems = problems.join("; "),
                n_problems = problems.len(),
                "the new configuration is refused, the old one goes on"
            );
            let told = format!("the new configuration is refused, the old one goes on: {}", problems.join("; "));
            context.board.config_refused(now, problems);
            context.metrics.config_refused();
            Err(OrderError::Refused(told))
        }
    };
    if matches!(cause, Cause::HangUp | Cause::Asked) {
        context.recall.all();
    }
    outcome
}

/// The accounts that are added, removed or changed, in the order of these words; the first of many.
fn names(changes: &Changes) -> String {
    let all: Vec<&str> =
        [&changes.added, &changes.removed, &changes.changed].into_iter().flatten().map(AccountId::as_str).collect();
    match all.len().saturating_sub(NAMED) {
        0 => all.join(", "),
        more => format!("{} and {more} more", all[..NAMED].join(", ")),
    }
}

async fn load(path: &Path, current: &Config) -> Result<Config, Refusal> {
    let path = path.to_owned();
    let loading = tokio::task::spawn_blocking(move || config::load(&path, &config::process_env));
    // It panics only where loading does, and so would this.
    let config = loading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
    match config::keys_that_need_a_restart(current, &config) {
        keys if keys.is_empty() => Ok(config),
        keys => Err(Refusal::NeedsRestart { keys }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn content_after(watch: &mut Watch, looks: usize) -> bool {
        (0..looks).any(|_| watch.is_new(content(&watch.path.clone())))
    }

    #[tokio::test]
    async fn a_content_counts_when_it_was_seen_twice_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callfeed.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = Watch::start(&path).unwrap();
        assert!(!content_after(&mut watch, 3));

        fs::write(&path, "half a fi").unwrap();
        assert!(!content_after(&mut watch, 1));
        fs::write(&path, "half a file").unwrap();
        assert!(!content_after(&mut watch, 1));
        assert!(content_after(&mut watch, 1));
        assert!(!content_after(&mut watch, 3));

        fs::remove_file(&path).unwrap();
        assert!(content_after(&mut watch, 2), "that it is gone is told as well");
        assert!(!content_after(&mut watch, 3));
    }

    #[test]
    fn the_first_ten_accounts_are_named() {
        let ids = |names: &[&str]| names.iter().map(|name| AccountId::new(name)).collect();
        let mut changes = Changes { added: ids(&["c"]), removed: ids(&["b"]), changed: ids(&["a"]) };
        assert_eq!(names(&changes), "c, b, a");
        changes.changed = (0..10).map(|n| AccountId::new(&format!("n{n}"))).collect();
        assert_eq!(names(&changes), "c, b, n0, n1, n2, n3, n4, n5, n6, n7 and 2 more");
    }

    #[tokio::test]
    async fn a_file_that_comes_back_as_it_was_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callfeed.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = Watch::start(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!content_after(&mut watch, 1));
        fs::write(&path, "one").unwrap();
        assert!(!content_after(&mut watch, 3));
    }

    /// As Kubernetes replaces the files of a ConfigMap.
    #[tokio::test]
    async fn a_moved_link_to_another_content_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            fs::create_dir(file(version)).unwrap();
            fs::write(file(version).join("callfeed.yaml"), text).unwrap();
        }
        symlink("v1", file("..data")).unwrap();
        symlink("..data/callfeed.yaml", file("callfeed.yaml")).unwrap();
        let mut watch = Watch::start(&file("callfeed.yaml")).unwrap();
        symlink("v2", file("..data_tmp")).unwrap();
        fs::rename(file("..data_tmp"), file("..data")).unwrap();
        assert!(content_after(&mut watch, 2));
    }
}
