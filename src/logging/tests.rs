//! The lines as they come out, and the names that they carry.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::*;
use crate::config::LogFormat;
use crate::domain::call::AccountId;
use crate::domain::time::Instant;

/// What is logged while `work` runs, and what switches the traces.
fn logged(format: LogFormat, work: impl FnOnce(&Traces)) -> String {
    let (written, traces) = (Written::default(), Traces::default());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(written.clone())
        .with_ansi(false)
        .event_format(Lines::new(format, Origin { instance_id: "replica-0".into() }))
        .with_filter(traces.beside(EnvFilter::new("info")));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || work(&traces));
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Each line without its time.
fn texts(work: impl FnOnce(&Traces)) -> Vec<String> {
    let text = logged(LogFormat::Text, work);
    text.lines().map(|line| line.split_once(' ').unwrap().1.trim_start().to_owned()).collect()
}

fn objects(work: impl FnOnce(&Traces)) -> Vec<Value> {
    logged(LogFormat::Json, work).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_has_the_names_of_open_telemetry() {
    let lines = objects(|_| {
        warn!(name: events::ACCOUNT_BLOCKED, account = %AccountId::new("acme"), reason = "wrong login", "account is blocked");
        info!(name: events::ADMIN_PORT_OPENED, listen = %"127.0.0.1:9464", "admin port open");
        info!(target: "callfeed::edge::kafka::member", partition = 3, topic = "callfeed.state", n_records = 2_u64, "kafka");
        info!(
            error_type = "auth_error",
            error = "wrong password",
            method = "login.user",
            request_id = "x-1",
            "data api"
        );
    });
    let timestamp = lines[0]["timestamp"].as_str().unwrap();
    assert!(timestamp.ends_with('Z') && timestamp.parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
    let of_process = [
        ("service.name", json!("callfeed")),
        ("service.version", json!(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", json!("replica-0")),
    ];
    let expected = [
        json!({
            "severity_text": "WARN", "severity_number": 13, "event.name": "account_blocked", "body": "account is blocked",
            "callfeed.account": "acme", "callfeed.reason": "wrong login",
        }),
        json!({
            "severity_text": "INFO", "severity_number": 9, "event.name": "admin_port_opened", "body": "admin port open",
            "server.address": "127.0.0.1", "server.port": 9464,
        }),
        json!({
            "severity_text": "INFO", "severity_number": 9, "body": "kafka", "messaging.system": "kafka",
            "messaging.destination.partition.id": "3", "messaging.destination.name": "callfeed.state",
            "messaging.batch.message_count": 2,
        }),
        json!({
            "severity_text": "INFO", "severity_number": 9, "body": "data api", "error.type": "auth_error",
            "exception.message": "wrong password", "rpc.system.name": "jsonrpc", "rpc.method": "login.user",
            "jsonrpc.request.id": "x-1",
        }),
    ];
    for (mut line, mut expected) in lines.into_iter().zip(expected) {
        line.as_object_mut().unwrap().remove("timestamp");
        for (name, value) in &of_process {
            expected[name] = value.clone();
        }
        assert_eq!(line, expected);
    }
}

#[test]
fn text_is_for_people() {
    let lines = texts(
        |_| warn!(name: events::ACCOUNT_BLOCKED, account = %"acme", reason = "wrong login", "account is blocked"),
    );
    assert_eq!(lines, [r#"WARN account is blocked account=acme reason="wrong login""#]);
}

#[test]
fn what_repeats_is_left_out_and_what_changes_lastingly_is_not() {
    let lines = texts(|_| {
        for wait in 0..3 {
            let error = format!("not answered within {wait} s");
            warn!(account = "acme", wait, error, "the request keeps failing");
            warn!(account = "acme", wait, error = "refused", "the request keeps failing");
            warn!(account = "other-1", wait, error, "the request keeps failing");
            warn!(account = "other-2", wait, error, "the request keeps failing");
            info!(name: events::ACCOUNT_LIVE, account = "acme", "account is live");
        }
    });
    let told = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    let failing = [
        r#""acme" wait=0 error="not"#,
        r#""acme" wait=0 error="refused"#,
        r#""other-1" wait=0"#,
        r#""other-2" wait=0"#,
    ];
    assert_eq!(failing.map(told), [1; 4], "{lines:#?}");
    assert_eq!((told("wait="), told("is live")), (4, 3), "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_trace_shows_the_decisions_of_its_account_alone_and_ends_by_itself() {
    let (acme, other) = (AccountId::new("acme"), AccountId::new("other"));
    let decide = || {
        debug!(account = %acme, "waiting");
        debug!(account = %other, "waiting");
        debug!("of nobody");
        debug!(target: "hyper", account = %acme, "of a library");
        tracing::trace!(account = %acme, "too much");
    };
    let (written, traces) = (Written::default(), Traces::default());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(written.clone())
        .with_ansi(false)
        .event_format(Lines::new(LogFormat::Text, Origin { instance_id: "replica-0".into() }))
        .with_filter(traces.beside(EnvFilter::new("info")));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    let now = Instant::from_unix_seconds(1_767_225_600);

    decide();
    let until = traces.begin(&acme, now, Duration::from_mins(10));
    assert_eq!((until, traces.until(&acme)), (now + Duration::from_mins(10), Some(until)));
    decide();
    decide();
    tokio::time::sleep(Duration::from_mins(9)).await;
    // Once more from now on.
    traces.begin(&acme, now, Duration::from_mins(10));
    tokio::time::sleep(Duration::from_mins(9)).await;
    decide();
    tokio::time::sleep(Duration::from_mins(2)).await;
    decide();
    assert_eq!(traces.until(&acme), None);
    assert!(!traces.end(&acme));

    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    let started = "INFO decisions of the account are logged account=acme until=2026-01-01T00:10:00Z";
    let waiting = "DEBUG waiting account=acme";
    let ended = "INFO decisions of the account are not logged any more account=acme";
    assert_eq!(lines, [started, waiting, waiting, started, waiting, ended]);
}

/// The table is written by hand beside the names; so are the meanings here and there.
#[test]
fn the_readme_lists_every_event_with_its_meaning() {
    let expected: String = names().iter().map(|(_, name, meaning)| format!("| `{name}` | {meaning} |\n")).collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&expected), "README.md does not have these lines:\n{expected}");
}

#[test]
fn every_event_is_logged_somewhere_and_under_no_other_name() {
    let sources = sources(&root().join("src"));
    let used: BTreeSet<String> = sources.iter().flat_map(|source| words_after(source, "name: events::")).collect();
    let declared: BTreeSet<String> = names().into_iter().map(|(constant, ..)| constant).collect();
    assert_eq!(used, declared);
    let by_hand: Vec<&String> = sources.iter().filter(|source| source.contains(&["!(name: ", "\""].concat())).collect();
    assert!(by_hand.is_empty(), "a name that is not in `events`: {by_hand:?}");
}

#[test]
fn every_field_that_has_a_name_in_the_conventions_is_used() {
    let sources = sources(&root().join("src")).concat();
    for (field, _) in names::CONVENTIONS {
        let is_used = [format!("{field} = "), format!("%{field},"), format!(" {field}, "), format!("%{field}, ")];
        assert!(is_used.iter().any(|text| sources.contains(text)), "no line of the log has `{field}`");
    }
}

/// The constant, the name and the meaning of each event, in the order of the file.
fn names() -> Vec<(String, String, String)> {
    let source = include_str!("events.rs");
    let meanings = source.lines().filter_map(|line| line.strip_prefix("/// "));
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const "));
    let constants: Vec<&str> = constants.collect();
    let named = meanings.zip(&constants).map(|(meaning, constant)| {
        let (constant, name) = constant.split_once(": &str = ").unwrap();
        (constant.to_owned(), name.trim_matches(['"', ';']).to_owned(), meaning.to_owned())
    });
    let named: Vec<_> = named.collect();
    assert!(named.len() == constants.len() && named.len() > 20, "one line of meaning a name");
    assert!(named.iter().all(|(constant, name, _)| constant.to_lowercase() == *name));
    named
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources below a folder, without those that hold only tests.
fn sources(folder: &Path) -> Vec<String> {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of_entry = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false if path.ends_with("tests.rs") => Vec::new(),
        false => vec![fs::read_to_string(&path).unwrap()],
    };
    entries.into_iter().flat_map(of_entry).collect()
}

fn words_after(text: &str, mark: &str) -> Vec<String> {
    let is_word = |c: &char| c.is_ascii_uppercase() || *c == '_';
    text.split(mark).skip(1).map(|rest| rest.chars().take_while(is_word).collect()).collect()
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
