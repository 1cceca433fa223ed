//! What a person can do about an error, and where, in plain words.
//!
//! Written for somebody who configured callfeed and has access to the client area, but does not know the API.

use super::error::{Asked, Malformed};
use super::http::Fault;
use super::refusal::{Refusal, Ruling};
use super::session::LOGIN;

/// What a method needs (data-api, 9): any one of the components, and the permission of the user.
struct Needs {
    method: &'static str,
    components: &'static str,
    permission: &'static str,
}

const NEEDS: &[Needs] = &[
    Needs { method: "get.chats_report", components: "call_tracking, consultant, lead, sitephone", permission: "" },
    Needs {
        method: "get.offline_messages_report",
        components: "consultant, lead, upload_offline_messages",
        permission: "",
    },
    Needs { method: "get.goals_report", components: "call_tracking, consultant, lead, sitephone", permission: "" },
    Needs { method: "get.tags", components: "", permission: "tag_management: select" },
    Needs { method: "get.customer_users", components: "", permission: "client_user: select" },
];

pub(super) fn of_refusal(refusal: &Refusal, asked: &Asked) -> String {
    match refusal.mnemonic.as_deref() {
        Some("auth_error") => wrong_login(&asked.host),
        Some("access_token_expired") if asked.by_key => "the key's date has passed: make a new one in the client \
             area, in the settings of the user it belongs to, and put it into `credentials.api_key`"
            .to_owned(),
        Some("access_token_blocked") if asked.by_key => "the key was blocked: unblock it in the client area, in \
             the settings of the user it belongs to, or put another one into `credentials.api_key`"
            .to_owned(),
        Some("ip_not_whitelisted") => address_not_listed(refusal, asked),
        Some("forbidden") => forbidden(asked),
        Some("method_component_disabled" | "parameter_component_disabled") => component_off(refusal, asked),
        Some("account_inactive") => "the account is switched off: its owner asks the service's support why, and \
             has it switched on again; an unpaid bill is the usual reason"
            .to_owned(),
        _ if refusal.is_about_customer(asked.user_id) => unknown_customer(asked),
        _ => by_ruling(refusal, asked),
    }
}

fn by_ruling(refusal: &Refusal, asked: &Asked) -> String {
    match refusal.ruling() {
        Ruling::Retry => "nothing now, it is tried again; when it stays, tell the service's support the time and \
             the method"
            .to_owned(),
        Ruling::Limited => "nothing, reading goes on when the counter of points starts anew; if that is too late, \
             have the limits raised in the client area, or lengthen `poll.tiers`"
            .to_owned(),
        Ruling::Token if asked.by_key => format!(
            "{} does not know the key: copy it again from the client area, from the settings of the user it belongs \
             to, into `credentials.api_key`, and check that `service` is the brand that gave it: keys of CoMagic \
             and UIS are not interchangeable",
            asked.host
        ),
        Ruling::Token if asked.method == LOGIN => wrong_login(&asked.host),
        Ruling::Token => "a session was refused right after its login: check that nothing else ends the sessions \
             of this login, and that its user has access to the Data API"
            .to_owned(),
        Ruling::Owner => "the account may not do this: look at the rights of its user and at the connected \
             components in the client area, or ask the service's support"
            .to_owned(),
        Ruling::Bug => format!(
            "this is not yours to mend: callfeed and {} disagree about `{}`; report it to callfeed's makers with \
             the log line of the request (it holds no secret)",
            asked.host, asked.method
        ),
    }
}

fn wrong_login(host: &str) -> String {
    format!(
        "correct `credentials.login` and `credentials.password`, and check that `service` is the brand the login \
         belongs to (asked was {host}): logins of CoMagic and UIS are not interchangeable"
    )
}

fn address_not_listed(refusal: &Refusal, asked: &Asked) -> String {
    let address = match &refusal.ip {
        Some(ip) => format!("the address {ip}"),
        // The message names it; quoting it is not matching it.
        None => format!("the address that callfeed calls from (the API says: {})", refusal.message),
    };
    let place = "in the client area, security settings, API tab";
    match asked.user_id {
        Some(_) => format!("add {address} to the list {place}, in the agency's account and in the customer's own"),
        None => format!("add {address} to the list {place}"),
    }
}

