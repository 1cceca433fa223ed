//! One account as it stands now: who may enter, what is left of its points, and its calls.

use std::{net::IpAddr, sync::Mutex};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    access::{Access, Network},
    error::ApiError,
    points::Points,
    scenario::{AccountScenario, AgencyAccount, CustomerScenario, UserScenario},
    spec::Method,
    world::{World, WorldPlan},
};

pub struct Account {
    pub name: String,
    pub brand: String,
    pub agency_account: AgencyAccount,
    /// What can change at run time besides the calls.
    pub state: Mutex<AccountState>,
    /// The account's own calls and dictionaries; of an agency only its list of customers is asked for.
    pub world: Mutex<World>,
    pub customers: Vec<Customer>,
}

pub struct AccountState {
    pub access: Access,
    pub points: Points,
    pub active: bool,
    pub ip_list: Vec<Network>,
    pub components: Option<Vec<String>>,
    pub forbidden: Vec<String>,
    pub zone: TimeZone,
}

pub struct Customer {
    users: Vec<UserScenario>,
    pub world: Mutex<World>,
}

impl Account {
    pub fn new(scenario: &AccountScenario, seed: u64, now: Timestamp) -> Account {
        let seed = xxh3_64_with_seed(scenario.name.as_bytes(), seed);
        let mut tables = scenario.tables.clone();
        if !scenario.customers.is_empty() {
            tables
                .entry("get.customers".into())
                .or_insert_with(|| scenario.customers.iter().map(customer_row).collect());
            tables
                .entry("get.customer_users".into())
                .or_insert_with(|| scenario.customers.iter().flat_map(user_rows).collect());
        }
        let plan = WorldPlan {
            name: scenario.name.clone(),
            app_id: scenario.app_id,
            title: &scenario.title,
            timezone: &scenario.timezone,
            calls: &scenario.calls,
            rows: &scenario.rows,
            tables: &tables,
            seed,
        };
        let world = World::new(&plan, now);
        let customers = scenario.customers.iter();
        Account {
            name: scenario.name.clone(),
            brand: scenario.brand.clone(),
            agency_account: scenario.agency_account,
            state: Mutex::new(AccountState::new(scenario, seed, &world.zone, now)),
            world: Mutex::new(world),
            customers: customers.map(|customer| Customer::new(customer, &scenario.name, seed, now)).collect(),
        }
    }

    pub fn is_agency(&self) -> bool {
        !self.customers.is_empty()
    }

    pub fn customer_of_user(&self, user_id: i64) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.has_user(user_id))
    }

    /// The calls of the account, or those of its customers.
    pub fn worlds(&self) -> impl Iterator<Item = &Mutex<World>> {
        let own = (!self.is_agency()).then_some(&self.world);
        own.into_iter().chain(self.customers.iter().map(|customer| &customer.world))
    }
}

impl Customer {
    fn new(scenario: &CustomerScenario, agency: &str, seed: u64, now: Timestamp) -> Customer {
        let user = scenario.users.first().map_or(0, |user| user.id);
        let plan = WorldPlan {
            name: format!("{agency}.{user}"),
            app_id: scenario.app_id,
            title: &scenario.name,
            timezone: &scenario.timezone,
            calls: &scenario.calls,
            rows: &scenario.rows,
            tables: &scenario.tables,
            seed: xxh3_64_with_seed(&scenario.id.to_le_bytes(), seed),
        };
        Customer { users: scenario.users.clone(), world: Mutex::new(World::new(&plan, now)) }
    }

    pub fn has_user(&self, id: i64) -> bool {
        self.users.iter().any(|user| user.id == id)
    }
}

impl AccountState {
    fn new(scenario: &AccountScenario, seed: u64, zone: &TimeZone, now: Timestamp) -> AccountState {
        AccountState {
            access: Access::new(scenario, seed),
            points: Points::new(&scenario.limits, zone, now),
            active: scenario.active,
            ip_list: networks(&scenario.ip_list),
            components: scenario.components.clone(),
            forbidden: scenario.forbidden.clone(),
            zone: zone.clone(),
        }
    }

    /// Refuses callers from elsewhere and accounts that are switched off.
    pub fn check_entry(&self, caller: IpAddr) -> Result<(), ApiError> {
        if !self.ip_list.iter().any(|network| network.holds(caller)) {
            return Err(ApiError::ip_not_whitelisted(caller));
        }
        if !self.active {
            return Err(ApiError::account_inactive());
        }
        Ok(())
    }

    /// Refuses methods whose component is off or that the user has no right to.
    pub fn check_rights(&self, method: &Method) -> Result<(), ApiError> {
        if let (Some(connected), false) = (&self.components, method.components.is_empty()) {
            let any = method.components.iter().any(|needed| connected.contains(needed));
            if !any {
                return Err(ApiError::method_component_disabled(&method.components));
            }
        }
        if self.forbidden.contains(&method.name) {
            return Err(ApiError::forbidden());
        }
        Ok(())
    }
}

/// The entries that can be read; a scenario's are checked before.
pub fn networks(entries: &[String]) -> Vec<Network> {
    entries.iter().filter_map(|entry| Network::parse(entry)).collect()
}

fn customer_row(customer: &CustomerScenario) -> Map<String, Value> {
    object(json!({"id": customer.id, "name": customer.name, "status": "active",
                  "creation_date_time": "2024-06-11 12:30:00"}))
}

fn user_rows(customer: &CustomerScenario) -> Vec<Map<String, Value>> {
    let rows = customer.users.iter().map(|user| {
        object(json!({"id": user.id, "login": user.login, "name": user.name, "description": user.description,
                      "customer_id": customer.id}))
    });
    rows.collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
