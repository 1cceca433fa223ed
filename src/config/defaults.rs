//! Puts what `defaults` says below each account, before anything else looks at it.

use std::collections::BTreeMap;

use super::raw::OWN_KEYS;
use super::tree::{Data, Node};

/// Every account gets what it does not say itself. The nodes keep the place where they were written, so that a
/// problem of the defaults is told there, and once.
pub fn merge(root: &mut Node) {
    let Data::Map(keys) = &mut root.data else { return };
    let Some(Data::Map(mut defaults)) = keys.get("defaults").map(|node| node.data.clone()) else { return };
    for own in OWN_KEYS {
        defaults.remove(own);
    }
    let Some(Data::List(accounts)) = keys.get_mut("accounts").map(|node| &mut node.data) else { return };
    for account in accounts {
        if let Data::Map(account) = &mut account.data {
            merge_map(account, &defaults);
        }
    }
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
