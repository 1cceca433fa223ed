//! What the Data API documents about its methods: parameters, columns and their flags.
//!
//! The facts are data (`data/methods.json`), not code, so that a column that the vendor adds is one line. The file is
//! part of the program and parsed once; the tests below prove that it parses.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

/// A method that answers with rows, as the documents describe it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    #[serde(rename = "method")]
    pub name: String,
    /// Whether an agency credential may call it.
    pub partner: bool,
    /// Whether a plain customer's credential may call it.
    pub customer: bool,
    /// Any one of these components must be connected; empty: none is needed.
    pub components: Vec<String>,
    /// The common parameters that this method takes, besides `access_token`.
    pub params: Vec<String>,
    /// The parameters of this method alone.
    pub extra: Vec<ExtraParam>,
    /// The column that `date_from` and `date_till` cut; none for dictionaries.
    pub date_column: Option<String>,
    /// The method's own longest window, when it is shorter than that of the other reports.
    pub max_days: Option<u16>,
    pub columns: Vec<Column>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraParam {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub required: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(default)]
    pub filter: bool,
    #[serde(default)]
    pub sort: bool,
    /// Comes back when `fields` is not sent.
    #[serde(default)]
    pub default: bool,
    #[serde(default)]
    pub nested: Vec<NestedColumn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Number,
    String,
    Boolean,
    Iso8601,
    Enum,
    Array,
    Object,
}

impl Method {
    /// The method of this name; `login.user` and `logout.user` have no rows and are not here.
    pub fn named(name: &str) -> Option<&'static Method> {
        METHODS.by_name.get(name).map(|&index| &METHODS.all[index])
    }

    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub fn takes(&self, parameter: &str) -> bool {
        parameter == "access_token"
            || self.params.iter().any(|name| name == parameter)
            || self.extra.iter().any(|extra| extra.name == parameter)
    }
}

impl Column {
    /// What stands for "nothing" in this column by the documented rule, as JSON text.
    pub fn empty(&self) -> &'static str {
        match self.kind {
            Kind::Array => "[]",
            Kind::Object => "{}",
            _ => "null",
        }
    }
}

pub const CALLS_REPORT: &str = "get.calls_report";

/// `get.calls_report`, the method that the simulator generates rows for.
pub fn calls_report() -> &'static Method {
    &METHODS.all[METHODS.calls_report]
}

struct Methods {
    all: Vec<Method>,
    by_name: HashMap<String, usize>,
    calls_report: usize,
}

static METHODS: LazyLock<Methods> = LazyLock::new(|| {
    // The text is compiled in and the tests of this module parse it.
    let all: Vec<Method> = serde_json::from_str(include_str!("data/methods.json"))
        .expect("data/methods.json is part of the program and well formed");
    let by_name: HashMap<String, usize> =
        all.iter().enumerate().map(|(index, method)| (method.name.clone(), index)).collect();
    let calls_report = by_name[CALLS_REPORT];
    Methods { all, by_name, calls_report }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_facts_parse_and_hold_every_report_and_dictionary() {
        assert_eq!(METHODS.all.len(), 17);
        let calls = calls_report();
        assert_eq!(calls.columns[0].name, "id");
        assert_eq!(calls.columns.len(), 105);
        assert!(calls.takes("include_ongoing_calls") && !calls.takes("chat_id"));
    }

    #[test]
    fn flags_of_the_columns_follow_the_documents() {
        let calls = calls_report();
        let column = |name: &str| &calls.columns[calls.column_index(name).unwrap()];
        assert!(!column("start_time").filter && column("start_time").sort);
        assert!(column("id").filter && !column("id").sort);
        assert_eq!(column("tags").empty(), "[]");
        assert_eq!(column("sale_cost").empty(), "null");
        assert_eq!(column("tags").nested.len(), 8);
    }
}
