//! The methods of the Data API, from a request's text to the answer's text.
//!
//! A request passes the documented hurdles in this order: envelope, method, token, address, account, component, right,
//! parameters, points. Only an answered request costs a point.

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::debug;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    account::{Account, AccountState},
    clock::Clock,
    envelope::{self, Request, Success},
    error::ApiError,
    faults::{Fault, Faults, Mishap},
    journal::{Journal, Outcome, RequestRecord},
    lock,
    owners::Owners,
    page::{self, PageHabits},
    query::{self, Habits, Query},
    scenario::{AgencyAccount, Scenario},
    spec::{CALLS_REPORT, Method},
    world::World,
};

pub struct Api {
    /// The server's habits; the accounts of the scenario live in `accounts`.
    pub habits: Scenario,
    pub clock: Clock,
    pub accounts: Vec<Account>,
    pub faults: Mutex<Faults>,
    pub journal: Mutex<Journal>,
    pub caller_address: Mutex<Option<IpAddr>>,
    owners: Owners,
    n_requests: AtomicU64,
}

/// The text of an answer and what the network makes of it.
pub struct Answer {
    pub text: String,
    pub mishap: Mishap,
}

/// Which accounts a path leads to.
#[derive(Clone, Copy)]
pub struct Brand<'a>(pub Option<&'a str>);

impl Api {
    pub fn new(mut scenario: Scenario) -> Api {
        let clock = Clock::new(scenario.clock.start, scenario.clock.speed);
        let now = clock.now();
        let accounts = std::mem::take(&mut scenario.accounts);
        let rules = std::mem::take(&mut scenario.faults);
        Api {
            clock,
            owners: Owners::of(&accounts),
            accounts: accounts.iter().map(|account| Account::new(account, scenario.seed, now)).collect(),
            faults: Mutex::new(Faults::new(rules, scenario.seed)),
            journal: Mutex::new(Journal::default()),
            caller_address: Mutex::new(scenario.caller_address),
            n_requests: AtomicU64::new(0),
            habits: scenario,
        }
    }

    /// Answers the body of a request.
    pub fn answer(&self, brand: Brand<'_>, body: &[u8], peer: IpAddr) -> Answer {
        let number = 1 + self.n_requests.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        let request = match Request::parse(body) {
            Ok(request) => request,
            Err((id, error)) => {
                let record = RequestRecord::new(number, now, None, "", &Map::new());
                return self.refuse(record, &id, &error, None, Mishap::default());
            }
        };
        let account = self.account_of(brand, &request, now);
        let name = account.map(|account| account.name.as_str());
        let mut record = RequestRecord::new(number, now, name, &request.method, &request.params);
        let mishap = lock(&self.faults).draw(name, &request.method);
        match &mishap.fault {
            None | Some(Fault::Truncate | Fault::Drip { .. }) => {}
            Some(fault) => {
                record.outcome = Outcome::Fault { kind: fault.name() };
                self.note(record);
                let text = envelope::refusal(&request.id, &ApiError::internal_error(), None, self.habits.variants);
                return Answer { text, mishap };
            }
        }
        let caller = lock(&self.caller_address).unwrap_or(peer);
        match self.run(account, &request, caller, now, number) {
            Ok(success) => {
                record.points = u32::from(success.metadata.is_some());
                record.outcome = match &mishap.fault {
                    Some(fault) => Outcome::Fault { kind: fault.name() },
                    None => Outcome::Answered { n_rows: success.n_rows, total_items: success.total_items },
                };
                self.note(record);
                let text = envelope::success(&request.id, &request.method, &success, self.habits.variants);
                Answer { text, mishap }
            }
            Err(error) => self.refuse(record, &request.id, &error, account, mishap),
        }
    }

    fn refuse(
        &self,
        mut record: RequestRecord,
        id: &str,
        error: &ApiError,
        account: Option<&Account>,
        mishap: Mishap,
    ) -> Answer {
        record.outcome = Outcome::Refused { mnemonic: error.mnemonic, bug: error.is_bug_of_the_caller() };
        self.note(record);
        let limits = account
            .filter(|_| error.details.with_limits)
            .and_then(|account| lock(&account.state).points.tell(self.clock.now()));
        let metadata = limits.map(|limits| json!({"limits": limits}));
        let text = envelope::refusal(id, error, metadata, self.habits.variants);
        Answer { text, mishap }
    }

    fn note(&self, record: RequestRecord) {
        debug!(
            number = record.number,
            account = record.account.as_deref(),
            method = record.method,
            outcome = ?record.outcome,
            "request"
        );
        lock(&self.journal).note(record);
    }

