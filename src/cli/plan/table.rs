//! A plan for people: the ladder with its cost, the back-fill, and what other settings would give.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets};

use super::Outlook;
use crate::config::{Account, Customers};
use crate::domain::forecast::what_if::{Change, Variant};
use crate::domain::forecast::{Backfill, Forecast, TierForecast};
use crate::domain::pace::PointsWindow;
use crate::outlook::{CallsFrom, Facts, Limits, short};

const WIDTH: u16 = 100;

/// Tiers that have a column of their own among the variants: more would not fit.
const TIERS_COMPARED: usize = 5;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

pub fn write(outlook: &Outlook, out: &mut impl Write) -> io::Result<()> {
    for (index, (account, facts)) in outlook.accounts.iter().enumerate() {
        writeln!(out, "{}", heading(account, facts))?;
        writeln!(out, "{}\n", points(outlook, account))?;
        let tiers = &outlook.forecast.ladders[index];
        write_table(&ladder(tiers), out)?;
        writeln!(out)?;
        for line in conclusions(outlook, account) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
        write_table(&what_if(outlook, index), out)?;
        writeln!(out)?;
    }
    Ok(())
}

fn write_table(table: &Table, out: &mut impl Write) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "  {}", line.trim_end())?;
    }
    Ok(())
}

fn heading(account: &Account, facts: &Facts) -> String {
    let is_unknown = account.customers == Customers::All && matches!(facts.limits, Limits::Assumed { .. });
    let who = match facts.n_customers {
        None => String::new(),
        Some(_) if is_unknown => ", as if it had one customer".to_owned(),
        Some(1) => ", one customer".to_owned(),
        Some(n) => format!(", each of {n} customers"),
    };
    let source = match (facts.calls_from, facts.n_customers) {
        (CallsFrom::Given, _) => "as given".to_owned(),
        (CallsFrom::LastWeek { n_asked }, Some(n)) if n_asked < n => {
            format!("as {n_asked} of them had in the week until yesterday")
        }
        (CallsFrom::LastWeek { .. }, _) => "as in the week until yesterday".to_owned(),
    };
    format!("{} ({}){who}: {} calls a day, {source}", account.id, account.service, count(facts.calls_a_day))
}

/// The points there are, and with whom they are shared.
fn points(outlook: &Outlook, account: &Account) -> String {
    let share = format!("of which callfeed may use {:.0} % (`poll.points_share`)", outlook.share * 100.0);
    let told = match &outlook.limits {
        Limits::Told(limits) => format!("points: {}, {share}", named(limits.iter())),
        Limits::NotTold => "points: the service names no limit, so every promise can be kept".to_owned(),
        Limits::Assumed { why } => {
            let limits = outlook.limits.by_window();
            format!("points: {} are ASSUMED, {share};\n  the account was not asked: {why}", named(limits.iter()))
        }
    };
    let others = outlook.accounts.iter().map(|(other, _)| other.id.as_str()).filter(|id| *id != account.id.as_str());
    match others.collect::<Vec<_>>().as_slice() {
        [] => told,
        others => format!("{told}\nshared with {}: the same credential", others.join(", ")),
    }
}

fn named<'l>(limits: impl Iterator<Item = (&'l PointsWindow, &'l u64)>) -> String {
    limits.map(|(window, limit)| limit_named(*window, *limit)).collect::<Vec<_>>().join(", ")
}

fn limit_named(window: PointsWindow, limit: u64) -> String {
    match window {
        PointsWindow::Hour => format!("{limit} an hour"),
        PointsWindow::Minute | PointsWindow::Day => format!("{limit} a {}", window.as_str()),
    }
}

fn empty(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH - 2);
    table.set_header(columns);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The ladder of one account or customer.
