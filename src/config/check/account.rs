//! The rules of accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Check;
use crate::config::checked::{
    Account, AccountFilters, Credentials, Customers, Poll, StartFrom, Stream, TagRef, Timezone, Vanished,
};
use crate::config::path::Path;
use crate::config::raw::{
    CustomersForm, OWN_KEYS, Period, RawAccount, RawBackfill, RawChannels, RawCredentials, RawFilters, RawInclude,
    RawNamedChannels, RawPoll, RawStream, RawTier, RawVanished, ServiceForm, StaticForm, TagForm,
};
use crate::config::read::nearest;
use crate::config::secret::Secret;
use crate::domain::call::{AccountId, Service};
use crate::domain::filter::{Channels, DYNAMIC_SOURCES, Include, NamedChannels, StaticChannels};
use crate::domain::ladder::{BackfillOrder, Tier};
use crate::domain::time::LocalTime;
use crate::stream::calls::{ALWAYS_COUNTED, Call};

/// The Data API tells time in whole seconds; nothing shorter can be read.
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) fn accounts(check: &mut Check<'_>, raw: &[RawAccount], at: &Path) -> Vec<Account> {
    if raw.is_empty() {
        check.tell(at, "expected at least one account");
    }
    let mut first_of: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, name) in raw.iter().enumerate().filter_map(|(index, raw)| Some((index, raw.name.as_deref()?))) {
        if let Some(first) = first_of.get(name) {
            let line = check.line(&at.index(*first).key("name"));
            let message = format!("`{name}` is taken by the account in line {line}; expected another name");
            check.tell(&at.index(index).key("name"), message);
        } else {
            first_of.insert(name, index);
        }
    }
    raw.iter().enumerate().map(|(index, raw)| account(check, raw, &at.index(index))).collect()
}

/// What is wrong in `defaults` whoever uses them: what two keys say together is judged where an account has both.
pub(super) fn defaults(check: &mut Check<'_>, raw: &RawAccount, at: &Path) {
    let own = [raw.name.is_some(), raw.credentials != RawCredentials::default()];
    for (key, is_set) in OWN_KEYS.into_iter().zip(own) {
        if is_set {
            check.tell(&at.key(key), "belongs to each account; it cannot have a default");
        }
    }
    if let Some(form) = &raw.service {
        service(check, form, &at.key("service"));
    }
    settings(check, raw, at);
}

fn account(check: &mut Check<'_>, raw: &RawAccount, at: &Path) -> Account {
    let id = AccountId::new(&name(check, raw.name.as_ref(), &at.key("name")));
    let service_key = at.key("service");
    let form = check.required(&service_key, raw.service.as_ref(), "the name of a brand or `{url: ...}`");
    let (service, base_url) = form.map_or((Service::Custom, String::new()), |form| service(check, form, &service_key));
    let credentials = credentials(check, &raw.credentials, &at.key("credentials"));
    let channels = channels(check, &raw.filters.channels, &at.key("filters").key("channels"));
    let settings = settings(check, raw, at);
    Account {
        id,
        service,
        base_url,
        enabled: raw.enabled,
        credentials,
        customers: settings.customers,
        timezone: settings.timezone,
        start_from: settings.start_from,
        streams: settings.streams,
        filters: AccountFilters { include: include(&raw.filters), tags: settings.tags, channels },
        ignored_columns: settings.ignored_columns,
        poll: settings.poll,
    }
}

/// The keys that are right or wrong each by itself.
struct Settings {
    customers: Customers,
    timezone: Timezone,
    start_from: StartFrom,
    streams: Vec<Stream>,
    tags: Vec<TagRef>,
    ignored_columns: Vec<String>,
    poll: Poll,
}

fn settings(check: &mut Check<'_>, raw: &RawAccount, at: &Path) -> Settings {
    Settings {
        customers: customers(check, &raw.customers, &at.key("customers")),
        timezone: timezone(check, &raw.timezone, &at.key("timezone")),
        start_from: start_from(check, &raw.start_from, &at.key("start_from")),
        streams: streams(check, &raw.streams, &at.key("streams")),
        tags: tags(check, &raw.filters.tags, &at.key("filters").key("tags")),
        ignored_columns: ignored_columns(check, &raw.changes.ignore, &at.key("changes").key("ignore")),
        poll: poll(check, &raw.poll, &at.key("poll")),
    }
}

fn ignored_columns(check: &mut Check<'_>, names: &[String], at: &Path) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        let at = at.index(index);
        if ALWAYS_COUNTED.contains(&name.as_str()) {
            check.tell(&at, format!("`{name}` cannot be ignored: it tells which call it is"));
        } else if !Call::COLUMNS.contains(&name.as_str()) {
            let near = nearest(name, Call::COLUMNS).map(|near| format!("; did you mean `{near}`?"));
            let message = format!("`{name}` is no column of calls{}", near.unwrap_or_default());
            check.tell(&at, message);
        }
    }
    let names: BTreeSet<&String> = names.iter().collect();
    names.into_iter().cloned().collect()
}

