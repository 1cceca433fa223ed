//! What has to be known of an account before it can be polled: its zone, its tags, its schema, its progress.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant as Moment;

use crate::batch::{Composer, Target};
use crate::clock::Clock;
use crate::config::{Account, Config, StartFrom, TagRef, Timezone, TopicTemplate, Vanished};
use crate::context::{Context, SchemaProblem};
use crate::domain::call::AccountId;
use crate::domain::demand::Pace;
use crate::domain::embargo::Embargo;
use crate::domain::experience::Experience;
use crate::domain::filter::Filters;
use crate::domain::ladder::Ladder;
use crate::domain::read_as::View;
use crate::domain::time::Instant;
use crate::edge::data_api::{ApiError, BadUrl, Class, Client, CustomerUser, Http, Observer, Tag};
use crate::edge::kafka::RestoreError;
use crate::edge::kafka::topics::TopicProblem;
use crate::edge::registry::RegistryError;
use crate::logging::events;
use crate::poller::{Poller, Refresh};
use crate::progress::Progress;
use crate::purse::{Errand, Purse};
use crate::state::StateError;
use crate::status::{Cause, State, Why};
use crate::stream::calls::{self, Counted, EventSource};
use crate::stream::record::hash;
use crate::territory::Holding;
use crate::wiring;

/// How alike two names must be to be offered as the one that was meant.
const ALIKE: f64 = 0.6;
const NEAR_NAMES: usize = 3;

/// How often an account is asked again for its zone and tags. The customers of an agency share its points.
const REFRESH_EVERY: Duration = Duration::from_hours(1);
const REFRESH_CUSTOMER_EVERY: Duration = Duration::from_hours(24);

/// An account to be polled: as configured, or one customer of an agency.
#[derive(Clone)]
pub struct Subject {
    pub account: Arc<Account>,
    pub id: AccountId,
    /// The customer's user, with an agency credential.
    pub user_id: Option<i64>,
    pub client: Client,
    /// The points of the credential; customers of an agency share it.
    pub purse: Arc<Purse>,
    pub calls_topic: TopicTemplate,
}

/// Why an account cannot be polled yet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the account's time zone `{0}` is not known")]
    Zone(String),
    #[error("tag `{name}` does not exist in the account{}", nearest(near))]
    UnknownTag { name: String, near: Vec<String> },
    #[error(transparent)]
    Schema(#[from] SchemaProblem),
    #[error(transparent)]
    Topic(#[from] TopicProblem),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("the stored progress cannot be read: {0}")]
    State(#[from] StateError),
}

/// The end of a sentence about a name that does not exist.
pub fn nearest(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("`, `")),
    }
}

impl OpenError {
    /// Whether waiting helps, without anybody acting.
    pub fn passes(&self) -> bool {
        match self {
            Self::Api(error) => matches!(error.class(), Class::Retry { .. } | Class::Limited { .. }),
            Self::Schema(SchemaProblem::Registry(error)) => error.is_retryable(),
            Self::Topic(problem) => problem.is_retryable(),
            Self::Restore(error) => error.is_retryable(),
            Self::Zone(_) | Self::UnknownTag { .. } | Self::Schema(_) | Self::State(_) => false,
        }
    }

    /// The kind of it.
    pub fn cause(&self) -> Cause {
        Cause::new(match self {
            Self::Api(error) => error.outcome(),
            Self::Zone(_) => "unknown_time_zone",
            Self::UnknownTag { .. } => "unknown_tag",
            Self::Schema(SchemaProblem::Registry(RegistryError::Incompatible { .. })) => "schema_incompatible",
            Self::Schema(SchemaProblem::Registry(_)) => "registry",
            Self::Schema(SchemaProblem::NotRegistered { .. }) => "schema_not_registered",
            Self::Schema(SchemaProblem::Encode(_) | SchemaProblem::Unreadable(_)) => "schema_unreadable",
            Self::Topic(_) => "topic",
            Self::Restore(_) => "state_not_restored",
            Self::State(_) => "state_unreadable",
        })
    }

    /// What a person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Api(error) => error.remedy(),
            Self::Zone(_) => "set `timezone` of the account to an IANA name such as Europe/Moscow".to_owned(),
            Self::UnknownTag { .. } => "correct `filters.tags`, or make the tag in the client area".to_owned(),
            Self::Schema(problem) => problem.remedy().unwrap_or("see the message").to_owned(),
            Self::Topic(_) | Self::Restore(_) => "see the message".to_owned(),
            Self::State(_) => {
                "run the callfeed that wrote it, or forget the account's progress and read it anew".to_owned()
            }
        }
    }
}

impl Subject {
    /// The account as configured: itself, or the agency whose customers are to be found.
    pub fn of(
        config: &Config,
        account: &Account,
        http: &Http,
        observer: Observer,
        clock: &Clock,
    ) -> Result<Self, BadUrl> {
        let client = wiring::data_api(account, http, observer, clock)?;
        Ok(Self::with(config, account, Arc::new(Purse::new(client, clock.clone()))))
    }

