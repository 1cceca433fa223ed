//! What a test or the demo may do to a running simulator.

use std::{collections::BTreeSet, net::IpAddr, sync::Mutex};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{
    SimulatedApi,
    account::{Account, networks},
    api::Api,
    faults::FaultRule,
    generate,
    journal::{Counts, RequestRecord},
    lock,
    points::PointsUsed,
    row::{What, call_column, local_text},
    scenario::{Key, KeyState, Limits},
    spec, truth,
    world::{FormerRows, Timeline, TruthCall, World},
};

/// A name or id that the simulator does not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("no {what} `{name}` in the simulator")]
pub struct UnknownName {
    what: &'static str,
    name: String,
}

impl UnknownName {
    fn new(what: &'static str, name: impl ToString) -> UnknownName {
        UnknownName { what, name: name.to_string() }
    }
}

type Done<T = ()> = Result<T, UnknownName>;

impl Api {
    fn account_named(&self, name: &str) -> Done<&Account> {
        let found = self.accounts.iter().find(|account| account.name == name);
        found.ok_or_else(|| UnknownName::new("account", name))
    }

    /// The worlds of an account, or the one of a customer named `agency.USER_ID`.
    pub fn worlds_named(&self, name: &str) -> Option<Vec<&Mutex<World>>> {
        if let Ok(account) = self.account_named(name) {
            return Some(account.worlds().collect());
        }
        let (agency, user_id) = name.rsplit_once('.')?;
        let customer = self.account_named(agency).ok()?.customer_of_user(user_id.parse().ok()?)?;
        Some(vec![&customer.world])
    }
}

/// Asking.
impl SimulatedApi {
    /// Every call of the account that exists now. `account` may be `agency.USER_ID`; an unknown one has no calls.
    pub fn truth(&self, account: &str) -> Vec<TruthCall> {
        truth::calls(&self.api, account).unwrap_or_default()
    }

    /// The ids of the calls that an ordinary request would get now; named as for [`Simulator::truth`].
    pub fn visible_ids(&self, account: &str) -> BTreeSet<i64> {
        let now = self.now();
        let mut ids = BTreeSet::new();
        for world in self.api.worlds_named(account).unwrap_or_default() {
            let mut world = lock(world);
            world.go_on(now);
            ids.extend(world.visible_ids(now));
        }
        ids
    }

    pub fn now(&self) -> Timestamp {
        self.api.clock.now()
    }

    /// When the last thing happens that is planned for the account's calls so far; after that, and without live calls,
    /// its truth stays as it is.
    pub fn settles_at(&self, account: &str) -> Option<Timestamp> {
        let worlds = self.api.worlds_named(account)?;
        worlds.into_iter().filter_map(|world| lock(world).settles_at()).max()
    }

    /// The calls with these ids, as [`SimulatedApi::truth`] has them: no other row is written for that.
    pub fn truth_of(&self, account: &str, ids: &BTreeSet<i64>) -> Vec<TruthCall> {
        truth::calls_with(&self.api, account, |id| ids.contains(&id)).unwrap_or_default()
    }

    /// When the report first had each call, and when its row changed; planned changes included.
    pub fn timelines(&self, account: &str) -> Vec<Timeline> {
        let worlds = self.api.worlds_named(account).unwrap_or_default();
        worlds.into_iter().flat_map(|world| lock(world).timelines()).collect()
    }

    /// How many points of the account requests have taken so far.
    pub fn points_used(&self, account: &str) -> Done<PointsUsed> {
        let now = self.now();
        Ok(lock(&self.api.account_named(account)?.state).points.used(now))
    }

    /// The requests since they were taken last, as long as there are not more than 100 000.
    pub fn take_requests(&self) -> Vec<RequestRecord> {
        lock(&self.api.journal).take_requests()
    }

    /// The requests so far (the last 100 000).
    pub fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.api.journal).requests()
    }

    /// Counts of an account's requests of one method; the account `""` is nobody's token.
    pub fn counts(&self, account: &str, method: &str) -> Counts {
        lock(&self.api.journal).counts(account, method)
    }

    /// Requests that were refused because they were wrong.
    pub fn bugs(&self) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|record| matches!(record.outcome, super::Outcome::Refused { bug: true, .. }));
        requests
    }
}

