//! `callfeed preview`: what would be published of an account, and what the filters leave out and why.

mod table;

use std::collections::HashMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::choice::{Choice, choose};
use super::requests::Requests;
use super::{ConfigFile, DONE, FAILED, Format, bad_usage, written};
use crate::accounts::one_user_each;
use crate::clock::Clock;
use crate::config::{Config, Customers};
use crate::domain::time::Interval;
use crate::edge::data_api::CustomerUser;
use crate::opening::Subject;
use crate::preview::{self, Extent, Preview, PreviewError};
use crate::wiring;

/// An agency's customers are previewed together up to here; more would cost many points unasked.
const CUSTOMERS_AT_ONCE: usize = 10;

/// Reasons for bad rows that are told one by one.
const REASONS: usize = 5;

/// Show what would be published of an account, and what its filters leave out and why
///
/// Reads the account, and touches neither Kafka nor the schema registry. A request costs a point of the account: one for
/// each page of calls (`poll.page_size`), and one or two to begin with.
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed preview --config callfeed.yaml --account acme\n\
     As events, a week of them: callfeed preview --config callfeed.yaml --account acme --since 7d --limit 1000 --format json\n\
     One customer of an agency: callfeed preview --config callfeed.yaml --account agency.90211")]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// The account; NAME.ID for one customer of an agency
    #[arg(long, short, value_name = "NAME")]
    account: String,

    /// Calls that started within this time before now
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = humantime::parse_duration)]
    since: Duration,

    /// Show so many calls, the newest; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// A table, or each event as a line of JSON, with the counts on standard error
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let choice = match choose(&config, &arguments.account) {
        Ok(choice) => choice,
        Err(error) => return bad_usage(&error),
    };
    let now = Clock::running().now();
    let Some(window) = Interval::new(now - arguments.since, now) else {
        return bad_usage(&"`--since` is shorter than a second; expected a duration such as `1d`");
    };
    let extent = Extent { window, limit: arguments.limit };
    let counted = Requests::default();
    match previews(&config, &choice, &extent, &counted).await {
        Ok(previews) => written(show(&previews, &extent, arguments.format, &counted), DONE),
        Err(Failure::Usage(error)) => bad_usage(&error),
        Err(Failure::Work { error, remedy }) => {
            anstream::eprintln!("error: {error}\n    {remedy}");
            ExitCode::from(FAILED)
        }
    }
}

/// Why there is nothing to show.
enum Failure {
    Usage(String),
    Work { error: String, remedy: String },
}

impl From<PreviewError> for Failure {
    fn from(error: PreviewError) -> Self {
        Self::Work { error: error.to_string(), remedy: error.remedy() }
    }
}

/// A preview with the line on the points that are left.
struct Shown {
    preview: Preview,
    points: String,
}

async fn previews(
    config: &Config,
    choice: &Choice<'_>,
    extent: &Extent,
    requests: &Requests,
) -> Result<Vec<Shown>, Failure> {
    let in_config = |error: String| Failure::Work { error, remedy: "correct the configuration".to_owned() };
    let http = wiring::http(config).map_err(|error| in_config(error.to_string()))?;
    let subject = Subject::of(config, choice.account, &http, requests.observer(), &Clock::running());
    let subject = subject.map_err(|error| in_config(error.to_string()))?;
    let tell = |words: &str| anstream::eprintln!("{words}");
    let mut previews = Vec::new();
    for subject in subjects(subject, choice.customer).await? {
        tell(&format!("reading {}: a point for each {} calls", subject.id, subject.account.poll.page_size));
        let preview = preview::read(&subject, extent, &tell).await?;
        previews.push(Shown { preview, points: points_left(&subject) });
    }
    Ok(previews)
}

/// The account itself, or the customers of an agency.
async fn subjects(subject: Subject, customer: Option<i64>) -> Result<Vec<Subject>, Failure> {
    let ids = match (&subject.account.customers, customer) {
        (Customers::None, _) => return Ok(vec![subject]),
        (_, Some(id)) => vec![id],
        (Customers::Ids(ids), None) if ids.len() == 1 => ids.clone(),
        (customers, None) => {
            let users = subject.client.customer_users().await.map_err(PreviewError::from)?;
            let ids = match customers {
                Customers::Ids(ids) => ids.clone(),
                Customers::All | Customers::None => one_user_each(&users).into_iter().collect(),
            };
            refuse_too_many(&subject, &ids, &users)?;
            ids
        }
    };
    Ok(ids.into_iter().map(|id| subject.customer(id)).collect())
}

