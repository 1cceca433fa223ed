//! The methods callfeed asks for: a page of a report, the account, its tags, the users of an agency's customers.
//!
//! The columns are always named: by default reports leave out some that matter (data-api, 6).

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{error, warn};

use super::Client;
use super::channel::{Answer, Call};
use super::error::{ApiError, Cause, Class, Malformed};
use super::limits::whole_number;
use super::room::Held;
use super::rows::Rows;
use crate::domain::time::LocalTime;

/// The most rows a request may ask for (data-api, 5).
const MAX_LIMIT: u32 = 10_000;

/// One page of a report: rows from `date_from` to `date_till`, sorted by `sort_by`, earliest first.
#[derive(Clone, Copy, Debug)]
pub struct ReportQuery<'a> {
    /// `get.calls_report` and its like.
    pub method: &'a str,
    /// With an agency credential, the user of the customer whose rows are read.
    pub user_id: Option<i64>,
    pub date_from: LocalTime,
    pub date_till: LocalTime,
    pub limit: u32,
    pub offset: u32,
    pub fields: &'a [&'a str],
    pub sort_by: &'a str,
}

/// A page as it came: the rows are decoded when they are asked for.
#[derive(Debug)]
pub struct Page {
    body: String,
    rows: Range<usize>,
    total_items: Option<u64>,
    room: Held,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    pub app_id: Option<i64>,
    pub name: Option<String>,
    /// IANA name of the account's zone, as the API spells it.
    pub timezone: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub id: i64,
    pub name: String,
}

/// A user of an agency's customer. `id` is what goes into `user_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerUser {
    pub id: i64,
    pub login: Option<String>,
    pub name: Option<String>,
    pub customer_id: Option<i64>,
}

impl Page {
    /// How many rows match in all, when the answer says so.
    pub fn total_items(&self) -> Option<u64> {
        self.total_items
    }

    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// What the page takes in memory, to be kept until what was made of it has left.
    pub fn into_room(self) -> Held {
        self.room
    }

    /// The rows in the order of the answer, each decoded when the iterator reaches it.
    pub fn rows<'a, T: Deserialize<'a>>(&'a self) -> Rows<'a, T> {
        Rows::of_array(&self.body[self.rows.clone()])
    }
}

impl Client {
    pub async fn report(&self, query: &ReportQuery<'_>) -> Result<Page, ApiError> {
        let params = ListParams {
            user_id: query.user_id,
            date_from: Some(query.date_from.to_string()),
            date_till: Some(query.date_till.to_string()),
            limit: query.limit,
            offset: query.offset,
            fields: query.fields,
            sort: [Sort { field: query.sort_by, order: "asc" }],
        };
        self.page(query.method, &params).await
    }

    /// The account behind the credential, or behind a user of one of an agency's customers.
    ///
    /// The documents give `get.account` no `user_id`, yet without it an agency cannot learn a customer's zone. So it
    /// is sent, and left out only when the API takes it amiss (data-api, 3).
    pub async fn account(&self, user_id: Option<i64>) -> Result<AccountInfo, ApiError> {
        let call = Call { method: "get.account", user_id, params: &AccountParams { user_id } };
        let answer = match self.ask(&call).await {
            Err(error) if user_id.is_some() && error.refuses_user_id() => {
                warn!(
                    user_id,
                    "cannot ask for the customer's account, taking the agency's: set `timezone` if it differs"
                );
                self.ask(&Call { params: &AccountParams { user_id: None }, ..call }).await
            }
            outcome => outcome,
        };
        let answer = answer.inspect_err(|error| log_if_wrong(&call, error))?;
        let data: Value = serde_json::from_str(&answer.body[answer.data]).unwrap_or_default();
        // Documented as an array with one item.
        let item = data.get(0).unwrap_or(&data);
        let malformed = Malformed::WrongData { expected: "an account with its `timezone`" };
        let timezone = text(&item["timezone"]).ok_or_else(|| self.malformed(&call, malformed))?;
        Ok(AccountInfo { app_id: integer(&item["app_id"]), name: text(&item["name"]), timezone })
    }

