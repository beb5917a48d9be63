//! The disruption controller: counts the pods of each budget and writes what it allows.
//!
//! The arithmetic is `rules::eviction`'s, which forecasts use too. Until something of a budget changes its status is the
//! observed one.
//!
//! Source: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::workloads::WorkloadKey;
use super::{Api, Event, Owner, PodId};
use crate::cluster::model::{Budget, Pod};
use crate::rules::eviction;

/// A budget and what its status does not show.
#[derive(Debug, Clone)]
pub struct Guard {
    /// As the API shows it.
    pub budget: Budget,
    /// Pods whose eviction was granted, by name, and when: `status.disruptedPods`.
    pub disrupted: BTreeMap<String, Duration>,
    /// Pods that its selector matches.
    pub(super) pods: BTreeSet<PodId>,
    /// It is counted again soon.
    due: bool,
}

/// The scale of a controller.
enum Scale {
    /// It wants so many.
    Wants(i32),
    /// It has none: the budget cannot be counted.
    Unknown(String),
}

impl Api {
    /// A budget, as it was observed.
    pub(super) fn add_guard(&mut self, budget: Budget) {
        let pods = self
            .pods
            .within(&budget.namespace)
            .filter(|(_, held)| eviction::covers(&budget, &held.pod))
            .map(|(id, _)| id)
            .collect();
        let key = (budget.namespace.clone(), budget.name.clone());
        let stale = !budget.up_to_date;
        let guard = Guard {
            budget,
            disrupted: BTreeMap::new(),
            pods,
            due: false,
        };
        self.guards.insert(key.clone(), guard);
        if stale {
            self.recount_soon(&key);
        }
    }

    /// Someone creates a budget, or writes another one in its place; the controller sees it soon.
    pub fn put_budget(&mut self, budget: Budget) {
        let key = (budget.namespace.clone(), budget.name.clone());
        let disrupted = self.guards.remove(&key).map(|guard| guard.disrupted);
        self.add_guard(Budget {
            up_to_date: false,
            ..budget
        });
        if let (Some(guard), Some(disrupted)) = (self.guards.get_mut(&key), disrupted) {
            guard.disrupted = disrupted;
        }
        self.bump();
    }

    /// Someone deletes a budget.
    pub fn remove_budget(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.guards.remove(&key);
        self.bump();
    }

    /// A budget.
    #[must_use]
    pub fn guard(&self, namespace: &str, name: &str) -> Option<&Guard> {
        let key = (namespace.to_owned(), name.to_owned());
        self.guards.get(&key)
    }

    /// All budgets, by namespace and name.
    pub fn guards(&self) -> impl Iterator<Item = &Guard> {
        self.guards.values()
    }

