//! Accounts that the configuration has and this replica has not: another one polls them, or nobody does for a while.
//!
//! Only their names are known here. With them an account that moves from one replica to another is not missing meanwhile.

use super::StatusBoard;
use crate::domain::call::{AccountId, Service};

impl StatusBoard {
    /// Notes that an account is not polled here (any more), and leaves it to the others.
    pub fn put_elsewhere(&self, account: &AccountId, service: Service) {
        self.lock().remove(account);
        self.lock_elsewhere().insert(account.clone(), service);
    }

    /// The service of an account that is not polled here.
    pub fn elsewhere(&self, name: &str) -> Option<Service> {
        self.lock_elsewhere().get(&AccountId::new(name)).copied()
    }

    /// All accounts that are not polled here, by name.
    pub fn all_elsewhere(&self) -> Vec<AccountId> {
        self.lock_elsewhere().keys().cloned().collect()
    }
}
