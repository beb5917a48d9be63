//! The table of the inventory.

use super::{API_VERSION, Choice, METADATA, Object, Shape, object, optional, required};
use crate::documents::format::Format;

const NULL: &str = "null";

pub(in crate::documents) static INVENTORY: Object = object(
    "How to reach the hosts of a cluster, and the Kubernetes node that each of them carries.",
    &[
        required("apiVersion", Shape::OneOf(&[API_VERSION]), "The format's version."),
        required("kind", Shape::OneOf(&["Inventory"]), "The kind of document."),
        required("metadata", Shape::Object(&METADATA), "What the inventory is called."),
        optional("kubernetes", Shape::Object(&KUBERNETES), "{}", "How to reach the API."),
        optional("ssh", Shape::Object(&SSH), "{}", "How to log in; a group or a host may set any of it."),
        optional(
            "etcd",
            Shape::Either(&Shape::OneOf(&["stacked"]), &ETCD),
            "stacked",
            "Where etcd runs: on the control planes, or on hosts of its own that are checked and snapshotted, never upgraded.",
        )
        .not_yet(),
        required("groups", Shape::Map(Format::Name, &Shape::Object(&GROUP)), "The hosts, in groups of one role each."),
        optional(
            "ignoreNodes",
            Shape::List(&Shape::Either(&Shape::Text(Format::Name), &IGNORED)),
            "[]",
            "Nodes of the cluster that are not ours to upgrade; any other node without a host blocks.",
        ),
    ],
);

pub(in crate::documents) static KUBERNETES: Object = object(
    "How to reach the API.",
    &[
        optional(
            "kubeconfig",
            Shape::Text(Format::Path),
            "~/.kube/config",
            "Relative to this file.",
        ),
        optional(
            "context",
            Shape::Text(Format::Line),
            NULL,
            "The kubeconfig's context; its current one when left out.",
        ),
        optional(
            "viaHost",
            Shape::Text(Format::Name),
            NULL,
            "A host whose /etc/kubernetes/admin.conf is read and tunnelled to.",
        )
        .not_yet(),
    ],
)
.choose(Choice::AtMostOne(&["kubeconfig", "viaHost"]));

pub(in crate::documents) static SSH: Object = object(
    "How to log in to hosts; host keys are checked strictly, always.",
    &[
        optional(
            "user",
            Shape::Text(Format::Login),
            NULL,
            "The login; needed somewhere for every host.",
        ),
        optional("port", Shape::Text(Format::Port), "22", "The TCP port."),
        optional(
            "identityFile",
            Shape::Text(Format::Path),
            NULL,
            "The private key; the agent's keys when left out.",
        ),
        optional(
            "knownHosts",
            Shape::Text(Format::Path),
            NULL,
            "The host keys that are trusted; your own file when left out.",
        ),
        optional(
            "jump",
            Shape::Object(&JUMP),
            NULL,
            "A host to go through; null for none.",
        ),
        optional(
            "become",
            Shape::OneOf(&["none", "sudo"]),
            "sudo",
            "How the login becomes root.",
        ),
    ],
);

pub(in crate::documents) static JUMP: Object = object(
    "A host that connections go through.",
    &[
        required(
            "address",
            Shape::Text(Format::Address),
            "Its IP address or DNS name.",
        ),
        optional(
            "user",
            Shape::Text(Format::Login),
            NULL,
            "The login there; the host's own when left out.",
        ),
        optional("port", Shape::Text(Format::Port), "22", "The TCP port."),
    ],
);

static ETCD: Object = object(
    "Where etcd runs.",
    &[required(
        "external",
        Shape::Object(&EXTERNAL),
        "Snapshots and checks only, never upgraded.",
    )],
);

static EXTERNAL: Object = object(
    "etcd outside of the control planes.",
    &[
        required(
            "endpoints",
            Shape::List(&Shape::Text(Format::Url)),
            "The members' client URLs.",
        ),
        optional(
            "hosts",
            Shape::List(&Shape::Text(Format::Name)),
            "[]",
            "The hosts that run it.",
        ),
        required(
            "caFile",
            Shape::Text(Format::Path),
            "The authority of its certificates.",
        ),
        required(
            "certFile",
            Shape::Text(Format::Path),
            "The client certificate.",
        ),
        required(
            "keyFile",
            Shape::Text(Format::Path),
            "The client certificate's key.",
        ),
    ],
);

pub(in crate::documents) static GROUP: Object = object(
    "Hosts of one role.",
    &[
        required(
            "role",
            Shape::OneOf(&["control-plane", "worker"]),
            "What the nodes are for.",
        ),
        optional(
            "labels",
            LABELS,
            "{}",
            "Labels for selectors; the node's own win.",
        ),
        optional(
            "ssh",
            Shape::Object(&SSH),
            "{}",
            "What differs from the inventory's settings.",
        ),
        required("hosts", Shape::List(&Shape::Object(&HOST)), "The hosts."),
    ],
);

const LABELS: Shape = Shape::Map(Format::LabelKey, &Shape::Text(Format::LabelValue));

pub(in crate::documents) static HOST: Object = object(
    "A host, or several that differ in a number: ranges in name, address and node name expand pairwise.",
    &[
        required(
            "name",
            Shape::Text(Format::NameRange),
            "What the host is called here and in plans.",
        ),
        optional(
            "address",
            Shape::Text(Format::AddressRange),
            NULL,
            "Where SSH finds it; its name when left out.",
        ),
        optional(
            "nodeName",
            Shape::Text(Format::NameRange),
            NULL,
            "The Kubernetes node's name; the host's when left out.",
        ),
        optional(
            "labels",
            LABELS,
            "{}",
            "Labels for selectors; they win over the group's.",
        ),
        optional(
            "ssh",
            Shape::Object(&SSH),
            "{}",
            "What differs from the group's settings.",
        ),
    ],
);

pub(in crate::documents) static IGNORED: Object = object(
    "Nodes that are left alone.",
    &[
        optional("name", Shape::Text(Format::Name), NULL, "One node."),
        optional(
            "selector",
            Shape::Text(Format::Selector),
            NULL,
            "All nodes with these labels.",
        ),
    ],
)
.choose(Choice::ExactlyOne(&["name", "selector"]));
