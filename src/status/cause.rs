//! Why accounts are blocked, each in one word of a closed list, with what helps in a few: fit for labels of metrics.
//!
//! The reason and the remedy of an account's status say more, and name what is wrong. These say what kind of thing it is.

/// One kind of reason. The words of the Data API's own errors are its mnemonics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(&'static str);

const AS_THE_STATUS_SAYS: &str = "see the account's reason and remedy in /api/v1/accounts";
const NOTHING: &str = "nothing, it is tried again; if it lasts, see the account's reason in /api/v1/accounts";

impl Cause {
    /// `word` comes from a closed list.
    pub const fn new(word: &'static str) -> Self {
        Self(word)
    }

    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// What helps, whatever the details are.
    pub fn remedy(self) -> &'static str {
        match self.0 {
            "auth_error" => "correct login and password, and check that the brand is the one they belong to",
            "access_token_expired" | "access_token_invalid" | "access_token_blocked" => {
                "put a valid key into the account's credentials"
            }
            "ip_not_whitelisted" => "put callfeed's address on the account's list: client area, security settings",
            "forbidden" => "give the user of the login or key the right that the status names",
            "method_component_disabled" | "parameter_component_disabled" | "tariff_restrictions" => {
                "have the component switched on that the status names"
            }
            "account_inactive" => "have the account switched on again; an unpaid bill is the usual reason",
            "secret" => "make the secret readable that the status names",
            "dns" | "connect" | "tls" | "timeout" | "broken" => "check the network, proxy and address of the Data API",
            "unknown_time_zone" => "set the account's timezone to an IANA name",
            "unknown_tag" => "correct filters.tags, or make the tag in the client area",
            "registry" => "check the Schema Registry and callfeed's access to it",
            "schema_incompatible" => "see callfeed schemas check, and the subject's compatibility level",
            "schema_not_registered" => "run callfeed schemas register, or allow schema_registry.auto_register",
            "topic" | "kafka" => "check the topic and callfeed's rights in Kafka: callfeed check names what is missing",
            "state_not_restored" => "check Kafka and callfeed's rights on the state topic",
            "state_unreadable" => "run the version of callfeed that wrote it",
            "internal_error" | "http_5xx" | "malformed" | "no_room" | "paging" | "out_of_order" => NOTHING,
            _ => AS_THE_STATUS_SAYS,
        }
    }
}