fn name(check: &mut Check<'_>, value: Option<&String>, at: &Path) -> String {
    const A_NAME: &str = "a name of small letters, digits, `-` and `_`";
    let Some(value) = check.required(at, value, A_NAME) else {
        return String::new();
    };
    if !is_legal_name(value) {
        check.tell(at, format!("expected {A_NAME}, found `{value}`"));
    }
    value.clone()
}

/// No dot: it stands between the name of an agency's account and the id of its customer.
pub(super) fn is_legal_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !name.is_empty() && name.chars().all(legal)
}

fn service(check: &mut Check<'_>, form: &ServiceForm, at: &Path) -> (Service, String) {
    const EXAMPLE: &str = "http://127.0.0.1:8099/v2.0";
    match form {
        ServiceForm::Brand(brand) => (*brand, brand.base_url().unwrap_or_default().to_owned()),
        ServiceForm::Custom(custom) => {
            let at = at.key("url");
            let url = check.required(&at, custom.url.as_ref(), &format!("a URL such as `{EXAMPLE}`"));
            (Service::Custom, url.map(|url| check.url(&at, url, EXAMPLE)).unwrap_or_default())
        }
    }
}

fn credentials(check: &mut Check<'_>, raw: &RawCredentials, at: &Path) -> Credentials {
    match (&raw.login, &raw.password, &raw.api_key) {
        (Some(login), Some(password), None) => Credentials::Login {
            login: check.text(&at.key("login"), &login.0),
            password: check.secret(&at.key("password"), &password.0),
        },
        (None, None, Some(key)) => Credentials::ApiKey(check.secret(&at.key("api_key"), &key.0)),
        (login, password, key) => {
            let message = match (login, password, key) {
                (None, None, None) => "is missing, expected either `login` and `password`, or `api_key`",
                (Some(_), None, None) => "`password` is missing beside `login`",
                (None, Some(_), None) => "`login` is missing beside `password`",
                _ => "expected either `login` and `password`, or `api_key`, not both",
            };
            check.tell(at, message);
            Credentials::ApiKey(Secret::of_value(""))
        }
    }
}

fn customers(check: &mut Check<'_>, form: &CustomersForm, at: &Path) -> Customers {
    let ids = match form {
        CustomersForm::None => return Customers::None,
        CustomersForm::All => return Customers::All,
        CustomersForm::Ids(ids) => ids,
    };
    if ids.is_empty() {
        check.tell(at, "expected at least one id, or `none`, or `all`");
    }
    let mut seen = BTreeSet::new();
    for (index, id) in ids.iter().enumerate() {
        if *id < 1 {
            check.tell(&at.index(index), format!("expected the id of a customer, found {id}"));
        } else if !seen.insert(id) {
            check.tell(&at.index(index), format!("{id} is given twice"));
        }
    }
    Customers::Ids(ids.clone())
}

fn timezone(check: &mut Check<'_>, text: &str, at: &Path) -> Timezone {
    if text == "auto" {
        return Timezone::Auto;
    }
    let unknown = |_| format!("expected `auto` or an IANA name such as `Europe/Moscow`, found `{text}`");
    check.ok(at, TimeZone::get(text).map_err(unknown)).map_or(Timezone::Auto, Timezone::Named)
}

/// Written with a zone or an offset it would not be a local time, so neither is taken.
fn start_from(check: &mut Check<'_>, text: &str, at: &Path) -> StartFrom {
    let times = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let time = times.iter().find_map(|format| DateTime::strptime(format, text).ok());
    let time = time.or_else(|| Date::strptime("%Y-%m-%d", text).ok().map(DateTime::from));
    if let Some(time) = time {
        return StartFrom::At(LocalTime::from_civil(time));
    }
    let expected =
        || format!("expected a duration such as `7d` or a local time such as `2026-01-01 00:00:00`, found `{text}`");
    let ago = check.ok(at, Period::parse(text).map_err(|_| expected()));
    StartFrom::Ago(ago.map_or(Duration::ZERO, |period| period.0))
}

fn streams(check: &mut Check<'_>, raw: &[RawStream], at: &Path) -> Vec<Stream> {
    if raw.is_empty() {
        check.tell(at, "expected at least one stream; to read nothing, set `enabled: false`");
    }
    let streams = raw.iter().map(|stream| match stream {
        RawStream::Calls => Stream::Calls,
    });
    streams.collect::<BTreeSet<_>>().into_iter().collect()
}

