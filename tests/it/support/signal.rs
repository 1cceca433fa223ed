//! Signals for child processes, and the last lines of what they wrote.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

/// Sends a signal (`TERM`, `STOP`, ...) to a child. The child must not have been waited for: until then
/// its id belongs to it alone.
pub fn send(signal: &str, child: &Child) {
    // The shell's own `kill`: not every machine has the program.
    let status =
        Command::new("sh").args(["-c", r#"kill -s "$0" "$1""#, signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "no process {} for SIG{signal}", child.id());
}

/// The end of a log, for the message of a failed test.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
