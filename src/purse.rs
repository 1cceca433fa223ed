//! The points of one credential, shared by every account that is read with it.
//!
//! Two things are kept here. Who asks for how much: each account hands in what its ladder demands, and gets the pace
//! at which its tiers are read, so that none is starved and quiet ones cost little. And what is on its way: an
//! answer tells what is left only when it comes, so a request that is out counts as spent, and the share of others is
//! never touched, however many accounts ask at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::call::AccountId;
use crate::domain::demand::{Demand, Pace, share_out};
use crate::domain::pace::{Budget, Others, Points, PointsWindow};
use crate::domain::rhythm::Rhythm;
use crate::domain::time::{Instant, Interval};
use crate::edge::data_api::{Client, WindowLimits};

/// What was shared out holds for so long, or a thousand customers would do the sums for all of them a thousand times.
const SHARED_OUT_FOR: Duration = Duration::from_secs(15);

/// When accounts come or go it is shared out anew at once among so many, and among more after a moment: a thousand that
/// come one by one are not reckoned with each by itself.
const FEW: usize = 100;
const AFTER_A_CHANGE: Duration = Duration::from_secs(1);

/// Who has to wait longer lets others go first.
const LONGEST_TURN: Duration = Duration::from_mins(1);

/// How soon to look again when it is only requests on their way that take the last points.
const IN_A_MOMENT: Duration = Duration::from_secs(1);

/// So many credentials are used again in the same second after their counters have started anew.
const AT_ONCE_A_SECOND: u64 = 200;

pub struct Purse {
    client: Client,
    clock: Clock,
    /// Of all credentials that are used.
    number: u64,
    /// Held by whoever waits for a point, so that points come in the order of asking.
    turn: tokio::sync::Mutex<()>,
    /// Told when a request is no longer on its way.
    returned: Notify,
    /// Told when limits are looked at anew.
    forgotten: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    n_on_the_way: u64,
    /// Whether any request was answered: then no limits mean that the API does not tell any.
    was_answered: bool,
    members: HashMap<AccountId, Member>,
    rhythm: Rhythm,
    others: Others,
    /// Points that were spent since the counters were last looked at for what others spend.
    n_spent: u64,
    shared_out_at: Option<Instant>,
    /// Accounts came or went since.
    has_changed: bool,
    /// Points that all live readings take in a second, as was shared out.
    live_rate: f64,
}

/// What a point is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A live reading, or what has to be asked before any.
    Live,
    /// Any other reading: it leaves the minute the points of the live readings that are due in it.
    Other,
}

impl State {
    fn kept_from(&self, errand: Errand) -> u64 {
        /// From any second on, the live readings of so long are paid for.
        const MINUTE: Duration = Duration::from_mins(1);
        match errand {
            Errand::Live => 0,
            Errand::Other => (self.live_rate * MINUTE.as_secs_f64()).ceil() as u64,
        }
    }
}

struct Member {
    demand: Demand,
    share: f64,
    pace: Pace,
}

/// A request that is on its way. Dropped when its answer has come, or is no longer waited for.
#[must_use = "the point is counted as spent while this is held"]
pub struct Spending<'p> {
    purse: &'p Purse,
}

impl Spending<'_> {
    /// Notes that the request was answered with what it asked for.
    pub fn answered(self) {
        let mut state = self.purse.state();
        state.was_answered = true;
        state.n_spent += 1;
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        self.purse.state().n_on_the_way -= 1;
        self.purse.returned.notify_one();
    }
}