    /// The account that the request's token or login belongs to.
    fn account_of(&self, brand: Brand<'_>, request: &Request, now: Timestamp) -> Option<&Account> {
        let text = |name: &str| request.params.get(name).and_then(Value::as_str);
        let fits = |account: &&Account| brand.0.is_none_or(|brand| account.brand == brand);
        if request.method == "login.user" {
            let (login, password) = (text("login")?, text("password")?);
            let mut with_login = self.owners.of_login(login).map(|index| &self.accounts[index]).filter(fits);
            return with_login.find(|account| lock(&account.state).access.knows_login(login, password));
        }
        let token = text("access_token")?;
        let ended = self.habits.ended_session;
        let knows = |account: &&Account| lock(&account.state).access.check(token, now, ended).is_some();
        let is_owner = |account: &&Account| fits(account) && knows(account);
        if let Some(account) = self.owners.of_token(token).map(|index| &self.accounts[index]).filter(is_owner) {
            return Some(account);
        }
        let index = self.accounts.iter().position(|account| is_owner(&account))?;
        self.owners.note_token(token, index);
        Some(&self.accounts[index])
    }

    fn run(
        &self,
        account: Option<&Account>,
        request: &Request,
        caller: IpAddr,
        now: Timestamp,
        number: u64,
    ) -> Result<Success, ApiError> {
        match request.method.as_str() {
            "login.user" => return self.log_in(account, &request.params, caller, now),
            "logout.user" => return self.log_out(account, &request.params, now),
            _ => {}
        }
        let method = Method::named(&request.method).ok_or_else(ApiError::method_not_found)?;
        let (account, token) = owner(account, &request.params)?;
        {
            let state = lock(&account.state);
            self.check_token(&state, token, now)?;
            state.check_entry(caller)?;
            state.check_rights(method)?;
        }
        self.check_availability(account, method)?;
        query::check_names(&request.params, |name| {
            method.takes(name) || (name == "user_id" && takes_user_beyond_the_table(account, method))
        })?;
        let world = self.world_for(account, method, &request.params)?;
        if method.name == "get.account" {
            return self.in_exchange_for_a_point(account, now, || account_data(&lock(world)));
        }
        let habits = Habits {
            max_window: self.habits.max_window,
            more_operators: !matches!(account.brand.as_str(), "callgear" | "novofon"),
        };
        let query = Query::parse(method, &request.params, habits)?;
        self.check_embargo(world, &query, &request.params, now)?;
        self.in_exchange_for_a_point(account, now, || self.rows(world, &query, now, number))
    }

    fn check_token(&self, state: &AccountState, token: &str, now: Timestamp) -> Result<(), ApiError> {
        let checked = state.access.check(token, now, self.habits.ended_session);
        checked.unwrap_or_else(|| Err(ApiError::access_token_invalid()))
    }

    /// Some methods are for agencies alone, one is for customers alone.
    fn check_availability(&self, account: &Account, method: &Method) -> Result<(), ApiError> {
        let available = match (account.is_agency(), method.name.as_str()) {
            (true, "get.account") => account.agency_account != AgencyAccount::Forbidden,
            (true, _) => method.partner,
            (false, _) => method.customer,
        };
        if available {
            return Ok(());
        }
        Err(ApiError::forbidden())
    }

