//! The envelope of JSON-RPC: writes requests, and finds in an answer either data or a refusal.
//!
//! The rows are not decoded here; only their place in the body is found. The body is scanned once, and one that is
//! not a complete answer to the request at hand never yields data.

use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::Malformed;
use super::secret::Proof;

/// A request for a page of a report names a hundred columns, and is copied again and again when it grows to that.
const USUAL_BYTES: usize = 3 * 1024;

/// The body of a request. `params` holds everything but what proves the right to ask.
pub(super) fn request(id: &str, method: &str, proof: Proof<'_>, params: &impl Serialize) -> Vec<u8> {
    let request = Request { jsonrpc: "2.0", id, method, params: Params { proof: ProofParams::of(proof), params } };
    let mut body = Vec::with_capacity(USUAL_BYTES);
    // Cannot fail: the parameters are plain structs with text keys, written to memory.
    serde_json::to_writer(&mut body, &request).expect("request serialises");
    body
}

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: &'a str,
    method: &'a str,
    params: Params<'a, P>,
}

#[derive(Serialize)]
struct Params<'a, P> {
    #[serde(flatten)]
    proof: ProofParams<'a>,
    #[serde(flatten)]
    params: &'a P,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ProofParams<'a> {
    Login { login: &'a str, password: &'a str },
    Token { access_token: &'a str },
}

impl<'a> ProofParams<'a> {
    fn of(proof: Proof<'a>) -> Self {
        match proof {
            Proof::Login { login, password } => Self::Login { login, password: password.expose() },
            Proof::Session(token) | Proof::Key(token) => Self::Token { access_token: token.expose() },
        }
    }
}

/// A complete answer to the request that was sent.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// Where `data` stands in the body, and the metadata (null when there is none).
    Data { data: Range<usize>, metadata: Value },
    /// The `error` object.
    Refusal(Value),
}

/// Reads an answer to the request `id`. An error may carry the id null, or none at all (data-api, 2).
pub(super) fn read(body: &str, id: &str) -> Result<Reply, Malformed> {
    let answer: Answer<'_> = serde_json::from_str(body).map_err(|error| malformed(body, &error))?;
    if let Some(error) = answer.error {
        let id_fits = answer.id.is_null() || answer.id == id;
        return if id_fits { Ok(Reply::Refusal(error)) } else { Err(Malformed::WrongId) };
    }
    let result = answer.result.ok_or(Malformed::NeitherResultNorError)?;
    if answer.id != id {
        return Err(Malformed::WrongId);
    }
    let data = result.data.ok_or(Malformed::WrongData { expected: "an array or an object" })?;
    let metadata = result.metadata.or(result.meta_data).unwrap_or_default();
    Ok(Reply::Data { data: place(data.get(), body), metadata })
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    result: Option<ResultPart<'a>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ResultPart<'a> {
    metadata: Option<Value>,
    /// The samples of `get.account` and `get.sites` spell it so.
    meta_data: Option<Value>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// Keeps `null` apart from a missing key: the API writes null for an empty array.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Where `part`, which is borrowed from `whole`, stands in it.
fn place(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Says what kind of thing came instead, without quoting it: half a page of calls is still calls.
fn malformed(body: &str, error: &serde_json::Error) -> Malformed {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        _ if body.trim().is_empty() => Malformed::Empty,
        _ if body.trim_start().starts_with('<') => Malformed::WebPage,
        Category::Eof => Malformed::Truncated { bytes: body.len() },
        Category::Data => Malformed::NotJsonRpc { line, column },
        Category::Syntax | Category::Io => Malformed::NotJson { line, column },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::secret::SecretString;
    use super::*;

    fn data(body: &str) -> (&str, Value) {
        match read(body, "q-1") {
            Ok(Reply::Data { data, metadata }) => (&body[data], metadata),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_carries_its_proof_among_the_parameters() {
        #[derive(Serialize)]
        struct Limit {
            limit: u32,
        }
        let secret = SecretString::new("s\"3");
        let written =
            |proof| serde_json::from_slice::<Value>(&request("q-1", "get.tags", proof, &Limit { limit: 5 })).unwrap();

        let expected = |params| json!({"jsonrpc": "2.0", "id": "q-1", "method": "get.tags", "params": params});
        assert_eq!(written(Proof::Key(&secret)), expected(json!({"access_token": "s\"3", "limit": 5})));
        assert_eq!(written(Proof::Session(&secret)), expected(json!({"access_token": "s\"3", "limit": 5})));
        let login = Proof::Login { login: "me", password: &secret };
        assert_eq!(written(login), expected(json!({"login": "me", "password": "s\"3", "limit": 5})));
    }

    #[test]
    fn data_is_found_wherever_the_metadata_stands() {
        let metadata_last = r#"{"result":{"data": [1, "]"] ,"metadata":{"total_items":2}},"id":"q-1","new":[{}]}"#;
        assert_eq!(data(metadata_last), (r#"[1, "]"]"#, json!({"total_items": 2})));
        let other_spelling = r#"{"jsonrpc":"2.0","id":"q-1","result":{"meta_data":{"a":1},"x":0,"data":{}}}"#;
        assert_eq!(data(other_spelling), ("{}", json!({"a": 1})));
        assert_eq!(data(r#"{"id":"q-1","error":null,"result":{"data":null}}"#), ("null", Value::Null));
    }

    #[test]
    fn an_error_may_come_without_the_id() {
        for id in [r#""id":null,"#, r#""id":"q-1","#, ""] {
            let body = format!(r#"{{{id}"result":null,"error":{{"code":-32603}}}}"#);
            assert_eq!(read(&body, "q-1"), Ok(Reply::Refusal(json!({"code": -32603}))), "{body}");
        }
    }

    #[test]
    fn what_is_not_an_answer_is_never_data() {
        let web_page = "<html><body>blocked by the company proxy</body></html>";
        let table = [
            ("", Malformed::Empty),
            (" \n", Malformed::Empty),
            (web_page, Malformed::WebPage),
            ("OK", Malformed::NotJson { line: 1, column: 1 }),
            (r#"{"id":"q-1","result":{"data":[{"id":1},{"i"#, Malformed::Truncated { bytes: 42 }),
            (r#"{"id":"q-1","result":{"data":[]}} {"#, Malformed::NotJson { line: 1, column: 35 }),
            (r#"{"id":"q-1","result":"ok"}"#, Malformed::NotJsonRpc { line: 1, column: 25 }),
            ("[]", Malformed::NotJsonRpc { line: 1, column: 2 }),
            (r#"{"id":"q-1"}"#, Malformed::NeitherResultNorError),
            (r#"{"id":"q-1","result":null}"#, Malformed::NeitherResultNorError),
            (r#"{"id":"q-1","result":{}}"#, Malformed::WrongData { expected: "an array or an object" }),
            (r#"{"id":"q-2","result":{"data":[]}}"#, Malformed::WrongId),
            (r#"{"id":null,"result":{"data":[]}}"#, Malformed::WrongId),
            (r#"{"id":"q-2","error":{"code":-32603}}"#, Malformed::WrongId),
        ];
        for (body, expected) in table {
            assert_eq!(read(body, "q-1"), Err(expected), "{body}");
        }
    }
}
