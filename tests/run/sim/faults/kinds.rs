//! Which fault can hit which kind of step, decided for every pair: a new fault and a new kind do not compile without.

use refit::cluster::model::Role;
use refit::plan::data::Action;
use refit::sim::fault::What;

/// A kind of step, as far as faults tell kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    CheckHost,
    CheckCluster,
    SnapshotEtcd,
    HoldPackages,
    SwitchRepository,
    PrefetchPackages,
    InstallKubeadm,
    PullImages,
    KubeadmApply,
    KubeadmNode,
    KubeadmWorker,
    AwaitControlPlane,
    AwaitAddons,
    Cordon,
    Drain,
    HookThere,
    HookHere,
    InstallKubelet,
    AwaitNode,
    AwaitStaticPods,
    TaintOutdated,
    Uncordon,
    ReleaseHolds,
    Soak,
    Gate,
    Verify,
    Barrier,
}

/// The kind of an action; none of a way back, which is no part of an upgrade.
pub fn kind(action: &Action) -> Option<Kind> {
    Some(match action {
        Action::CheckHost { .. } => Kind::CheckHost,
        Action::CheckCluster { .. } => Kind::CheckCluster,
        Action::SnapshotEtcd { .. } => Kind::SnapshotEtcd,
        Action::HoldPackages { .. } => Kind::HoldPackages,
        Action::SwitchRepository { .. } => Kind::SwitchRepository,
        Action::PrefetchPackages { .. } => Kind::PrefetchPackages,
        Action::InstallKubeadm { .. } => Kind::InstallKubeadm,
        Action::PullImages { .. } => Kind::PullImages,
        Action::KubeadmApply { .. } => Kind::KubeadmApply,
        Action::KubeadmNode { role, .. } => match role {
            Role::ControlPlane => Kind::KubeadmNode,
            Role::Worker => Kind::KubeadmWorker,
        },
        Action::AwaitControlPlane { .. } => Kind::AwaitControlPlane,
        Action::AwaitAddons { .. } => Kind::AwaitAddons,
        Action::Cordon { .. } => Kind::Cordon,
        Action::Drain { .. } => Kind::Drain,
        Action::InstallKubelet { .. } => Kind::InstallKubelet,
        Action::AwaitNode { .. } => Kind::AwaitNode,
        Action::AwaitStaticPods { .. } => Kind::AwaitStaticPods,
        Action::TaintOutdated { .. } => Kind::TaintOutdated,
        Action::Uncordon { .. } => Kind::Uncordon,
        Action::ReleaseHolds { .. } => Kind::ReleaseHolds,
        Action::Verify { .. } => Kind::Verify,
        Action::Soak { .. } => Kind::Soak,
        Action::Gate { .. } => Kind::Gate,
        Action::Hook { host, .. } => match host {
            Some(_) => Kind::HookThere,
            None => Kind::HookHere,
        },
        Action::Barrier { .. } => Kind::Barrier,
        Action::WayBack { .. } => return None,
    })
}

/// What a kind of step needs of the world.
#[derive(Clone, Copy, Default)]
struct Needs {
    /// Asks a host over SSH.
    ssh: bool,
    /// Changes a host by an operation there.
    operation: bool,
    /// Asks the API through its endpoint.
    api: bool,
    /// Changes something through the API.
    change: bool,
    /// Waits for the package database.
    database: bool,
    /// Lets dpkg unpack.
    unpacks: bool,
    /// Fetches a repository's lists.
    lists: bool,
    /// Asks apt beforehand what it would do.
    simulates: bool,
    /// Writes much on the host, or looks how much room there is.
    room: bool,
    /// Its node, or the nodes that it looks at, must be ready.
    node: bool,
    /// A control plane's own API server and member of etcd must answer.
    instance: bool,
}

