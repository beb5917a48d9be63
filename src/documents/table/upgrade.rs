//! The table of the upgrade document.

use super::around::NOTICE;
pub(in crate::documents) use super::around::{APPROVAL, GATE, HOOK, PROMETHEUS, SECRET};
pub(in crate::documents) use super::around::{RISK, WINDOW};
use super::{API_VERSION, METADATA, Object, Shape, object, optional, required};
use crate::documents::format::Format;

const NULL: &str = "null";
const DURATION: Shape = Shape::Text(Format::Duration);
const TIMEOUT: Shape = Shape::Text(Format::Timeout);
const SECONDS: Shape = Shape::Text(Format::Seconds);

pub(in crate::documents) static UPGRADE: Object = object(
    "What a cluster should become, and how.",
    &[
        required(
            "apiVersion",
            Shape::OneOf(&[API_VERSION]),
            "The format's version.",
        ),
        required("kind", Shape::OneOf(&["Upgrade"]), "The kind of document."),
        required(
            "metadata",
            Shape::Object(&METADATA),
            "What the upgrade is called.",
        ),
        required(
            "inventory",
            Shape::Text(Format::Path),
            "The inventory's file, relative to this one.",
        ),
        required(
            "target",
            Shape::Text(Format::Release),
            "The release to reach.",
        ),
        optional(
            "via",
            Shape::Map(Format::Minor, &Shape::Text(Format::Release)),
            "{}",
            "The exact release at a minor passed through; else the newest that the facts list.",
        ),
        optional(
            "maxFactsAge",
            DURATION,
            "24h",
            "How old recorded facts may be for `plan`; `apply` always looks again.",
        ),
        optional(
            "packages",
            Shape::Object(&PACKAGES),
            "{}",
            "Where packages come from.",
        ),
        optional(
            "kubeadm",
            Shape::Object(&KUBEADM),
            "{}",
            "What kubeadm is told.",
        ),
        optional(
            "strategy",
            Shape::Object(&STRATEGY),
            "{}",
            "Which nodes at once, in which order.",
        ),
        optional(
            "drain",
            Shape::Object(&DRAIN),
            "{}",
            "How pods leave a node.",
        ),
        optional(
            "snapshot",
            Shape::Object(&SNAPSHOT),
            "{}",
            "The etcd snapshot before the first change.",
        ),
        optional(
            "windows",
            Shape::List(&Shape::Object(&WINDOW)),
            "[]",
            "When the cluster may be changed.",
        ),
        optional(
            "gates",
            Shape::List(&Shape::Object(&GATE)),
            "[]",
            "What must hold before the run goes on.",
        ),
        optional(
            "hooks",
            Shape::List(&Shape::Object(&HOOK)),
            "[]",
            "Commands of your own.",
        ),
        optional(
            "acceptRisks",
            Shape::List(&Shape::Object(&RISK)),
            "[]",
            "Hazards that somebody answers for.",
        ),
        optional(
            "hazards",
            Shape::List(&Shape::Text(Format::Path)),
            "[]",
            "Files of your own hazards, relative to this one.",
        ),
        optional(
            "notify",
            Shape::List(&Shape::Object(&NOTICE)),
            "[]",
            "Who hears of it.",
        )
        .not_yet(),
    ],
);

pub(in crate::documents) static PACKAGES: Object = object(
    "Where packages come from.",
    &[
        optional(
            "manage",
            Shape::Flag,
            "true",
            "false: hosts get their packages by other means; refit checks and waits for them.",
        )
        .not_yet(),
        optional(
            "repository",
            Shape::Text(Format::PackageUrl),
            "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/",
            "The repository; {format} is deb or rpm.",
        ),
        optional(
            "key",
            Shape::Text(Format::KeyLocation),
            "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/Release.key",
            "The repository's signing key.",
        ),
        optional(
            "repoFile",
            Shape::Text(Format::HostPath),
            NULL,
            "The repository's file on the hosts; found by looking when left out.",
        ),
    ],
);

pub(in crate::documents) static KUBEADM: Object = object(
    "What kubeadm is told.",
    &[
        optional(
            "ignorePreflightErrors",
            Shape::List(&Shape::Text(Format::Preflight)),
            "[]",
            "Preflight checks that may fail, by name; never `all`.",
        ),
        optional(
            "patches",
            Shape::Text(Format::HostPath),
            NULL,
            "A directory of patches on the hosts.",
        ),
        optional(
            "skipPhases",
            Shape::List(&Shape::Text(Format::Phase)),
            "[]",
            "Phases that are left out.",
        ),
        optional(
            "etcdUpgrade",
            Shape::Flag,
            "true",
            "Whether etcd is upgraded.",
        ),
        optional(
            "certificateRenewal",
            Shape::Flag,
            "true",
            "Whether certificates are renewed.",
        ),
    ],
);

pub(in crate::documents) static STRATEGY: Object = object(
    "Which nodes at once, in which order.",
    &[
        optional(
            "controlPlane",
            Shape::Object(&CONTROL_PLANE),
            "{}",
            "Between control planes.",
        ),
        optional(
            "workers",
            Shape::Object(&WORKERS),
            "{}",
            "Workers, which go in waves.",
        ),
    ],
);

pub(in crate::documents) static CONTROL_PLANE: Object = object(
    "Between control planes, which go one at a time.",
    &[
        optional(
            "drain",
            Shape::Flag,
            "true",
            "Drained before their kubelet changes.",
        ),
        optional(
            "pause",
            SECONDS,
            "0s",
            "A pause between them, when their static pods change and when their kubelets do.",
        ),
    ],
);

