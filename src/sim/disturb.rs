//! What befalls the API and the disk of whoever runs refit. That of the API is told in the words of its servers and of the client that refit is.
//!
//! Reads wait it out, as the adapter does; a change is sent once and fails as it would.

use std::time::Duration;

use super::fault::{Fault, Moment, Place, What};
use crate::ports::{Eviction, Failure};

/// What befalls the API, and for how long it still does.
#[derive(Debug, Clone, Default)]
pub struct Disturbances {
    faults: Vec<Fault>,
    lasting: Vec<(What, Duration)>,
}

/// How long something lasts that befalls the API or the disk here.
const fn lasts(what: What) -> Option<Duration> {
    match what.place() {
        Place::Api | Place::Here => what.parts().1,
        Place::Host => None,
    }
}

impl Disturbances {
    /// What will go wrong.
    pub(super) fn expect(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// When faults are due that wait for a time.
    pub(super) fn awaited(&self) -> Vec<Duration> {
        let times = self.faults.iter().filter_map(|fault| match fault.when {
            Moment::After(after) => Some(after),
            Moment::First | Moment::Step(_) | Moment::Phase(..) => None,
        });
        times.collect()
    }

    /// A step of this verb begins, or time has passed. When what begins now is over.
    pub(super) fn notice(&mut self, verb: Option<&str>, now: Duration) -> Vec<Duration> {
        let mut ends = Vec::new();
        for fault in &mut self.faults {
            let due = match (&fault.when, verb) {
                (Moment::First, _) => true,
                (Moment::After(after), _) => *after <= now,
                (Moment::Step(step) | Moment::Phase(step, _), Some(verb)) => step == verb,
                (Moment::Step(_) | Moment::Phase(..), None) => false,
            };
            if let Some(lasts) = lasts(fault.what).filter(|_| due && fault.times > 0) {
                fault.times -= 1;
                self.lasting.push((fault.what, now + lasts));
                ends.push(now + lasts);
            }
        }
        ends
    }

    /// Faults that have not struck (so often as they should).
    pub(super) fn pending(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.times > 0)
    }

    /// Nothing befalls it any more.
    pub(super) fn mend(&mut self) {
        *self = Self::default();
    }

    fn lasting(&self, place: Place, now: Duration) -> Option<What> {
        let of_it = |(what, until): &&(What, Duration)| *until > now && what.place() == place;
        self.lasting.iter().find(of_it).map(|(what, _)| *what)
    }

    fn now(&self, now: Duration) -> Option<What> {
        self.lasting(Place::Api, now)
    }

    /// Whether nothing can be written here.
    pub(super) fn no_room_here(&self, now: Duration) -> bool {
        self.lasting(Place::Here, now).is_some()
    }

    /// Whether reads are answered.
    pub(super) fn lets_read(&self, now: Duration) -> bool {
        self.now(now)
            .is_none_or(|what| matches!(what, What::WebhookDenial(_)))
    }

    /// How a read fails that was asked again and again.
    pub(super) fn words(&self, now: Duration) -> &'static str {
        match self.now(now) {
            Some(What::Api403(_)) => {
                "User \"kubernetes-admin\" cannot get resource \"nodes\" in API group \"\" at the cluster scope"
            }
            Some(What::Api429(_)) => {
                "the server has received too many requests and has asked us to try again later"
            }
            Some(What::Api500(_)) => "Internal error occurred: etcdserver: request timed out (500)",
            Some(What::ApiTimeout(_)) => "no answer in time",
            Some(_) | None => "connection refused",
        }
    }

    /// How a change fails, if it does.
    pub(super) fn change(&self, what: &str, now: Duration) -> Option<Failure> {
        Some(match self.now(now)? {
            What::Api403(_) => Failure::Refused(format!(
                "{what}: User \"kubernetes-admin\" cannot patch resource \"nodes\" in API group \"\" at the cluster scope"
            )),
            What::Api429(_) => Failure::Refused(format!(
                "{what}: the server has received too many requests and has asked us to try again later"
            )),
            What::Api500(_) => Failure::MaybeDone(format!(
                "{what}: Internal error occurred: etcdserver: request timed out (500)"
            )),
            What::WebhookDenial(_) => Failure::Refused(format!(
                "{what}: admission webhook \"guard.example.org\" denied the request: changes are frozen"
            )),
            _ => Failure::MaybeDone(format!("{what}: no answer in time")),
        })
    }

    /// How an eviction is answered, if not as it should be.
    pub(super) fn eviction(&self, what: &str, now: Duration) -> Option<Result<Eviction, Failure>> {
        let blocked = |message: &str| {
            Ok(Eviction::Blocked {
                message: message.to_owned(),
                retry_after: None,
            })
        };
        Some(match self.now(now)? {
            What::Api403(_) => blocked(
                "User \"kubernetes-admin\" cannot create resource \"pods/eviction\" in API group \"\"",
            ),
            What::Api429(_) => blocked(
                "the server has received too many requests and has asked us to try again later",
            ),
            What::WebhookDenial(_) => Ok(Eviction::Denied(
                "admission webhook \"guard.example.org\" denied the request: changes are frozen"
                    .to_owned(),
            )),
            _ => Err(self.change(what, now)?),
        })
    }
}
