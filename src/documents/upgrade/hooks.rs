//! Hooks as they are declared: what their values must agree on, and the settings made of them.

use std::collections::BTreeMap;

use crate::documents::error::{DocumentError, Problem, Span};
use crate::documents::hook::{Hook, HookPlace, HookPoint, Rerun};
use crate::documents::table::upgrade::{CONTROL_PLANE, HOOK, STRATEGY};
use crate::documents::tree::{Entry, Node, Value};
use crate::documents::view::View;

/// What only a hook that is about one node may hold.
const OF_A_NODE: [&str; 2] = ["{node}", "{host}"];

/// What the hooks must agree on, with each other and with the rest of the upgrade.
pub(super) fn check(upgrade: View<'_>, errors: &mut Vec<DocumentError>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for hook in upgrade.items("hooks") {
        if let Some((name, text)) = value(hook, "name").and_then(|node| Some((node, node.text()?)))
        {
            if let Some(first) = seen.get(text) {
                errors.push(
                    DocumentError::at(
                        Problem::Conflict,
                        name.span,
                        format!("there is another hook `{text}`"),
                        "expected a name of its own, by which plans and reports know it",
                    )
                    .also(*first, "the first"),
                );
            }
            seen.entry(text).or_insert(name.span);
        }
        for command in ["run", "check"] {
            words(hook, command, errors);
        }
        rerun(hook, errors);
        expected(hook, errors);
        place(hook, upgrade, errors);
    }
}

/// The value of a key that is there and not null.
fn value<'n>(hook: &'n Node, name: &str) -> Option<&'n Node> {
    entry(hook, name).map(|entry| &entry.value)
}

fn entry<'n>(hook: &'n Node, name: &str) -> Option<&'n Entry> {
    hook.get(name).filter(|entry| !entry.value.is_null())
}

fn conflict(span: Span, message: impl Into<String>, expected: impl Into<String>) -> DocumentError {
    DocumentError::at(Problem::Conflict, span, message.into(), expected.into())
}

fn words(hook: &Node, command: &str, errors: &mut Vec<DocumentError>) {
    // Of anything but a list it is said elsewhere.
    let list = |node: &&Node| matches!(node.value, Value::List(_));
    let Some(node) = value(hook, command).filter(list) else {
        return;
    };
    let Some(program) = node.items().first() else {
        errors.push(DocumentError::at(
            Problem::BadValue,
            node.span,
            format!("`{command}` has no words"),
            "expected at least the program's name",
        ));
        return;
    };
    if program.text().is_some_and(|text| text.contains('=')) {
        errors.push(DocumentError::at(
            Problem::BadValue,
            program.span,
            "a program's name has no `=`",
            "expected a program; variables go under `env`",
        ));
    }
}

fn rerun(hook: &Node, errors: &mut Vec<DocumentError>) {
    let check = value(hook, "check").is_some();
    if let Some(rerun) = value(hook, "rerun").filter(|rerun| rerun.text() == Some("check"))
        && !check
    {
        errors.push(conflict(
            rerun.span,
            "`rerun: check` needs a check",
            "expected a key `check` beside it: the command that tells whether the hook is done",
        ));
    }
    let reboots = value(hook, "reboots").filter(|reboots| {
        reboots
            .text()
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    });
    let Some(reboots) = reboots else { return };
    if !check {
        errors.push(conflict(
            reboots.span,
            "`reboots: true` needs a check",
            "expected a key `check` beside it: after a reboot nothing else tells whether the hook is done",
        ));
    }
    let here = value(hook, "on").and_then(Node::text) == Some(HookPlace::ThisMachine.as_str());
    let drained = value(hook, "at").and_then(Node::text) == Some(HookPoint::Drained.as_str());
    if here || !drained {
        errors.push(conflict(
            reboots.span,
            "a node may reboot only while it is drained",
            "expected `at: drained` on nodes: there no pod is left on it, and it is awaited afterwards",
        ));
    }
}

/// What is expected to take longer than it may would never be done.
fn expected(node: &Node, errors: &mut Vec<DocumentError>) {
    let hook = View {
        node: Some(node),
        object: &HOOK,
    };
    let Some(expected) = value(node, "expected") else {
        return;
    };
    if let (Some(takes), Some(may)) = (hook.duration("expected"), hook.duration("timeout"))
        && takes > may
    {
        let error = conflict(
            expected.span,
            "it is expected to take longer than it may",
            "expected at most its `timeout`, which is 10m where none is declared",
        );
        errors.push(match value(node, "timeout") {
            Some(timeout) => error.also(timeout.span, "the timeout"),
            None => error,
        });
    }
}