pub(in crate::documents) static WORKERS: Object = object(
    "Workers, which go in waves.",
    &[
        optional(
            "maxUnavailable",
            Shape::Text(Format::Share),
            "20%",
            "Nodes out of service at once: a count, or a share rounded down, at least 1.",
        ),
        optional(
            "topologyKey",
            Shape::Text(Format::LabelKey),
            NULL,
            "Never two values of this label in one wave.",
        ),
        optional(
            "order",
            Shape::List(&Shape::Object(&ORDER)),
            "[]",
            "Who goes first; nodes that match none come last.",
        ),
        optional(
            "skipLevel",
            Shape::Flag,
            "false",
            "Whether kubelets of workers may skip minors: one drain and one jump of at most three, in the last hop.",
        ),
        optional(
            "maxDeferred",
            Shape::Text(Format::Count),
            "0",
            "Workers of a hop that may be put off to its end, where `drain.blocked` is `defer`. They are tried again there, one \
after another, and the next hop begins only once none is left; where more would have to be put off, or one cannot be drained \
then either, the run halts. Workers of a group with a `soak` are never put off.",
        ),
        optional(
            "maxFailed",
            Shape::Text(Format::Count),
            "0",
            "Broken nodes that do not halt the run.",
        )
        .not_yet(),
    ],
);

pub(in crate::documents) static ORDER: Object = object(
    "Nodes that go together.",
    &[
        required(
            "selector",
            Shape::Text(Format::Selector),
            "By the labels of the inventory and of the nodes.",
        ),
        optional(
            "soak",
            SECONDS,
            "0s",
            "How long they are watched before the next ones go; one that turns not ready halts the run.",
        ),
    ],
);

pub(in crate::documents) static DRAIN: Object = object(
    "How pods leave a node.",
    &[
        optional("timeout", TIMEOUT, "15m", "For one node."),
        optional(
            "gracePeriod",
            Shape::Text(Format::Seconds),
            NULL,
            "For each pod; the pod's own when left out.",
        ),
        optional(
            "deleteEmptyDirData",
            Shape::Flag,
            "true",
            "Whether data in emptyDir goes with the pod, as the plan lists.",
        ),
        optional(
            "unmanagedPods",
            Shape::OneOf(&["refuse", "evict"]),
            "refuse",
            "Pods without a controller, which nothing brings back.",
        ),
        optional(
            "blocked",
            Shape::OneOf(&["defer", "halt"]),
            "halt",
            "What a worker does to the run when its pods cannot leave in time, or a budget can never allow it: `halt` leaves it cordoned \
and stops the run; `defer` makes it schedulable again and tries it once more at the end of the hop, for as many workers as \
`strategy.workers.maxDeferred` says.",
        ),
        optional(
            "avoidOutdated",
            Shape::Flag,
            "true",
            "Whether the workers that a hop has yet to drain carry the taint `refit.dev/outdated:PreferNoSchedule`, where there are two \
or more: evicted pods prefer nodes that are done, and none is kept out. A worker's taint goes when it is made schedulable again; \
from all of them while the run is paused, outside its windows or waits for an approval with nobody at work, and when it is \
abandoned.",
        ),
        optional(
            "rules",
            Shape::List(&Shape::Object(&RULE)),
            "[]",
            "Exceptions; the first that matches counts.",
        ),
    ],
);

pub(in crate::documents) static RULE: Object = object(
    "What is different for some pods.",
    &[
        optional(
            "selector",
            Shape::Text(Format::Selector),
            NULL,
            "By the pods' labels.",
        ),
        optional(
            "namespace",
            Shape::Text(Format::Name),
            NULL,
            "In one namespace.",
        ),
        optional(
            "behavior",
            Shape::OneOf(&["drain", "skip", "wait-completed"]),
            "drain",
            "What happens to them: evicted, left alone, or awaited until they have ended by themselves.",
        ),
        optional(
            "order",
            Shape::Text(Format::Count),
            "0",
            "Lower numbers leave first, and are gone before the next are asked to.",
        ),
        optional("deleteEmptyDirData", Shape::Flag, NULL, "As for all pods."),
        optional(
            "gracePeriod",
            Shape::Text(Format::Seconds),
            NULL,
            "As for all pods.",
        ),
        optional(
            "timeout",
            TIMEOUT,
            NULL,
            "How long each of them may take to leave: from when it was first asked to go, or first awaited where it ends by itself. \
             `drain.timeout` counts for the others, and does not run while only pods with a timeout of their own hold up those of a \
             higher order. One that takes longer fails its node's drain once the others have left.",
        ),
    ],
);

pub(in crate::documents) static SNAPSHOT: Object = object(
    "The etcd snapshot before the first change. It holds Secrets: git-ignored and 0600.",
    &[
        optional(
            "directory",
            Shape::Text(Format::Path),
            ".refit/snapshots",
            "On this machine, relative to the working directory.",
        ),
        optional(
            "keep",
            Shape::Text(Format::Positive),
            "5",
            "How many are kept.",
        ),
        optional("maxAge", DURATION, "1h", "How old it may be.").not_yet(),
        optional(
            "trialRestore",
            Shape::Flag,
            "true",
            "Restored into a scratch directory before anything changes.",
        ),
        optional(
            "encryptTo",
            Shape::List(&Shape::Text(Format::Recipient)),
            "[]",
            "age recipients (`age1...`) that snapshots are encrypted to, each with the archive of /etc/kubernetes/pki and of the \
             encryption configuration that lies beside it. What they hold is then never on this machine's disk in the clear; \
             `refit restore` opens them with the identity of one of them. Without recipients both are kept in the clear, 0600.",
        ),
    ],
);
