//! How fresh the calls of an account will be with the points there are.

use crate::config::Account;
use crate::domain::forecast::what_if::{Change, variants};
use crate::domain::forecast::{Allowance, Forecast, Reader, TierForecast};
use crate::opening::Subject;
use crate::outlook::{Limits, reader, short};

use super::Finding;

/// Tells how often each tier is read, for an account or customers with so many calls a day. `sharers` are read with the
/// same points; they are taken to have as many calls.
pub(super) fn freshness(
    subject: &Subject,
    calls_a_day: f64,
    n_customers: Option<usize>,
    sharers: &[Account],
) -> Finding {
    let own = reader(&subject.account, calls_a_day, n_customers);
    let others = sharers.iter().map(|account| reader(account, calls_a_day, None));
    let readers: Vec<Reader> = std::iter::once(own).chain(others).collect();
    let shares = sharers.iter().map(|account| account.poll.points_share);
    let share = shares.fold(subject.account.poll.points_share, f64::max);
    let limits = Limits::of(&subject.client).by_window();
    finding(format!("{} planned freshness", subject.id), &readers, &Allowance { limits, share })
}

/// About the first of the readers.
fn finding(label: String, readers: &[Reader], allowance: &Allowance) -> Finding {
    let forecast = Forecast::of(readers, allowance);
    let tiers = forecast.ladders.first().map_or(&[][..], Vec::as_slice);
    let detail = tiers.iter().map(planned).collect::<Vec<_>>().join(", ");
    if tiers.iter().all(|tier| tier.is_kept) {
        return Finding::good(label, format!("{detail}, as promised"));
    }
    let sufficient = variants(readers, allowance).into_iter().find_map(|variant| match variant.change {
        Change::PointsShare(share) if variant.forecast.keeps_promises() => {
            Some(format!("raise `poll.points_share` to {share:?}, or the limit in the client area"))
        }
        _ => None,
    });
    let raise = sufficient.unwrap_or_else(|| "have the limit raised in the client area".to_owned());
    let needed = forecast.needed_a_day.round();
    let available = forecast.available_a_day.unwrap_or_default().round();
    let remedy = format!(
        "the ladder needs {needed} points a day and has {available}: {raise}, or lengthen `every` in `poll.tiers`; \
         `callfeed plan` shows what each would give"
    );
    Finding::doubtful(label, detail, remedy)
}

fn planned(tier: &TierForecast) -> String {
    let (age, every) = (short(tier.tier.age), short(tier.planned));
    if tier.is_kept {
        format!("{age} every {every}")
    } else {
        format!("{age} every {every} (promised {})", short(tier.tier.every))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::check::Verdict;
    use crate::domain::ladder::{BackfillOrder, Ladder, Tier};
    use crate::domain::pace::PointsWindow;

    fn found(a_day: u64) -> Finding {
        let minutes = |age, every| Tier { age: Duration::from_mins(age), every: Duration::from_secs(every) };
        let tiers = vec![minutes(15, 30), minutes(30 * 24 * 60, 86_400)];
        let ladder = Ladder { tiers, backfill: BackfillOrder::Newest, adaptive: true };
        let reach = Duration::from_hours(24);
        let reader = Reader { ladder, page_size: 5000, calls_a_day: 2000.0, reach, n_alike: 1 };
        let limits = BTreeMap::from([(PointsWindow::Day, a_day)]);
        finding("acme planned freshness".to_owned(), &[reader], &Allowance { limits, share: 0.8 })
    }

    #[test]
    fn a_plan_that_keeps_its_promises_is_good() {
        let good = found(5000);
        assert_eq!((good.verdict, good.detail.as_str()), (Verdict::Good, "15m every 30s, 30d every 24h, as promised"));
    }

    #[test]
    fn a_stretched_plan_is_doubtful_and_says_what_would_do() {
        let doubtful = found(3000);
        assert_eq!(doubtful.verdict, Verdict::Doubtful);
        assert_eq!(doubtful.detail, "15m every 36s (promised 30s), 30d every 24h");
        let remedy = doubtful.remedy.unwrap();
        assert!(
            remedy.starts_with("the ladder needs 2892 points a day and has 2400: raise `poll.points_share` to 0.97")
        );
        let remedy = found(1000).remedy.unwrap();
        assert!(remedy.contains("has 800: have the limit raised in the client area"), "{remedy}");
    }
}
