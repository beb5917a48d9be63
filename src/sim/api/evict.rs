//! The eviction subresource: what the API server answers to a request to evict a pod.
//!
//! The decision is `rules::eviction`'s; this carries it out, and puts it into the server's words, with its codes.
//!
//! Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`.

use std::time::Duration;

use super::{Api, PodId};
use crate::cluster::model::Budget;
use crate::rules::eviction::{self, Admission};

/// A request, as it is on the wire.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    /// Of the pod.
    pub namespace: &'r str,
    /// In the URL.
    pub name: &'r str,
    /// In the body; the server wants it to be the same.
    pub body_name: &'r str,
    /// `deleteOptions.preconditions.uid`.
    pub uid: Option<&'r str>,
    /// `deleteOptions.gracePeriodSeconds`.
    pub grace: Option<Duration>,
    /// `dryRun=All`.
    pub dry_run: bool,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// `message` of the status; empty when it was granted.
    pub message: String,
    /// `details.causes`, each its type and text.
    pub causes: Vec<(&'static str, String)>,
    /// `details.retryAfterSeconds` and the header.
    pub retry_after: Option<Duration>,
}

impl Answer {
    fn granted() -> Self {
        Self::refused(201, String::new())
    }

    const fn refused(code: u16, message: String) -> Self {
        Self {
            code,
            message,
            causes: Vec::new(),
            retry_after: None,
        }
    }

    /// 429: `Cannot evict pod as it would violate the pod's disruption budget.`
    fn disruption_budget(cause: String, retry_after: Option<Duration>) -> Self {
        Self {
            code: 429,
            message: "Cannot evict pod as it would violate the pod's disruption budget.".to_owned(),
            causes: vec![("DisruptionBudget", cause)],
            retry_after,
        }
    }

    fn forbidden(name: &str, why: &str) -> Self {
        Self::refused(
            403,
            format!("poddisruptionbudgets.policy \"{name}\" is forbidden: {why}"),
        )
    }

    /// The eviction was granted.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.code == 201
    }

    /// The message and what caused it, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        let causes = self.causes.iter().map(|(_, text)| format!(" {text}"));
        causes.fold(self.message.clone(), |words, cause| words + &cause)
    }
}

impl Api {
    /// Answers a request to evict a pod, and deletes the pod if it is granted.
    pub fn evict(&mut self, request: &Request<'_>) -> Answer {
        if request.name != request.body_name {
            return Answer::refused(
                400,
                "name in URL does not match name in Eviction object".to_owned(),
            );
        }
        let Some(id) = self.pods.named(request.namespace, request.name) else {
            return Answer::refused(404, format!("pods \"{}\" not found", request.name));
        };
        let Some(held) = self.pods.get(id) else {
            return Answer::refused(404, format!("pods \"{}\" not found", request.name));
        };
        let pod = held.pod.clone();
        if let Some(uid) = request.uid
            && uid != pod.uid
        {
            return Answer::refused(
                409,
                format!(
                    "Operation cannot be fulfilled on pods \"{}\": the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                    pod.name, pod.uid
                ),
            );
        }
        let guards = self.guards_of(&pod);
        let budgets: Vec<&Budget> = guards.iter().map(|guard| &guard.budget).collect();
        let crowded = guards
            .iter()
            .any(|guard| guard.disrupted.len() > eviction::MOST_DISRUPTED);
        let charged = match eviction::admission_by(&pod, &budgets) {
            Admission::Bypassed | Admission::NoBudget | Admission::Unready(_) => None,
            Admission::Charged(budget) | Admission::Exhausted(budget) if crowded => {
                return Answer::forbidden(
                    &budget.name,
                    "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
                );
            }
            Admission::Charged(budget) => Some((budget.namespace.clone(), budget.name.clone())),
            Admission::NotObserved(budget) => {
                let cause = format!(
                    "The disruption budget {} is still being processed by the server.",
                    budget.name
                );
                return Answer::disruption_budget(cause, Some(Duration::from_secs(10)));
            }
            Admission::Negative(budget) => {
                return Answer::forbidden(&budget.name, "pdb disruptions allowed is negative");
            }
            Admission::Exhausted(budget) => {
                return Answer::disruption_budget(exhausted(budget), None);
            }
            Admission::SeveralBudgets => {
                return Answer::refused(
                    500,
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.".to_owned(),
                );
            }
        };
        if request.dry_run {
            return Answer::granted();
        }
        if let Some(key) = charged {
            self.charge(id, &key);
        }
        self.delete(id, request.grace);
        Answer::granted()
    }

    fn charge(&mut self, id: PodId, key: &(String, String)) {
        let Some(name) = self.pods.get(id).map(|held| held.pod.name.clone()) else {
            return;
        };
        let serving = self.guards.get(key).map_or(0, |guard| {
            let serves = |id: &&PodId| {
                self.pods
                    .get(**id)
                    .is_some_and(|held| eviction::healthy(&held.pod, false))
            };
            guard.pods.iter().filter(serves).count()
        });
        let Some(guard) = self.guards.get_mut(key) else {
            return;
        };
        guard.budget.disruptions_allowed -= 1;
        guard.disrupted.insert(name.clone(), self.now);
        let desired = guard.budget.desired_healthy;
        // what the status says may have been overtaken; then the server grants what it should not
        let left = i32::try_from(serving).unwrap_or(i32::MAX) - 1;
        if left < desired {
            self.violation(format!(
                "budget {}/{}: with the eviction of {name} {left} of {desired} pods serve",
                key.0, key.1
            ));
        }
    }
}

fn exhausted(budget: &Budget) -> String {
    match &budget.sync_failed {
        Some(why) => format!(
            "The disruption budget {} does not allow evicting pods currently because it failed sync: {why}",
            budget.name
        ),
        None => format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            budget.name, budget.desired_healthy, budget.current_healthy
        ),
    }
}
