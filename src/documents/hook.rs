//! Hooks: commands of the user's own at declared points of a hop.
//!
//! A point is either one of the whole hop, where the hook runs once on each machine that `on` names, one after another; or it
//! is one of a single node whose turn it is, where the hook runs on that node, or on this machine about that node. Not every
//! machine has a meaning at every point: [`Hook::refused`] says which have none, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::model::{HostName, NodeName, Role};
use crate::rules::version::Version;

/// A command of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name; no other hook has it.
    pub name: String,
    /// Where in each hop.
    pub at: HookPoint,
    /// Where it runs.
    pub on: HookPlace,
    /// The command, word by word, not filled in.
    pub run: Vec<String>,
    /// Ends with 0 when nothing is left to do, not filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// Environment variables of both, not filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where it runs on this machine: the document's folder.
    pub directory: String,
    /// Seconds until it has failed.
    pub timeout_s: u64,
    /// Seconds that it should take, where that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_s: Option<u64>,
    /// The host may reboot meanwhile, and `check` tells how it ended.
    pub reboots: bool,
    /// What may be done when it was cut short.
    pub rerun: Rerun,
}

/// Where in a hop a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPoint {
    /// After the looks, the gates and the snapshot, before any change.
    BeforeHop,
    /// After each control plane's static pods, before its gates.
    AfterControlPlane,
    /// After the gates before the first worker goes.
    BeforeWorkers,
    /// Between a node's drain and its kubelet.
    Drained,
    /// A node is ready at its release and about to be made schedulable.
    BeforeUncordon,
    /// After each wave of workers, before its gates.
    AfterEachWave,
    /// All of the hop is there; before its gates and the last look.
    AfterHop,
}

impl HookPoint {
    /// All of them, in the order of a hop.
    pub const ALL: [Self; 7] = [
        Self::BeforeHop,
        Self::AfterControlPlane,
        Self::BeforeWorkers,
        Self::Drained,
        Self::BeforeUncordon,
        Self::AfterEachWave,
        Self::AfterHop,
    ];

    /// As the document has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeHop => "before-hop",
            Self::AfterControlPlane => "after-control-plane",
            Self::BeforeWorkers => "before-workers",
            Self::Drained => "drained",
            Self::BeforeUncordon => "before-uncordon",
            Self::AfterEachWave => "after-each-wave",
            Self::AfterHop => "after-hop",
        }
    }

    /// It is one node's turn there.
    #[must_use]
    pub const fn is_of_a_node(self) -> bool {
        match self {
            Self::AfterControlPlane | Self::Drained | Self::BeforeUncordon => true,
            Self::BeforeHop | Self::BeforeWorkers | Self::AfterEachWave | Self::AfterHop => false,
        }
    }
}

/// Where a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPlace {
    /// Where refit runs.
    ThisMachine,
    /// The control plane that `kubeadm upgrade apply` runs on.
    FirstControlPlane,
    /// Every control plane.
    EachControlPlane,
    /// Every worker.
    EachWorker,
    /// Every node.
    EachNode,
}

impl HookPlace {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ThisMachine,
        Self::FirstControlPlane,
        Self::EachControlPlane,
        Self::EachWorker,
        Self::EachNode,
    ];

    /// As the document has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThisMachine => "this-machine",
            Self::FirstControlPlane => "first-control-plane",
            Self::EachControlPlane => "each-control-plane",
            Self::EachWorker => "each-worker",
            Self::EachNode => "each-node",
        }
    }

    /// Whether it runs on a node of this role, the first control plane or not.
    #[must_use]
    pub const fn is_on(self, role: Role, first: bool) -> bool {
        match (self, role) {
            (Self::ThisMachine, _) => false,
            (Self::FirstControlPlane, _) => first,
            (Self::EachControlPlane, Role::ControlPlane) | (Self::EachWorker, Role::Worker) => true,
            (Self::EachControlPlane, Role::Worker) | (Self::EachWorker, Role::ControlPlane) => {
                false
            }
            (Self::EachNode, _) => true,
        }
    }
}

/// What may be done with a hook that was cut short: begun, and nobody knows how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rerun {
    /// The run halts until somebody says that it is done.
    Never,
    /// It is run again.
    Safe,
    /// It is run again where its check says that something is left to do.
    Check,
}

impl Rerun {
    /// As the document has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Safe => "safe",
            Self::Check => "check",
        }
    }
}

/// A command with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The command.
    pub run: Vec<String>,
    /// Its check.
    pub check: Option<Vec<String>>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

