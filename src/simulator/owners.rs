//! Whose a token or a login is, without asking ten thousand accounts.
//!
//! A token that was seen is only a guess: keys and sessions change, so whoever takes it has the account confirm it. Two
//! accounts with the same token answer as they would without this: the first that knows it.

use std::{collections::HashMap, sync::Mutex};

use super::{lock, scenario::AccountScenario};

#[derive(Default)]
pub struct Owners {
    /// Accounts by login, by their places in the scenario; logins never change.
    by_login: HashMap<String, Vec<usize>>,
    by_token: Mutex<HashMap<String, usize>>,
}

impl Owners {
    pub fn of(accounts: &[AccountScenario]) -> Owners {
        let mut owners = Owners::default();
        for (index, account) in accounts.iter().enumerate() {
            if let Some(login) = &account.login {
                owners.by_login.entry(login.clone()).or_default().push(index);
            }
            for key in &account.keys {
                lock(&owners.by_token).entry(key.token.reveal().to_owned()).or_insert(index);
            }
        }
        owners
    }

    pub fn of_login(&self, login: &str) -> impl Iterator<Item = usize> {
        self.by_login.get(login).into_iter().flatten().copied()
    }

    /// Who had this token when it was seen last.
    pub fn of_token(&self, token: &str) -> Option<usize> {
        lock(&self.by_token).get(token).copied()
    }

    pub fn note_token(&self, token: &str, index: usize) {
        lock(&self.by_token).insert(token.to_owned(), index);
    }
}
