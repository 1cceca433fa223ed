//! Calls as a table that fits the terminal: one line a call, long texts cut.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use crate::domain::call::masked_number;
use crate::preview::{Extent, KeptCall, Preview, PreviewError};

/// When standard output is no terminal.
const USUAL_WIDTH: u16 = 80;

/// Columns that lose their meaning when they are cut, by position: start, id, direction, number, duration.
const WHOLE: [usize; 5] = [0, 1, 2, 6, 7];

pub fn write(preview: &Preview, extent: &Extent, out: &mut impl Write) -> io::Result<()> {
    let (from, till) = (extent.window.from.to_local(preview.zone()), extent.window.till.to_local(preview.zone()));
    let zone = preview.zone().iana_name().unwrap_or("UTC");
    let account = &preview.source.account;
    writeln!(out, "{account} ({}), {from} to {till} {zone}", preview.source.service)?;
    if preview.newest.is_empty() {
        return Ok(());
    }
    let mut table = empty();
    for kept in &preview.newest {
        table.add_row(row(kept).map_err(io::Error::other)?);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_truncation_indicator("…");
    if table.width().is_none() {
        table.set_width(USUAL_WIDTH);
    }
    table.set_header(["start", "id", "dir", "source", "campaign", "tags", "number", "took"]);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        let constraint = if WHOLE.contains(&index) {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(6))
        };
        column.set_constraint(constraint);
    }
    if let Some(took) = table.column_mut(7) {
        took.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(kept: &KeptCall) -> Result<Row, PreviewError> {
    let call = kept.call()?;
    let tags: Vec<&str> = call.tags.0.iter().filter_map(|tag| tag.tag_name.as_deref()).collect();
    let mut row = Row::from([
        call.start_time.local.to_civil().strftime("%m-%d %H:%M:%S").to_string(),
        call.id.to_string(),
        text(call.direction.as_deref()),
        text(call.source.as_deref().or(call.channel.as_deref())),
        text(call.campaign_name.as_deref()),
        text(Some(tags.join(", ").as_str()).filter(|tags| !tags.is_empty())),
        call.contact_phone_number.as_deref().map_or_else(|| text(None), masked_number),
        call.total_duration.map_or_else(|| text(None), duration),
    ]);
    row.max_height(1);
    Ok(row)
}

fn text(value: Option<&str>) -> String {
    let value = value.unwrap_or("-");
    // A line break or an escape code of a foreign text must not reach the terminal.
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn duration(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
