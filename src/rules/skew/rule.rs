//! The rules: what each demands, by which number plans cite it, and where upstream says so.

use std::fmt;

/// A part of Kubernetes that the rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// cloud-controller-manager.
    CloudControllerManager,
    /// The kubelet.
    Kubelet,
    /// kube-proxy.
    KubeProxy,
    /// kubectl.
    Kubectl,
    /// kubeadm.
    Kubeadm,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::CloudControllerManager => "cloud-controller-manager",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Kubeadm => "kubeadm",
        })
    }
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// API servers are within one minor of each other.
    ApiServersTogether,
    /// A kubelet is not newer than an API server, and at most 3 minors older (2 if it is older than 1.25).
    KubeletToApiServer,
    /// kube-proxy is not newer than an API server, and at most 3 minors older (2 if it is older than 1.25).
    KubeProxyToApiServer,
    /// kube-proxy is within 3 minors of its node's kubelet (2 if it is older than 1.25).
    KubeProxyToKubelet,
    /// Controller manager and scheduler are not newer than their API server, and at most one minor older.
    ControllersToApiServer,
    /// kubectl is within one minor of an API server.
    KubectlToApiServer,
    /// An API server moves by one minor at a time, forwards.
    ApiServerSkipsNothing,
    /// A node is drained before its kubelet changes minor.
    DrainedBeforeMinor,
    /// A kubelet moves by one minor at a time; where the declaration lets workers skip minors, by three at most.
    KubeletSkipsNothing,
    /// kubeadm manages a control plane of its own minor or the one before.
    KubeadmToControlPlane,
    /// kubeadm manages kubelets of its own minor and up to 3 before (1 if kubeadm is older than 1.29).
    KubeadmToKubelet,
    /// kubeadm on a node is of the same minor as the one last used there, or the next.
    KubeadmOnNode,
}

impl Rule {
    /// All of them, by number.
    pub const ALL: [Self; 12] = [
        Self::ApiServersTogether,
        Self::KubeletToApiServer,
        Self::KubeProxyToApiServer,
        Self::KubeProxyToKubelet,
        Self::ControllersToApiServer,
        Self::KubectlToApiServer,
        Self::ApiServerSkipsNothing,
        Self::DrainedBeforeMinor,
        Self::KubeletSkipsNothing,
        Self::KubeadmToControlPlane,
        Self::KubeadmToKubelet,
        Self::KubeadmOnNode,
    ];

    /// The number by which plans cite it. Number 6 is how numbers 2 to 5 are judged: against every API server that the
    /// component can reach.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::ApiServersTogether => 1,
            Self::KubeletToApiServer => 2,
            Self::KubeProxyToApiServer | Self::KubeProxyToKubelet => 3,
            Self::ControllersToApiServer => 4,
            Self::KubectlToApiServer => 5,
            Self::ApiServerSkipsNothing | Self::DrainedBeforeMinor | Self::KubeletSkipsNothing => 7,
            Self::KubeadmToControlPlane | Self::KubeadmToKubelet => 8,
            Self::KubeadmOnNode => 9,
        }
    }

    /// What it demands.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ApiServersTogether => "API servers are within one minor of each other",
            Self::KubeletToApiServer => {
                "a kubelet is not newer than any API server it can reach, and at most 3 minors older (2 before 1.25)"
            }
            Self::KubeProxyToApiServer => {
                "kube-proxy is not newer than any API server it can reach, and at most 3 minors older (2 before 1.25)"
            }
            Self::KubeProxyToKubelet => {
                "kube-proxy is within 3 minors of its node's kubelet (2 before 1.25)"
            }
            Self::ControllersToApiServer => {
                "controller managers and the scheduler are not newer than an API server that they can reach, and at most one minor older"
            }
            Self::KubectlToApiServer => {
                "kubectl is within one minor of any API server it can reach"
            }
            Self::ApiServerSkipsNothing => "an API server moves by one minor at a time, forwards",
            Self::DrainedBeforeMinor => "a node is drained before its kubelet changes minor",
            Self::KubeletSkipsNothing => {
                "a kubelet moves by one minor at a time; a worker's by three at most where strategy.workers.skipLevel allows it"
            }
            Self::KubeadmToControlPlane => {
                "kubeadm manages a control plane of its own minor or the one before"
            }
            Self::KubeadmToKubelet => {
                "kubeadm manages kubelets of its own minor and up to 3 before (1 before kubeadm 1.29)"
            }
            Self::KubeadmOnNode => "kubeadm on a node is of the minor last used there, or the next",
        }
    }

    /// Where upstream says so.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::ApiServersTogether => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-apiserver"
            }
            Self::KubeletToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kubelet"
            }
            Self::KubeProxyToApiServer | Self::KubeProxyToKubelet => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-proxy"
            }
            Self::ControllersToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-controller-manager-kube-scheduler-and-cloud-controller-manager"
            }
            Self::KubectlToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kubectl"
            }
            Self::ApiServerSkipsNothing => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1"
            }
            Self::DrainedBeforeMinor => {
                "https://kubernetes.io/releases/version-skew-policy/#kubelet-1"
            }
            Self::KubeletSkipsNothing => {
                "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/"
            }
            Self::KubeadmToControlPlane | Self::KubeadmToKubelet | Self::KubeadmOnNode => {
                "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#version-skew-policy"
            }
        }
    }

    /// Where kubeadm does not check it, so that refit is stricter: what kubeadm does instead.
    ///
    /// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/policy.go`, and `cmd/kubeadm/app/cmd/upgrade/node.go`,
    /// which has no policy of versions.
    #[must_use]
    pub const fn unchecked_by_kubeadm(self) -> Option<&'static str> {
        match self {
            Self::ApiServersTogether => Some("kubeadm asks only whichever API server answers"),
            Self::KubeletToApiServer => Some(
                "kubeadm looks for kubelets that are too old for the new release, not for newer ones, and lets `--force` pass them",
            ),
            Self::KubeProxyToApiServer
            | Self::KubeProxyToKubelet
            | Self::ControllersToApiServer
            | Self::KubectlToApiServer
            | Self::DrainedBeforeMinor => Some("kubeadm does not check this"),
            Self::KubeletSkipsNothing | Self::KubeadmOnNode => {
                Some("`kubeadm upgrade node` has no policy of versions")
            }
            Self::ApiServerSkipsNothing | Self::KubeadmToControlPlane | Self::KubeadmToKubelet => {
                None
            }
        }
    }
}
