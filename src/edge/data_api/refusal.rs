//! The `error` object of an answer: its fields, and the class that follows from mnemonic, code and status.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::error::{Asked, Class, Hurdle, LimitWindow};
use super::limits::SeenLimits;
use super::secret::Proof;
use super::session::LOGIN;

/// What the API said when it refused a request. All texts are free of the secrets that were sent.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: Option<i64>,
    pub mnemonic: Option<Cow<'static, str>>,
    pub message: String,
    pub field: Option<String>,
    /// `params.ip`, the caller's address as the API saw it.
    pub ip: Option<String>,
    /// `params.components`, of which at least one is missing.
    pub components: Option<String>,
    pub limit_window: LimitWindow,
    pub limit_wait: Option<Duration>,
    /// Of the HTTP answer that brought the error.
    pub status: u16,
    pub retry_after: Option<Duration>,
}

/// How an error is met, before the details that [`Class`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Retry,
    Limited,
    /// The token is not accepted; with a new one it may be. Class owner when that was tried.
    Token,
    Owner,
    Bug,
}

/// Every documented mnemonic that a reading method may meet, and how it is met (data-api, 8).
const RULINGS: &[(&str, Ruling)] = &[
    ("parse_error", Ruling::Bug),
    ("invalid_request", Ruling::Bug),
    ("method_not_found", Ruling::Bug),
    ("internal_error", Ruling::Retry),
    ("auth_error", Ruling::Owner),
    ("access_token_expired", Ruling::Token),
    ("access_token_invalid", Ruling::Token),
    ("access_token_blocked", Ruling::Token),
    ("ip_not_whitelisted", Ruling::Owner),
    ("forbidden", Ruling::Owner),
    ("method_component_disabled", Ruling::Owner),
    ("parameter_component_disabled", Ruling::Owner),
    ("tariff_restrictions", Ruling::Owner),
    ("account_inactive", Ruling::Owner),
    ("limit_exceeded", Ruling::Limited),
    ("data_type_error", Ruling::Bug),
    ("required_parameter_missed", Ruling::Bug),
    ("invalid_parameter_value", Ruling::Bug),
    ("unexpected_parameters", Ruling::Bug),
    ("invalid_parameters_combination", Ruling::Bug),
    ("error", Ruling::Bug),
    ("sort_prohibited", Ruling::Bug),
    ("filter_prohibited", Ruling::Bug),
    ("date_interval_limit_reached", Ruling::Bug),
    ("batch_operations_not_supported", Ruling::Bug),
    ("batch_opreations_not_supported", Ruling::Bug),
    ("notifications_not_supported", Ruling::Bug),
];

impl Refusal {
    pub(super) fn read(error: &Value, status: u16, retry_after: Option<Duration>, proof: Proof<'_>) -> Self {
        let data = &error["data"];
        let params = &data["params"];
        let text = |value: &Value| as_text(value).map(|text| proof.scrub(&text));
        let limit_window = limit_window(params);
        Self {
            code: error["code"].as_i64().or_else(|| error["code"].as_str()?.trim().parse().ok()),
            mnemonic: data["mnemonic"].as_str().map(|mnemonic| match lookup(mnemonic) {
                Some((documented, _)) => documented.into(),
                None => proof.scrub(mnemonic).into(),
            }),
            message: text(&error["message"]).unwrap_or_default(),
            field: text(&data["field"]),
            ip: text(&params["ip"]),
            components: text(&params["components"]),
            limit_window,
            limit_wait: reset(&data["metadata"], limit_window),
            status,
            retry_after,
        }
    }

    pub(super) fn ruling(&self) -> Ruling {
        let known = self.mnemonic.as_deref().and_then(|mnemonic| lookup(mnemonic).map(|(_, ruling)| ruling));
        known.or_else(|| self.code.and_then(ruling_of_code)).unwrap_or_else(|| ruling_of_status(self.status))
    }