const fn needs(kind: Kind) -> Needs {
    const NOTHING: Needs = Needs {
        ssh: false,
        operation: false,
        api: false,
        change: false,
        database: false,
        unpacks: false,
        lists: false,
        simulates: false,
        room: false,
        node: false,
        instance: false,
    };
    const THERE: Needs = Needs {
        ssh: true,
        operation: true,
        ..NOTHING
    };
    const MARKS: Needs = Needs {
        database: true,
        ..THERE
    };
    const INSTALLS: Needs = Needs {
        unpacks: true,
        simulates: true,
        room: true,
        ..MARKS
    };
    const INSTANCE: Needs = Needs {
        ssh: true,
        api: true,
        instance: true,
        ..NOTHING
    };
    const KUBEADM: Needs = Needs {
        instance: true,
        room: true,
        ..THERE
    };
    match kind {
        Kind::CheckHost => Needs {
            ssh: true,
            room: true,
            ..NOTHING
        },
        Kind::CheckCluster | Kind::Verify => Needs {
            node: true,
            ..INSTANCE
        },
        Kind::SnapshotEtcd => KUBEADM,
        Kind::HoldPackages | Kind::ReleaseHolds => MARKS,
        Kind::SwitchRepository => Needs {
            lists: true,
            ..MARKS
        },
        Kind::PrefetchPackages => Needs {
            simulates: true,
            room: true,
            ..MARKS
        },
        Kind::InstallKubeadm => INSTALLS,
        Kind::InstallKubelet => Needs {
            api: true,
            ..INSTALLS
        },
        Kind::PullImages => Needs {
            room: true,
            ..THERE
        },
        Kind::KubeadmApply => Needs {
            node: true,
            ..KUBEADM
        },
        Kind::KubeadmNode => KUBEADM,
        Kind::KubeadmWorker => THERE,
        Kind::AwaitControlPlane | Kind::AwaitStaticPods => INSTANCE,
        Kind::AwaitAddons => Needs {
            api: true,
            node: true,
            ..NOTHING
        },
        Kind::Cordon | Kind::TaintOutdated | Kind::Uncordon => Needs {
            api: true,
            change: true,
            ..NOTHING
        },
        Kind::Drain => Needs {
            api: true,
            change: true,
            node: true,
            ..NOTHING
        },
        Kind::AwaitNode | Kind::Soak => Needs {
            api: true,
            node: true,
            ..NOTHING
        },
        Kind::HookThere => Needs { api: true, ..THERE },
        Kind::HookHere | Kind::Gate | Kind::Barrier => NOTHING,
    }
}

/// Whether a fault can hit a kind of step, or why it cannot.
pub fn hits(what: What, kind: Kind) -> Result<(), &'static str> {
    let of = needs(kind);
    let when = |can: bool, why: &'static str| if can { Ok(()) } else { Err(why) };
    match what {
        What::SshDrop(_) | What::HostGone | What::MaxSessions(_) => when(
            of.ssh || (of.node && matches!(what, What::HostGone)),
            "asks no host",
        ),
        What::Reboot(_) | What::PowerCut(_) => when(
            of.ssh || of.node,
            "neither asks a host nor waits for a node",
        ),
        What::AptLock(_) | What::UnattendedUpgrades(_) => {
            when(of.database, "does not touch the package database")
        }
        What::DpkgInterrupted => when(of.unpacks, "unpacks nothing"),
        What::HeldPackage => when(of.simulates, "installs nothing"),
        What::KeyExpired => when(of.lists, "fetches no lists"),
        What::ImagePull => when(
            matches!(kind, Kind::PullImages),
            "images were pulled ahead of it, by pull-images",
        ),
        What::StaticPodHash => when(
            matches!(kind, Kind::KubeadmApply | Kind::KubeadmNode),
            "replaces no static pod",
        ),
        What::CreateJob => when(
            matches!(kind, Kind::KubeadmApply | Kind::KubeadmNode),
            "lets kubeadm create no Job",
        ),
        What::KubeletDown => when(matches!(kind, Kind::InstallKubelet), "restarts no kubelet"),
        What::NodeNotReady(_) | What::CniNotReady(_) => when(of.node, "does not look at nodes"),
        What::EtcdUnhealthy(_) | What::CertificateExpired(_) => {
            when(of.instance, "asks no control plane's own instance")
        }
        What::DiskFull(_) => when(of.room, "writes little"),
        What::DiskFullHere(_) => Ok(()),
        What::ClockJump(_) => when(of.ssh, "asks no host"),
        What::Api403(_) | What::Api429(_) | What::Api500(_) | What::ApiTimeout(_) => {
            when(of.api, "does not ask the API's endpoint")
        }
        What::WebhookDenial(_) => when(of.change, "changes nothing through the API"),
    }
}

/// Whether a kind of step runs an operation on a host, in whose middle it can be struck.
pub const fn operates(kind: Kind) -> bool {
    needs(kind).operation
}