impl Hook {
    /// Why a hook has no meaning at this point on this machine; none where it has one.
    #[must_use]
    pub const fn refused(at: HookPoint, on: HookPlace) -> Option<&'static str> {
        use HookPlace as On;
        use HookPoint as At;
        match (at, on) {
            (At::AfterControlPlane, On::EachWorker | On::EachNode) => Some(
                "a control plane's turn has nothing to do with workers: `each-control-plane` runs on each after its own static pods",
            ),
            (At::Drained | At::BeforeUncordon, On::FirstControlPlane) => Some(
                "it could mean the first control plane's own turn or every node's: `each-control-plane` runs on each at its own, `this-machine` runs here for every node",
            ),
            (At::AfterEachWave, On::EachNode) => Some(
                "it could mean the wave's nodes or all: `each-worker` runs on the workers of the wave, `each-control-plane` on all control planes",
            ),
            (
                At::BeforeHop | At::BeforeWorkers | At::AfterHop,
                On::ThisMachine
                | On::FirstControlPlane
                | On::EachControlPlane
                | On::EachWorker
                | On::EachNode,
            )
            | (
                At::AfterControlPlane,
                On::ThisMachine | On::FirstControlPlane | On::EachControlPlane,
            )
            | (
                At::Drained | At::BeforeUncordon,
                On::ThisMachine | On::EachControlPlane | On::EachWorker | On::EachNode,
            )
            | (
                At::AfterEachWave,
                On::ThisMachine | On::FirstControlPlane | On::EachControlPlane | On::EachWorker,
            ) => None,
        }
    }

    /// Whether each of its steps is about a node, so that `{node}` and `{host}` have a meaning.
    #[must_use]
    pub const fn is_about_a_node(&self) -> bool {
        self.at.is_of_a_node() || !matches!(self.on, HookPlace::ThisMachine)
    }

    /// Its commands in a hop to this release, about this node.
    #[must_use]
    pub fn filled(&self, release: &Version, about: Option<(&HostName, &NodeName)>) -> Filled {
        let fill = |text: &String| {
            let text = text
                .replace("{minor}", &release.minor().to_string())
                .replace("{release}", &release.to_string());
            match about {
                None => text,
                Some((host, node)) => text
                    .replace("{host}", host.as_str())
                    .replace("{node}", node.as_str()),
            }
        };
        let words = |words: &Vec<String>| words.iter().map(fill).collect();
        let env = self.env.iter();
        Filled {
            run: words(&self.run),
            check: self.check.as_ref().map(words),
            env: env
                .map(|(name, value)| (name.clone(), fill(value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every point (rows) on every machine (columns): `+` has a meaning, `-` is refused.
    #[test]
    fn each_pair_has_a_meaning_or_is_refused() {
        for (at, row) in [
            ("before-hop", "+ + + + +"),
            ("after-control-plane", "+ + + - -"),
            ("before-workers", "+ + + + +"),
            ("drained", "+ - + + +"),
            ("before-uncordon", "+ - + + +"),
            ("after-each-wave", "+ + + + -"),
            ("after-hop", "+ + + + +"),
        ] {
            let point = HookPoint::ALL
                .into_iter()
                .find(|point| point.as_str() == at);
            let told: Vec<&str> = HookPlace::ALL
                .into_iter()
                .filter_map(|on| {
                    let refused = Hook::refused(point?, on);
                    Some(if refused.is_none() { "+" } else { "-" })
                })
                .collect();
            assert_eq!(told.join(" "), row, "{at}");
        }
    }

    #[test]
    fn what_is_filled_in_is_filled_in_everywhere_and_nothing_else() {
        let hook = Hook {
            name: "x".to_owned(),
            at: HookPoint::Drained,
            on: HookPlace::EachWorker,
            run: vec![
                "patch-{minor}".to_owned(),
                "{other} {} {release}".to_owned(),
            ],
            check: Some(vec!["done".to_owned(), "{node}@{host}".to_owned()]),
            env: BTreeMap::from([("TO".to_owned(), "{release}".to_owned())]),
            directory: ".".to_owned(),
            timeout_s: 60,
            expected_s: None,
            reboots: false,
            rerun: Rerun::Never,
        };
        let about = (&HostName::new("h1"), &NodeName::new("n1"));
        let filled = hook.filled(&Version::new(1, 35, 4), Some(about));
        assert_eq!(filled.run, ["patch-1.35", "{other} {} 1.35.4"]);
        assert_eq!(
            filled.check.as_deref(),
            Some(&["done".to_owned(), "n1@h1".to_owned()][..])
        );
        assert_eq!(filled.env["TO"], "1.35.4");
    }
}