fn refuse_too_many(agency: &Subject, ids: &[i64], users: &[CustomerUser]) -> Result<(), Failure> {
    if ids.is_empty() {
        let error = format!("the agency `{}` has no customers", agency.id);
        return Err(Failure::Work { error, remedy: "set `customers: none` if it is no agency".to_owned() });
    }
    if ids.len() <= CUSTOMERS_AT_ONCE {
        return Ok(());
    }
    let names: HashMap<i64, &str> =
        users.iter().filter_map(|user| Some((user.id, user.name.as_deref().or(user.login.as_deref())?))).collect();
    let named = ids.iter().take(CUSTOMERS_AT_ONCE).map(|id| match names.get(id) {
        Some(name) => format!("{}.{id} ({name})", agency.id),
        None => format!("{}.{id}", agency.id),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    Err(Failure::Usage(format!("`{}` has {} customers; name one of them: {named}, ...", agency.id, ids.len())))
}

fn points_left(subject: &Subject) -> String {
    subject.client.limits().map_or_else(String::new, |limits| format!("; left are {limits}"))
}

fn show(shown: &[Shown], extent: &Extent, format: Format, requests: &Requests) -> io::Result<()> {
    let (mut out, mut aside) = (anstream::stdout(), anstream::stderr());
    for Shown { preview, .. } in shown {
        match format {
            Format::Table => {
                table::write(preview, extent, &mut out)?;
                write_counts(preview, &mut out)?;
                writeln!(out)?;
            }
            Format::Json => {
                write_events(preview, &mut out)?;
                write_counts(preview, &mut aside)?;
            }
        }
    }
    let cost = cost(shown, requests);
    match format {
        Format::Table => writeln!(out, "{cost}"),
        Format::Json => writeln!(aside, "{cost}"),
    }
}

fn write_events(preview: &Preview, out: &mut impl Write) -> io::Result<()> {
    for kept in &preview.newest {
        let event = kept.event_json(&preview.source).map_err(io::Error::other)?;
        writeln!(out, "{event}")?;
    }
    Ok(())
}

fn write_counts(preview: &Preview, out: &mut impl Write) -> io::Result<()> {
    let n_shown = preview.newest.len() as u64;
    let shown = if n_shown == preview.n_passing { String::new() } else { format!(", the newest {n_shown} are shown") };
    writeln!(out, "{}: {} would be published{shown}", preview.source.account, calls(preview.n_passing))?;
    if preview.n_left_out() > 0 {
        writeln!(out, "{} left out by the filters:", calls(preview.n_left_out()))?;
        for (why, n) in &preview.left_out {
            writeln!(out, "{n:>8}  {}", why.explain())?;
        }
    }
    if preview.n_bad() > 0 {
        write_bad(preview, out)?;
    }
    Ok(())
}

fn write_bad(preview: &Preview, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{} would go to the dead letters:", rows(preview.n_bad()))?;
    let mut reasons: Vec<(&String, &u64)> = preview.bad.iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (reason, n) in reasons.iter().take(REASONS) {
        writeln!(out, "{n:>8}  {reason}")?;
    }
    match reasons.iter().skip(REASONS).map(|(_, n)| **n).sum::<u64>() {
        0 => Ok(()),
        n => writeln!(out, "{n:>8}  other reasons"),
    }
}

fn cost(shown: &[Shown], requests: &Requests) -> String {
    // All customers of an agency share its points, so the last one knows best.
    let left = shown.last().map_or("", |shown| shown.points.as_str());
    format!("{requests}{left}")
}

fn calls(n: u64) -> String {
    if n == 1 { "1 call".to_owned() } else { format!("{n} calls") }
}

fn rows(n: u64) -> String {
    if n == 1 { "1 row".to_owned() } else { format!("{n} rows") }
}