fn forbidden(asked: &Asked) -> String {
    let Asked { method, .. } = asked;
    let permission = needs(method).map(|needs| needs.permission).filter(|permission| !permission.is_empty());
    let right = match permission {
        Some(permission) => format!("needs the permission `{permission}`"),
        None => "needs no permission of its own but access to the Data API (CallGear: component `Data API Basic \
                 set`)"
            .to_owned(),
    };
    let whose = match asked.user_id {
        Some(user_id) => format!("the user {user_id} of the customer"),
        None => "the user of this login or key".to_owned(),
    };
    let agency = match method.as_str() {
        "get.customer_users" => "; only agencies have it: for any other account set `customers: none`",
        _ => "",
    };
    format!("`{method}` {right}: give it to {whose} in the client area, in the user's rights{agency}")
}

fn component_off(refusal: &Refusal, asked: &Asked) -> String {
    let documented = || needs(&asked.method).map(|needs| needs.components).filter(|list| !list.is_empty());
    let components = match refusal.components.as_deref().or_else(documented) {
        Some(list) => format!("at least one of the components {}", spaced(list)),
        None => "the Data API".to_owned(),
    };
    format!(
        "`{}` needs a component that is not connected: connect {components} in the client area, in the tariff and \
         its components, or ask your manager at the service; the Data API is not part of a trial",
        asked.method
    )
}

fn unknown_customer(asked: &Asked) -> String {
    let user_id = asked.user_id.map(|user_id| user_id.to_string()).unwrap_or_default();
    format!(
        "the user {user_id} of a customer is not accepted: compare `customers` with the users that the agency sees \
         in the client area; the customer may have left or the user may be deleted"
    )
}

pub(super) fn of_fault(fault: &Fault, host: &str) -> String {
    match fault {
        Fault::Timeout(_) => format!("nothing now, it is tried again; when {host} stays slow, raise `http.timeout`"),
        Fault::Dns(_) => format!("check the spelling of {host} in `service`, and the name server of this machine"),
        Fault::Tls(_) => format!(
            "check that this machine's clock is right and that {host} is reached directly; when a company proxy \
             opens TLS, name the file with its CA in `http.ca_file`"
        ),
        Fault::Connect(_) => {
            format!("check that this machine may connect to {host} (firewall), and `http.proxy` if one is needed")
        }
        Fault::Broken(_) => "nothing now, it is tried again; when it stays, look at proxies and firewalls on the \
             way"
        .to_owned(),
    }
}

pub(super) const OF_NO_ROOM: &str =
    "nothing now, it is tried again; when it happens often, raise `limits.memory` or lower `poll.page_size`";

pub(super) fn of_malformed(malformed: &Malformed, host: &str) -> String {
    match malformed {
        Malformed::TooLarge { .. } => "raise `limits.memory`, or lower `poll.page_size` of the account".to_owned(),
        Malformed::WebPage => format!(
            "something between here and {host} answers in its place, or `service` names a web site: check the \
             address and `http.proxy`"
        ),
        _ => format!(
            "nothing now, it is tried again; when it stays, check that {host} is a Data API and that no proxy \
             changes answers"
        ),
    }
}

pub(super) fn of_status(status: u16, host: &str) -> String {
    match status {
        407 => "the proxy asks for a password: put it into the address in `http.proxy`".to_owned(),
        300..=399 | 404 | 405 | 410 | 421 => {
            format!("the address answers, but not as a Data API: check the address of {host} in `service`")
        }
        401..=403 | 406 | 451 => format!(
            "{host}, or a proxy before it, lets nobody in from here: check the list of addresses in the client area \
             (security settings, API tab) and `http.proxy`"
        ),
        408 | 425 | 429 | 500.. => "nothing now, it is tried again; when it stays for hours, ask the service's \
             support"
            .to_owned(),
        _ => "the server takes the request for wrong: report it to callfeed's makers with the log line of the \
             request (it holds no secret)"
            .to_owned(),
    }
}