    /// Whose data a request is about: an agency says so with `user_id`.
    fn world_for<'a>(
        &self,
        account: &'a Account,
        method: &Method,
        params: &Map<String, Value>,
    ) -> Result<&'a Mutex<World>, ApiError> {
        let of_the_agency = !method.params.iter().any(|name| name == "user_id");
        if !account.is_agency() || (of_the_agency && method.name != "get.account") {
            return Ok(&account.world);
        }
        let Some(value) = params.get("user_id") else {
            return match method.name.as_str() {
                "get.account" => Ok(&account.world),
                _ => Err(ApiError::required_parameter_missed("user_id")),
            };
        };
        let user_id = value.as_i64().ok_or_else(|| ApiError::data_type_error("user_id", value))?;
        let customer =
            account.customer_of_user(user_id).ok_or_else(|| ApiError::invalid_parameter_value("user_id", value))?;
        Ok(&customer.world)
    }

    /// Refuses a window that ends too late for rows to be there.
    fn check_embargo(
        &self,
        world: &Mutex<World>,
        query: &Query,
        params: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let recent = self.habits.refuse_recent;
        match query.window {
            Some((_, till)) if !recent.is_zero() && till > lock(world).zone.to_datetime(now - recent) => {
                Err(ApiError::too_recent(&params["date_till"]))
            }
            _ => Ok(()),
        }
    }

    /// Answers when there is a point left, takes it, and tells in the metadata what is left.
    fn in_exchange_for_a_point(
        &self,
        account: &Account,
        now: Timestamp,
        answer: impl FnOnce() -> Success,
    ) -> Result<Success, ApiError> {
        let limits = {
            let mut state = lock(&account.state);
            state.points.check(now)?;
            state.points.charge();
            state.points.tell(now)
        };
        let mut success = answer();
        let mut metadata = Map::new();
        if let Some(total_items) = success.total_items {
            metadata.insert("total_items".into(), total_items.into());
        }
        if let Some(limits) = limits {
            metadata.insert("limits".into(), limits);
        }
        success.metadata = Some(metadata);
        Ok(success)
    }

    fn rows(&self, world: &Mutex<World>, query: &Query, now: Timestamp, number: u64) -> Success {
        let lot = xxh3_64_with_seed(&number.to_le_bytes(), self.habits.seed);
        let habits = PageHabits {
            bounds: self.habits.bounds,
            repeated: self.habits.repeated_times,
            ties: self.habits.ties,
            unsorted: self.habits.unsorted,
            variants: self.habits.variants,
            short: fastrand::Rng::with_seed(lot).f64() < self.habits.short_pages,
            lot,
        };
        let mut world = lock(world);
        let page = if query.method.name == CALLS_REPORT {
            world.go_on(now);
            page::of_calls(&world, query, now, &habits)
        } else {
            let table = world.tables.get(&query.method.name);
            page::of_table(table.map_or(&[], Vec::as_slice), &world, query, &habits)
        };
        Success { data: page.rows, metadata: None, n_rows: page.n_rows, total_items: Some(page.total_items) }
    }

    fn log_in(
        &self,
        account: Option<&Account>,
        params: &Map<String, Value>,
        caller: IpAddr,
        now: Timestamp,
    ) -> Result<Success, ApiError> {
        check_texts(params, &["login", "password"])?;
        let account = account.ok_or_else(ApiError::auth_error)?;
        let mut state = lock(&account.state);
        state.check_entry(caller)?;
        let (token, ends) = state.access.log_in(now, self.habits.session_lifetime);
        if let Some(index) = self.accounts.iter().position(|one| std::ptr::eq(one, account)) {
            self.owners.note_token(token.reveal(), index);
        }
        let expiry = if self.habits.variants.expire { "expire" } else { "expire_at" };
        let app_id = lock(&account.world).app_id;
        Ok(Success::without_metadata(json!({
            "access_token": token.reveal(), expiry: ends.as_second(), "app_id": app_id
        })))
    }

    fn log_out(
        &self,
        account: Option<&Account>,
        params: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Success, ApiError> {
        check_texts(params, &["access_token"])?;
        let (account, token) = owner(account, params)?;
        let mut state = lock(&account.state);
        self.check_token(&state, token, now)?;
        state.access.log_out(token);
        Ok(Success::without_metadata(json!({})))
    }
}

/// The documents give `get.account` no `user_id`, yet public client code sends it for a customer of an agency.
fn takes_user_beyond_the_table(account: &Account, method: &Method) -> bool {
    let by_user = account.agency_account == AgencyAccount::ByUserId;
    account.is_agency() && method.name == "get.account" && by_user
}

/// The account that a token is of, and the token.
fn owner<'a, 'p>(
    account: Option<&'a Account>,
    params: &'p Map<String, Value>,
) -> Result<(&'a Account, &'p str), ApiError> {
    let token = match params.get("access_token") {
        None => return Err(ApiError::required_parameter_missed("access_token")),
        Some(Value::String(token)) => token,
        // The value is not repeated in the refusal, it may be a secret.
        Some(_) => return Err(ApiError::data_type_error("access_token", &Value::Null)),
    };
    let account = account.ok_or_else(ApiError::access_token_invalid)?;
    Ok((account, token))
}

/// The parameters of the methods that are not in the table: all required, all texts.
fn check_texts(params: &Map<String, Value>, names: &[&str]) -> Result<(), ApiError> {
    query::check_names(params, |name| names.contains(&name))?;
    for &name in names {
        match params.get(name) {
            Some(Value::String(_)) => {}
            Some(_) => return Err(ApiError::data_type_error(name, &Value::Null)),
            None => return Err(ApiError::required_parameter_missed(name)),
        }
    }
    Ok(())
}

fn account_data(world: &World) -> Success {
    let data = json!([{"app_id": world.app_id, "name": world.title, "timezone": world.zone_name}]);
    Success { n_rows: 1, ..Success::without_metadata(data) }
}
