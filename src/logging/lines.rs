//! One line a message: as text or as JSON, unless it was told a moment ago.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::json;
use super::repeats::Repeats;
use crate::config::LogFormat;

/// Fields whose values are names: with another one it is another message. Of other texts the digits do not count, such as
/// the time of the next try or the number of a request, and numbers count for nothing.
const SUBJECTS: [&str; 8] =
    ["account", "agency", "customer", "partition", "percent", "topic", "transactional_id", "user_id"];

/// Who writes, as JSON says on each line.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The name of this replica.
    pub instance_id: Arc<str>,
}

pub struct Lines {
    format: LogFormat,
    origin: Origin,
    repeats: Mutex<Repeats>,
}

impl Lines {
    pub fn new(format: LogFormat, origin: Origin) -> Self {
        Self { format, origin, repeats: Mutex::default() }
    }

    /// How often the message was left out before it is told now; none when it is left out once more.
    fn n_left_out(&self, event: &Event<'_>) -> Option<u64> {
        let is_asked_for = *event.metadata().level() > Level::INFO;
        if is_asked_for || event_name(event.metadata()).is_some() {
            return Some(0);
        }
        let mut message = Message(DefaultHasher::new());
        event.metadata().callsite().hash(&mut message.0);
        event.record(&mut message);
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner).tell(message.0.finish(), Instant::now())
    }
}

/// The name of a lasting change. The place in the code is not one.
pub fn event_name(metadata: &Metadata<'_>) -> Option<&'static str> {
    Some(metadata.name()).filter(|name| !name.starts_with("event "))
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    /// What is left out is a line without a letter, and without an end.
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(n_left_out) = self.n_left_out(event) else { return Ok(()) };
        match self.format {
            LogFormat::Json => line.write_str(&json::object(event, &self.origin, n_left_out)?)?,
            LogFormat::Text => {
                begin(&mut line, event.metadata().level())?;
                context.field_format().format_fields(line.by_ref(), event)?;
                if n_left_out > 0 {
                    write!(line, " (left out {n_left_out} times)")?;
                }
            }
        }
        line.write_char('\n')
    }
}

fn begin(line: &mut Writer<'_>, level: &Level) -> fmt::Result {
    if !line.has_ansi_escapes() {
        SystemTime.format_time(line)?;
        return write!(line, " {level:>5} ");
    }
    let dimmed = Style::new().dimmed();
    write!(line, "{dimmed}")?;
    SystemTime.format_time(line)?;
    let colour = colour(level).on_default();
    write!(line, "{dimmed:#} {colour}{level:>5}{colour:#} ")
}

const fn colour(level: &Level) -> AnsiColor {
    match *level {
        Level::ERROR => AnsiColor::Red,
        Level::WARN => AnsiColor::Yellow,
        Level::INFO => AnsiColor::Green,
        Level::DEBUG => AnsiColor::Blue,
        Level::TRACE => AnsiColor::Magenta,
    }
}

/// What makes a message the same as another: where it stands in the code, and what it is about.
struct Message(DefaultHasher);

impl Message {
    fn take(&mut self, field: &Field, value: &str) {
        field.name().hash(&mut self.0);
        value.hash(&mut self.0);
    }

    fn take_number(&mut self, field: &Field, number: &dyn fmt::Display) {
        if SUBJECTS.contains(&field.name()) {
            self.take(field, &number.to_string());
        }
    }
}

impl Visit for Message {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take_number(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take_number(field, &value);
    }

    fn record_f64(&mut self, _field: &Field, _value: f64) {}

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = format!("{value:?}");
        if !SUBJECTS.contains(&field.name()) {
            text.retain(|sign| !sign.is_ascii_digit());
        }
        self.take(field, &text);
    }
}
