//! The `filter` parameter: a simple filter or a tree of them, checked by the documented rules and applied to rows.
//!
//! A comparison with an empty cell is false, as in SQL; only `= null` and `is_null` find empty cells. `regexp` and
//! `jsquery` are documented but not imitated: they are refused with a text that says so.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    error::ApiError,
    row::ColumnIndex,
    spec::{Kind, Method},
};

#[derive(Debug)]
pub enum Filter {
    Test(Test),
    All(Vec<Filter>),
    Any(Vec<Filter>),
}

#[derive(Debug)]
pub struct Test {
    column: ColumnIndex,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Like { case: bool, negated: bool },
    In { negated: bool },
    Overlap { negated: bool },
    IsNull { negated: bool },
}

impl Filter {
    /// Reads a filter; `more_operators`: the brand documents those beyond the common ones.
    pub fn parse(value: &Value, method: &Method, more_operators: bool) -> Result<Filter, ApiError> {
        let object = value.as_object().ok_or_else(|| ApiError::data_type_error("filter", value))?;
        let is_tree = object.contains_key("filters") || object.contains_key("condition");
        let known: &[&str] = if is_tree { &["filters", "condition"] } else { &["field", "operator", "value"] };
        if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(ApiError::unexpected_parameters(format!("filter.{unknown}")));
        }
        if !is_tree {
            return Test::parse(object, method, more_operators).map(Filter::Test);
        }
        let members = object.get("filters").ok_or_else(|| ApiError::required_parameter_missed("filter.filters"))?;
        let members = members.as_array().ok_or_else(|| ApiError::data_type_error("filter.filters", members))?;
        let members = members
            .iter()
            .map(|member| Filter::parse(member, method, more_operators))
            .collect::<Result<Vec<Filter>, ApiError>>()?;
        match object.get("condition") {
            Some(condition) if condition == "and" => Ok(Filter::All(members)),
            Some(condition) if condition == "or" => Ok(Filter::Any(members)),
            Some(other) => Err(ApiError::invalid_parameter_value("filter.condition", other)),
            None => Err(ApiError::required_parameter_missed("filter.condition")),
        }
    }

    /// Whether a row passes; `cell` gives the row's value of a column.
    pub fn passes(&self, cell: &dyn Fn(ColumnIndex) -> Value) -> bool {
        match self {
            Filter::Test(test) => test.passes(&cell(test.column)),
            Filter::All(members) => members.iter().all(|member| member.passes(cell)),
            Filter::Any(members) => members.iter().any(|member| member.passes(cell)),
        }
    }
}

impl Test {
    fn parse(object: &serde_json::Map<String, Value>, method: &Method, more_operators: bool) -> Result<Test, ApiError> {
        let text = |key: &str| match object.get(key) {
            None => Err(ApiError::required_parameter_missed(format!("filter.{key}"))),
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(other) => Err(ApiError::data_type_error(format!("filter.{key}"), other)),
        };
        let field = text("field")?;
        let column = method.column_index(field).ok_or_else(|| ApiError::unexpected_parameters(field))?;
        if !method.columns[column].filter {
            return Err(ApiError::filter_prohibited(field));
        }
        let operator = Operator::parse(text("operator")?, more_operators)?;
        let value = object.get("value").cloned().unwrap_or(Value::Null);
        check_value(operator, method.columns[column].kind, &value)?;
        Ok(Test { column, operator, value })
    }

