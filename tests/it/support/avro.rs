//! A Schema Registry as a foreign consumer uses it: schema id → schema → decoded record.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde_json::{Value, json};

use super::{Record, block_on};

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // Another test may have chosen it already; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
});

/// A schema never changes under its id, so it is fetched once per process.
type SchemaCache = Mutex<HashMap<(String, u32), Arc<Schema>>>;
static SCHEMAS: LazyLock<SchemaCache> = LazyLock::new(SchemaCache::default);

/// A Schema Registry by its Confluent-compatible API.
#[derive(Clone)]
pub struct Registry {
    /// Without a slash at its end; it may have a path.
    pub url: String,
}

impl Registry {
    pub fn at(url: &str) -> Registry {
        Registry { url: url.to_owned() }
    }

    /// Decodes the value of a record; panics when it is a tombstone or not in the wire format.
    pub fn decode(&self, record: &Record) -> Value {
        self.decode_bytes(record.value.as_deref().expect("the record has a value"))
    }

    /// Decodes a zero byte, the schema's id and a datum. The result is what Avro's own JSON shows, with
    /// unions as their inner value, and timestamps and durations as numbers.
    pub fn decode_bytes(&self, bytes: &[u8]) -> Value {
        let (id, mut datum) = split_wire_format(bytes);
        let schema = self.schema(id);
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        let value = reader.read_value(&mut datum).unwrap();
        assert!(datum.is_empty(), "{} bytes after the datum", datum.len());
        Value::try_from(value).unwrap()
    }

    /// The schema of an id; fetched when it is seen for the first time.
    pub fn schema(&self, id: u32) -> Arc<Schema> {
        let key = (self.url.clone(), id);
        if let Some(known) = SCHEMAS.lock().unwrap().get(&key) {
            return Arc::clone(known);
        }
        let answer = self.get(&format!("/schemas/ids/{id}"));
        let text = answer["schema"].as_str().expect("the answer has a schema");
        let schema = Arc::new(Schema::parse_str(text).unwrap());
        SCHEMAS.lock().unwrap().insert(key, Arc::clone(&schema));
        schema
    }

    /// Registers a schema under a subject and returns its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let path = format!("/subjects/{subject}/versions");
        let answer = self.request(reqwest::Method::POST, &path, Some(json!({ "schema": schema })));
        let id = answer["id"].as_u64().expect("the answer has an id");
        id.try_into().unwrap()
    }

    /// GET of a path below the registry's URL, such as `/subjects`.
    pub fn get(&self, path: &str) -> Value {
        self.request(reqwest::Method::GET, path, None)
    }

    /// Any request; panics when the answer is not a success.
    pub fn request(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = HTTP.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, text) = block_on(async move {
            let response = request.send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        });
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn split_wire_format(bytes: &[u8]) -> (u32, &[u8]) {
    match bytes {
        [0, a, b, c, d, datum @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), datum),
        _ => panic!("not in the registry's wire format: {:?}", &bytes[..bytes.len().min(8)]),
    }
}
