//! The life of each account in the service: opened, polled, blocked, tried again. Agencies are many ([`agency`]).
//!
//! One task an account. What goes wrong with one is shown, waited out and tried again there, and delays no other.

mod agency;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant as Moment;

use crate::config::{Account, Config, Customers};
use crate::context::{Context, SchemaProblem};
use crate::domain::pace::backoff;
use crate::edge::data_api::{ApiError, BadUrl, Class, Http, Observer};
use crate::open_account::OpenAccount;
use crate::opening::{OpenError, Subject};
use crate::poller::{BLOCKED_RETRY, Ended, ReadError, UNKNOWN_RESET};
use crate::service::ServiceError;
use crate::status::{Cause, State, Why};
use crate::stream::calls;
use crate::territory::Holding;
use crate::wiring;

pub use agency::one_user_each;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Failures in a row after which even a passing one is told as the account's status.
const WORTH_TELLING: u32 = 4;

/// How the task of an account ended.
#[derive(Debug)]
pub enum AccountEnd {
    Done,
    Stopped,
    /// Another replica has it, and nobody wants to wait for that to change.
    Elsewhere,
    /// Only what is due was asked for, and that could not be read.
    Failed,
}

/// Why an account does not go on, in words, and what helps.
struct Trouble {
    reason: String,
    remedy: String,
    cause: Cause,
    cure: Cure,
}

/// What has to happen before an account can go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cure {
    /// It passes by itself. A failure that was tried again a few times is worth telling, a single one is not.
    Patience { tried: bool },
    /// New points, after this long if that is known.
    Points { wait: Option<Duration> },
    /// Somebody has to act.
    Person,
}

/// Starts a task for every account that is enabled.
pub fn spawn_all(
    config: &Config,
    context: &Arc<Context>,
    http: &Http,
    running: &mut JoinSet<AccountEnd>,
) -> Result<(), ServiceError> {
    for account in config.accounts.iter().filter(|account| account.enabled) {
        running.spawn(run(context.clone(), subject(config, account, context, http)?));
    }
    Ok(())
}

/// An account as it is to be run.
pub fn subject(config: &Config, account: &Account, context: &Context, http: &Http) -> Result<Subject, ServiceError> {
    let metrics = context.metrics.clone();
    let observer: Observer = Arc::new(move |seen| metrics.api_request(seen.method, seen.outcome, seen.duration));
    let bad = |error: BadUrl| ServiceError::BadAccount { account: account.id.to_string(), reason: error.to_string() };
    let client = || wiring::data_api(account, http, observer, &context.clock);
    let purse = context.credentials.purse(account, &context.clock, client).map_err(bad)?;
    Ok(Subject::with(config, account, purse))
}

/// Runs an account, or an agency with all its customers, until its context says stop.
pub async fn run(context: Arc<Context>, subject: Subject) -> AccountEnd {
    match subject.account.customers {
        Customers::None => serve(context, subject).await,
        // Apart: of ten thousand accounts each would have the room that an agency takes.
        Customers::All | Customers::Ids(_) => Box::pin(agency::serve(context, subject)).await,
    }
}

/// Polls one account whenever its partition is this replica's, until it is told to stop.
async fn serve(context: Arc<Context>, subject: Subject) -> AccountEnd {
    loop {
        context.board.put_elsewhere(&subject.id, subject.account.service);
        let holding = context.stop.run_until_cancelled(context.territory.holding_of(&subject.id)).await;
        let holding = match holding {
            None => return AccountEnd::Stopped,
            Some(None) => return AccountEnd::Elsewhere,
            Some(Some(holding)) => holding,
        };
        let end = serve_under(&context, &subject, &holding).await;
        if !holding.lease.is_ending() || context.stop.is_cancelled() {
            return end;
        }
        context.metrics.forget_account(&subject.id);
    }
}

/// Polls one account as long as its partition is this replica's, carries out what people ask meanwhile, and then leaves
/// its progress for whoever polls it next.
async fn serve_under(context: &Context, subject: &Subject, holding: &Arc<Holding>) -> AccountEnd {
    let desk = context.orders.desk(&subject.id);
    let mut account = OpenAccount { subject, holding, poller: None, lost_at: None };
    context.board.register(&subject.id, subject.account.service);
    context.metrics.begin_account(&subject.id, calls::NAME);
    loop {
        let turn = context.with_stop(context.stop.child_token());
        let (end, asked) = {
            let working = work(&turn, &mut account);
            tokio::pin!(working);
            tokio::select! {
                end = &mut working => (end, None),
                () = holding.lease.ending() => {
                    turn.stop.cancel();
                    (working.await, None)
                }
                asked = desk.next() => {
                    turn.stop.cancel();
                    (working.await, Some(asked))
                }
            }
        };
        match (end, asked) {
            // What is rare is apart, as most accounts rest most of the time.
            (AccountEnd::Stopped, Some(asked)) => Box::pin(account.carry_out(context, asked)).await,
            (AccountEnd::Stopped, None) => {
                account.poller.into_iter().for_each(|poller| holding.handover.leave(poller.progress));
                return AccountEnd::Stopped;
            }
            (end, _) => return end,
        }
    }
}

/// Polls, or rests while the account is paused.
async fn work(context: &Context, account: &mut OpenAccount<'_>) -> AccountEnd {
    let OpenAccount { subject, holding, .. } = account;
    if !holding.pauses.is_paused(&subject.id) {
        return keep_polling(context, account).await;
    }
    let since = holding.pauses.since(&subject.id).map_or_else(String::new, |since| format!(" since {since}"));
    let why = Why::because(format!("paused{since}"))
        .with_remedy(format!("POST /api/v1/accounts/{}/resume lets it go on", subject.id));
    context.board.set(&subject.id, State::Paused, why);
    if context.clock.is_frozen() {
        return AccountEnd::Done;
    }
    context.stop.cancelled().await;
    AccountEnd::Stopped
}

