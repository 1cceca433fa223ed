//! Which calls an account publishes, and for each one left out, why.
//!
//! Three questions joined by *and*: is it of the kind asked for (`include`), does it carry one of the tags, did it
//! come through one of the channels. The members of each list are joined by *or*.

use std::collections::BTreeSet;
use std::fmt;

/// Sources of dynamic call tracking; every other source is a static channel (design 5).
pub const DYNAMIC_SOURCES: [&str; 2] = ["dynamic_call_tracking", "simple_dt"];

/// The attribute that marks the first communication of a visitor with the account.
const PRIMARY: &str = "primary";

/// The filters of one account, tags already resolved to ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    pub include: Include,
    /// Ids of tags; when not empty, only calls that carry one of them pass.
    pub tags: BTreeSet<i64>,
    pub channels: Channels,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Include {
    #[default]
    All,
    Primary,
    Tagged,
}

impl Include {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Primary => "primary",
            Self::Tagged => "tagged",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    pub dynamic: bool,
    pub statics: StaticChannels,
}

/// Static channels are left out unless they are named: what users of BI connectors for this API know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StaticChannels {
    #[default]
    None,
    All,
    Named(NamedChannels),
}

/// A static call passes when any one of these names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedChannels {
    pub sources: BTreeSet<String>,
    pub virtual_numbers: BTreeSet<String>,
    pub campaigns: BTreeSet<i64>,
    pub scenarios: BTreeSet<i64>,
}

/// What the filters look at in a call.
#[derive(Clone, Debug, Default)]
pub struct Traits<'a> {
    pub source: Option<&'a str>,
    pub virtual_number: Option<&'a str>,
    pub campaign: Option<i64>,
    pub scenario: Option<i64>,
    pub attributes: Vec<&'a str>,
    /// The id of each tag; a tag without one still makes the call a tagged one.
    pub tags: Vec<Option<i64>>,
}

/// Why a call is left out: the first question it fails, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    NotPrimary,
    Untagged,
    NoneOfTheTags,
    DynamicChannel,
    StaticChannel,
}

impl LeftOut {
    pub const ALL: [LeftOut; 5] =
        [Self::NotPrimary, Self::Untagged, Self::NoneOfTheTags, Self::DynamicChannel, Self::StaticChannel];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPrimary => "not_primary",
            Self::Untagged => "untagged",
            Self::NoneOfTheTags => "none_of_the_tags",
            Self::DynamicChannel => "dynamic_channel",
            Self::StaticChannel => "static_channel",
        }
    }

    /// For people, with the key that decides it.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::NotPrimary => "not a primary call (filters.include: primary)",
            Self::Untagged => "carries no tag (filters.include: tagged)",
            Self::NoneOfTheTags => "carries none of the tags asked for (filters.tags)",
            Self::DynamicChannel => "came through dynamic tracking (filters.channels.dynamic: false)",
            Self::StaticChannel => "came through a static channel that is not named (filters.channels.static)",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Filters {
    /// The filters as one text: equal for equal ones, in every release.
    pub fn canonical(&self) -> String {
        let statics = match &self.channels.statics {
            StaticChannels::None => "none".to_owned(),
            StaticChannels::All => "all".to_owned(),
            StaticChannels::Named(named) => named.canonical(),
        };
        let (include, tags, dynamic) = (self.include.as_str(), listed(&self.tags), self.channels.dynamic);
        format!("include={include} tags={tags} dynamic={dynamic} static={statics}")
    }

    /// `Ok` when the call is to be published, else the reason it is not.
    pub fn judge(&self, call: &Traits<'_>) -> Result<(), LeftOut> {
        self.judge_kind(call)?;
        if !self.tags.is_empty() && !call.tags.iter().flatten().any(|tag| self.tags.contains(tag)) {
            return Err(LeftOut::NoneOfTheTags);
        }
        self.channels.judge(call)
    }

    fn judge_kind(&self, call: &Traits<'_>) -> Result<(), LeftOut> {
        match self.include {
            Include::Primary if !call.attributes.contains(&PRIMARY) => Err(LeftOut::NotPrimary),
            Include::Tagged if call.tags.is_empty() => Err(LeftOut::Untagged),
            Include::All | Include::Primary | Include::Tagged => Ok(()),
        }
    }
}

impl Channels {
    fn judge(&self, call: &Traits<'_>) -> Result<(), LeftOut> {
        if call.source.is_some_and(|source| DYNAMIC_SOURCES.contains(&source)) {
            return if self.dynamic { Ok(()) } else { Err(LeftOut::DynamicChannel) };
        }
        let passes = match &self.statics {
            StaticChannels::None => false,
            StaticChannels::All => true,
            StaticChannels::Named(named) => named.name(call),
        };
        if passes { Ok(()) } else { Err(LeftOut::StaticChannel) }
    }
}

impl NamedChannels {
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
            && self.virtual_numbers.is_empty()
            && self.campaigns.is_empty()
            && self.scenarios.is_empty()
    }

    fn canonical(&self) -> String {
        let (sources, numbers) = (listed(&self.sources), listed(&self.virtual_numbers));
        let (campaigns, scenarios) = (listed(&self.campaigns), listed(&self.scenarios));
        format!("sources={sources} numbers={numbers} campaigns={campaigns} scenarios={scenarios}")
    }

    fn name(&self, call: &Traits<'_>) -> bool {
        call.source.is_some_and(|source| self.sources.contains(source))
            || call.virtual_number.is_some_and(|number| self.virtual_numbers.contains(number))
            || call.campaign.is_some_and(|campaign| self.campaigns.contains(&campaign))
            || call.scenario.is_some_and(|scenario| self.scenarios.contains(&scenario))
    }
}

/// Texts in quotes, so that no text can look like two.
fn listed(values: &BTreeSet<impl fmt::Debug>) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(","))
}

#[cfg(test)]
mod tests;