    /// The same with a credential that other accounts may have as well.
    pub fn with(config: &Config, account: &Account, purse: Arc<Purse>) -> Self {
        Self {
            account: Arc::new(account.clone()),
            id: account.id.clone(),
            user_id: None,
            client: purse.client().clone(),
            purse,
            calls_topic: config.topics.calls.clone(),
        }
    }

    /// One customer of this agency, read through the user with this id.
    pub fn customer(&self, id: i64) -> Self {
        Self { id: AccountId::of_customer(&self.id, id), user_id: Some(id), ..self.clone() }
    }

    pub fn source(&self, zone: TimeZone) -> EventSource {
        EventSource { service: self.account.service, account: self.id.clone(), customer_id: self.user_id, zone }
    }

    pub fn ladder(&self) -> Ladder {
        let poll = &self.account.poll;
        Ladder { tiers: poll.tiers.clone(), backfill: poll.backfill, adaptive: poll.adaptive }
    }

    /// Asks everything that is needed and takes up the progress. `lost_at` is when progress in memory was lost.
    pub async fn open(
        &self,
        context: &Context,
        holding: &Arc<Holding>,
        lost_at: Option<Moment>,
    ) -> Result<Poller, OpenError> {
        let (zone, filters) = self.zone_and_filters(context).await?;
        let topic = self.calls_topic.for_account(self.account.service, &self.id);
        let events = Target::new(&topic, context.topics.limit_of(&topic).await?);
        let dead_letters = Target::new(context.topics.dead_letter(), context.topics.dead_letter_limit().await);
        let counted = Counted::without(self.account.ignored_columns.clone());
        let encoder = context.schemas.encoder(&topic).await?;
        let mut progress = self.progress(context, holding, &zone, lost_at).await?;
        if progress.look_as(view(&zone, &filters)) {
            tracing::info!(name: events::HORIZON_STALE, account = %self.id, "zone or filters are others than the horizon was read with, reading it again");
        }
        let newest = progress.newest_start(&zone);
        Ok(Poller {
            embargo: Embargo::default(),
            newest,
            composer: Composer { source: self.source(zone), filters, counted, encoder, events, dead_letters },
            progress,
            ladder: self.ladder(),
            planned: self.ladder(),
            points_share: self.account.poll.points_share,
            page_size: self.account.poll.page_size,
            withdraws_vanished: self.account.poll.vanished == Vanished::Withdraw,
            client: self.client.clone(),
            purse: self.purse.clone(),
            user_id: self.user_id,
            context: context.clone(),
            holding: holding.clone(),
            experience: Experience::default(),
            pace: Pace::promised(&self.ladder()),
            shown_plan: (Vec::new(), 0),
            refresh: self.refresh_times(context),
            looked_at: None,
            no_interlude_before: None,
        })
    }

    /// Asks again for what may change while the account is polled. Progress stays where it is.
    pub async fn refresh(&self, poller: &mut Poller) -> Result<(), OpenError> {
        poller.refresh.done(poller.context.clock.now());
        let (zone, filters) = self.zone_and_filters(&poller.context).await?;
        let composer = &mut poller.composer;
        if zone == composer.source.zone && filters == composer.filters {
            return Ok(());
        }
        let (zone_name, n_tags) = (zone.iana_name(), filters.tags.len());
        tracing::info!(name: events::HORIZON_STALE, account = %self.id, zone = zone_name, n_tags, "zone or tags of the account changed, reading the horizon again");
        poller.progress.look_as(view(&zone, &filters));
        (composer.source.zone, composer.filters) = (zone, filters);
        Ok(())
    }

    fn refresh_times(&self, context: &Context) -> Refresh {
        let every = if self.user_id.is_some() { REFRESH_CUSTOMER_EVERY } else { REFRESH_EVERY };
        Refresh::new(every, context.clock.now(), &context.recall)
    }

    /// What is asked of the account before it is read, each for a point.
    async fn zone_and_filters(&self, context: &Context) -> Result<(TimeZone, Filters), OpenError> {
        let zone = self.paid(context, self.account.timezone == Timezone::Auto, self.zone()).await?;
        let filters = self.paid(context, self.needs_tag_names(), self.filters()).await?;
        Ok((zone, filters))
    }

    /// The outcome of what may be a request, made when there is a point for it.
    async fn paid<T, E>(
        &self,
        context: &Context,
        is_request: bool,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if !is_request {
            return request.await;
        }
        let told = |until, window| {
            context.board.set(&self.id, State::Limited, Why::points_used_up(window, until));
        };
        let spending = self.purse.point(self.account.poll.points_share, Errand::Live, told).await;
        let answer = request.await?;
        spending.answered();
        context.metrics.points_spent(&self.id, 1);
        Ok(answer)
    }

    /// The users of an agency's customers.
    pub async fn customer_users(&self, context: &Context) -> Result<Vec<CustomerUser>, ApiError> {
        self.paid(context, true, self.client.customer_users()).await
    }

    fn needs_tag_names(&self) -> bool {
        self.account.filters.tags.iter().any(|tag| matches!(tag, TagRef::Name(_)))
    }

