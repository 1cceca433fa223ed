//! `callfeed plan`: what the ladders cost, what they give, and what other settings would give, before anything runs.

mod json;
mod table;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use futures::StreamExt;

use super::choice::{Choice, choose};
use super::requests::Requests;
use super::{ConfigFile, DONE, FAILED, Format, bad_usage, written};
use crate::clock::Clock;
use crate::config::{Account, Config};
use crate::domain::forecast::what_if::{Variant, variants};
use crate::domain::forecast::{Allowance, Forecast, Reader};
use crate::edge::data_api::Http;
use crate::opening::Subject;
use crate::outlook::{self, Facts, Limits};
use crate::wiring;

/// So many credentials are asked side by side.
const ASKED_AT_ONCE: usize = 8;

/// Show what the ladder costs in points, how often each tier is read with the points there are, and what would change it
///
/// Asks each account for its points and for the number of its calls in the week until yesterday: a point, or up to three of an
/// agency. Reads no calls, and touches neither Kafka nor the schema registry. With `--calls-per-day` the account need not
/// be reachable: without an answer, 60 points a minute and 3000 a day are assumed, and the output says so.
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed plan --config callfeed.yaml\n\
     Offline: callfeed plan --config callfeed.yaml --account acme --calls-per-day 500\n\
     Exits with 1 when an account cannot be asked and --calls-per-day is not given")]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Only this account, and those that share its points; NAME.ID takes that customer for the measure of all
    #[arg(long, short, value_name = "NAME")]
    account: Option<String>,

    /// Calls a day of each account, of an agency all customers together; default: as in the week until yesterday
    #[arg(long, value_name = "N", value_parser = calls_a_day)]
    calls_per_day: Option<f64>,

    /// Tables, or a line of JSON for each account
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn calls_a_day(text: &str) -> Result<f64, String> {
    /// More than all telephones of the world have.
    const MOST: f64 = 1e9;
    let calls = text.parse().ok().filter(|calls| (0.0..=MOST).contains(calls));
    calls.ok_or_else(|| "expected a number of calls, such as 500".to_owned())
}

pub async fn run(arguments: Arguments) -> ExitCode {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let choice = match arguments.account.as_deref().map(|name| choose(&config, name)).transpose() {
        Ok(choice) => choice,
        Err(error) => return bad_usage(&error),
    };
    let http = match wiring::http(&config) {
        Ok(http) => http,
        Err(error) => return bad_usage(&error),
    };
    let requests = Requests::default();
    let asking = Asking { config: &config, http: &http, given: arguments.calls_per_day, requests: &requests };
    let groups = groups(&config, choice.as_ref());
    let mut outlooks = futures::stream::iter(groups).map(|group| asking.ask(group)).buffered(ASKED_AT_ONCE);
    let (mut exit, mut out) = (DONE, anstream::stdout());
    while let Some(outcome) = outlooks.next().await {
        match outcome {
            Ok(outlook) => {
                if let Err(error) = show(&outlook, arguments.format, &mut out) {
                    return written(Err(error), exit);
                }
            }
            Err(failure) => {
                anstream::eprintln!("{failure}");
                exit = FAILED;
            }
        }
    }
    match arguments.format {
        Format::Table => written(writeln!(out, "{requests}"), exit),
        Format::Json => {
            anstream::eprintln!("{requests}");
            ExitCode::from(exit)
        }
    }
}

/// An account to plan for, and the customer that was named.
type Wanted<'c> = (&'c Account, Option<i64>);

/// Enabled accounts, those together that are read with the same points: all, or the group of the one that was named.
fn groups<'c>(config: &'c Config, choice: Option<&Choice<'c>>) -> Vec<Vec<Wanted<'c>>> {
    let named = |account: &Account| choice.is_some_and(|choice| choice.account.id == account.id);
    let customer = |account: &Account| choice.filter(|_| named(account)).and_then(|choice| choice.customer);
    let mut groups: Vec<Vec<Wanted<'c>>> = Vec::new();
    for account in config.accounts.iter().filter(|account| account.enabled || named(account)) {
        let wanted = (account, customer(account));
        match groups.iter_mut().find(|group| outlook::share_points(group[0].0, account)) {
            Some(group) => group.push(wanted),
            None => groups.push(vec![wanted]),
        }
    }
    groups.retain(|group| choice.is_none() || group.iter().any(|(account, _)| named(account)));
    groups
}

/// What is known of accounts that share their points, and what comes of it.
struct Outlook {
    accounts: Vec<(Account, Facts)>,
    limits: Limits,
    share: f64,
    forecast: Forecast,
    variants: Vec<Variant>,
}

impl Outlook {
    fn of(accounts: Vec<(Account, Facts)>) -> Self {
        // What any of them was told holds for all.
        let best = accounts.iter().map(|(_, facts)| &facts.limits).min_by_key(|limits| match limits {
            Limits::Told(_) => 0,
            Limits::NotTold => 1,
            Limits::Assumed { .. } => 2,
        });
        let limits = best.cloned().unwrap_or(Limits::NotTold);
        // As the service does: the largest share is what all of them may use together.
        let share = accounts.iter().map(|(account, _)| account.poll.points_share).fold(0.0, f64::max);
        let reader =
            |(account, facts): &(Account, Facts)| outlook::reader(account, facts.calls_a_day, facts.n_customers);
        let readers: Vec<Reader> = accounts.iter().map(reader).collect();
        let allowance = Allowance { limits: limits.by_window(), share };
        let forecast = Forecast::of(&readers, &allowance);
        let variants = variants(&readers, &allowance);
        Self { accounts, limits, share, forecast, variants }
    }

    /// How many read with these points: accounts, and customers of agencies.
    fn n_readers(&self) -> usize {
        self.accounts.iter().map(|(_, facts)| facts.n_customers.unwrap_or(1)).sum()
    }
}

struct Asking<'a> {
    config: &'a Config,
    http: &'a Http,
    given: Option<f64>,
    requests: &'a Requests,
}

impl Asking<'_> {
    async fn ask(&self, group: Vec<Wanted<'_>>) -> Result<Outlook, Failure> {
        let mut accounts = Vec::new();
        for (account, customer) in group {
            let failure = |error: String, remedy: String| Failure { account: account.id.to_string(), error, remedy };
            let subject = Subject::of(self.config, account, self.http, self.requests.observer(), &Clock::running())
                .map_err(|error| failure(error.to_string(), "correct `service` of the account".to_owned()))?;
            let facts = outlook::ask(&subject, customer, self.given).await;
            let facts = facts.map_err(|error| failure(error.to_string(), error.remedy()))?;
            accounts.push((account.clone(), facts));
        }
        Ok(Outlook::of(accounts))
    }
}

/// Why there is no plan for an account.
struct Failure {
    account: String,
    error: String,
    remedy: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, error, remedy } = self;
        write!(f, "error: {account}: {error}\n    {remedy}; or plan without an answer: `--calls-per-day N`")
    }
}

fn show(outlook: &Outlook, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Table => table::write(outlook, out),
        Format::Json => json::write(outlook, out),
    }
}