fn ladder(tiers: &[TierForecast]) -> Table {
    let mut table = empty(&["tier", "promised every", "pages", "points/hour", "points/day", "planned every", "note"]);
    for tier in tiers {
        let note = match (tier.is_kept, tier.rides_on) {
            (false, _) => "later than promised".to_owned(),
            (true, Some(carrier)) => format!("no cost: read with {}", short(carrier.age)),
            (true, None) => String::new(),
        };
        table.add_row([
            short(tier.tier.age),
            short(tier.tier.every),
            tier.pages.to_string(),
            count(tier.points_in(HOUR)),
            count(tier.points_in(DAY)),
            short(tier.planned),
            note,
        ]);
    }
    let total = |time| count(tiers.iter().map(|tier| tier.points_in(time)).sum());
    table.add_row(["total", "", "", &total(HOUR), &total(DAY), "", ""]);
    for index in [2, 3, 4] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether the promises are kept, what is left over, and how long the back-fill takes.
fn conclusions(outlook: &Outlook, account: &Account) -> Vec<String> {
    let forecast = &outlook.forecast;
    let for_all = match outlook.n_readers() {
        1 => String::new(),
        n => format!(" of all {n}"),
    };
    let needed = count(forecast.needed_a_day);
    let mut lines = vec![match forecast.available_a_day {
        None => format!("promises{for_all}: {needed} points a day, kept"),
        Some(available) => {
            let kept = if forecast.keeps_promises() { "kept" } else { "not all kept" };
            format!("promises{for_all}: {needed} points a day of the {} there are, {kept}", count(available))
        }
    }];
    if let Some(left) = forecast.left_a_day() {
        let used_for = if account.poll.adaptive {
            "for earlier reads where changes show up (`poll.adaptive`)"
        } else {
            "not used, as `poll.adaptive` is false"
        };
        lines.push(match count(left).as_str() {
            "0" => "left over: nothing".to_owned(),
            left => format!("left over: {left} points a day, {used_for}"),
        });
    }
    let Backfill { rows, points, .. } = forecast.backfill;
    let takes = match forecast.backfill.takes {
        Some(takes) => format!("done in about {} (from full counters)", short(takes)),
        None => "never done, as there are no points to spare".to_owned(),
    };
    lines.push(format!("back-fill{for_all}: {rows} calls, {points} points, {takes}"));
    lines
}

/// Each change with what comes of it for the account at this place.
fn what_if(outlook: &Outlook, index: usize) -> Table {
    let present = &outlook.forecast;
    let forecasts = || std::iter::once(present).chain(outlook.variants.iter().map(|variant| &variant.forecast));
    let differs = |tier: usize| {
        tier == 0 || forecasts().any(|other| other.ladders[index][tier].planned != present.ladders[index][tier].planned)
    };
    let compared: Vec<usize> =
        (0..present.ladders[index].len()).filter(|tier| differs(*tier)).take(TIERS_COMPARED).collect();
    let ages: Vec<String> = compared.iter().map(|tier| short(present.ladders[index][*tier].tier.age)).collect();
    let mut columns = vec!["what if"];
    columns.extend(ages.iter().map(String::as_str));
    columns.extend(["points/day", "promises", "back-fill"]);
    let mut table = empty(&columns);
    table.add_row(comparison("as it is".to_owned(), present, index, &compared));
    for variant in &outlook.variants {
        table.add_row(comparison(words(variant, index), &variant.forecast, index, &compared));
    }
    table
}

fn comparison(change: String, forecast: &Forecast, index: usize, compared: &[usize]) -> Row {
    let needed = count(forecast.needed_a_day);
    let mut cells = vec![change];
    cells.extend(compared.iter().map(|tier| short(forecast.ladders[index][*tier].planned)));
    cells.push(match forecast.available_a_day {
        Some(available) => format!("{needed} of {}", count(available)),
        None => needed,
    });
    cells.push(if forecast.keeps_promises() { "kept".to_owned() } else { "not all".to_owned() });
    cells.push(forecast.backfill.takes.map_or_else(|| "never".to_owned(), short));
    Row::from(cells)
}

/// The change as one would write it into the configuration.
pub fn words(variant: &Variant, index: usize) -> String {
    let tiers = &variant.forecast.ladders[index];
    let tier = |tier: Option<&TierForecast>| match tier {
        Some(TierForecast { tier, .. }) => format!("{} every {}", short(tier.age), short(tier.every)),
        None => "as it is".to_owned(),
    };
    match &variant.change {
        Change::PointsShare(share) => format!("points_share: {share:?}"),
        Change::PageSize(size) => format!("page_size: {size}"),
        Change::LiveTwiceAsOften | Change::LiveHalfAsOften => tier(tiers.first()),
        Change::OldestHalfAsOften => tier(tiers.last()),
        Change::Limits(limits) => {
            let limits: Vec<String> = limits.iter().map(|(window, limit)| limit_named(*window, *limit)).collect();
            format!("a limit of {}", limits.join(", "))
        }
    }
}

/// A number of points or calls: whole, or with a decimal where that matters.
fn count(number: f64) -> String {
    let tenths = (number * 10.0).round() / 10.0;
    if tenths >= 10.0 || tenths.fract() == 0.0 { format!("{number:.0}") } else { format!("{tenths:.1}") }
}

#[cfg(test)]
mod tests;