/// Whether the hook has a meaning where it is to run.
fn place(hook: &Node, upgrade: View<'_>, errors: &mut Vec<DocumentError>) {
    let (Some(at), Some(on)) = (entry(hook, "at"), entry(hook, "on")) else {
        return;
    };
    let known = (
        HookPoint::ALL
            .into_iter()
            .find(|point| Some(point.as_str()) == at.value.text()),
        HookPlace::ALL
            .into_iter()
            .find(|place| Some(place.as_str()) == on.value.text()),
    );
    let (Some(point), Some(place)) = known else {
        return;
    };
    if let Some(why) = Hook::refused(point, place) {
        errors.push(
            conflict(
                on.value.span,
                format!(
                    "`{}` has no meaning at `{}`",
                    place.as_str(),
                    point.as_str()
                ),
                "expected another one",
            )
            .also(at.value.span, "the point")
            .help(why),
        );
        return;
    }
    let strategy = upgrade.sub("strategy", &STRATEGY);
    let control_planes = strategy.sub("controlPlane", &CONTROL_PLANE);
    let on_control_planes = match place {
        HookPlace::EachControlPlane | HookPlace::EachNode => true,
        HookPlace::ThisMachine | HookPlace::FirstControlPlane | HookPlace::EachWorker => false,
    };
    if point == HookPoint::Drained
        && on_control_planes
        && control_planes.flag("drain") == Some(false)
    {
        let error = conflict(
            on.value.span,
            "control planes are not drained",
            "expected `each-worker`",
        );
        errors.push(match control_planes.node("drain") {
            Some(drain) => error.also(drain.span, "set here"),
            None => error,
        });
    }
    if place == HookPlace::ThisMachine && !point.is_of_a_node() {
        about_no_node(hook, point, errors);
    }
}

/// `{node}` and `{host}` where no node is meant would be handed on as they are.
fn about_no_node(hook: &Node, point: HookPoint, errors: &mut Vec<DocumentError>) {
    let words = ["run", "check"]
        .into_iter()
        .filter_map(|command| value(hook, command))
        .flat_map(Node::items);
    let values = value(hook, "env").map(Node::entries).unwrap_or_default();
    for node in words.chain(values.iter().map(|entry| &entry.value)) {
        let text = node.text().unwrap_or_default();
        for name in OF_A_NODE.into_iter().filter(|name| text.contains(name)) {
            errors.push(conflict(
                node.span,
                format!("`{name}` has no meaning here"),
                format!(
                    "on this machine at `{}` the hook is about no node",
                    point.as_str()
                ),
            ));
        }
    }
}

/// The settings; none when the tree has errors.
pub(super) fn build(upgrade: View<'_>, directory: &str) -> Option<Vec<Hook>> {
    let hooks = upgrade.items("hooks").iter().map(|node| {
        let hook = View {
            node: Some(node),
            object: &HOOK,
        };
        let (at, on, rerun) = (hook.text("at")?, hook.text("on")?, hook.text("rerun")?);
        let env = hook.node("env").map(Node::entries).unwrap_or_default();
        Some(Hook {
            name: hook.text("name")?.to_owned(),
            at: HookPoint::ALL
                .into_iter()
                .find(|point| point.as_str() == at)?,
            on: HookPlace::ALL
                .into_iter()
                .find(|place| place.as_str() == on)?,
            run: hook.texts("run"),
            check: hook.node("check").map(|_| hook.texts("check")),
            env: env
                .iter()
                .map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned())))
                .collect::<Option<_>>()?,
            directory: directory.to_owned(),
            timeout_s: hook.duration("timeout")?.as_secs(),
            expected_s: match hook.node("expected") {
                Some(_) => Some(hook.duration("expected")?.as_secs()),
                None => None,
            },
            reboots: hook.flag("reboots")?,
            rerun: [Rerun::Never, Rerun::Safe, Rerun::Check]
                .into_iter()
                .find(|kind| kind.as_str() == rerun)?,
        })
    });
    hooks.collect()
}
