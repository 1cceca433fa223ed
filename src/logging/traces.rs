//! Accounts whose decisions are logged for a while, whatever the level of the log is.
//!
//! Decisions are messages at `debug` that have the field `account`. While no account is traced they cost what any message
//! costs that nobody wants: a look at a number. A trace ends by itself, with the process at the latest.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use tokio::task::AbortHandle;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, callsite, span};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

use super::events;
use crate::domain::call::AccountId;
use crate::domain::time::Instant;

/// Where decisions are told: libraries have nothing to say of an account.
const OWN: &str = "callfeed::";
const FIELD: &str = "account";

/// Clones share the traces.
#[derive(Clone, Default)]
pub struct Traces(Arc<Shared>);

#[derive(Default)]
struct Shared {
    traced: RwLock<HashMap<AccountId, Traced>>,
    /// How many they are, to be looked at without a lock.
    n_traced: AtomicUsize,
}

struct Traced {
    until: Instant,
    end: AbortHandle,
}

impl Traces {
    /// Logs the decisions of an account from now on, until then at the latest. A trace that is there already is replaced.
    pub fn begin(&self, account: &AccountId, now: Instant, lasts: Duration) -> Instant {
        let until = now + lasts;
        let (this, id) = (self.clone(), account.clone());
        let ending = tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            this.end(&id);
        });
        let traced = Traced { until, end: ending.abort_handle() };
        if let Some(former) = self.change(|all| all.insert(account.clone(), traced)) {
            former.end.abort();
        }
        tracing::info!(name: events::TRACE_STARTED, %account, %until, "decisions of the account are logged");
        until
    }

    /// Ends the trace of an account. Tells whether there was one.
    pub fn end(&self, account: &AccountId) -> bool {
        let Some(former) = self.change(|all| all.remove(account)) else { return false };
        tracing::info!(name: events::TRACE_ENDED, %account, "decisions of the account are not logged any more");
        // Last, since it may be what runs here.
        former.end.abort();
        true
    }

    /// Until when an account is traced, if it is.
    pub fn until(&self, account: &AccountId) -> Option<Instant> {
        let traced = self.0.traced.read().unwrap_or_else(PoisonError::into_inner);
        traced.get(account).map(|traced| traced.until)
    }

    /// What of a log is wanted: what the filter lets through, and what is traced.
    pub(super) fn beside(&self, filter: EnvFilter) -> Wanted {
        Wanted { filter, traces: self.clone() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<AccountId, Traced>) -> T) -> T {
        let outcome = {
            let mut traced = self.lock();
            let outcome = change(&mut traced);
            self.0.n_traced.store(traced.len(), Ordering::Relaxed);
            outcome
        };
        // Which messages may be wanted at all is remembered for each place in the code.
        callsite::rebuild_interest_cache();
        outcome
    }

    fn lock(&self) -> RwLockWriteGuard<'_, HashMap<AccountId, Traced>> {
        self.0.traced.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_there(&self) -> bool {
        self.0.n_traced.load(Ordering::Relaxed) > 0
    }

    fn may_cover(&self, metadata: &Metadata<'_>) -> bool {
        self.are_there()
            && *metadata.level() <= Level::DEBUG
            && metadata.target().starts_with(OWN)
            && metadata.fields().field(FIELD).is_some()
    }

    fn cover(&self, event: &Event<'_>) -> bool {
        let mut account = Account(None);
        event.record(&mut account);
        account.0.is_some_and(|account| self.until(&AccountId::new(&account)).is_some())
    }
}

/// The account that a message is about.
struct Account(Option<String>);

impl Visit for Account {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == FIELD {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

/// The filter of the configuration, and the traces beside it.
pub(super) struct Wanted {
    filter: EnvFilter,
    traces: Traces,
}

impl Wanted {
    fn is_by_level<S>(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&self.filter, metadata, context)
    }
}

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.is_by_level(metadata, context) || self.traces.may_cover(metadata)
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        !self.traces.may_cover(metadata) || self.is_by_level(metadata, context) || self.traces.cover(event)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::<S>::callsite_enabled(&self.filter, metadata);
        if interest.is_never() && self.traces.may_cover(metadata) { Interest::sometimes() } else { interest }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let level = Filter::<S>::max_level_hint(&self.filter)?;
        Some(if self.traces.are_there() { level.max(LevelFilter::DEBUG) } else { level })
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        Filter::on_new_span(&self.filter, attributes, id, context);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        Filter::on_record(&self.filter, id, values, context);
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::on_enter(&self.filter, id, context);
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::on_exit(&self.filter, id, context);
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        Filter::on_close(&self.filter, id, context);
    }
}