async fn keep_polling(context: &Context, account: &mut OpenAccount<'_>) -> AccountEnd {
    let subject = account.subject;
    let mut failures = 0;
    loop {
        if context.stop.is_cancelled() {
            return AccountEnd::Stopped;
        }
        let started = Moment::now();
        let trouble = match turn(context, account).await {
            Ok(Ended::Done) => return AccountEnd::Done,
            Ok(Ended::Stopped) => return AccountEnd::Stopped,
            Ok(Ended::Restore) => {
                account.is_lost();
                continue;
            }
            Ok(Ended::Refresh) => {
                Box::pin(refresh(context, account)).await;
                continue;
            }
            Err(trouble) => trouble,
        };
        // What went well for so long is not part of the same trouble.
        failures = if started.elapsed() > BLOCKED_RETRY { 1 } else { failures + 1 };
        trouble.show(context, subject, failures);
        if context.clock.is_frozen() && trouble.cure == Cure::Person {
            return AccountEnd::Failed;
        }
        let wait = trouble.wait(failures);
        tracing::debug!(account = %subject.id, reason = trouble.reason, failures, ?wait, "trying again later");
        wait_for_cure(context, wait).await;
    }
}

/// Waits for so long, or until somebody says that something has changed.
async fn wait_for_cure(context: &Context, wait: Duration) {
    let mut recalled = context.recall.hear();
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = recalled.heard() => {}
        () = context.stop.cancelled() => {}
    }
}

/// Asks again for the account's zone and tags. What cannot be asked now stays as it is until the next time.
async fn refresh(context: &Context, account: &mut OpenAccount<'_>) {
    let Some(poller) = &mut account.poller else { return };
    let subject = account.subject;
    if let Some(Err(error)) = context.stop.run_until_cancelled(subject.refresh(poller)).await {
        tracing::debug!(account = %subject.id, %error, "zone and tags cannot be asked for again now");
    }
}

/// Opens the account if need be, and polls it until something stands in the way.
async fn turn(context: &Context, account: &mut OpenAccount<'_>) -> Result<Ended, Trouble> {
    match Box::pin(account.open(context)).await {
        None => Ok(Ended::Stopped),
        Some(Ok(poller)) => poller.run().await.map_err(Trouble::of_reading),
        Some(Err(error)) => {
            if let OpenError::Schema(SchemaProblem::Registry(error)) = &error {
                context.metrics.registry_error(error.kind());
            }
            Err(Trouble::of_opening(error))
        }
    }
}

impl Trouble {
    fn without_customers() -> Self {
        Self {
            reason: "the service's list of customers is empty".to_owned(),
            remedy:
                "see in the client area whether the agency has customers, and whether the user of this login or key \
                     may see them; those that were known go on"
                    .to_owned(),
            cause: Cause::new("no_customers"),
            cure: Cure::Person,
        }
    }

    fn of_opening(error: OpenError) -> Self {
        if let OpenError::Api(error) = &error {
            return Self::of_api(error, false);
        }
        let cure = if error.passes() { Cure::Patience { tried: false } } else { Cure::Person };
        Self { reason: error.to_string(), remedy: error.remedy(), cause: error.cause(), cure }
    }

    fn of_reading(error: ReadError) -> Self {
        let reason = error.to_string();
        match error {
            ReadError::Api(error) => Self::of_api(&error, true),
            ReadError::Paging(_) => Self {
                reason,
                remedy: "nothing is lost; if it lasts, report it with the name of the service".to_owned(),
                cause: Cause::new("paging"),
                cure: Cure::Patience { tried: true },
            },
            ReadError::Publish(_) | ReadError::OutOfOrder(_) | ReadError::Stopped => Self {
                reason,
                remedy: "nothing is lost; see the message for what Kafka refuses".to_owned(),
                cause: Cause::new("kafka"),
                cure: Cure::Patience { tried: true },
            },
        }
    }

    /// `tried`: the request was tried again already.
    fn of_api(error: &ApiError, tried: bool) -> Self {
        let cure = match error.class() {
            Class::Retry { .. } => Cure::Patience { tried },
            Class::Limited { wait, .. } => Cure::Points { wait },
            Class::Owner | Class::Bug => Cure::Person,
        };
        Self { reason: error.to_string(), remedy: error.remedy(), cause: Cause::new(error.outcome()), cure }
    }

    fn show(&self, context: &Context, subject: &Subject, failures: u32) {
        let why = Why::because(&self.reason).with_remedy(&self.remedy).with_cause(self.cause);
        let state = match self.cure {
            Cure::Patience { tried: false } if failures < WORTH_TELLING => {
                tracing::info!(account = %subject.id, reason = self.reason, "not opened yet, trying again");
                return context.board.explain_start(&subject.id, why);
            }
            Cure::Points { .. } => State::Limited,
            Cure::Patience { .. } | Cure::Person => State::Blocked,
        };
        context.board.set(&subject.id, state, why);
    }

    /// How long to wait before the next try.
    fn wait(&self, failures: u32) -> Duration {
        match self.cure {
            Cure::Patience { .. } => backoff(failures, FIRST_BACKOFF, BLOCKED_RETRY, fastrand::f64()),
            Cure::Points { wait } => {
                let wait = wait.unwrap_or_else(|| backoff(failures, UNKNOWN_RESET, BLOCKED_RETRY, 1.0));
                wait.max(Duration::from_secs(1))
            }
            Cure::Person => BLOCKED_RETRY,
        }
    }
}
