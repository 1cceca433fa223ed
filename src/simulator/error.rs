//! The refusals of the Data API: code, mnemonic, message and what else the documents put into `error.data`.

use serde_json::{Map, Value, json};

/// One refusal, before it is put into an envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub code: i32,
    pub mnemonic: &'static str,
    pub message: String,
    /// In a box, to keep the results that carry refusals small.
    pub details: Box<Details>,
}

/// What only some refusals have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    pub field: Option<String>,
    pub value: Option<Value>,
    pub params: Option<Value>,
    /// No document tells that it may be refused: whoever asks has no other way to learn it.
    pub undocumented: bool,
    /// Two of the documented samples repeat the limits next to the error, the others do not.
    pub with_limits: bool,
}

impl ApiError {
    fn new(code: i32, mnemonic: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { code, mnemonic, message: message.into(), details: Box::default() }
    }

    fn at(mut self, field: impl Into<String>) -> ApiError {
        self.details.field = Some(field.into());
        self
    }

    fn with_value(mut self, value: &Value) -> ApiError {
        self.details.value = Some(value.clone());
        self
    }

    fn with_params(mut self, params: Value) -> ApiError {
        self.details.params = Some(params);
        self
    }

    fn with_limits(mut self) -> ApiError {
        self.details.with_limits = true;
        self
    }

    pub fn parse_error() -> ApiError {
        ApiError::new(-32700, "parse_error", "Invalid JSON was received by the server.")
    }

    pub fn invalid_request() -> ApiError {
        let message = "Invalid Request The JSON sent is not a valid Request object";
        ApiError::new(-32600, "invalid_request", message)
    }

    pub fn method_not_found() -> ApiError {
        let message = "The method does not exist / is not available";
        ApiError::new(-32601, "method_not_found", message)
    }

    pub fn internal_error() -> ApiError {
        let message = "Internal error, contact the support service";
        ApiError::new(-32603, "internal_error", message)
    }

    pub fn auth_error() -> ApiError {
        ApiError::new(-32001, "auth_error", "Login or password is wrong")
    }

    pub fn access_token_expired() -> ApiError {
        ApiError::new(-32001, "access_token_expired", "Access token has been expired")
    }

    pub fn access_token_invalid() -> ApiError {
        ApiError::new(-32001, "access_token_invalid", "Access token is invalid")
    }

    pub fn access_token_blocked() -> ApiError {
        ApiError::new(-32001, "access_token_blocked", "Access token has been blocked")
    }

    pub fn ip_not_whitelisted(ip: std::net::IpAddr) -> ApiError {
        let message = format!("Your IP {ip} is not whitelisted");
        ApiError::new(-32003, "ip_not_whitelisted", message).with_params(json!({"ip": ip.to_string()}))
    }

    pub fn forbidden() -> ApiError {
        ApiError::new(-32003, "forbidden", "Permission denied")
    }

    pub fn method_component_disabled(components: &[String]) -> ApiError {
        let list = components.join(",");
        let message = format!("You need at least one of the following components to access this method: {list}");
        ApiError::new(-32008, "method_component_disabled", message).with_params(json!({"components": list}))
    }

    pub fn account_inactive() -> ApiError {
        let message = "Your account has been disabled, contact the support service";
        ApiError::new(-32009, "account_inactive", message)
    }

    pub fn limit_exceeded(limit_type: &str, limit: u32) -> ApiError {
        let message =
            format!("Limit per {limit_type} has been exceeded. Value of current limit per {limit_type} is {limit}");
        ApiError::new(-32029, "limit_exceeded", message)
            .with_params(json!({"limit_type": limit_type, "limit_max_value": limit}))
            .with_limits()
    }

    pub fn data_type_error(field: impl Into<String>, value: &Value) -> ApiError {
        ApiError::new(-32602, "data_type_error", "Data supplied is of wrong type").at(field).with_value(value)
    }

    pub fn required_parameter_missed(field: impl Into<String>) -> ApiError {
        let message = "The required parameter has been missed";
        ApiError::new(-32602, "required_parameter_missed", message).at(field)
    }

    pub fn invalid_parameter_value(field: impl Into<String>, value: &Value) -> ApiError {
        ApiError::new(-32602, "invalid_parameter_value", "Invalid parameter value").at(field).with_value(value)
    }

    /// A `date_till` for which there are no rows yet.
    pub fn too_recent(value: &Value) -> ApiError {
        let mut error = ApiError::invalid_parameter_value("date_till", value);
        error.details.undocumented = true;
        error
    }

    pub fn unexpected_parameters(field: impl Into<String>) -> ApiError {
        ApiError::new(-32602, "unexpected_parameters", "Unexpected method parameter(s)").at(field)
    }

    pub fn invalid_parameters_combination(field: impl Into<String>) -> ApiError {
        let message = "The combination of parameters is not permitted";
        ApiError::new(-32602, "invalid_parameters_combination", message).at(field)
    }

    /// The documented catch-all with a text of the server's own; here: what the simulator does not imitate.
    pub fn dynamic(message: impl Into<String>) -> ApiError {
        ApiError::new(-32602, "error", message)
    }

    pub fn sort_prohibited(field: impl Into<String>) -> ApiError {
        ApiError::new(-32602, "sort_prohibited", "Sort by parameter is prohibited").at(field)
    }

    pub fn filter_prohibited(field: impl Into<String>) -> ApiError {
        ApiError::new(-32602, "filter_prohibited", "Filter by parameter is prohibited").at(field)
    }

    pub fn date_interval_limit_reached() -> ApiError {
        let message = "Max value of requested date interval is 3 months";
        ApiError::new(-32602, "date_interval_limit_reached", message).with_limits()
    }

    pub fn batch_operations_not_supported() -> ApiError {
        let message = "Batch operations not supported";
        ApiError::new(-32099, "batch_operations_not_supported", message)
    }

    pub fn notifications_not_supported() -> ApiError {
        ApiError::new(-32099, "notifications_not_supported", "Notifications not supported")
    }

    /// Whether the request itself was wrong: a client that never makes such requests has no bug of this kind.
    pub fn is_bug_of_the_caller(&self) -> bool {
        matches!(self.code, -32700 | -32600 | -32601 | -32602 | -32099) && !self.details.undocumented
    }

    /// The `error` object of the envelope.
    pub fn to_json(&self, metadata: Option<Value>) -> Value {
        let mut data = Map::new();
        data.insert("mnemonic".into(), self.mnemonic.into());
        let optional = [
            ("field", self.details.field.clone().map(Value::from)),
            ("value", self.details.value.clone()),
            ("params", self.details.params.clone()),
            ("metadata", metadata),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                data.insert(key.into(), value);
            }
        }
        json!({"code": self.code, "message": self.message, "data": data})
    }
}