impl Purse {
    pub fn new(client: Client, clock: Clock) -> Self {
        Self {
            client,
            clock,
            number: 0,
            turn: tokio::sync::Mutex::default(),
            returned: Notify::new(),
            forgotten: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Counters of many credentials start anew at the same moment, and not all who wait for that are to come at once.
    /// The first few hundred come as soon as they may.
    pub fn numbered(self, number: u64) -> Self {
        Self { number, ..self }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// How long after a counter of this length has started anew this credential is used again. Always the same.
    pub fn behind(&self, length: Duration) -> Duration {
        /// Of the length of a counter; the rest is for using the points.
        const PART: u64 = 10;
        Duration::from_secs(self.number / AT_ONCE_A_SECOND % (length.as_secs() / PART).max(1))
    }

    /// The client whose points these are.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is left of the share, requests on their way counted as spent.
    pub fn budget(&self, share: f64) -> Budget {
        let state = self.state();
        self.budget_with(state.n_on_the_way, share).beside(&state.others)
    }

    fn budget_with(&self, n_on_the_way: u64, share: f64) -> Budget {
        let Some(limits) = self.client.limits() else { return Budget::new(share, []) };
        let (age, now_millis) = (limits.seen_at.elapsed(), self.clock.now_millis());
        let points = |window: PointsWindow, seen: WindowLimits| {
            let limit = seen.limit.or(seen.most_left)?;
            // Who does not tell when a counter starts anew has it start anew within its length.
            let reset = seen.reset.unwrap_or(window.length());
            // A counter that has started anew since holds no more than its limit; how much, the next answer tells.
            let (remaining, wait) = match reset.checked_sub(age) {
                Some(wait) => (seen.remaining?, wait),
                None => (limit, window.length()),
            };
            let resets_at = whole_second_after(now_millis, wait) + self.behind(window.length());
            Some((window, Points { limit, remaining: remaining.saturating_sub(n_on_the_way), resets_at }))
        };
        let windows = limits.windows().into_iter().filter_map(|(window, seen)| points(window, seen));
        Budget::new(share, windows)
    }

    /// How often the tiers of an account are read, seen together with all others, and the points per second that takes.
    pub fn pace(&self, account: &AccountId, demand: Demand, share: f64) -> (Pace, f64) {
        let mut state = self.state();
        match state.members.get_mut(account) {
            Some(known) => (known.demand, known.share) = (demand, share),
            None => {
                // Until it is reckoned with it is read as the others are.
                let pace = state.members.values().next().map(|other| other.pace.clone()).unwrap_or_default();
                state.members.insert(account.clone(), Member { demand, share, pace });
                state.has_changed = true;
            }
        }
        let now = self.clock.now();
        let holds_for = match state.has_changed {
            true if state.members.len() <= FEW => Duration::ZERO,
            true => AFTER_A_CHANGE,
            false => SHARED_OUT_FOR,
        };
        let is_fresh = state.shared_out_at.is_some_and(|at| at <= now && now.since(at) < holds_for);
        if !is_fresh || state.members.len() == 1 {
            self.share_out(&mut state, now);
        }
        let paced = |member: &Member| (member.pace.clone(), member.demand.rate(&member.pace));
        state.members.get(account).map(paced).unwrap_or_default()
    }

    fn share_out(&self, state: &mut State, now: Instant) {
        let largest_share = state.members.values().map(|member| member.share).fold(0.0, f64::max);
        self.look_at_others(state, now);
        let budget = self.budget_with(state.n_on_the_way, largest_share).beside(&state.others);
        let demands: Vec<&Demand> = state.members.values().map(|member| &member.demand).collect();
        let paces = share_out(&demands, &budget, &state.rhythm, now);
        state.members.values_mut().zip(paces).for_each(|(member, pace)| member.pace = pace);
        state.live_rate = state.members.values().map(|member| member.demand.live_rate(&member.pace)).sum();
        (state.shared_out_at, state.has_changed) = (Some(now), false);
    }

    /// Compares the counter of the day with what was spent here.
    fn look_at_others(&self, state: &mut State, now: Instant) {
        if let Some(points) = self.budget_with(0, 1.0).counter(PointsWindow::Day) {
            state.others.note(points, std::mem::take(&mut state.n_spent), now);
        }
    }

    /// Notes how many news have come while an account was watched.
    pub fn note_news(&self, watched: Interval, news: u64) {
        self.state().rhythm.note(watched, news);
    }

    /// The account is no longer read.
    pub fn leave(&self, account: &AccountId) {
        let mut state = self.state();
        state.members.remove(account);
        state.has_changed = true;
    }

    /// A point, as soon as there is one, in the order of asking. `told` hears until when there is none, and by which
    /// counter.
    pub async fn point(&self, share: f64, errand: Errand, mut told: impl FnMut(Instant, PointsWindow)) -> Spending<'_> {
        loop {
            let turn = self.turn.lock().await;
            let (until, window) = loop {
                match self.spend(share, errand) {
                    Ok(spending) => return spending,
                    Err((until, window)) if errand == Errand::Other || self.is_long(until) => break (until, window),
                    Err((until, window)) => {
                        if until.since(self.clock.now()) > IN_A_MOMENT {
                            told(until, window);
                        }
                        tokio::select! {
                            () = self.clock.sleep_until(until) => {}
                            () = self.returned.notified() => {}
                            () = self.forgotten.notified() => {}
                        }
                    }
                }
            };
            // Whoever may use more of the points than this one need not wait behind it.
            drop(turn);
            told(until, window);
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = self.forgotten.notified() => {}
            }
        }
    }

    /// Until when there is no point for an errand.
    pub fn wait(&self, share: f64, errand: Errand) -> Option<(Instant, PointsWindow)> {
        let state = self.state();
        let now = self.clock.now();
        self.budget_with(state.n_on_the_way, share).wait_keeping(state.kept_from(errand), now)
    }

    /// Forgets what is known of limits, so that the next request finds out: somebody may have raised them.
    pub fn look_again(&self) {
        self.client.forget_limits();
        self.state().was_answered = false;
        self.forgotten.notify_waiters();
    }

    /// Takes a point, or tells until when there is none and by which counter.
    fn spend(&self, share: f64, errand: Errand) -> Result<Spending<'_>, (Instant, PointsWindow)> {
        let mut state = self.state();
        let now = self.clock.now();
        let kept = state.kept_from(errand);
        match self.budget_with(state.n_on_the_way, share).wait_keeping(kept, now) {
            // The first request finds out how many may follow it.
            None if state.n_on_the_way > 0 && !state.was_answered => Err((now + IN_A_MOMENT, PointsWindow::Minute)),
            None => {
                state.n_on_the_way += 1;
                Ok(Spending { purse: self })
            }
            Some((_, window)) if self.budget_with(0, share).wait_keeping(kept, now).is_none() => {
                Err((now + IN_A_MOMENT, window))
            }
            Some(used_up) => Err(used_up),
        }
    }

    fn is_long(&self, until: Instant) -> bool {
        until.since(self.clock.now()) > LONGEST_TURN
    }

    /// A panic of another holder is that holder's failure; counters and paces stay usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up, and a second more, for the API may have rounded down: a request in the second before the reset would be
/// refused, and the reset waited for once more.
fn whole_second_after(now_millis: i64, wait: Duration) -> Instant {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Instant::from_unix_seconds(now_millis.saturating_add(wait).saturating_add(1999).div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_within_a_second_is_waited_for_until_its_end() {
        let after =
            |now_millis, wait_millis| whole_second_after(now_millis, Duration::from_millis(wait_millis)).unix_seconds();
        assert_eq!(after(10_000, 3_000), 14);
        assert_eq!(after(10_900, 3_000), 15);
        assert_eq!(after(10_900, 3_100), 15);
        assert_eq!(after(10_000, 2_001), 14);
    }
}
