//! One event as one line for people.
//!
//! No line holds a whole phone number, and on a terminal none is wider than it.

use anstyle::{AnsiColor, Style};
use console::truncate_str;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::events::CallEvent;
use crate::domain::call::masked_number;
use crate::domain::filter::DYNAMIC_SOURCES;

/// The columns before the last one, which takes the rest.
pub struct Layout {
    /// Of the terminal; `None`: as wide as need be.
    width: Option<usize>,
    account: usize,
    zone: TimeZone,
}

impl Layout {
    /// For accounts of these names.
    pub fn new<'a>(width: Option<usize>, zone: TimeZone, accounts: impl Iterator<Item = &'a str>) -> Self {
        let account = accounts.map(str::len).max().unwrap_or_default().max("account".len());
        Self { width, account, zone }
    }

    pub fn heading(&self) -> String {
        let columns = ["time", "account", "event", "rev", "channel", "number"];
        self.fitted(&self.columns(columns, Style::new()), "[changed] tags")
    }

    pub fn line(&self, event: &CallEvent) -> String {
        let (time, revision) = (self.time(event.observed_at), event.revision.to_string());
        let number = event.contact_phone_number.as_deref().map_or_else(|| "-".to_owned(), masked_number);
        let channel = channel(event.source.as_deref());
        let columns = [&time, &event.account, &event.event_type, &revision, channel, &number];
        self.fitted(&self.columns(columns, style(&event.event_type)), &tail(event))
    }

    /// When callfeed read it, by the clock on the wall.
    fn time(&self, millis: i64) -> String {
        let time = Timestamp::from_millisecond(millis).unwrap_or_default();
        self.zone.to_datetime(time).strftime("%H:%M:%S").to_string()
    }

    fn columns(&self, [time, account, event, revision, channel, number]: [&str; 6], style: Style) -> String {
        let width = self.account;
        format!("{time:<8} {account:<width$} {style}{event:<9}{style:#} {revision:>3} {channel:<7} {number:<11}")
    }

    /// The columns and as much of `tail` as the terminal has room for.
    fn fitted(&self, columns: &str, tail: &str) -> String {
        let width = self.width.unwrap_or(usize::MAX);
        let line = format!("{columns} {tail}");
        truncate_str(line.trim_end(), width, "…").into_owned()
    }
}

fn style(event_type: &str) -> Style {
    let color = match event_type {
        "CREATED" => AnsiColor::Green,
        "WITHDRAWN" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    color.on_default()
}

fn channel(source: Option<&str>) -> &'static str {
    match source {
        Some(source) if DYNAMIC_SOURCES.contains(&source) => "dynamic",
        _ => "static",
    }
}

/// What has changed, and the tags the call has now.
fn tail(event: &CallEvent) -> String {
    let tags: Vec<&str> = event.tags.iter().filter_map(|tag| tag.tag_name.as_deref()).collect();
    let tags = tags.join(", ");
    if event.changed.is_empty() { tags } else { format!("[{}] {tags}", event.changed.join(", ")).trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use console::measure_text_width;

    use super::super::events::Tag;
    use super::*;

    fn layout(width: Option<usize>) -> Layout {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        Layout::new(width, moscow, ["okna", "agency.90211"].into_iter())
    }

    fn event() -> CallEvent {
        CallEvent {
            event_type: "UPDATED".to_owned(),
            revision: 2,
            changed: vec!["tags".to_owned()],
            account: "agency.90211".to_owned(),
            id: 7,
            observed_at: "2026-03-02T07:15:04Z".parse::<Timestamp>().unwrap().as_millisecond(),
            source: Some("simple_dt".to_owned()),
            contact_phone_number: Some("79991231122".to_owned()),
            tags: ["Целевой", "Первичный звонок"].map(|name| Tag { tag_name: Some(name.to_owned()) }).into(),
        }
    }

    #[test]
    fn a_line_names_what_happened() {
        let line = anstream::adapter::strip_str(&layout(None).line(&event())).to_string();
        assert_eq!(line, "10:15:04 agency.90211 UPDATED     2 dynamic 7999***1122 [tags] Целевой, Первичный звонок");
    }

    #[test]
    fn a_line_fits_the_terminal() {
        for width in [20, 55, 56, 57, 80, 200] {
            for line in [layout(Some(width)).line(&event()), layout(Some(width)).heading()] {
                assert!(measure_text_width(&line) <= width, "{width}: {line}");
            }
        }
        let line = layout(Some(80)).line(&event());
        assert!(line.ends_with("[tags] Целевой, Первичн…"), "{line}");
    }

    #[test]
    fn an_event_without_number_and_tags_has_a_line_too() {
        let event = CallEvent { contact_phone_number: None, tags: Vec::new(), changed: Vec::new(), ..event() };
        let line = anstream::adapter::strip_str(&layout(None).line(&event)).to_string();
        assert_eq!(line, "10:15:04 agency.90211 UPDATED     2 dynamic -");
    }
}
