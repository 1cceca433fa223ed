//! What the simulator knows and no client of the Data API can ask: `GET /truth` and `GET /requests`. No secrets in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{api::Api, lock, world::TruthCall};

/// Every call of an account that exists now. `account` may be a customer's name, `agency.USER_ID`, or an agency's, which
/// means all its customers.
pub fn calls(api: &Api, account: &str) -> Option<Vec<TruthCall>> {
    calls_with(api, account, |_| true)
}

/// Those of them whose id is wanted.
pub fn calls_with(api: &Api, account: &str, is_wanted: impl Fn(i64) -> bool) -> Option<Vec<TruthCall>> {
    let now = api.clock.now();
    let worlds = api.worlds_named(account)?;
    let mut calls = Vec::new();
    for world in worlds {
        let mut world = lock(world);
        world.go_on(now);
        calls.extend(world.truth(now, &is_wanted));
    }
    Some(calls)
}

/// The JSON text for a `GET`; `None`: there is nothing there.
pub fn respond(api: &Api, path: &str, query: Option<&str>) -> Option<String> {
    let answer: serde_json::Result<String> = match path {
        "/truth" => match query {
            None => serde_json::to_string(&everything(api)),
            Some(query) => serde_json::to_string(&calls(api, query.strip_prefix("account=")?)?),
        },
        "/requests" => serde_json::to_string(&lock(&api.journal).requests()),
        "/health" => Ok(Value::Bool(true).to_string()),
        _ => return None,
    };
    answer.ok()
}

fn everything(api: &Api) -> BTreeMap<String, Vec<TruthCall>> {
    let worlds = api.accounts.iter().flat_map(|account| account.worlds());
    let names: Vec<String> = worlds.map(|world| lock(world).name.clone()).collect();
    let known = names.into_iter().filter_map(|name| Some((name.clone(), calls(api, &name)?)));
    known.collect()
}
