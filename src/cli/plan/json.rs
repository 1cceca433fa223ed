//! A plan for scripts: a line of JSON for each account.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Outlook, table};
use crate::config::Account;
use crate::domain::forecast::{Backfill, Forecast, TierForecast};
use crate::domain::pace::PointsWindow;
use crate::outlook::{CallsFrom, Facts, Limits, short};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

pub fn write(outlook: &Outlook, out: &mut impl Write) -> io::Result<()> {
    for (index, (account, facts)) in outlook.accounts.iter().enumerate() {
        writeln!(out, "{}", of_account(outlook, index, account, facts))?;
    }
    Ok(())
}

fn of_account(outlook: &Outlook, index: usize, account: &Account, facts: &Facts) -> Value {
    let others = outlook.accounts.iter().map(|(other, _)| &other.id).filter(|id| **id != account.id);
    let ladder: Vec<Value> = outlook.forecast.ladders[index].iter().map(tier).collect();
    let what_if: Vec<Value> = outlook
        .variants
        .iter()
        .map(|variant| {
            let mut value = Map::from_iter([("change".to_owned(), table::words(variant, index).into())]);
            let ladder: Vec<Value> = variant.forecast.ladders[index].iter().map(tier).collect();
            value.insert("ladder".to_owned(), ladder.into());
            value.extend(totals(&variant.forecast));
            Value::Object(value)
        })
        .collect();
    let mut value = Map::from_iter([
        ("account".to_owned(), json!(account.id.as_str())),
        ("service".to_owned(), json!(account.service.to_string())),
        ("customers".to_owned(), json!(facts.n_customers)),
        ("shares_points_with".to_owned(), others.map(|id| id.as_str()).collect()),
        ("calls_per_day".to_owned(), calls(facts)),
        ("points".to_owned(), points(&outlook.limits, outlook.share)),
        ("ladder".to_owned(), ladder.into()),
    ]);
    value.extend(totals(&outlook.forecast));
    value.insert("what_if".to_owned(), what_if.into());
    Value::Object(value)
}

fn calls(facts: &Facts) -> Value {
    match facts.calls_from {
        CallsFrom::Given => json!({"each": facts.calls_a_day, "from": "given"}),
        CallsFrom::LastWeek { n_asked } => json!({"each": facts.calls_a_day, "from": "last_week", "asked": n_asked}),
    }
}

fn points(limits: &Limits, share: f64) -> Value {
    let from = match limits {
        Limits::Told(_) => "told",
        Limits::NotTold => "not_told",
        Limits::Assumed { .. } => "assumed",
    };
    let limits = limits.by_window();
    let limit = |window: PointsWindow| limits.get(&window);
    json!({
        "from": from,
        "share": share,
        "a_minute": limit(PointsWindow::Minute),
        "an_hour": limit(PointsWindow::Hour),
        "a_day": limit(PointsWindow::Day),
    })
}

fn tier(forecast: &TierForecast) -> Value {
    let TierForecast { tier, pages, rides_on, planned, is_kept } = forecast;
    json!({
        "age": short(tier.age),
        "promised_seconds": tier.every.as_secs(),
        "planned_seconds": tenths(planned.as_secs_f64()),
        "kept": is_kept,
        "pages": pages,
        "points_per_hour": tenths(forecast.points_in(HOUR)),
        "points_per_day": tenths(forecast.points_in(DAY)),
        "rides_on": rides_on.map(|carrier| short(carrier.age)),
    })
}

/// Of all that share the points.
fn totals(forecast: &Forecast) -> Map<String, Value> {
    let Backfill { rows, points, takes } = forecast.backfill;
    Map::from_iter([
        ("points_needed_per_day".to_owned(), json!(tenths(forecast.needed_a_day))),
        ("points_available_per_day".to_owned(), json!(forecast.available_a_day.map(tenths))),
        ("points_left_per_day".to_owned(), json!(forecast.left_a_day().map(tenths))),
        ("promises_kept".to_owned(), json!(forecast.keeps_promises())),
        (
            "backfill".to_owned(),
            json!({"calls": rows, "points": points, "seconds": takes.map(|takes| takes.as_secs())}),
        ),
    ])
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
