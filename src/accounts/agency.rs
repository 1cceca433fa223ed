//! An agency: each of its customers is an account of its own, found and stopped while the service runs.
//!
//! Customers share the credential, and with it the points ([`crate::purse`]). What always holds: a customer that left is
//! stopped, and its state stays in Kafka; when it comes back it goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{AccountEnd, BLOCKED_RETRY, Cure, Trouble, wait_for_cure};
use crate::config::Customers;
use crate::context::Context;
use crate::edge::data_api::{ApiError, CustomerUser};
use crate::logging::events;
use crate::opening::Subject;

/// How often an agency's customers are asked for.
const CUSTOMERS_EVERY: Duration = Duration::from_hours(1);

/// Polls each customer of an agency as an account of its own, and looks for new ones every hour.
pub(super) async fn serve(context: Arc<Context>, subject: Subject) -> AccountEnd {
    let mut agency = Agency::of(context.clone(), subject);
    let mut failures = 0;
    loop {
        let found = context.stop.run_until_cancelled(customers_of(&context, &agency.subject)).await;
        let wait = match found {
            None => return agency.stopped().await,
            // Rather a fault of the service than all of them gone at once: those that are known go on.
            Some(Ok(found)) if found.is_empty() && !context.clock.is_frozen() => {
                failures += 1;
                agency.show(&Trouble::without_customers(), failures);
                BLOCKED_RETRY
            }
            Some(Ok(found)) => {
                failures = 0;
                agency.follow(found);
                CUSTOMERS_EVERY
            }
            Some(Err(error)) => {
                failures += 1;
                let trouble = Trouble::of_api(&error, false);
                agency.show(&trouble, failures);
                if context.clock.is_frozen() && trouble.cure == Cure::Person {
                    return AccountEnd::Failed;
                }
                trouble.wait(failures)
            }
        };
        let ended = agency.watch_over_customers(wait_for_cure(&context, wait), failures == 0).await;
        if let Some(ended) = ended {
            return ended;
        }
    }
}

/// The customers that are asked for, each by the id of one of its users.
async fn customers_of(context: &Context, agency: &Subject) -> Result<BTreeSet<i64>, ApiError> {
    match &agency.account.customers {
        Customers::Ids(ids) => Ok(ids.iter().copied().collect()),
        Customers::All | Customers::None => Ok(one_user_each(&agency.customer_users(context).await?)),
    }
}

/// A customer has as many users as it likes, and each sees the same calls: reading all would publish them twice. The
/// oldest user stands for its customer; another one can be named in the configuration.
pub fn one_user_each(users: &[CustomerUser]) -> BTreeSet<i64> {
    let mut oldest: BTreeMap<i64, i64> = BTreeMap::new();
    let mut alone = BTreeSet::new();
    for user in users {
        match user.customer_id {
            Some(customer) => {
                let known = oldest.entry(customer).or_insert(user.id);
                *known = user.id.min(*known);
            }
            None => {
                alone.insert(user.id);
            }
        }
    }
    alone.extend(oldest.into_values());
    alone
}

/// An agency with the customers of it that are polled.
struct Agency {
    context: Arc<Context>,
    subject: Subject,
    tasks: JoinSet<(i64, AccountEnd)>,
    /// The stop of each customer that has a task, or had one that ended by itself.
    stops: BTreeMap<i64, CancellationToken>,
    /// The customers that there are, by the last look.
    found: BTreeSet<i64>,
    /// Whether they were ever looked for.
    is_known: bool,
    n_failed: usize,
}

impl Agency {
    fn of(context: Arc<Context>, subject: Subject) -> Self {
        let (tasks, stops, found) = (JoinSet::new(), BTreeMap::new(), BTreeSet::new());
        Self { context, subject, tasks, stops, found, is_known: false, n_failed: 0 }
    }

    /// Starts customers that are new and stops those that left. Their state stays.
    fn follow(&mut self, found: BTreeSet<i64>) {
        // The customers are accounts; the agency is one only while it cannot be asked for them.
        self.context.board.remove(&self.subject.id);
        for (id, stop) in &self.stops {
            if !found.contains(id) && !stop.is_cancelled() {
                tracing::info!(name: events::CUSTOMER_LEFT, agency = %self.subject.id, customer = id, "the customer left; its state stays");
                stop.cancel();
            }
        }
        self.found = found;
        let new: Vec<i64> = self.found.iter().filter(|id| !self.stops.contains_key(id)).copied().collect();
        for id in new {
            // Those of the first look are told of by nobody: there are thousands.
            if self.is_known {
                tracing::info!(name: events::CUSTOMER_JOINED, agency = %self.subject.id, customer = id, "the agency has a new customer");
            }
            self.start(id);
        }
        self.is_known = true;
    }

    fn start(&mut self, id: i64) {
        let stop = self.context.stop.child_token();
        let customer = serve_customer(self.context.clone(), self.subject.customer(id), stop.clone());
        self.tasks.spawn(async move { (id, customer.await) });
        self.stops.insert(id, stop);
    }

    /// Says why customers cannot be asked for.
    fn show(&self, trouble: &Trouble, failures: u32) {
        if failures == 1 {
            self.context.board.register(&self.subject.id, self.subject.account.service);
        }
        trouble.show(&self.context, &self.subject, failures);
    }

    /// Until it is time to look for new ones. `Some` when there is no more to do.
    async fn watch_over_customers(
        &mut self,
        next_look: impl Future<Output = ()>,
        all_are_known: bool,
    ) -> Option<AccountEnd> {
        let context = self.context.clone();
        tokio::pin!(next_look);
        loop {
            if self.tasks.is_empty() && context.clock.is_frozen() && all_are_known {
                return Some(if self.n_failed == 0 { AccountEnd::Done } else { AccountEnd::Failed });
            }
            let ended = tokio::select! {
                Some(ended) = self.tasks.join_next() => ended,
                () = &mut next_look => return None,
                () = context.stop.cancelled() => return Some(self.stopped().await),
            };
            match ended {
                Ok((id, ended)) => self.note_end(id, &ended),
                Err(panicked) => {
                    tracing::error!(name: events::ACCOUNT_CRASHED, agency = %self.subject.id, error = %panicked, "a customer's task ended unexpectedly");
                    self.n_failed += 1;
                }
            }
        }
    }

    /// A customer that left and came back while it finished its batch is started anew only now, so that two tasks never
    /// poll it.
    fn note_end(&mut self, id: i64, ended: &AccountEnd) {
        self.n_failed += usize::from(matches!(ended, AccountEnd::Failed));
        if self.stops.get(&id).is_some_and(CancellationToken::is_cancelled) {
            self.stops.remove(&id);
            if self.found.contains(&id) && !self.context.stop.is_cancelled() {
                self.start(id);
            }
        }
    }

    async fn stopped(&mut self) -> AccountEnd {
        while self.tasks.join_next().await.is_some() {}
        AccountEnd::Stopped
    }
}

/// As any account, until the customer leaves: then nothing of it is kept here.
async fn serve_customer(context: Arc<Context>, subject: Subject, stop: CancellationToken) -> AccountEnd {
    let id = subject.id.clone();
    let own = Arc::new(context.with_stop(stop));
    let end = super::serve(own, subject).await;
    if !context.stop.is_cancelled() && !context.clock.is_frozen() {
        context.board.remove(&id);
        context.metrics.forget_account(&id);
        context.territory.forget(&id);
    }
    end
}