    /// The zone of the account's wall clock (data-api, 4).
    pub async fn zone(&self) -> Result<TimeZone, OpenError> {
        match &self.account.timezone {
            Timezone::Named(zone) => Ok(zone.clone()),
            Timezone::Auto => zone_named(&self.client.account(self.user_id).await?.timezone),
        }
    }

    /// The filters with tags as ids. Names are asked for only when there are some.
    pub async fn filters(&self) -> Result<Filters, OpenError> {
        let wanted = &self.account.filters;
        let known = if self.needs_tag_names() { self.client.tags(self.user_id).await? } else { Vec::new() };
        let mut tags = BTreeSet::new();
        for tag in &wanted.tags {
            tags.extend(resolve(tag, &known)?);
        }
        Ok(Filters { include: wanted.include, tags, channels: wanted.channels.clone() })
    }

    async fn progress(
        &self,
        context: &Context,
        holding: &Holding,
        zone: &TimeZone,
        lost_at: Option<Moment>,
    ) -> Result<Progress, OpenError> {
        let now = context.clock.planning_now();
        let ladder = self.ladder();
        if lost_at.is_none()
            && let Some(mut progress) = holding.handover.take(&self.id)
        {
            progress.adopt(self.fixed_start(zone), &ladder, zone, now);
            return Ok(progress);
        }
        let stored = holding.store.take(&self.id, calls::NAME, lost_at).await?;
        match Progress::restore(self.id.clone(), calls::NAME, &stored)? {
            Some(mut progress) => {
                progress.adopt(self.fixed_start(zone), &ladder, zone, now);
                Ok(progress)
            }
            None => Ok(Progress::begin(self.id.clone(), calls::NAME, self.first_start(zone, now), &ladder, now)),
        }
    }

    /// Where the first reading starts.
    fn first_start(&self, zone: &TimeZone, now: Instant) -> Instant {
        match self.account.start_from {
            StartFrom::Ago(how_long) => now - how_long,
            StartFrom::At(local) => local.to_instant(zone),
        }
    }

    /// A start that is a time and not an age holds for stored progress too: an earlier one opens a gap to be filled.
    fn fixed_start(&self, zone: &TimeZone) -> Option<Instant> {
        match self.account.start_from {
            StartFrom::Ago(_) => None,
            StartFrom::At(local) => Some(local.to_instant(zone)),
        }
    }
}

/// What the horizon is read as. A zone without a name is none of the database and cannot be told again.
fn view(zone: &TimeZone, filters: &Filters) -> View {
    let fingerprint = hash(filters.canonical().as_bytes());
    View { zone: zone.iana_name().unwrap_or_default().to_owned(), filters: format!("{fingerprint:016x}") }
}

/// The zone that an account says it is in.
pub fn zone_named(name: &str) -> Result<TimeZone, OpenError> {
    TimeZone::get(name).map_err(|_| OpenError::Zone(name.to_owned()))
}

/// The ids a tag of the configuration stands for: several tags may have one name.
pub fn resolve(tag: &TagRef, known: &[Tag]) -> Result<Vec<i64>, OpenError> {
    let name = match tag {
        TagRef::Id(id) => return Ok(vec![*id]),
        TagRef::Name(name) => name,
    };
    let ids: Vec<i64> = known.iter().filter(|tag| tag.name.trim() == name.trim()).map(|tag| tag.id).collect();
    if ids.is_empty() {
        return Err(OpenError::UnknownTag {
            name: name.clone(),
            near: near_names(name, known.iter().map(|tag| tag.name.as_str())),
        });
    }
    Ok(ids)
}

/// The names most like the one that does not exist, best first.
pub fn near_names<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let likeness = |known: &'a str| (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known);
    let mut near: Vec<(f64, &str)> = known.map(likeness).filter(|(alike, _)| *alike >= ALIKE).collect();
    near.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then(a_name.cmp(b_name)));
    near.dedup();
    near.into_iter().take(NEAR_NAMES).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Tag> {
        let tag = |id, name: &str| Tag { id, name: name.to_owned() };
        vec![tag(1, "Не обработано"), tag(61_310, "Первичный звонок"), tag(61_204, "Целевой"), tag(7, "Целевой")]
    }

    #[test]
    fn a_name_stands_for_every_tag_of_that_name() {
        assert_eq!(resolve(&TagRef::Name("Целевой".to_owned()), &known()).unwrap(), [61_204, 7]);
        assert_eq!(resolve(&TagRef::Id(5), &known()).unwrap(), [5]);
    }

    #[test]
    fn an_unknown_name_lists_near_ones() {
        let error = resolve(&TagRef::Name("целевои".to_owned()), &known()).unwrap_err();
        assert_eq!(error.to_string(), "tag `целевои` does not exist in the account; did you mean `Целевой`?");
        let error = resolve(&TagRef::Name("zzz".to_owned()), &known()).unwrap_err();
        assert_eq!(error.to_string(), "tag `zzz` does not exist in the account");
    }
}