    /// All tags of the account, by name.
    pub async fn tags(&self, user_id: Option<i64>) -> Result<Vec<Tag>, ApiError> {
        self.list("get.tags", user_id, &["id", "name"], tag).await
    }

    /// The users of the customers of an agency, by name. Only agencies may ask.
    pub async fn customer_users(&self) -> Result<Vec<CustomerUser>, ApiError> {
        self.list("get.customer_users", None, &["id", "login", "name", "customer_id"], customer_user).await
    }

    /// Reads a list to its end, page by page. A page may be short before the end, so `total_items` decides when it
    /// is there. Rows may shift from one page to the next: one that comes twice is counted once.
    async fn list<T>(
        &self,
        method: &str,
        user_id: Option<i64>,
        fields: &[&str],
        decode: fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let sort = [Sort { field: "name", order: "asc" }];
        let mut params =
            ListParams { user_id, date_from: None, date_till: None, limit: MAX_LIMIT, offset: 0, fields, sort };
        let mut list: Vec<T> = Vec::new();
        let mut known = HashSet::new();
        loop {
            let page = self.page(method, &params).await?;
            let mut n_rows = 0;
            for row in page.rows::<Value>() {
                n_rows += 1;
                let malformed = Malformed::WrongData { expected: "rows with `id` and `name`" };
                let item = row.decoded.ok().and_then(|row| integer(&row["id"]).zip(decode(&row)));
                let call = Call { method, user_id, params: &params };
                let (id, item) = item.ok_or_else(|| self.malformed(&call, malformed))?;
                if known.insert(id) {
                    list.push(item);
                }
            }
            params.offset += n_rows;
            let all = page.total_items().map_or(n_rows < params.limit, |total| u64::from(params.offset) >= total);
            if all || n_rows == 0 {
                return Ok(list);
            }
        }
    }

    async fn page(&self, method: &str, params: &ListParams<'_>) -> Result<Page, ApiError> {
        let call = Call { method, user_id: params.user_id, params };
        let Answer { body, data, metadata, room } =
            self.ask(&call).await.inspect_err(|error| log_if_wrong(&call, error))?;
        // Null stands for an empty array in some samples (data-api, 12); then the page has no rows.
        if !body[data.clone()].starts_with(['[', 'n']) {
            return Err(self.malformed(&call, Malformed::WrongData { expected: "an array of rows" }));
        }
        Ok(Page { body, rows: data, room, total_items: whole_number(&metadata["total_items"]) })
    }

    fn malformed<P>(&self, call: &Call<'_, P>, malformed: Malformed) -> ApiError {
        self.channel.error(call.method, call.user_id, Cause::Malformed(malformed))
    }
}

/// A request that the API takes for wrong is a fault of callfeed: the log shows it, less what proves the right to ask.
fn log_if_wrong(call: &Call<'_, impl Serialize>, error: &ApiError) {
    // A login that fails on the way to the request is another request, and its parameters are secrets.
    // A `date_till` is asked for that may be too recent: the caller tells what comes of it.
    if error.class() == Class::Bug && error.method() == call.method && !error.refuses_date_till() {
        let params = serde_json::to_string(call.params).unwrap_or_default();
        error!(request_id = error.request_id(), method = call.method, params, %error, "the data api takes the request for wrong");
    }
}

#[derive(Serialize)]
struct ListParams<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_till: Option<String>,
    limit: u32,
    offset: u32,
    fields: &'a [&'a str],
    sort: [Sort<'a>; 1],
}

#[derive(Serialize)]
struct Sort<'a> {
    field: &'a str,
    order: &'static str,
}

#[derive(Serialize)]
struct AccountParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
}

fn tag(row: &Value) -> Option<Tag> {
    Some(Tag { id: integer(&row["id"])?, name: text(&row["name"])? })
}

fn customer_user(row: &Value) -> Option<CustomerUser> {
    Some(CustomerUser {
        id: integer(&row["id"])?,
        login: text(&row["login"]),
        name: text(&row["name"]),
        customer_id: integer(&row["customer_id"]),
    })
}

/// An id: a number, or the same as text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
