//! The tables of what stands around an upgrade: windows, gates, hooks, accepted risks, notices.

use super::{Choice, Object, Shape, object, optional, required};
use crate::documents::format::Format;

const NULL: &str = "null";
const TIMEOUT: Shape = Shape::Text(Format::Timeout);
const SECONDS: Shape = Shape::Text(Format::Seconds);
const LINE: Shape = Shape::Text(Format::Line);
const COMMAND: Shape = Shape::List(&LINE);

pub(in crate::documents) static WINDOW: Object = object(
    "When the cluster may be changed.",
    &[
        required("start", Shape::Text(Format::Cron), "When it opens."),
        required("duration", TIMEOUT, "How long it stays open."),
        optional(
            "timezone",
            Shape::Text(Format::TimeZone),
            "UTC",
            "The time zone of `start`.",
        ),
    ],
);

const GATE_PLACES: Shape = Shape::OneOf(&[
    "before-hop",
    "after-control-plane",
    "before-workers",
    "after-each-wave",
    "after-hop",
]);

pub(in crate::documents) static GATE: Object = object(
    "What must hold before the run goes on.",
    &[
        required(
            "name",
            Shape::Text(Format::Name),
            "Appears in plans and reports.",
        ),
        required(
            "at",
            GATE_PLACES,
            "Where in each hop; several at one place are passed in the order in which they stand here. before-hop comes before the hop's checks, so that these are fresh however long it takes.",
        ),
        optional(
            "for",
            SECONDS,
            "0s",
            "How long it must hold without a break. Not for an approval. It is asked every 10 s; one that gives no answer is a break.",
        ),
        optional(
            "timeout",
            TIMEOUT,
            "10m",
            "How long it is waited for. Not for an approval, which is waited for as long as somebody waits.",
        ),
        optional(
            "prometheus",
            Shape::Object(&PROMETHEUS),
            NULL,
            "A query, asked until every value of its answer is as expected.",
        ),
        optional(
            "command",
            COMMAND,
            NULL,
            "A command on this machine that ends with 0, word by word and without a shell, run in this document's folder. It is run again until it does.",
        ),
        optional(
            "approval",
            Shape::Object(&APPROVAL),
            NULL,
            "Somebody's word.",
        ),
    ],
)
.choose(Choice::ExactlyOne(&["prometheus", "command", "approval"]));

pub(in crate::documents) static PROMETHEUS: Object = object(
    "An instant query of a server with Prometheus' HTTP API, and what its answer must be.",
    &[
        required(
            "url",
            Shape::Text(Format::ServerUrl),
            "The server's address, with what its API's paths come after. Redirects are not followed. With a token it should be https: \
             over http to another machine whoever is on the way can read the token, and `validate` and the plan say so.",
        ),
        required(
            "query",
            LINE,
            "PromQL that gives a number or an instant vector.",
        ),
        required(
            "expect",
            Shape::Text(Format::Comparison),
            "What must be true of every value. It is true of no NaN.",
        ),
        optional(
            "noData",
            Shape::OneOf(&["fail", "pass"]),
            "fail",
            "What an answer without any value means: that nothing is known, or that all is well.",
        ),
        optional(
            "tokenFrom",
            Shape::Object(&SECRET),
            NULL,
            "Where the bearer token comes from, on the machine that carries the plan out. The token itself is in no plan, journal or output.",
        ),
        optional(
            "caFile",
            Shape::Text(Format::Path),
            NULL,
            "The authorities of its certificate, in PEM; those that this machine trusts when none is given.",
        ),
    ],
);

pub(in crate::documents) static SECRET: Object = object(
    "Where a secret comes from; the secret itself has no place here.",
    &[
        optional(
            "env",
            Shape::Text(Format::Variable),
            NULL,
            "An environment variable.",
        ),
        optional(
            "file",
            Shape::Text(Format::Path),
            NULL,
            "A file that holds nothing else.",
        ),
    ],
)
.choose(Choice::ExactlyOne(&["env", "file"]));

pub(in crate::documents) static APPROVAL: Object = object(
    "Somebody's word.",
    &[
        required(
            "by",
            Shape::List(&LINE),
            "Who may give it. Whoever may write refit's state directory is taken at their word.",
        ),
        optional(
            "expires",
            TIMEOUT,
            "12h",
            "How long it counts from when it is given until the run comes to it.",
        ),
    ],
);