fn include(raw: &RawFilters) -> Include {
    match raw.include {
        RawInclude::All => Include::All,
        RawInclude::Primary => Include::Primary,
        RawInclude::Tagged => Include::Tagged,
    }
}

fn tags(check: &mut Check<'_>, raw: &[TagForm], at: &Path) -> Vec<TagRef> {
    let tags = raw.iter().enumerate().map(|(index, tag)| match tag {
        TagForm::Id(id) => TagRef::Id(*id),
        TagForm::Name(name) => {
            if name.trim().is_empty() {
                check.tell(&at.index(index), "is empty, expected the name or the id of a tag");
            }
            TagRef::Name(name.clone())
        }
    });
    tags.collect()
}

fn channels(check: &mut Check<'_>, raw: &RawChannels, at: &Path) -> Channels {
    let key = at.key("static");
    let statics = match &raw.statics {
        StaticForm::None => StaticChannels::None,
        StaticForm::All => StaticChannels::All,
        StaticForm::Named(named) => StaticChannels::Named(named_channels(check, named, &key)),
    };
    if !raw.dynamic && statics == StaticChannels::None {
        check.tell(at, "with `dynamic: false` and `static: none` nothing is read; expected one of them otherwise");
    }
    Channels { dynamic: raw.dynamic, statics }
}

fn named_channels(check: &mut Check<'_>, raw: &RawNamedChannels, at: &Path) -> NamedChannels {
    for (index, source) in raw.sources.iter().enumerate() {
        if DYNAMIC_SOURCES.contains(&source.as_str()) {
            let message = format!("`{source}` is a source of dynamic tracking, which `dynamic` lets through or not");
            check.tell(&at.key("sources").index(index), message);
        }
    }
    let numbers = raw.virtual_numbers.iter().enumerate().map(|(index, number)| {
        let digits = number.0.strip_prefix('+').unwrap_or(&number.0);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = format!("expected a telephone number in digits such as `74951234567`, found `{}`", number.0);
            check.tell(&at.key("virtual_numbers").index(index), message);
        }
        digits.to_owned()
    });
    let named = NamedChannels {
        virtual_numbers: numbers.collect(),
        sources: raw.sources.iter().cloned().collect(),
        campaigns: raw.campaigns.iter().copied().collect(),
        scenarios: raw.scenarios.iter().copied().collect(),
    };
    if named.is_empty() {
        check.tell(at, "names no channel; expected `none`, `all` or at least one name");
    }
    named
}

fn poll(check: &mut Check<'_>, raw: &RawPoll, at: &Path) -> Poll {
    if !(raw.points_share > 0.0 && raw.points_share <= 1.0) {
        let message = format!("expected a share above 0 and at most 1, found {}", raw.points_share);
        check.tell(&at.key("points_share"), message);
    }
    Poll {
        page_size: check.number(&at.key("page_size"), raw.page_size, 1..=10_000, 1),
        backfill: match raw.backfill {
            RawBackfill::Newest => BackfillOrder::Newest,
            RawBackfill::Oldest => BackfillOrder::Oldest,
        },
        adaptive: raw.adaptive,
        vanished: match raw.vanished {
            RawVanished::Keep => Vanished::Keep,
            RawVanished::Withdraw => Vanished::Withdraw,
        },
        tiers: tiers(check, &raw.tiers, &at.key("tiers")),
        points_share: raw.points_share,
    }
}

fn tiers(check: &mut Check<'_>, raw: &[RawTier], at: &Path) -> Vec<Tier> {
    if raw.is_empty() {
        check.tell(at, "expected at least one tier such as `{age: 15m, every: 30s}`");
    }
    let mut tiers: Vec<Tier> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let at = at.index(index);
        let age = tier_period(check, raw.age, &at.key("age"));
        let every = tier_period(check, raw.every, &at.key("every"));
        let (Some(age), Some(every)) = (age, every) else { continue };
        if every > age {
            let message = "expected no more than `age`, or rows would grow too old between two reads";
            check.tell(&at.key("every"), message);
        }
        if let Some(before) = tiers.last()
            && age <= before.age
        {
            let message = format!("expected more than the age of the tier before, `{}`", Period(before.age));
            check.tell(&at.key("age"), message);
        }
        tiers.push(Tier { age, every });
    }
    tiers
}

fn tier_period(check: &mut Check<'_>, period: Option<Period>, at: &Path) -> Option<Duration> {
    let period = check.required(at, period.as_ref(), "a duration such as `30s`")?;
    if period.0 < SHORTEST {
        check.tell(at, format!("expected at least `1s`, found `{period}`"));
    }
    Some(period.0)
}
