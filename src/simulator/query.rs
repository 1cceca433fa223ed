//! The parameters of a method with rows, checked as strictly as the documents are.

use jiff::{Span, civil::DateTime};
use serde_json::{Map, Value};

use super::{
    error::ApiError,
    filter::Filter,
    row::ColumnIndex,
    scenario::MaxWindow,
    spec::{ExtraParam, Kind, Method},
};

const DEFAULT_LIMIT: u64 = 1000;
const MAX_LIMIT: u64 = 10_000;
const MAX_OFFSET: u64 = 100_000;

/// What a request asks for.
#[derive(Debug)]
pub struct Query {
    pub method: &'static Method,
    pub window: Option<(DateTime, DateTime)>,
    pub limit: usize,
    pub offset: usize,
    pub filter: Option<Filter>,
    /// In the order asked for.
    pub columns: Vec<ColumnIndex>,
    pub sort: Vec<SortKey>,
    pub include_ongoing: bool,
    pub chat_ids: Option<Vec<i64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    pub column: ColumnIndex,
    pub descending: bool,
}

/// The server's habits that decide which parameters it takes.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    pub max_window: MaxWindow,
    /// The brand documents the operators beyond the common ones.
    pub more_operators: bool,
}

impl Query {
    pub fn parse(method: &'static Method, params: &Map<String, Value>, habits: Habits) -> Result<Query, ApiError> {
        for extra in &method.extra {
            check_extra(extra, params)?;
        }
        let chat_ids = chat_ids(params);
        let window = window(method, params, habits.max_window)?;
        if method.name == "get.chat_messages_report" && window.is_none() && chat_ids.is_none() {
            return Err(ApiError::required_parameter_missed("chat_id"));
        }
        let filter = match params.get("filter") {
            None => None,
            Some(filter) => Some(Filter::parse(filter, method, habits.more_operators)?),
        };
        Ok(Query {
            method,
            window,
            limit: number(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
            offset: number(params, "offset", 0, 0, MAX_OFFSET)?,
            filter,
            columns: columns(method, params)?,
            sort: sort(method, params)?,
            include_ongoing: params.get("include_ongoing_calls") == Some(&Value::Bool(true)),
            chat_ids,
        })
    }

    pub fn asks_for_every_column(&self) -> bool {
        let mut asked = vec![false; self.method.columns.len()];
        for &column in &self.columns {
            asked[column] = true;
        }
        asked.into_iter().all(|asked| asked)
    }
}

/// Refuses parameters that the method does not take.
pub fn check_names(params: &Map<String, Value>, takes: impl Fn(&str) -> bool) -> Result<(), ApiError> {
    match params.keys().find(|name| !takes(name)) {
        Some(unknown) => Err(ApiError::unexpected_parameters(unknown)),
        None => Ok(()),
    }
}

fn check_extra(extra: &ExtraParam, params: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(value) = params.get(&extra.name) else {
        if extra.required {
            return Err(ApiError::required_parameter_missed(&extra.name));
        }
        return Ok(());
    };
    let fits = match extra.kind {
        Kind::Number => value.is_i64() || value.is_u64(),
        Kind::Boolean => value.is_boolean(),
        Kind::Array => value.as_array().is_some_and(|ids| ids.iter().all(Value::is_i64)),
        Kind::Object => value.is_object(),
        Kind::String | Kind::Enum | Kind::Iso8601 => value.is_string(),
    };
    if fits {
        return Ok(());
    }
    Err(ApiError::data_type_error(&extra.name, value))
}

fn chat_ids(params: &Map<String, Value>) -> Option<Vec<i64>> {
    let one = params.get("chat_id").and_then(Value::as_i64);
    let several = params.get("chat_ids").and_then(Value::as_array);
    let several = several.into_iter().flatten().filter_map(Value::as_i64);
    let ids: Vec<i64> = one.into_iter().chain(several).collect();
    (!ids.is_empty()).then_some(ids)
}

fn window(
    method: &Method,
    params: &Map<String, Value>,
    max_window: MaxWindow,
) -> Result<Option<(DateTime, DateTime)>, ApiError> {
    let (from, till) = match (date(params, "date_from")?, date(params, "date_till")?) {
        (None, None) => return Ok(None),
        (Some(from), Some(till)) => (from, till),
        (None, _) => return Err(ApiError::required_parameter_missed("date_from")),
        (_, None) => return Err(ApiError::required_parameter_missed("date_till")),
    };
    if from > till {
        return Err(ApiError::invalid_parameters_combination("date_till"));
    }
    let longest = match (method.max_days, max_window) {
        (Some(days), _) | (None, MaxWindow::Days(days)) => Span::new().days(i64::from(days)),
        (None, MaxWindow::ThreeMonths) => Span::new().months(3),
    };
    match from.checked_add(longest) {
        Ok(latest) if till > latest => Err(ApiError::date_interval_limit_reached()),
        _ => Ok(Some((from, till))),
    }
}

/// A date in the one documented form, to the letter.
fn date(params: &Map<String, Value>, name: &str) -> Result<Option<DateTime>, ApiError> {
    let Some(value) = params.get(name) else {
        return Ok(None);
    };
    let Some(text) = value.as_str() else {
        return Err(ApiError::data_type_error(name, value));
    };
    let parsed = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok();
    match parsed.filter(|_| text.len() == "2026-03-02 10:15:04".len()) {
        Some(date) => Ok(Some(date)),
        None => Err(ApiError::invalid_parameter_value(name, value)),
    }
}

fn number(params: &Map<String, Value>, name: &str, default: u64, min: u64, max: u64) -> Result<usize, ApiError> {
    let Some(value) = params.get(name) else {
        return Ok(default as usize);
    };
    if !value.is_number() {
        return Err(ApiError::data_type_error(name, value));
    }
    match value.as_u64() {
        Some(number) if (min..=max).contains(&number) => Ok(number as usize),
        _ => Err(ApiError::invalid_parameter_value(name, value)),
    }
}

fn columns(method: &Method, params: &Map<String, Value>) -> Result<Vec<ColumnIndex>, ApiError> {
    let Some(fields) = params.get("fields") else {
        let defaults = method.columns.iter().enumerate().filter(|(_, column)| column.default);
        return Ok(defaults.map(|(index, _)| index).collect());
    };
    let names = fields.as_array().ok_or_else(|| ApiError::data_type_error("fields", fields))?;
    if names.is_empty() {
        return Err(ApiError::invalid_parameter_value("fields", fields));
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let name = name.as_str().ok_or_else(|| ApiError::data_type_error("fields", name))?;
        let column = method.column_index(name).ok_or_else(|| ApiError::unexpected_parameters(name))?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

fn sort(method: &Method, params: &Map<String, Value>) -> Result<Vec<SortKey>, ApiError> {
    let Some(sort) = params.get("sort") else {
        return Ok(Vec::new());
    };
    let keys = sort.as_array().ok_or_else(|| ApiError::data_type_error("sort", sort))?;
    keys.iter().map(|key| sort_key(method, key)).collect()
}

fn sort_key(method: &Method, key: &Value) -> Result<SortKey, ApiError> {
    let object = key.as_object().ok_or_else(|| ApiError::data_type_error("sort", key))?;
    let unknown = object.keys().find(|name| !matches!(name.as_str(), "field" | "order"));
    if let Some(unknown) = unknown {
        return Err(ApiError::unexpected_parameters(format!("sort.{unknown}")));
    }
    let field = match object.get("field") {
        Some(Value::String(field)) => field,
        Some(other) => return Err(ApiError::data_type_error("sort.field", other)),
        None => return Err(ApiError::required_parameter_missed("sort.field")),
    };
    let column = method.column_index(field).ok_or_else(|| ApiError::unexpected_parameters(field))?;
    if !method.columns[column].sort {
        return Err(ApiError::sort_prohibited(field));
    }
    let descending = match object.get("order") {
        None => false,
        Some(order) if order == "asc" => false,
        Some(order) if order == "desc" => true,
        Some(other) => return Err(ApiError::invalid_parameter_value("sort.order", other)),
    };
    Ok(SortKey { column, descending })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::spec::calls_report;

    fn refusal(changes: Value) -> &'static str {
        refusal_with(MaxWindow::Days(90), changes)
    }

    fn refusal_with(max_window: MaxWindow, changes: Value) -> &'static str {
        let mut params = json!({"date_from": "2026-03-02 00:00:00", "date_till": "2026-03-02 23:59:59"});
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => params.as_object_mut().unwrap().remove(name),
                value => params.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        let params = params.as_object().unwrap();
        let habits = Habits { max_window, more_operators: true };
        let checked = check_names(params, |name| calls_report().takes(name));
        match checked.and_then(|()| Query::parse(calls_report(), params, habits)) {
            Ok(_) => "accepted",
            Err(error) => error.mnemonic,
        }
    }

    #[test]
    fn limit_and_offset_have_their_documented_bounds() {
        for (changes, expected) in [
            (json!({"limit": 10_000, "offset": 100_000}), "accepted"),
            (json!({"limit": 10_001}), "invalid_parameter_value"),
            (json!({"limit": 0}), "invalid_parameter_value"),
            (json!({"offset": 100_001}), "invalid_parameter_value"),
            (json!({"offset": -1}), "invalid_parameter_value"),
            (json!({"limit": "10"}), "data_type_error"),
        ] {
            assert_eq!(refusal(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn dates_are_required_and_have_one_form() {
        for (changes, expected) in [
            (json!({"date_from": null}), "required_parameter_missed"),
            (json!({"date_till": null}), "required_parameter_missed"),
            (json!({"date_from": "2026-03-02T00:00:00"}), "invalid_parameter_value"),
            (json!({"date_from": "2026-03-02"}), "invalid_parameter_value"),
            (json!({"date_from": 1_772_438_400}), "data_type_error"),
            (json!({"date_from": "2026-03-03 00:00:00"}), "invalid_parameters_combination"),
        ] {
            assert_eq!(refusal(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn the_window_is_limited_in_days_or_calendar_months() {
        let window = |from: &str, till: &str| json!({"date_from": format!("{from} 00:00:00"), "date_till": format!("{till} 00:00:00")});
        let ninety = window("2026-01-01", "2026-04-01");
        let ninety_two = window("2026-03-01", "2026-06-01");
        assert_eq!(refusal(ninety), "accepted");
        assert_eq!(refusal(ninety_two.clone()), "date_interval_limit_reached");
        assert_eq!(refusal_with(MaxWindow::ThreeMonths, ninety_two), "accepted");
        let more = window("2026-03-01", "2026-06-02");
        assert_eq!(refusal_with(MaxWindow::ThreeMonths, more), "date_interval_limit_reached");
    }

    #[test]
    fn names_that_the_method_does_not_have_are_refused() {
        for (changes, expected) in [
            (json!({"chat_id": 5}), "unexpected_parameters"),
            (json!({"fields": ["id", "updated_at"]}), "unexpected_parameters"),
            (json!({"fields": "id"}), "data_type_error"),
            (json!({"sort": [{"field": "id"}]}), "sort_prohibited"),
            (json!({"sort": [{"field": "start_time", "order": "up"}]}), "invalid_parameter_value"),
            (json!({"sort": [{"field": "start_time", "by": 1}]}), "unexpected_parameters"),
            (json!({"include_ongoing_calls": "yes"}), "data_type_error"),
        ] {
            assert_eq!(refusal(changes.clone()), expected, "{changes}");
        }
    }
}
