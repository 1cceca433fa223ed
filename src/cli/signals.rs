//! The signals that ask for an end, for commands that have nothing to reload.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first SIGTERM or SIGINT.
pub async fn stop_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
