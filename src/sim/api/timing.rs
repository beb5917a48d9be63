//! How long things take in the cluster, and which pods are slower or stuck.

use std::time::Duration;

/// How long things take that no machine decides.
///
/// Sources of what Kubernetes fixes: kubernetes/kubernetes `cmd/kube-controller-manager/app/options`
/// (`node-monitor-grace-period` 50 s since 1.32), `pkg/controller/nodelifecycle`, and the toleration of 300 s that the
/// admission plugin `DefaultTolerationSeconds` gives every pod.
#[derive(Debug, Clone)]
pub struct Timing {
    /// An API call, there and back.
    pub call: Duration,
    /// Until a controller or the scheduler reacts.
    pub reaction: Duration,
    /// Until a pod's containers have ended that end when asked.
    pub pod_ends: Duration,
    /// Until a bound pod serves: image there, containers started, first probe passed.
    pub pod_serves: Duration,
    /// What pods are given to end that do not end earlier: `terminationGracePeriodSeconds`, which facts do not have.
    pub grace: Duration,
    /// Until a silent kubelet's node is taken for not ready.
    pub node_lost: Duration,
    /// Until pods of such a node are deleted.
    pub node_given_up: Duration,
    /// Until a volume is detached once its pod is gone; none: it never is.
    pub detaches: Option<Duration>,
    /// What is different for some pods.
    pub habits: Vec<Habit>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            call: Duration::from_millis(5),
            reaction: Duration::from_millis(50),
            pod_ends: Duration::from_secs(2),
            pod_serves: Duration::from_secs(3),
            grace: Duration::from_secs(30),
            node_lost: Duration::from_secs(50),
            node_given_up: Duration::from_secs(300),
            detaches: Some(Duration::from_secs(6)),
            habits: Vec::new(),
        }
    }
}

/// What is different for pods of a namespace whose name begins like this.
#[derive(Debug, Clone)]
pub struct Habit {
    /// Their namespace.
    pub namespace: String,
    /// How their names begin.
    pub prefix: String,
    /// How long they take to end, were they given the time; none: a finalizer holds them for ever.
    pub ends: Option<Duration>,
    /// How long new ones take to serve; none: they never do.
    pub serves: Option<Duration>,
}

impl Timing {
    fn habit(&self, namespace: &str, name: &str) -> Option<&Habit> {
        self.habits
            .iter()
            .find(|habit| habit.namespace == namespace && name.starts_with(&habit.prefix))
    }

    /// How long the pod takes to end, with so much time given; none: for ever.
    pub(super) fn ends(&self, namespace: &str, name: &str, grace: Duration) -> Option<Duration> {
        let wanted = self
            .habit(namespace, name)
            .map_or(Some(self.pod_ends), |habit| habit.ends)?;
        Some(wanted.min(grace))
    }

    /// How long the pod takes to serve once it is bound; none: for ever.
    pub(super) fn serves(&self, namespace: &str, name: &str) -> Option<Duration> {
        self.habit(namespace, name)
            .map_or(Some(self.pod_serves), |habit| habit.serves)
    }
}