pub(in crate::documents) static HOOK: Object = object(
    "A command of your own.",
    &[
        required(
            "name",
            Shape::Text(Format::Name),
            "Appears in plans and reports.",
        ),
        required(
            "at",
            Shape::OneOf(&[
                "before-hop",
                "after-control-plane",
                "before-workers",
                "drained",
                "before-uncordon",
                "after-each-wave",
                "after-hop",
            ]),
            "Where in each hop; several at one point run in the order in which they stand here. before-hop: after the looks, the \
             gates there and the snapshot, before any change. after-control-plane: after each control plane's new static pods \
             are there, before the gates there. before-workers: after the gates there, before the first worker goes; nowhere \
             in a hop without workers. drained: between a node's drain and its kubelet. before-uncordon: once the node is \
             ready, before it is made schedulable again, also where somebody else's cordon stays. after-each-wave: after each \
             wave of workers, before the gates there. after-hop: once every node is done, before the gates there and the last \
             look.",
        ),
        required(
            "on",
            Shape::OneOf(&[
                "this-machine",
                "first-control-plane",
                "each-control-plane",
                "each-worker",
                "each-node",
            ]),
            "Where it runs: on hosts as root, on this machine in this document's folder. At the points of one node \
             (after-control-plane, drained, before-uncordon) it runs on that very node if it is one of these, or on this \
             machine once for each such node. At the other points it runs once on each of these, one after another by name, \
             whether or not the hop changes something there; each-worker at after-each-wave means the workers of the wave. \
             first-control-plane is the one on which `kubeadm upgrade apply` runs. Pairs of `at` and `on` that mean nothing \
             are refused.",
        ),
        required(
            "run",
            COMMAND,
            "The command, word by word and without a shell; it has to end with 0. {minor} and {release} of the hop are filled \
             in, and {node} and {host} where it is about one node.",
        ),
        optional(
            "check",
            COMMAND,
            NULL,
            "A command that changes nothing and ends with 0 when nothing is left to do, filled in like `run`. It is asked \
             before: ends it with 0, then `run` is left out. It is asked after: it must end with 0 then. 1 to 124 say that something is \
             left to do. Any other end says nothing (125 to 127: it cannot be run; from 128 on: it was killed): the step fails, \
             and `run` is not begun. On a host it has five minutes to answer.",
        ),
        optional(
            "env",
            Shape::Map(Format::Variable, &LINE),
            "{}",
            "Environment variables of both commands, filled in like them. They are in plans: no place for secrets.",
        ),
        optional(
            "timeout",
            TIMEOUT,
            "10m",
            "After this it has failed, its checks included. On this machine it is killed then; on a host it goes on, and \
             `resume` finds its end.",
        ),
        optional(
            "expected",
            TIMEOUT,
            NULL,
            "How long one run of it should take, its checks included, until earlier runs of the cluster have shown how long it \
             takes: what plans foresee, and what must be left of a window for a node that it belongs to. Without it 10s is assumed, \
             with `reboots` 5m, and a plan with windows says so. Not longer than `timeout`.",
        ),
        optional(
            "reboots",
            Shape::Flag,
            "false",
            "true: the host may reboot meanwhile; it is waited for, and `check` is asked until it ends with 0. Only at drained, \
             on nodes, and with a check, which should not end with 0 before the reboot. Without it, a reboot meanwhile halts the \
             run: the hook was cut short, or has failed where it had come to its end.",
        ),
        optional(
            "rerun",
            Shape::OneOf(&["never", "safe", "check"]),
            "never",
            "What `resume` may do when it was cut short: it began, left no outcome or was ended by a signal, as by a shutdown of its \
             host, so that nobody knows how far it came. never: the run halts until somebody says with `refit approve` that it is \
             done, and `apply --new-run` refuses to put such a run aside for one that would begin the hook again at the same place. \
             safe: it is run again. check: it is run again unless `check` ends with 0. One that is still under way is waited for, \
             on this machine as on a host. One that ended by itself with another status than 0 has failed and is run again in any \
             case: whoever resumes has seen why.",
        ),
    ],
);

pub(in crate::documents) static RISK: Object = object(
    "A hazard that somebody answers for.",
    &[
        required("id", Shape::Text(Format::Name), "The hazard."),
        required(
            "hop",
            Shape::Text(Format::Minor),
            "Only on the way to this minor.",
        ),
        required("reason", LINE, "Why it is no danger here."),
        required(
            "until",
            Shape::Text(Format::Date),
            "The last day on which this counts, in UTC.",
        ),
    ],
);

pub(super) static NOTICE: Object = object(
    "Who hears of it.",
    &[
        required("name", Shape::Text(Format::Name), "Appears in reports."),
        required("webhook", Shape::Object(&WEBHOOK), "Where it goes."),
        required(
            "on",
            Shape::List(&Shape::OneOf(&[
                "started", "blocked", "waiting", "deferred", "halted", "finished",
            ])),
            "What it tells.",
        ),
    ],
);

static WEBHOOK: Object = object(
    "Where a message goes.",
    &[
        required(
            "urlFrom",
            Shape::Object(&SECRET),
            "Its URL, which is a secret.",
        ),
        optional(
            "format",
            Shape::OneOf(&["json", "slack", "teams"]),
            "json",
            "How it is written.",
        ),
    ],
);
