//! The JSON-RPC envelope: reading a request, writing an answer.

use serde_json::{Map, Value};

use super::{
    error::ApiError,
    scenario::{MetaData, Variants},
};

/// A request whose envelope is right.
pub struct Request {
    /// JSON text, to be repeated as it came.
    pub id: String,
    pub method: String,
    pub params: Map<String, Value>,
}

/// The answer to a request, before it is put into an envelope.
pub struct Success {
    /// JSON text of `data`.
    pub data: String,
    pub metadata: Option<Map<String, Value>>,
    pub n_rows: usize,
    pub total_items: Option<usize>,
}

impl Success {
    pub fn without_metadata(data: Value) -> Success {
        Success { data: data.to_string(), metadata: None, n_rows: 0, total_items: None }
    }
}

impl Request {
    /// Reads a body; a refusal comes with the id that its answer repeats, `null` when none could be read.
    pub fn parse(body: &[u8]) -> Result<Request, (String, ApiError)> {
        let without_id = |error| ("null".to_owned(), error);
        let value: Value = serde_json::from_slice(body).map_err(|_| without_id(ApiError::parse_error()))?;
        let mut object = match value {
            Value::Object(object) => object,
            Value::Array(_) => return Err(without_id(ApiError::batch_operations_not_supported())),
            _ => return Err(without_id(ApiError::invalid_request())),
        };
        let id = match object.remove("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => id.to_string(),
            Some(_) => return Err(without_id(ApiError::invalid_request())),
            None => return Err(without_id(ApiError::notifications_not_supported())),
        };
        let version = object.remove("jsonrpc");
        let method = object.remove("method");
        let params = object.remove("params");
        match (version, method, params) {
            (Some(version), Some(Value::String(method)), Some(Value::Object(params)))
                if version == "2.0" && object.is_empty() =>
            {
                Ok(Request { id, method, params })
            }
            _ => Err((id, ApiError::invalid_request())),
        }
    }
}

/// The text of a successful answer.
pub fn success(id: &str, method: &str, success: &Success, variants: Variants) -> String {
    let mut text = String::with_capacity(success.data.len() + 512);
    text.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    text.push_str(id);
    text.push_str(",\"result\":{");
    if let Some(metadata) = &success.metadata {
        let misspelt = match variants.meta_data {
            MetaData::Never => false,
            MetaData::GetAccount => method == "get.account",
            MetaData::Always => true,
        };
        let key = if misspelt { "meta_data" } else { "metadata" };
        text.push_str(&format!("\"{key}\":{},", Value::Object(metadata.clone())));
    }
    text.push_str("\"data\":");
    text.push_str(&success.data);
    text.push_str("}}");
    text
}

/// The text of a refusal.
pub fn refusal(id: &str, error: &ApiError, metadata: Option<Value>, variants: Variants) -> String {
    let id = if variants.null_error_id { "null" } else { id };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{}}}", error.to_json(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_envelope_is_taken() {
        let mnemonic = |body: &str| match Request::parse(body.as_bytes()) {
            Ok(_) => "accepted",
            Err((_, error)) => error.mnemonic,
        };
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"get.tags","params":{}}"#, "accepted"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"get.tags","params":{}}"#, "accepted"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"get.tags"}"#, "invalid_request"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"get.tags","params":{}}"#, "invalid_request"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"get.tags","params":{}}"#, "invalid_request"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"get.tags","params":[]}"#, "invalid_request"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"get.tags","params":{},"x":1}"#, "invalid_request"),
            (r#"{"jsonrpc":"2.0","method":"get.tags","params":{}}"#, "notifications_not_supported"),
            (r#"[{"jsonrpc":"2.0"}]"#, "batch_operations_not_supported"),
            (r#"{"jsonrpc":"2.0","#, "parse_error"),
        ];
        for (body, expected) in cases {
            assert_eq!(mnemonic(body), expected, "{body}");
        }
    }
}
