//! The rules beyond shape: ranges, names, addresses, what excludes what; and the values of secrets.
//!
//! A rule that is broken is told and the check goes on with something harmless in the value's place, so that one
//! pass tells all. Whether anything was told decides at the end: no [`Config`] with such a stand-in gets out.

mod account;
mod kafka;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use reqwest::Url;

use super::Env;
use super::checked::{Admin, Config, Http, Limits, Log, LogFormat, Metrics, Proxy, Topics};
use super::path::Path;
use super::problem::Problem;
use super::raw::{Origin, RawAdmin, RawConfig, RawHttp, RawLimits, RawLog, RawLogFormat, RawTopics, SecretForm};
use super::read::problem_at;
use super::secret::{Revealed, Secret};
use super::topic::{TopicTemplate, check_topic_name, collide};
use super::tree::Node;

/// The shortest token of the admin port.
const MIN_TOKEN: usize = 16;

/// The smallest bound on memory under which a page of usual size can be held.
const MIN_MEMORY: u64 = 1024 * 1024;

/// Checks everything; problems are told through `tree`, which knows where each value was written.
pub fn check(raw: &RawConfig, tree: &Node, env: Env<'_>) -> (Config, Vec<Problem>) {
    let mut check = Check { tree, env, problems: Vec::new() };
    let root = Path::default();
    let config = Config {
        kafka: kafka::kafka(&mut check, &raw.kafka, &root.key("kafka")),
        schema_registry: kafka::schema_registry(&mut check, &raw.schema_registry, &root.key("schema_registry")),
        topics: check.topics(&raw.topics, &root.key("topics")),
        accounts: account::accounts(&mut check, &raw.accounts, &root.key("accounts")),
        admin: check.admin(&raw.admin, &root.key("admin")),
        metrics: Metrics { per_account: raw.metrics.per_account },
        limits: check.limits(&raw.limits, &root.key("limits")),
        http: check.http(&raw.http, &root.key("http")),
        log: check.log(&raw.log, &root.key("log")),
    };
    account::defaults(&mut check, &raw.defaults, &root.key("defaults"));
    check.distinct_topics(&config, &root);
    (config, check.problems)
}

