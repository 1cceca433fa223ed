//! The words of the domain: accounts, services, calls and their identities.

use std::fmt;
use std::sync::Arc;

/// The stable name of an account: part of every record key and state key.
///
/// A configured account is `acme`; a customer of the agency account `acme` is `acme.90211`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The account of one customer behind an agency credential.
    pub fn of_customer(agency: &AccountId, customer: i64) -> Self {
        Self(format!("{agency}.{customer}").into())
    }

    /// Whether this is a customer behind that agency credential.
    pub fn is_customer_of(&self, agency: &AccountId) -> bool {
        self.0.strip_prefix(agency.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The brand whose Data API serves an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Comagic,
    Uis,
    Callgear,
    Novofon,
    /// A Data API at an address of the user's own choice.
    Custom,
}

impl Service {
    /// The brands that have an address of their own.
    pub const BRANDS: [Service; 4] = [Self::Comagic, Self::Uis, Self::Callgear, Self::Novofon];

    /// The name in the configuration, in events and in `ce_source`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comagic => "comagic",
            Self::Uis => "uis",
            Self::Callgear => "callgear",
            Self::Novofon => "novofon",
            Self::Custom => "custom",
        }
    }

    /// The documented address; none for a custom one (data-api, 1).
    pub const fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Comagic => Some("https://dataapi.comagic.ru/v2.0"),
            Self::Uis => Some("https://dataapi.uiscom.ru/v2.0"),
            Self::Callgear => Some("https://dataapi.callgear.com/v2.0"),
            Self::Novofon => Some("https://dataapi-jsonrpc.novofon.ru/v2.0"),
            Self::Custom => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The id of a row of a report, unique within account and stream. Ids pass 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i64);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A phone number that tells one caller from another and nobody who it is: `7999***1122`.
pub fn masked_number(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    match characters.as_slice() {
        [a, b, c, d, .., w, x, y, z] if characters.len() > 10 => format!("{a}{b}{c}{d}***{w}{x}{y}{z}"),
        [.., y, z] if characters.len() > 4 => format!("***{y}{z}"),
        _ => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_shown_in_full() {
        for (number, masked) in [("79991231122", "7999***1122"), ("4951122", "***22"), ("7112", "***"), ("", "***")] {
            assert_eq!(masked_number(number), masked);
        }
    }
}