    /// Changes what a budget's status says, as nothing but a test or a fault would.
    pub fn change_guard(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut Guard)) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(guard) = self.guards.get_mut(&key) {
            change(guard);
        }
        self.bump();
    }

    /// A new pod may be one of a budget's.
    pub(super) fn cover(&mut self, id: PodId) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let namespace = held.pod.namespace.clone();
        let mut covering = Vec::new();
        for (key, guard) in in_namespace_mut(&mut self.guards, &namespace) {
            if eviction::covers(&guard.budget, &held.pod) {
                guard.pods.insert(id);
                covering.push(key.clone());
            }
        }
        for key in covering {
            self.recount_soon(&key);
        }
    }

    /// Budgets that match a pod.
    pub(super) fn guards_of(&self, pod: &Pod) -> Vec<&Guard> {
        in_namespace(&self.guards, &pod.namespace)
            .filter(|(_, guard)| eviction::covers(&guard.budget, pod))
            .map(|(_, guard)| guard)
            .collect()
    }

    /// The controller counts the budgets of a pod again soon; at once where it serves no longer, so that no eviction is granted
    /// on what is not true any more.
    pub(super) fn recount_of(&mut self, pod: &Pod) {
        let keys: Vec<_> = self
            .guards_of(pod)
            .into_iter()
            .map(|guard| (guard.budget.namespace.clone(), guard.budget.name.clone()))
            .collect();
        for key in keys {
            self.recount_soon(&key);
        }
    }

    fn recount_soon(&mut self, key: &(String, String)) {
        if let Some(guard) = self.guards.get_mut(key)
            && !std::mem::replace(&mut guard.due, true)
        {
            self.later(self.timing.reaction, Event::Recount(key.clone()));
        }
    }

    pub(super) fn recount(&mut self, key: &(String, String)) {
        let Some(guard) = self.guards.get_mut(key) else {
            return;
        };
        guard.due = false;
        let Some(mut guard) = self.guards.get(key).cloned() else {
            return;
        };
        guard.pods.retain(|id| self.pods.get(*id).is_some());
        let next = self.count(&mut guard);
        self.guards.insert(key.clone(), guard);
        self.bump();
        if let Some(after) = next {
            self.later(after, Event::Recount(key.clone()));
        }
    }

    /// Counts a budget's pods and writes its status. Gives when it must be counted again because a grant will have aged.
    fn count(&self, guard: &mut Guard) -> Option<Duration> {
        let mut scales = BTreeMap::new();
        let mut failed = None;
        for id in &guard.pods {
            let Some(held) = self.pods.get(*id) else {
                continue;
            };
            if let Some((key, scale)) = held.owner.as_ref().and_then(|owner| self.scale_of(owner)) {
                match scale {
                    Scale::Wants(replicas) => {
                        scales.insert(key, replicas);
                    }
                    Scale::Unknown(why) => failed = Some(why),
                }
            }
        }
        let by_number = guard.budget.max_unavailable.is_none()
            && guard
                .budget
                .min_available
                .as_deref()
                .is_some_and(|value| !value.ends_with('%'));
        if let Some(why) = failed.filter(|_| !by_number) {
            guard.budget.disruptions_allowed = 0;
            guard.budget.sync_failed = Some(why);
            return None;
        }
        let now = self.now;
        let pod_of = |name: &str| {
            let id = self.pods.named(&guard.budget.namespace, name)?;
            self.pods.get(id).map(|held| &held.pod)
        };
        let disrupted: BTreeMap<String, Duration> = guard
            .disrupted
            .iter()
            .filter(|(name, granted)| {
                eviction::still_disrupted(pod_of(name), now.saturating_sub(**granted))
            })
            .map(|(name, granted)| (name.clone(), *granted))
            .collect();
        let healthy = guard
            .pods
            .iter()
            .filter_map(|id| self.pods.get(*id))
            .filter(|held| eviction::healthy(&held.pod, disrupted.contains_key(&held.pod.name)))
            .count();
        let next = disrupted.values().min().map(|granted| {
            (*granted + eviction::DISRUPTED_FOR + Duration::from_secs(1)).saturating_sub(now)
        });
        guard.disrupted = disrupted;
        let matched = i32::try_from(guard.pods.len()).unwrap_or(i32::MAX);
        let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
        let replicas: Vec<i32> = scales.into_values().collect();
        let budget = &mut guard.budget;
        budget.expected_pods = eviction::expected(budget, matched, &replicas);
        let (desired, allowed) = eviction::status(budget, budget.expected_pods, healthy);
        budget.desired_healthy = desired;
        budget.current_healthy = healthy;
        budget.disruptions_allowed = allowed;
        budget.sync_failed = None;
        budget.up_to_date = true;
        next
    }

    /// What the controller of pods wants, and by which key it is counted once: a ReplicaSet counts as its Deployment. None for
    /// mirror pods' nodes, which the controller does not take for one.
    fn scale_of(&self, owner: &Owner) -> Option<(ScaleKey, Scale)> {
        let set = self.sets.get(owner);
        let of_set = set.map(|set| i32::try_from(set.replicas()).unwrap_or(i32::MAX));
        let core = owner.api_version == "v1";
        let apps = owner.api_version.starts_with("apps/");
        let key = ScaleKey::Set(owner.clone());
        match owner.kind.as_str() {
            "ReplicaSet" | "StatefulSet" if apps => {
                if let Some(workload) = set.and_then(|set| set.workload.as_ref())
                    && let Some(wants) = self.scale(workload)
                {
                    return Some((ScaleKey::Workload(workload.clone()), Scale::Wants(wants)));
                }
                Some((key, Scale::Wants(of_set?)))
            }
            "ReplicationController" if core => Some((key, Scale::Wants(of_set?))),
            "Node" if core => None,
            "DaemonSet" if apps => Some((key, no_scale("daemonsets.apps"))),
            "Job" => Some((key, no_scale("jobs.batch"))),
            // a kind of somebody's own, which may have a scale or not: its pods are all that is known
            _ => Some((key, Scale::Wants(of_set?))),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum ScaleKey {
    Workload(WorkloadKey),
    Set(Owner),
}

fn no_scale(kind: &str) -> Scale {
    Scale::Unknown(format!("{kind} does not implement the scale subresource"))
}

type Guards = BTreeMap<(String, String), Guard>;

fn in_namespace<'g>(
    guards: &'g Guards,
    namespace: &str,
) -> impl Iterator<Item = (&'g (String, String), &'g Guard)> {
    guards
        .range((namespace.to_owned(), String::new())..)
        .take_while(move |((of, _), _)| of == namespace)
}

fn in_namespace_mut<'g>(
    guards: &'g mut Guards,
    namespace: &str,
) -> impl Iterator<Item = (&'g (String, String), &'g mut Guard)> {
    guards
        .range_mut((namespace.to_owned(), String::new())..)
        .take_while(move |((of, _), _)| of == namespace)
}
