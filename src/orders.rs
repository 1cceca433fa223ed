//! What people ask of a running replica through the admin port, and the answers.
//!
//! Whoever is to carry orders out has a [`Desk`]; whoever gives them finds it by its name in [`Orders`]. One order lies on
//! a desk at a time. An order that is never taken is told to be refused when its desk goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::domain::call::AccountId;
use crate::domain::rewind::{Moment, RewindError};

/// A batch in hand is finished first. Shorter than the port lets an answer take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What may be asked of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing is read of it until it is resumed, whatever restarts meanwhile.
    Pause,
    Resume,
    /// What was read from a moment on is read again.
    Rewind {
        to: Moment,
        may_republish: bool,
    },
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Another replica has it, or nobody.
    #[error("`{0}` is not this replica's")]
    NotHere(String),
    #[error("another order is being carried out; try again")]
    Busy,
    #[error("the order is not carried out yet; what is in hand is finished first")]
    Pending,
    #[error(transparent)]
    Rewind(#[from] RewindError),
    /// In words; nothing has changed.
    #[error("{0}")]
    Refused(String),
}

/// What was done, in words.
pub type Outcome = Result<String, OrderError>;

/// An order, to be answered.
pub struct Asked<O> {
    pub order: O,
    answer: oneshot::Sender<Outcome>,
}

impl<O> Asked<O> {
    pub fn answer(self, outcome: Outcome) {
        // Whoever asked may have gone.
        let _ = self.answer.send(outcome);
    }
}

struct Slot<O> {
    asked: Mutex<Option<Asked<O>>>,
    bell: Notify,
}

impl<O> Default for Slot<O> {
    fn default() -> Self {
        Self { asked: Mutex::default(), bell: Notify::new() }
    }
}

/// Where the orders of one account, or those of the whole replica, are taken.
pub struct Desk<O> {
    slot: Arc<Slot<O>>,
    orders: Orders,
    account: Option<AccountId>,
}

impl<O> Desk<O> {
    /// The next order. May be dropped while it waits.
    pub async fn next(&self) -> Asked<O> {
        loop {
            if let Some(asked) = lock(&self.slot.asked).take() {
                return asked;
            }
            self.slot.bell.notified().await;
        }
    }
}

impl<O> Drop for Desk<O> {
    fn drop(&mut self) {
        let Some(account) = &self.account else { return };
        let mut desks = lock(&self.orders.0.accounts);
        // Its successor may have come before it went.
        if desks.get(account).is_some_and(|slot| std::ptr::addr_eq(Arc::as_ptr(slot), Arc::as_ptr(&self.slot))) {
            desks.remove(account);
        }
    }
}

/// All desks of a replica. Clones share them.
#[derive(Clone, Default)]
pub struct Orders(Arc<Desks>);

#[derive(Default)]
struct Desks {
    accounts: Mutex<HashMap<AccountId, Arc<Slot<Order>>>>,
    reload: Arc<Slot<Reload>>,
}

/// The configuration file is to be read again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload;

impl Orders {
    /// Takes the orders of an account from now on.
    pub fn desk(&self, account: &AccountId) -> Desk<Order> {
        let slot: Arc<Slot<Order>> = Arc::default();
        lock(&self.0.accounts).insert(account.clone(), slot.clone());
        Desk { slot, orders: self.clone(), account: Some(account.clone()) }
    }

    pub fn reload_desk(&self) -> Desk<Reload> {
        Desk { slot: self.0.reload.clone(), orders: self.clone(), account: None }
    }

    pub async fn give(&self, account: &str, order: Order) -> Outcome {
        let slot = lock(&self.0.accounts).get(&AccountId::new(account)).cloned();
        match slot {
            Some(slot) => put(&slot, order).await,
            None => Err(OrderError::NotHere(account.to_owned())),
        }
    }

    pub async fn reload(&self) -> Outcome {
        put(&self.0.reload, Reload).await
    }
}

async fn put<O>(slot: &Slot<O>, order: O) -> Outcome {
    let (answer, answered) = oneshot::channel();
    {
        let mut asked = lock(&slot.asked);
        if asked.is_some() {
            return Err(OrderError::Busy);
        }
        *asked = Some(Asked { order, answer });
    }
    slot.bell.notify_one();
    match tokio::time::timeout(ANSWERED_WITHIN, answered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            Err(OrderError::Refused("the account is being stopped, or moves to another replica; try again".to_owned()))
        }
        Err(_) => Err(OrderError::Pending),
    }
}

/// A panic elsewhere leaves what is locked whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> AccountId {
        AccountId::new("acme")
    }

    #[tokio::test]
    async fn an_order_is_taken_once_and_answered() {
        let orders = Orders::default();
        let desk = orders.desk(&acme());
        let given = tokio::spawn({
            let orders = orders.clone();
            async move { orders.give("acme", Order::Pause).await }
        });
        let asked = desk.next().await;
        assert_eq!(asked.order, Order::Pause);
        asked.answer(Ok("paused".to_owned()));
        assert_eq!(given.await.unwrap().unwrap(), "paused");
    }

    #[tokio::test]
    async fn an_order_for_nobody_is_refused_at_once() {
        let orders = Orders::default();
        assert!(matches!(orders.give("acme", Order::Resume).await, Err(OrderError::NotHere(_))));
        drop(orders.desk(&acme()));
        assert!(matches!(orders.give("acme", Order::Resume).await, Err(OrderError::NotHere(_))));
    }

    #[tokio::test]
    async fn the_successor_of_a_desk_keeps_its_place() {
        let orders = Orders::default();
        let former = orders.desk(&acme());
        let desk = orders.desk(&acme());
        drop(former);
        let given = tokio::spawn({
            let orders = orders.clone();
            async move { orders.give("acme", Order::Resume).await }
        });
        desk.next().await.answer(Ok("resumed".to_owned()));
        assert!(given.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_order_waits_for_its_turn_and_one_that_is_not_taken_is_told() {
        let orders = Orders::default();
        let desk = orders.desk(&acme());
        let first = tokio::spawn({
            let orders = orders.clone();
            async move { orders.give("acme", Order::Pause).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(orders.give("acme", Order::Resume).await, Err(OrderError::Busy)));
        assert!(matches!(first.await.unwrap(), Err(OrderError::Pending)));
        drop(desk);
    }
}