/// Calls.
impl SimulatedApi {
    /// Adds a call given column by column and says its id. Without `id` it gets the next one, without `start_time` it
    /// starts now, without `finish_time` it lasts a minute, with `null` there it goes on.
    pub fn add_call(&self, account: &str, row: Value) -> Done<i64> {
        let row: Map<String, Value> = match row {
            Value::Object(row) => row,
            other => return Err(UnknownName::new("row", other)),
        };
        let unknown = row.keys().find(|name| spec::calls_report().column_index(name).is_none());
        if let Some(unknown) = unknown {
            return Err(UnknownName::new("column", unknown));
        }
        let now = self.now();
        Ok(lock(self.world(account)?).add_row(row, now))
    }

    /// Puts a tag of the dictionary on a call, by its name; a name that is not there joins the dictionary.
    pub fn put_tag(&self, account: &str, call: i64, name: &str) -> Done {
        let now = self.now();
        let mut world = lock(self.world(account)?);
        let dictionary = world.tables.entry("get.tags".into()).or_default();
        let known = dictionary.iter().find(|row| row.get("name").is_some_and(|known| known == name));
        let row = match known {
            Some(row) => row.clone(),
            None => {
                let ids = dictionary.iter().filter_map(|row| row.get("id")?.as_i64());
                let id = 1 + ids.max().unwrap_or_default();
                let row = Map::from_iter([
                    ("id".to_owned(), json!(id)),
                    ("name".to_owned(), json!(name)),
                    ("is_system".to_owned(), json!(false)),
                ]);
                dictionary.push(row.clone());
                row
            }
        };
        let tag = generate::tag(&row, now, &world.zone);
        change(&mut world, call, now, What::PutTag(tag))
    }

    /// Takes a tag off a call, by its name.
    pub fn remove_tag(&self, account: &str, call: i64, name: &str) -> Done {
        let now = self.now();
        let mut world = lock(self.world(account)?);
        let dictionary = world.tables.get("get.tags").into_iter().flatten();
        let mut named = dictionary.filter(|row| row.get("name").is_some_and(|known| known == name));
        let id = named.next().and_then(|row| row.get("id")?.as_i64());
        let id = id.ok_or_else(|| UnknownName::new("tag", name))?;
        change(&mut world, call, now, What::RemoveTag(id))
    }

    pub fn set_sale(&self, account: &str, call: i64, cost: f64) -> Done {
        let now = self.now();
        let mut world = lock(self.world(account)?);
        let date = local_text(now, &world.zone).into();
        change(&mut world, call, now, What::Set(call_column("sale_date"), date))?;
        change(&mut world, call, now, What::Set(call_column("sale_cost"), json!(cost)))
    }

    pub fn set_column(&self, account: &str, call: i64, column: &str, value: Value) -> Done {
        let index = spec::calls_report().column_index(column);
        let index = index.ok_or_else(|| UnknownName::new("column", column))?;
        let now = self.now();
        change(&mut lock(self.world(account)?), call, now, What::Set(index, value))
    }

    /// The report has the call no longer.
    pub fn remove_call(&self, account: &str, call: i64) -> Done {
        let now = self.now();
        change(&mut lock(self.world(account)?), call, now, What::Vanish)
    }

    /// Moves a plain account or a customer into another time zone.
    pub fn set_timezone(&self, account: &str, timezone: &str, former_rows: FormerRows) -> Done {
        let zone = TimeZone::get(timezone).map_err(|_| UnknownName::new("time zone", timezone))?;
        let now = self.now();
        let mut world = lock(self.world(account)?);
        world.go_on(now);
        world.move_to(timezone, zone, former_rows);
        Ok(())
    }

    /// No more calls come by themselves; what is planned for the calls so far still happens.
    pub fn stop_live_calls(&self, account: &str) -> Done {
        let now = self.now();
        let worlds = self.api.worlds_named(account);
        for world in worlds.ok_or_else(|| UnknownName::new("account", account))? {
            let mut world = lock(world);
            world.go_on(now);
            world.stop_live_calls();
        }
        Ok(())
    }