    fn passes(&self, cell: &Value) -> bool {
        match self.operator {
            Operator::Equal if self.value.is_null() => is_empty(cell),
            Operator::NotEqual if self.value.is_null() => !is_empty(cell),
            Operator::IsNull { negated } => is_empty(cell) != negated,
            _ if cell.is_null() => false,
            Operator::Equal => compare(cell, &self.value) == Some(Ordering::Equal),
            Operator::NotEqual => compare(cell, &self.value) != Some(Ordering::Equal),
            Operator::Less => compare(cell, &self.value).is_some_and(Ordering::is_lt),
            Operator::Greater => compare(cell, &self.value).is_some_and(Ordering::is_gt),
            Operator::LessOrEqual => compare(cell, &self.value).is_some_and(Ordering::is_le),
            Operator::GreaterOrEqual => compare(cell, &self.value).is_some_and(Ordering::is_ge),
            Operator::Like { case, negated } => self.is_like(cell, case) != negated,
            Operator::In { negated } => self.values().any(|value| value == cell) != negated,
            Operator::Overlap { negated } => {
                let cells = cell.as_array().into_iter().flatten();
                cells.into_iter().any(|item| self.values().any(|value| value == item)) != negated
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = &Value> {
        self.value.as_array().into_iter().flatten()
    }

    fn is_like(&self, cell: &Value, case: bool) -> bool {
        let (Some(text), Some(pattern)) = (cell.as_str(), self.value.as_str()) else {
            return false;
        };
        if case {
            return matches_like(text, pattern);
        }
        matches_like(&text.to_lowercase(), &pattern.to_lowercase())
    }
}

impl Operator {
    fn parse(name: &str, more_operators: bool) -> Result<Operator, ApiError> {
        let common = match name {
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            ">" => Operator::Greater,
            "<=" => Operator::LessOrEqual,
            ">=" => Operator::GreaterOrEqual,
            "in" => Operator::In { negated: false },
            "like" => Operator::Like { case: true, negated: false },
            "regexp" | "jsquery" => {
                let message = format!("operator `{name}` is not imitated by the simulator");
                return Err(ApiError::dynamic(message));
            }
            _ => return Operator::parse_more(name, more_operators),
        };
        Ok(common)
    }

    fn parse_more(name: &str, allowed: bool) -> Result<Operator, ApiError> {
        let operator = match name {
            "ilike" => Operator::Like { case: false, negated: false },
            "not_like" => Operator::Like { case: true, negated: true },
            "not_ilike" => Operator::Like { case: false, negated: true },
            "not_in" => Operator::In { negated: true },
            "overlap" => Operator::Overlap { negated: false },
            "not_overlap" => Operator::Overlap { negated: true },
            "is_null" => Operator::IsNull { negated: false },
            "is_not_null" => Operator::IsNull { negated: true },
            _ => return Err(ApiError::invalid_parameter_value("filter.operator", &name.into())),
        };
        if allowed {
            return Ok(operator);
        }
        Err(ApiError::invalid_parameter_value("filter.operator", &name.into()))
    }
}

/// Which operator goes with which column, and which value with both.
fn check_value(operator: Operator, kind: Kind, value: &Value) -> Result<(), ApiError> {
    let wrong_type = || ApiError::data_type_error("filter.value", value);
    let wrong_operator = || ApiError::invalid_parameter_value("filter.operator", value);
    match operator {
        Operator::IsNull { .. } if value.is_null() => Ok(()),
        Operator::IsNull { .. } => Err(wrong_type()),
        Operator::Equal | Operator::NotEqual if value.is_null() => Ok(()),
        Operator::Overlap { .. } if kind != Kind::Array => Err(wrong_operator()),
        _ if matches!(kind, Kind::Array | Kind::Object) && !matches!(operator, Operator::Overlap { .. }) => {
            Err(wrong_operator())
        }
        Operator::Less | Operator::Greater | Operator::LessOrEqual | Operator::GreaterOrEqual
            if !matches!(kind, Kind::Number | Kind::Iso8601) =>
        {
            Err(wrong_operator())
        }
        Operator::Like { .. } if !matches!(kind, Kind::String) => Err(wrong_operator()),
        Operator::In { .. } if !matches!(kind, Kind::Number | Kind::String | Kind::Enum) => Err(wrong_operator()),
        Operator::Overlap { .. } => match value.as_array() {
            Some(items) if items.iter().all(Value::is_string) => Ok(()),
            _ => Err(wrong_type()),
        },
        Operator::In { .. } => match value.as_array() {
            Some(items) if items.iter().all(|item| fits(kind, item)) => Ok(()),
            _ => Err(wrong_type()),
        },
        _ if fits(kind, value) => Ok(()),
        _ => Err(wrong_type()),
    }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::String | Kind::Enum | Kind::Iso8601 => value.is_string(),
        Kind::Array | Kind::Object => false,
    }
}

/// The order of two cells of one column; nothing for cells of different kinds.
pub fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn is_empty(cell: &Value) -> bool {
    cell.is_null() || cell.as_array().is_some_and(Vec::is_empty)
}

/// SQL's `like` with `%` alone, the only wildcard that the documents name.
fn matches_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::spec::calls_report;

    fn parse(filter: Value) -> Result<Filter, ApiError> {
        Filter::parse(&filter, calls_report(), true)
    }

    fn mnemonic(filter: Value) -> &'static str {
        parse(filter).unwrap_err().mnemonic
    }

    #[test]
    fn a_tree_passes_rows_as_written() {
        let filter = parse(json!({"condition": "and", "filters": [
            {"field": "direction", "operator": "=", "value": "in"},
            {"condition": "or", "filters": [
                {"field": "is_lost", "operator": "=", "value": true},
                {"field": "talk_duration", "operator": ">=", "value": 30}]}]}))
        .unwrap();
        let row = |direction: &'static str, lost: bool, talk: i64| {
            filter.passes(&move |column| match calls_report().columns[column].name.as_str() {
                "direction" => json!(direction),
                "is_lost" => json!(lost),
                _ => json!(talk),
            })
        };
        assert!(row("in", true, 0) && row("in", false, 30));
        assert!(!row("out", true, 60) && !row("in", false, 29));
    }

    #[test]
    fn an_empty_cell_is_found_by_null_tests_alone() {
        let test = |operator: &str, value: Value| {
            let filter = json!({"field": "sale_cost", "operator": operator, "value": value});
            parse(filter).unwrap().passes(&|_| Value::Null)
        };
        assert!(test("=", Value::Null) && test("is_null", Value::Null));
        assert!(!test("!=", json!(5)) && !test("<", json!(5)) && !test("!=", Value::Null));
    }

    #[test]
    fn what_the_documents_forbid_is_refused_by_name() {
        let simple =
            |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
        assert_eq!(mnemonic(simple("start_time", ">", json!("x"))), "filter_prohibited");
        assert_eq!(mnemonic(simple("updated_at", "=", json!(1))), "unexpected_parameters");
        assert_eq!(mnemonic(simple("id", "=", json!("1"))), "data_type_error");
        assert_eq!(mnemonic(simple("id", "~", json!(1))), "invalid_parameter_value");
        assert_eq!(mnemonic(simple("is_lost", "<", json!(true))), "invalid_parameter_value");
        assert_eq!(mnemonic(json!({"filters": [], "condition": "xor"})), "invalid_parameter_value");
        assert_eq!(mnemonic(json!({"field": "id", "op": "="})), "unexpected_parameters");
        let more = Filter::parse(&simple("id", "not_in", json!([1])), calls_report(), false);
        assert_eq!(more.unwrap_err().mnemonic, "invalid_parameter_value");
    }

    #[test]
    fn like_knows_the_percent_sign() {
        let cases = [
            ("Окна Москва", "Окна%", true),
            ("Окна Москва", "%Москва", true),
            ("Окна Москва", "О%а М%а", true),
            ("Окна", "Окна", true),
            ("Окна Москва", "Окна", false),
            ("aa", "a%aa", false),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(matches_like(text, pattern), expected, "{text} like {pattern}");
        }
    }
}