    pub(super) fn class(&self, user_id: Option<i64>) -> Class {
        match self.ruling() {
            Ruling::Retry => Class::Retry { after: self.retry_after },
            Ruling::Limited => Class::Limited { window: self.limit_window, wait: self.limit_wait.or(self.retry_after) },
            Ruling::Token | Ruling::Owner => Class::Owner,
            Ruling::Bug if self.is_about_customer(user_id) => Class::Owner,
            Ruling::Bug => Class::Bug,
        }
    }

    pub(super) fn hurdle(&self, asked: &Asked) -> Hurdle {
        match (self.mnemonic.as_deref(), self.ruling()) {
            (Some("ip_not_whitelisted"), _) => Hurdle::Address,
            (Some("account_inactive"), _) => Hurdle::Account,
            (_, Ruling::Retry) => Hurdle::Answer,
            (_, Ruling::Limited) => Hurdle::Points,
            (_, Ruling::Token) => Hurdle::Login,
            (_, Ruling::Owner | Ruling::Bug) if asked.method == LOGIN => Hurdle::Login,
            (_, Ruling::Owner) => Hurdle::Right,
            (_, Ruling::Bug) if self.is_about_customer(asked.user_id) => Hurdle::Right,
            (_, Ruling::Bug) => Hurdle::Request,
        }
    }

    /// Whether the user of a customer, and not the request, is at fault: it came from an agency's configuration.
    pub(super) fn is_about_customer(&self, user_id: Option<i64>) -> bool {
        user_id.is_some() && self.field.as_deref() == Some("user_id")
    }

    pub(super) fn outcome(&self) -> &'static str {
        self.mnemonic.as_deref().and_then(lookup).map_or("other_error", |(name, _)| name)
    }
}

/// `Display` quotes what the API said, so that its support service recognises it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.mnemonic.as_deref().unwrap_or("error without mnemonic"))?;
        if let Some(code) = self.code {
            write!(f, " ({code})")?;
        }
        if let Some(field) = &self.field {
            write!(f, " at parameter `{field}`")?;
        }
        write!(f, ": {}", self.message.trim_end_matches('.'))
    }
}

fn lookup(mnemonic: &str) -> Option<(&'static str, Ruling)> {
    RULINGS.iter().find(|(known, _)| *known == mnemonic).copied()
}

/// For a mnemonic that is not documented, or none.
fn ruling_of_code(code: i64) -> Option<Ruling> {
    match code {
        -32603 => Some(Ruling::Retry),
        -32001 => Some(Ruling::Token),
        -32003 | -32008 | -32009 => Some(Ruling::Owner),
        -32029 => Some(Ruling::Limited),
        -32700 | -32602..=-32600 | -32004 | -32007 | -32099 => Some(Ruling::Bug),
        // The rest of the range that JSON-RPC leaves to servers: unknown trouble on the other side.
        -32099..=-32000 => Some(Ruling::Retry),
        _ => None,
    }
}

/// For an error object without a mnemonic or code that means anything.
fn ruling_of_status(status: u16) -> Ruling {
    match status {
        429 => Ruling::Limited,
        408 | 425 | 500.. => Ruling::Retry,
        401..=407 => Ruling::Owner,
        _ => Ruling::Bug,
    }
}

/// The counter that a refusal for want of points names in its `params`.
pub(super) fn limit_window(params: &Value) -> LimitWindow {
    match params["limit_type"].as_str() {
        Some("minute") => LimitWindow::Minute,
        Some("hour") => LimitWindow::Hour,
        Some("day") => LimitWindow::Day,
        _ => LimitWindow::Unknown,
    }
}

/// When the counter that ran out starts anew.
fn reset(metadata: &Value, window: LimitWindow) -> Option<Duration> {
    let limits = SeenLimits::of_metadata(metadata, Instant::now())?;
    match window {
        LimitWindow::Minute => limits.minute.reset,
        LimitWindow::Hour => limits.hour.reset,
        LimitWindow::Day => limits.day.reset,
        LimitWindow::Unknown => None,
    }
}

