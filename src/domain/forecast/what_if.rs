//! What would come of another share, another limit, larger pages, or a ladder with other promises.

use std::time::Duration;

use super::{Allowance, Forecast, Reader};
use crate::domain::pace::PointsWindow;

/// Shares that are worth a look.
const SHARES: [u32; 3] = [50, 80, 100];
const LARGEST_PAGE: u32 = 10_000;
const SHORTEST_EVERY: Duration = Duration::from_secs(1);

/// Something that could be set otherwise, for all that are read with the credential.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    PointsShare(f64),
    PageSize(u32),
    LiveTwiceAsOften,
    LiveHalfAsOften,
    OldestHalfAsOften,
    /// Limits that keep all promises, where no share does.
    Limits(Vec<(PointsWindow, u64)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub change: Change,
    pub forecast: Forecast,
}

/// What would come of each change that makes sense.
pub fn variants(readers: &[Reader], allowance: &Allowance) -> Vec<Variant> {
    let present = Forecast::of(readers, allowance);
    let mut changes = shares(allowance, &present);
    if readers.iter().any(|reader| reader.page_size < LARGEST_PAGE) {
        changes.push(Change::PageSize(LARGEST_PAGE));
    }
    if readers.iter().any(|reader| reader.ladder.tiers.first().is_some_and(|live| live.every > SHORTEST_EVERY)) {
        changes.push(Change::LiveTwiceAsOften);
    }
    changes.push(Change::LiveHalfAsOften);
    if readers.iter().any(|reader| reader.ladder.tiers.len() > 1) {
        changes.push(Change::OldestHalfAsOften);
    }
    changes.extend(sufficient_limits(allowance, &present));
    changes.into_iter().map(|change| variant(change, readers, allowance)).collect()
}

/// The usual shares, and the least that keeps all promises; less the one there is.
fn shares(allowance: &Allowance, present: &Forecast) -> Vec<Change> {
    if allowance.limits.is_empty() {
        return Vec::new();
    }
    let mut percents = SHARES.to_vec();
    if !present.keeps_promises() {
        percents.extend(sufficient_share(allowance, present));
    }
    percents.sort_unstable();
    percents.dedup();
    let shares = percents.into_iter().map(|percent| f64::from(percent) / 100.0);
    shares.filter(|share| (share - allowance.share).abs() > 1e-9).map(Change::PointsShare).collect()
}

/// The least share that pays for all promises, in hundredths.
fn sufficient_share(allowance: &Allowance, present: &Forecast) -> Option<u32> {
    let suffices = |percent: &u32| {
        let raised = Allowance { share: f64::from(*percent) / 100.0, ..allowance.clone() };
        raised.share > allowance.share && raised.rate().is_some_and(|rate| rate >= present.needed_a_second())
    };
    (1..=100).find(suffices)
}

/// The limits that keep all promises, when even all points that there are would not.
fn sufficient_limits(allowance: &Allowance, present: &Forecast) -> Option<Change> {
    let all = Allowance { share: 1.0, ..allowance.clone() };
    let needed = present.needed_a_second();
    if all.rate().is_none_or(|rate| rate >= needed) {
        return None;
    }
    let sufficient = |(window, limit): (&PointsWindow, &u64)| {
        let points = (needed * window.length().as_secs_f64() / allowance.share.max(0.01)).ceil() as u64;
        (points > *limit).then_some((*window, points))
    };
    Some(Change::Limits(allowance.limits.iter().filter_map(sufficient).collect()))
}

fn variant(change: Change, readers: &[Reader], allowance: &Allowance) -> Variant {
    let (mut readers, mut allowance) = (readers.to_vec(), allowance.clone());
    match &change {
        Change::PointsShare(share) => allowance.share = *share,
        Change::Limits(limits) => allowance.limits.extend(limits.iter().copied()),
        _ => readers.iter_mut().for_each(|reader| change.apply(reader)),
    }
    let forecast = Forecast::of(&readers, &allowance);
    Variant { change, forecast }
}

impl Change {
    fn apply(&self, reader: &mut Reader) {
        let tiers = &mut reader.ladder.tiers;
        let (first, last) = (0, tiers.len().saturating_sub(1));
        let mut promise = |index: usize, change: fn(Duration) -> Duration| {
            if let Some(tier) = tiers.get_mut(index) {
                tier.every = change(tier.every);
            }
        };
        match self {
            Self::PageSize(size) => reader.page_size = reader.page_size.max(*size),
            Self::LiveTwiceAsOften => promise(first, |every| (every / 2).max(SHORTEST_EVERY)),
            Self::LiveHalfAsOften => promise(first, |every| every.saturating_mul(2)),
            Self::OldestHalfAsOften => promise(last, |every| every.saturating_mul(2)),
            Self::PointsShare(_) | Self::Limits(_) => {}
        }
    }
}
