//! The table of a file of hazards.

use super::{Object, Shape, object, optional, required};
use crate::documents::format::Format;

const NULL: &str = "null";
const LINE: Shape = Shape::Text(Format::Line);

pub(in crate::documents) static HAZARDS: Object = object(
    "Hazards of your own, such as those of a network plugin, a storage driver or an add-on.",
    &[required(
        "hazards",
        Shape::List(&Shape::Object(&HAZARD)),
        "What is known to break on the way to a minor.",
    )],
);

pub(in crate::documents) static HAZARD: Object = object(
    "Something known to break.",
    &[
        required(
            "id",
            Shape::Text(Format::Name),
            "Lower-case words with hyphens; risks are accepted by it.",
        ),
        required(
            "hops",
            Shape::Text(Format::Hops),
            "The minors on the way to which it threatens.",
        ),
        optional(
            "patches",
            Shape::Flag,
            "false",
            "Whether it threatens upgrades within one of these minors too.",
        ),
        optional(
            "fixedIn",
            Shape::Text(Format::Release),
            NULL,
            "The first release of the target's minor in which it is mended.",
        ),
        required(
            "severity",
            Shape::OneOf(&["blocking", "advisory"]),
            "Whether it keeps a plan from being made, or is a note of it.",
        ),
        optional(
            "acceptable",
            Shape::Flag,
            "true",
            "false where the upgrade could not succeed anyway.",
        ),
        required(
            "breaks",
            LINE,
            "What breaks, in one sentence without its full stop.",
        ),
        required("detector", Shape::Object(&DETECTOR), "How facts show it."),
        required("remedy", LINE, "What helps, likewise."),
        required(
            "source",
            Shape::Text(Format::Url),
            "Where that is written, an https URL.",
        ),
    ],
);

/// The kinds of detectors; which of the other keys each needs is told by `rules::hazards::Detector`.
pub(in crate::documents) static DETECTOR: Object = object(
    "How facts show a hazard.",
    &[
        required("kind", Shape::OneOf(KINDS), "What is looked for."),
        optional(
            "release",
            Shape::Any,
            NULL,
            "The oldest release that will do, or the newest.",
        ),
        optional(
            "runtime",
            Shape::Any,
            NULL,
            "A container runtime such as containerd.",
        ),
        optional(
            "places",
            Shape::Any,
            NULL,
            "Where flags or feature gates are looked for.",
        ),
        optional(
            "components",
            Shape::Any,
            NULL,
            "The static pods concerned; all when left out.",
        ),
        optional(
            "flags",
            Shape::Any,
            NULL,
            "Flags with their hyphens; a `*` at the end stands for anything.",
        ),
        optional("flag", Shape::Any, NULL, "A flag with its hyphens."),
        optional("allowed", Shape::Any, NULL, "The values that are no harm."),
        optional(
            "gates",
            Shape::Any,
            NULL,
            "Feature gates; of locked ones with their value.",
        ),
        optional("hours", Shape::Any, NULL, "A span of time."),
        optional("days", Shape::Any, NULL, "A span of time."),
        optional(
            "plugins",
            Shape::Any,
            NULL,
            "In-tree volume plugins such as rbd.",
        ),
        optional(
            "driver",
            Shape::Any,
            NULL,
            "The CSI driver that takes their place.",
        ),
        optional(
            "known",
            Shape::Any,
            NULL,
            "Plugins of CoreDNS that are no harm.",
        ),
    ],
);

/// As `rules::hazards::Detector` has them, which a test holds.
pub(in crate::documents) const KINDS: &[&str] = &[
    "etcd-member-below",
    "external-etcd-below",
    "etcd-learner",
    "etcd-alarm",
    "etcd-image",
    "dns-image",
    "kube-proxy-removed",
    "cgroup-v1-checked",
    "cgroup-v1-kubelet",
    "runtime-below",
    "flags",
    "flag-value",
    "feature-gates",
    "locked-gates",
    "kubeadm-gates",
    "webhook-drained-away",
    "webhook-without-backend",
    "webhook-on-drains",
    "in-tree-volumes",
    "corefile-plugins",
    "dns-newer",
    "removed-apis",
    "api-server-young",
    "hand-edits",
    "stray-manifest",
    "certificate-ends",
    "authority-ends",
    "no-instance-config",
    "no-kubelet-flags",
    "node-name",
    "kubelet-flags-differ",
    "kubelet-config-differs",
];
