//! Puts what `defaults` says below each account, before anything else looks at it.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::raw::OWN_KEYS;
use super::tree::{Data, MAX_NODES, Node};

/// Enough for ten thousand accounts with every key defaulted; what no small file may exceed by multiplying.
const MAX_COPIES: usize = 5 * MAX_NODES;

/// Every account gets what it does not say itself. The nodes keep the place where they were written, so that a
/// problem of the defaults is told there, and once.
pub fn merge(root: &mut Node) -> Result<(), Problem> {
    let Data::Map(keys) = &mut root.data else { return Ok(()) };
    let Some(node) = keys.get("defaults") else { return Ok(()) };
    let (size, place) = (node.size(), node.place.clone());
    let Data::Map(mut defaults) = node.data.clone() else { return Ok(()) };
    for own in OWN_KEYS {
        defaults.remove(own);
    }
    let Some(Data::List(accounts)) = keys.get_mut("accounts").map(|node| &mut node.data) else { return Ok(()) };
    if size.saturating_mul(accounts.len()) > MAX_COPIES {
        let message = format!("{size} values for each of {} accounts are too many", accounts.len());
        return Err(Problem::at(&place, message));
    }
    for account in accounts {
        if let Data::Map(account) = &mut account.data {
            merge_map(account, &defaults);
        }
    }
    Ok(())
}

/// Mappings are merged key by key; a list or a single value stands for itself.
fn merge_map(own: &mut BTreeMap<String, Node>, defaults: &BTreeMap<String, Node>) {
    for (key, default) in defaults {
        match own.get_mut(key) {
            None => drop(own.insert(key.clone(), default.clone())),
            Some(Node { data: Data::Map(own), .. }) => {
                if let Data::Map(default) = &default.data {
                    merge_map(own, default);
                }
            }
            Some(_) => {}
        }
    }
}