    /// Changes what the account's own dictionary of this method holds: `get.customer_users` of an agency, when a customer
    /// leaves.
    pub fn edit_table(&self, account: &str, method: &str, edit: impl FnOnce(&mut Vec<Map<String, Value>>)) -> Done {
        let account = self.api.account_named(account)?;
        edit(lock(&account.world).tables.entry(method.to_owned()).or_default());
        Ok(())
    }

    /// The world of a plain account or of a customer; an agency has several and none of its own.
    fn world(&self, account: &str) -> Done<&Mutex<World>> {
        match self.api.worlds_named(account).as_deref() {
            Some([world]) => Ok(world),
            _ => Err(UnknownName::new("account", account)),
        }
    }
}

fn change(world: &mut World, call: i64, now: Timestamp, what: What) -> Done {
    world.go_on(now);
    if world.change(call, now, what) {
        return Ok(());
    }
    Err(UnknownName::new("call", call))
}

/// Access, points, faults and time.
impl SimulatedApi {
    /// Ends the account's sessions as if their hour was over; says how many were open.
    pub fn end_sessions(&self, account: &str) -> Done<usize> {
        let now = self.now();
        let account = self.api.account_named(account)?;
        Ok(lock(&account.state).access.end_sessions(now))
    }

    /// Blocks, ends or revives the account's keys.
    pub fn set_key_state(&self, account: &str, state: KeyState) -> Done {
        let account = self.api.account_named(account)?;
        lock(&account.state).access.set_key_state(state);
        Ok(())
    }

    /// The account has these keys and no others.
    pub fn set_keys(&self, account: &str, keys: Vec<Key>) -> Done {
        lock(&self.api.account_named(account)?.state).access.set_keys(keys);
        Ok(())
    }

    /// Gives the account's login another password. Sessions that are open go on.
    pub fn set_password(&self, account: &str, password: &str) -> Done {
        lock(&self.api.account_named(account)?.state).access.set_password(password.into());
        Ok(())
    }

    /// Sets the points anew, with what is left of them.
    pub fn set_limits(&self, account: &str, limits: &Limits) -> Done {
        let now = self.now();
        let account = self.api.account_named(account)?;
        let mut state = lock(&account.state);
        let zone = state.zone.clone();
        state.points.set(limits, &zone, now);
        Ok(())
    }

    /// Somebody else with the same credential takes so many points, or what is left of them.
    pub fn spend_elsewhere(&self, account: &str, points: u32) -> Done {
        let now = self.now();
        lock(&self.api.account_named(account)?.state).points.spend_elsewhere(points, now);
        Ok(())
    }

    pub fn set_active(&self, account: &str, active: bool) -> Done {
        lock(&self.api.account_named(account)?.state).active = active;
        Ok(())
    }

    /// The addresses and networks that may call; entries that are neither are left out.
    pub fn set_ip_list(&self, account: &str, entries: &[&str]) -> Done {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        lock(&self.api.account_named(account)?.state).ip_list = networks(&entries);
        Ok(())
    }

    /// The components that are connected; `None`: all.
    pub fn set_components(&self, account: &str, components: Option<&[&str]>) -> Done {
        let components = components.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        lock(&self.api.account_named(account)?.state).components = components;
        Ok(())
    }

    /// The methods that the user has no right to.
    pub fn set_forbidden(&self, account: &str, methods: &[&str]) -> Done {
        let methods = methods.iter().map(|name| (*name).to_owned()).collect();
        lock(&self.api.account_named(account)?.state).forbidden = methods;
        Ok(())
    }

    /// The address that the server takes every caller for; `None`: the real one.
    pub fn set_caller_address(&self, address: Option<IpAddr>) {
        *lock(&self.api.caller_address) = address;
    }

    pub fn inject(&self, rule: FaultRule) {
        lock(&self.api.faults).add(rule);
    }

    /// From now on everything works.
    pub fn clear_faults(&self) {
        lock(&self.api.faults).clear();
    }

    pub fn set_now(&self, now: Timestamp) {
        self.api.clock.set(now);
    }

    pub fn advance(&self, by: SignedDuration) {
        self.api.clock.advance(by);
    }
}
