//! One account in the hands of its task: opened when need be, polled, and changed as people ask.

use std::sync::Arc;

use tokio::time::Instant as Moment;

use crate::context::Context;
use crate::domain::rewind::{self, Rewind};
use crate::edge::kafka::{Acknowledged, PublishError, Record};
use crate::logging::events;
use crate::opening::{OpenError, Subject};
use crate::orders::{Asked, Order, OrderError, Outcome};
use crate::outlook::short;
use crate::pauses::Pause;
use crate::poller::Poller;
use crate::territory::Holding;

pub struct OpenAccount<'a> {
    pub subject: &'a Subject,
    pub holding: &'a Arc<Holding>,
    /// None before it is opened, and after its progress in memory was lost.
    pub poller: Option<Poller>,
    pub lost_at: Option<Moment>,
}

impl OpenAccount<'_> {
    /// The poller, which works until the context says stop; made when there is none. None when it is told to stop before.
    pub async fn open(&mut self, context: &Context) -> Option<Result<&mut Poller, OpenError>> {
        if self.poller.is_none() {
            let opening = async {
                context.openings.pass().await;
                Box::pin(self.subject.open(context, self.holding, self.lost_at)).await
            };
            match context.stop.run_until_cancelled(opening).await? {
                Ok(opened) => self.poller = Some(opened),
                Err(error) => return Some(Err(error)),
            }
        }
        let poller = self.poller.as_mut()?;
        poller.context.stop = context.stop.clone();
        Some(Ok(poller))
    }

    /// What Kafka has is not known here any more.
    pub fn is_lost(&mut self) {
        (self.poller, self.lost_at) = (None, Some(Moment::now()));
    }

    /// Does what people ask, while nothing is being read.
    pub async fn carry_out(&mut self, context: &Context, asked: Asked<Order>) {
        let outcome = match asked.order.clone() {
            Order::Pause => self.pause(context).await,
            Order::Resume => self.resume(context).await,
            Order::Rewind { to, may_republish } => Box::pin(self.rewind(context, to, may_republish)).await,
        };
        match &outcome {
            Ok(done) => {
                tracing::info!(name: events::ORDER_DONE, account = %self.subject.id, done, "asked for by a person")
            }
            Err(error) => {
                tracing::warn!(name: events::ORDER_REFUSED, account = %self.subject.id, %error, "what a person asked for is refused")
            }
        }
        asked.answer(outcome);
    }

    async fn pause(&mut self, context: &Context) -> Outcome {
        if self.holding.pauses.is_paused(&self.subject.id) {
            return Ok("paused before".to_owned());
        }
        self.set_pause(context, Pause { since: Some(context.clock.now()) }).await?;
        Ok("paused; what it misses is read when it is resumed".to_owned())
    }

    async fn resume(&mut self, context: &Context) -> Outcome {
        let id = &self.subject.id;
        if !self.holding.pauses.is_paused(id) {
            return Ok("not paused".to_owned());
        }
        self.set_pause(context, Pause { since: None }).await?;
        context.board.register(id, self.subject.account.service);
        Ok("resumed".to_owned())
    }

    async fn set_pause(&mut self, context: &Context, pause: Pause) -> Result<(), OrderError> {
        let id = &self.subject.id;
        let proof = self.publish(context, vec![pause.record(id, &context.place)]).await?;
        self.holding.pauses.apply(id, pause, proof);
        Ok(())
    }

    async fn rewind(&mut self, context: &Context, to: rewind::Moment, may_republish: bool) -> Outcome {
        let poller = match self.open(context).await {
            Some(Ok(poller)) => poller,
            Some(Err(error)) => return Err(OrderError::Refused(format!("the account cannot be opened: {error}"))),
            None => return Err(OrderError::Refused("callfeed is stopping".to_owned())),
        };
        let zone = &poller.composer.source.zone;
        let (pending, records, what) = poller.progress.prepare_rewind(to, zone, may_republish, &context.place)?;
        let proof = self.publish(context, records).await?;
        if let Some(poller) = &mut self.poller {
            poller.progress.apply(pending, proof).map_err(|error| OrderError::Refused(error.to_string()))?;
        }
        Ok(told(&what))
    }

    /// Nothing holds before Kafka has acknowledged it.
    async fn publish(&mut self, context: &Context, records: Vec<Record>) -> Result<Acknowledged, OrderError> {
        let outcome = context.publisher.publish(&self.holding.lease, records).await;
        outcome.map_err(|error| match error {
            PublishError::Lost => OrderError::NotHere(self.subject.id.to_string()),
            error => {
                self.is_lost();
                OrderError::Refused(format!("{error}; try again"))
            }
        })
    }
}

fn told(what: &Rewind) -> String {
    let length = what.read_again.iter().map(|part| part.length()).sum();
    let mut told = format!("what started from {} on is read again, {}", what.to, short(length));
    if let Some(new) = what.newly_read {
        told += &format!("; reading starts at {} instead of {}", new.from, new.till);
    }
    if !what.published_again.is_empty() {
        told += &format!("; calls that started before {} are published again, as CREATED with revision 1", what.floor);
    }
    told
}