pub(super) fn of_secret(secret: &str) -> String {
    format!("make `credentials.{secret}` readable for callfeed: the variable set, the file there and not empty")
}

fn needs(method: &str) -> Option<&'static Needs> {
    NEEDS.iter().find(|needs| needs.method == method)
}

/// `a,b` and `a, b` alike.
fn spaced(list: &str) -> String {
    list.split(',').map(str::trim).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::secret::{Proof, SecretString};
    use super::*;

    const REPORT: &str = "get.goals_report";

    fn asked(method: &str) -> Asked {
        let (request_id, host) = ("q-1".into(), "dataapi.comagic.ru".into());
        Asked { request_id, method: method.into(), host, user_id: None, by_key: true }
    }

    fn of_customer(method: &str) -> Asked {
        Asked { user_id: Some(5), ..asked(method) }
    }

    fn by_login(method: &str) -> Asked {
        Asked { by_key: false, ..asked(method) }
    }

    #[track_caller]
    fn says(parts: &[&str], asked: Asked, mnemonic: &str, params: Value) {
        let data = json!({"mnemonic": mnemonic, "params": params});
        let error = json!({"code": -32001, "message": "Your IP 203.0.113.24 is not whitelisted", "data": data});
        let refusal = Refusal::read(&error, 200, None, Proof::Key(&SecretString::new("key")));
        let remedy = of_refusal(&refusal, &asked);
        for part in parts {
            assert!(remedy.contains(part), "`{part}` is not in: {remedy}");
        }
        assert!(!remedy.contains("  ") && !remedy.ends_with('.'), "{remedy}");
    }

    #[test]
    fn an_address_that_is_not_listed_is_named_with_the_place_of_the_list() {
        let ip = json!({"ip": "203.0.113.24"});
        says(&["the address 203.0.113.24 ", "security settings, API tab"], asked(REPORT), "ip_not_whitelisted", ip);
        says(&["203.0.113.24"], asked(REPORT), "ip_not_whitelisted", Value::Null);
        let both = "in the agency's account and in the customer's own";
        says(&[both], of_customer(REPORT), "ip_not_whitelisted", Value::Null);
    }

    #[test]
    fn a_wrong_login_or_key_tells_of_the_brands() {
        for mnemonic in ["auth_error", "new_one"] {
            let parts = ["`credentials.password`", "dataapi.comagic.ru", "CoMagic and UIS are not interchangeable"];
            says(&parts, by_login("login.user"), mnemonic, Value::Null);
        }
        let parts = ["`credentials.api_key`", "CoMagic and UIS are not interchangeable"];
        says(&parts, asked(REPORT), "access_token_invalid", Value::Null);
        says(&["date has passed", "`credentials.api_key`"], asked(REPORT), "access_token_expired", Value::Null);
        says(&["unblock it in the client area"], asked(REPORT), "access_token_blocked", Value::Null);
        says(&["right after its login"], by_login(REPORT), "access_token_expired", Value::Null);
    }

    #[test]
    fn missing_components_are_listed() {
        let components = json!({"components": "lead,consultant"});
        let parts = ["`get.goals_report`", "components lead, consultant ", "not part of a trial"];
        says(&parts, asked(REPORT), "method_component_disabled", components);
        let documented = "components call_tracking, consultant, lead, sitephone ";
        says(&[documented], asked(REPORT), "method_component_disabled", Value::Null);
        says(&["connect the Data API"], asked("get.tags"), "parameter_component_disabled", Value::Null);
    }

    #[test]
    fn a_missing_right_is_named_with_its_user() {
        let parts = ["`tag_management: select`", "the user of this login or key"];
        says(&parts, asked("get.tags"), "forbidden", Value::Null);
        says(&["Data API Basic set", "the user 5 of the customer"], of_customer(REPORT), "forbidden", Value::Null);
        let parts = ["`client_user: select`", "`customers: none`"];
        says(&parts, asked("get.customer_users"), "forbidden", Value::Null);
    }
}
