//! Having all accounts look again for what may have changed outside: zones, tags, the reason why one is blocked.

use tokio::sync::watch;

/// Asks all accounts that run to look again at once. Clones ask the same ones.
#[derive(Clone, Debug)]
pub struct Recall(watch::Sender<()>);

impl Default for Recall {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Recall {
    pub fn all(&self) {
        self.0.send_replace(());
    }

    /// Hears what is asked from now on.
    pub fn hear(&self) -> Recalled {
        Recalled(self.0.subscribe())
    }
}

/// Hears of a [`Recall`].
#[derive(Clone, Debug)]
pub struct Recalled(watch::Receiver<()>);

impl Recalled {
    /// Waits until somebody asks, or for ever when nobody can any more.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