struct Check<'a> {
    tree: &'a Node,
    env: Env<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn tell(&mut self, at: &Path, message: impl Display) {
        self.problems.push(problem_at(self.tree, at, message.to_string()));
    }

    fn line(&self, at: &Path) -> usize {
        self.tree.nearest(&at.0).0.place.line
    }

    /// The value, or, having told the problem, `None`.
    fn ok<T>(&mut self, at: &Path, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|problem| self.tell(at, problem)).ok()
    }

    /// The value of a key without which nothing can run, or, having told that it is missing, `None`.
    fn required<'v, T>(&mut self, at: &Path, value: Option<&'v T>, expected: &str) -> Option<&'v T> {
        if value.is_none() {
            self.tell(at, format!("is missing, expected {expected}"));
        }
        value
    }

    fn number<T: TryFrom<i64>>(&mut self, at: &Path, value: i64, range: RangeInclusive<i64>, stand_in: T) -> T {
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            self.tell(at, format!("expected a whole number from {least} to {most}, found {value}"));
        }
        T::try_from(value).unwrap_or(stand_in)
    }

    fn topics(&mut self, raw: &RawTopics, at: &Path) -> Topics {
        let calls = self.ok(&at.key("calls"), TopicTemplate::parse(&raw.calls));
        Topics { calls: calls.unwrap_or_default() }
    }

    /// What one topic holds must not stand in another.
    fn distinct_topics(&mut self, config: &Config, root: &Path) {
        let (kafka, topics) = (&config.kafka, &config.topics);
        let dead_letter_key = root.key("kafka").key("dead_letter_topic");
        if collide(&kafka.dead_letter_topic, &kafka.state_topic) {
            self.tell(&dead_letter_key, "expected another topic than `kafka.state_topic`");
        }
        let calls_key = root.key("topics").key("calls");
        for account in config.accounts.iter().filter(|account| account::is_legal_name(account.id.as_str())) {
            let calls = topics.calls.for_account(account.service, &account.id);
            if let Err(problem) = check_topic_name(&calls) {
                self.tell(&calls_key, format!("for the account `{}`: {problem}", account.id));
            }
            let others = [("state_topic", &kafka.state_topic), ("dead_letter_topic", &kafka.dead_letter_topic)];
            for (key, other) in others {
                if collide(&calls, other) {
                    self.tell(&calls_key, format!("expected another topic than `kafka.{key}`, `{other}`"));
                }
            }
        }
    }

    fn admin(&mut self, raw: &RawAdmin, at: &Path) -> Admin {
        let expected = || format!("expected an IP address and a port such as `127.0.0.1:9464`, found `{}`", raw.listen);
        let listen = self.ok(&at.key("listen"), raw.listen.parse::<SocketAddr>().map_err(|_| expected()));
        let token = raw.token.as_ref().map(|form| self.admin_token(&at.key("token"), form));
        let peers = raw.peers.clone().filter(|peers| self.ok(&at.key("peers"), check_peers(peers)).is_some());
        Admin { listen: listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into()), token, peers }
    }

    /// A short one could be guessed through a port that answers quickly.
    fn admin_token(&mut self, at: &Path, form: &SecretForm) -> Secret {
        let token = self.secret(at, &form.0);
        let is_short = token.read().is_ok_and(|token| (1..MIN_TOKEN).contains(&token.expose().len()));
        if is_short {
            self.tell(at, format!("expected at least {MIN_TOKEN} characters, as `openssl rand -hex 16` makes them"));
        }
        token
    }

    fn limits(&mut self, raw: &RawLimits, at: &Path) -> Limits {
        if raw.memory.0 < MIN_MEMORY {
            self.tell(&at.key("memory"), format!("expected at least `1MiB`, found `{}`", raw.memory));
        }
        Limits { memory: usize::try_from(raw.memory.0).unwrap_or(usize::MAX) }
    }

    fn http(&mut self, raw: &RawHttp, at: &Path) -> Http {
        if raw.timeout.0.is_zero() {
            self.tell(&at.key("timeout"), "expected more than nothing");
        }
        let ca_file = raw.ca_file.as_ref().map(PathBuf::from);
        if let Some(path) = &ca_file {
            let found = std::fs::read_to_string(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()));
            let found = found.and_then(|text| {
                let is_pem = text.contains("-----BEGIN CERTIFICATE-----");
                is_pem.then_some(()).ok_or_else(|| format!("`{}` holds no certificate in PEM form", path.display()))
            });
            self.ok(&at.key("ca_file"), found);
        }
        Http { timeout: raw.timeout.0, ca_file, proxy: self.proxy(&raw.proxy.0, &at.key("proxy")) }
    }

    /// The URL may hold a password, so it is told in no problem.
    fn proxy(&mut self, text: &str, at: &Path) -> Proxy {
        match text {
            "auto" => return Proxy::Auto,
            "none" => return Proxy::None,
            _ => {}
        }
        let usable = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !usable {
            self.tell(at, "expected `auto`, `none` or a URL such as `http://proxy:3128`");
        }
        Proxy::Url(Revealed::new(text))
    }

    /// An address of a server. A password within it is refused without showing it.
    fn url(&mut self, at: &Path, text: &str, example: &str) -> String {
        match Url::parse(text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                self.tell(at, "expected a URL without login and password; they have keys of their own");
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => self.tell(at, format!("expected a URL such as `{example}`")),
        }
        text.trim_end_matches('/').to_owned()
    }

    fn log(&mut self, raw: &RawLog, at: &Path) -> Log {
        let format = match raw.format {
            RawLogFormat::Text => LogFormat::Text,
            RawLogFormat::Json => LogFormat::Json,
        };
        self.ok(&at.key("level"), check_level(&raw.level));
        Log { format, level: raw.level.clone() }
    }

    /// The value of a text that is no secret.
    fn text(&mut self, at: &Path, origin: &Origin) -> String {
        let value = self.secret(at, origin).read().map(|revealed| revealed.expose().to_owned());
        value.unwrap_or_default()
    }

    fn secret(&mut self, at: &Path, origin: &Origin) -> Secret {
        match origin {
            Origin::Plain(text) => Secret::of_value(text),
            Origin::Env(name) => match (self.env)(name) {
                Some(value) if !value.is_empty() => Secret::of_value(value),
                Some(_) => {
                    self.tell(at, format!("the environment variable `{name}` is empty"));
                    Secret::of_value("")
                }
                None => {
                    self.tell(at, format!("the environment variable `{name}` is not set"));
                    Secret::of_value("")
                }
            },
            Origin::File(path) => {
                let secret = Secret::of_file(path);
                self.ok(at, secret.read());
                secret
            }
        }
    }

    fn properties(&mut self, at: &Path, properties: &BTreeMap<String, SecretForm>) -> BTreeMap<String, Secret> {
        let checked = properties.iter().map(|(name, value)| {
            let at = at.key(name);
            if let Some(reason) = super::kafka_properties::refusal(name) {
                self.tell(&at, format!("cannot be set here: {reason}"));
            }
            (name.clone(), self.secret(&at, &value.0))
        });
        checked.collect()
    }
}

/// `tracing` takes any word for the name of a module and would log nothing at `level: verbose`.
fn check_level(level: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_word = |part: &str| !part.contains(['=', '[']);
    for word in level.split(',').map(str::trim).filter(|part| is_word(part)) {
        if !LEVELS.contains(&word.to_lowercase().as_str()) {
            return Err(super::read::unknown_word(word, &LEVELS));
        }
    }
    let directives = tracing_subscriber::EnvFilter::builder().parse(level);
    directives
        .map(drop)
        .map_err(|_| format!("expected a level or directives such as `info,callfeed=debug`, found `{level}`"))
}

/// `host:port`.
fn check_peers(peers: &str) -> Result<(), String> {
    let parts = peers.rsplit_once(':');
    let is_good = parts.is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ' ']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let expected = || format!("expected a host name and a port such as `callfeed-headless:9464`, found `{peers}`");
    is_good.then_some(()).ok_or_else(expected)
}
