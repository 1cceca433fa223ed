//! Who may enter: keys, sessions and the list of addresses of one account.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    error::ApiError,
    scenario::{AccountScenario, EndedSession, Hidden, Key, KeyState},
};

/// The keys and sessions of one account.
pub struct Access {
    keys: Vec<Key>,
    login: Option<(String, Hidden)>,
    session_token: Option<Hidden>,
    sessions: Vec<Session>,
    seed: u64,
    logins: u64,
}

struct Session {
    token: Hidden,
    ends: Timestamp,
}

impl Access {
    pub fn new(account: &AccountScenario, seed: u64) -> Access {
        Access {
            keys: account.keys.clone(),
            login: account.login.clone().zip(account.password.clone()),
            session_token: account.session_token.clone(),
            sessions: Vec::new(),
            seed,
            logins: 0,
        }
    }

    pub fn knows_login(&self, login: &str, password: &str) -> bool {
        let known = self.login.as_ref();
        known.is_some_and(|(name, secret)| name == login && secret.reveal() == password)
    }

    /// Opens a session; other sessions of the account go on.
    pub fn log_in(&mut self, now: Timestamp, lifetime: Duration) -> (Hidden, Timestamp) {
        self.logins += 1;
        let token = self.session_token.clone().unwrap_or_else(|| {
            let number = xxh3_128_with_seed(&self.logins.to_le_bytes(), self.seed);
            Hidden::from(format!("session-{number:032x}"))
        });
        let ends = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
        self.sessions.retain(|session| session.token != token);
        self.sessions.push(Session { token: token.clone(), ends });
        (token, ends)
    }

    pub fn log_out(&mut self, token: &str) {
        self.sessions.retain(|session| session.token.reveal() != token);
    }

    /// `None`: the token is not of this account.
    pub fn check(&self, token: &str, now: Timestamp, ended: EndedSession) -> Option<Result<(), ApiError>> {
        if let Some(key) = self.keys.iter().find(|key| key.token.reveal() == token) {
            return Some(match key.state {
                KeyState::Active => Ok(()),
                KeyState::Blocked => Err(ApiError::access_token_blocked()),
                KeyState::Expired => Err(ApiError::access_token_expired()),
            });
        }
        let session = self.sessions.iter().find(|session| session.token.reveal() == token)?;
        Some(match ended {
            _ if session.ends > now => Ok(()),
            EndedSession::Expired => Err(ApiError::access_token_expired()),
            EndedSession::Invalid => Err(ApiError::access_token_invalid()),
        })
    }

    /// Ends every session at once, as if its hour was over; says how many were open.
    pub fn end_sessions(&mut self, now: Timestamp) -> usize {
        let open = self.sessions.iter_mut().filter(|session| session.ends > now);
        open.map(|session| session.ends = now).count()
    }

    pub fn set_keys(&mut self, keys: Vec<Key>) {
        self.keys = keys;
    }

    pub fn set_password(&mut self, password: Hidden) {
        if let Some((_, known)) = &mut self.login {
            *known = password;
        }
    }

    pub fn set_key_state(&mut self, state: KeyState) {
        for key in &mut self.keys {
            key.state = state;
        }
    }
}

/// An address or a network, like `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Network { address, prefix })
    }

    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        let holds = |network: &str, address: &str| Network::parse(network).unwrap().holds(address.parse().unwrap());
        assert!(holds("0.0.0.0/0", "203.0.113.24") && holds("203.0.113.0/24", "203.0.113.24"));
        assert!(holds("::/0", "::1") && holds("203.0.113.24", "203.0.113.24"));
        assert!(!holds("203.0.113.0/24", "203.0.114.1") && !holds("0.0.0.0/0", "::1"));
        assert_eq!(Network::parse("203.0.113.0/33"), None);
    }

    #[test]
    fn a_session_lives_its_time_and_then_gives_what_the_scenario_says() {
        let now: Timestamp = "2026-03-02T07:00:00Z".parse().unwrap();
        let mut access = Access::new(&AccountScenario::default(), 1);
        let (token, ends) = access.log_in(now, Duration::from_secs(3600));
        let check = |access: &Access, at| access.check(token.reveal(), at, EndedSession::Expired);
        assert_eq!(check(&access, now), Some(Ok(())));
        assert_eq!(check(&access, ends), Some(Err(ApiError::access_token_expired())));
        assert_eq!(access.end_sessions(now), 1);
        assert_eq!(check(&access, now), Some(Err(ApiError::access_token_expired())));
        access.log_out(token.reveal());
        assert_eq!(check(&access, now), None);
    }
}