/// Text of a scalar, or of a list of scalars joined with commas: how `components` is written is not documented.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().filter_map(as_text).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::secret::SecretString;
    use super::*;

    fn read(error: Value, status: u16) -> Refusal {
        Refusal::read(&error, status, None, Proof::Key(&SecretString::new("key")))
    }

    fn class(code: Value, mnemonic: Option<&str>, status: u16) -> Class {
        read(json!({"code": code, "data": {"mnemonic": mnemonic}}), status).class(None)
    }

    const RETRY: Class = Class::Retry { after: None };
    const LIMITED: Class = Class::Limited { window: LimitWindow::Unknown, wait: None };

    #[test]
    fn the_mnemonic_decides_before_the_code() {
        let table = [
            (-32602, "limit_exceeded", LIMITED),
            (-32602, "forbidden", Class::Owner),
            (-32001, "internal_error", RETRY),
            (-32603, "date_interval_limit_reached", Class::Bug),
            (-32099, "batch_opreations_not_supported", Class::Bug),
            (-32602, "error", Class::Bug),
            (-32008, "parameter_component_disabled", Class::Owner),
        ];
        for (code, mnemonic, expected) in table {
            assert_eq!(class(code.into(), Some(mnemonic), 200), expected, "{code} {mnemonic}");
        }
    }

    #[test]
    fn an_unknown_mnemonic_is_met_by_the_group_of_its_code() {
        let table = [
            (-32700, Class::Bug),
            (-32600, Class::Bug),
            (-32601, Class::Bug),
            (-32602, Class::Bug),
            (-32603, RETRY),
            (-32001, Class::Owner),
            (-32003, Class::Owner),
            (-32004, Class::Bug),
            (-32007, Class::Bug),
            (-32008, Class::Owner),
            (-32009, Class::Owner),
            (-32029, LIMITED),
            (-32050, RETRY),
            (-32099, Class::Bug),
        ];
        for (code, expected) in table {
            assert_eq!(class(code.into(), Some("new_one"), 200), expected, "{code}");
            assert_eq!(class(code.to_string().into(), None, 200), expected, "{code} as text, no mnemonic");
        }
    }

    #[test]
    fn the_status_decides_when_neither_is_known() {
        for (status, expected) in [(200, Class::Bug), (403, Class::Owner), (429, LIMITED), (500, RETRY)] {
            assert_eq!(class(17.into(), Some("new_one"), status), expected, "{status}");
            assert_eq!(class(Value::Null, None, status), expected, "{status}");
        }
    }

    #[test]
    fn the_wait_is_that_of_the_counter_that_ran_out() {
        let limits = json!({"day_reset": 31877, "hour_reset": "600", "minute_reset": 12});
        let exceeded = |limit_type: Value| {
            let data = json!({"mnemonic": "limit_exceeded", "params": {"limit_type": limit_type},
                "metadata": {"limits": limits}});
            read(json!({"code": -32029, "data": data}), 200).class(None)
        };
        let wait = |window, seconds| Class::Limited { window, wait: Some(Duration::from_secs(seconds)) };

        assert_eq!(exceeded("day".into()), wait(LimitWindow::Day, 31877));
        assert_eq!(exceeded("hour".into()), wait(LimitWindow::Hour, 600));
        assert_eq!(exceeded("minute".into()), wait(LimitWindow::Minute, 12));
        assert_eq!(exceeded("week".into()), LIMITED);
        assert_eq!(exceeded(Value::Null), LIMITED);
        assert_eq!(class((-32029).into(), Some("limit_exceeded"), 200), LIMITED);
    }

    #[test]
    fn a_refusal_of_any_shape_is_read() {
        for error in [json!("boom"), json!([]), json!({}), json!({"data": "text"}), json!({"data": {"params": []}})] {
            assert_eq!(read(error.clone(), 500).class(None), RETRY, "{error}");
        }
        let listed = read(json!({"data": {"params": {"components": ["lead", "consultant", {}]}}}), 200);
        assert_eq!(listed.components.as_deref(), Some("lead, consultant"));
    }
}
