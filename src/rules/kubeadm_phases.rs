//! Which phases of `kubeadm upgrade` can be left out.
//!
//! `upgrade apply` and `upgrade node` have different phases, and kubeadm refuses a name that the command at hand does not
//! have. A declaration names phases once for both, so each command must be told only of its own, and what no command could
//! leave out must be refused before the first control plane is upgraded rather than at the second.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/cmd/upgrade/apply.go` and `node.go`, `AppendPhase`;
//! `cmd/kubeadm/app/cmd/phases/workflow/runner.go`, "invalid phase name"; kubernetes/kubernetes#126032 and #127242, 1.32.

use std::fmt;

use crate::rules::version::Minor;

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `kubeadm upgrade apply`.
    Apply,
    /// `kubeadm upgrade node`.
    Node,
}

/// Before it, `upgrade apply` had no phases, and `upgrade node` none for addons.
const SINCE: Minor = Minor {
    major: 1,
    minor: 32,
};

/// Of both commands.
const COMMON: [&str; 7] = [
    "preflight",
    "control-plane",
    "kubelet-config",
    "addon",
    "addon/coredns",
    "addon/kube-proxy",
    "post-upgrade",
];

/// Of `upgrade apply` only.
const ONLY_APPLY: [&str; 4] = [
    "upload-config",
    "upload-config/kubeadm",
    "upload-config/kubelet",
    "bootstrap-token",
];

/// Without these a plan cannot come to its end: static pods at the release, and the release in kubeadm-config.
const NEEDED: [&str; 3] = ["control-plane", "upload-config", "upload-config/kubeadm"];

/// Why a phase cannot be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseTrouble {
    /// No command has it.
    Unknown,
    /// kubeadm of this minor can leave out nothing everywhere.
    NoneCanBe,
    /// The upgrade would not be one without it.
    Needed,
}

impl fmt::Display for PhaseTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "has no such phase",
            Self::NoneCanBe => "cannot leave out phases of `upgrade apply`",
            Self::Needed => "cannot upgrade without it",
        })
    }
}

/// Whether kubeadm of `minor` can leave out this phase wherever it occurs.
///
/// # Errors
/// Why not.
pub fn can_be_left_out(phase: &str, minor: Minor) -> Result<(), PhaseTrouble> {
    if minor < SINCE {
        Err(PhaseTrouble::NoneCanBe)
    } else if NEEDED.contains(&phase) {
        Err(PhaseTrouble::Needed)
    } else if has(Command::Apply, phase) || has(Command::Node, phase) {
        Ok(())
    } else {
        Err(PhaseTrouble::Unknown)
    }
}

/// Whether a command has this phase.
#[must_use]
pub fn has(command: Command, phase: &str) -> bool {
    COMMON.contains(&phase)
        || match command {
            Command::Apply => ONLY_APPLY.contains(&phase),
            Command::Node => false,
        }
}

/// The phases that can be left out, for whoever mistyped one.
#[must_use]
pub fn names() -> Vec<&'static str> {
    COMMON
        .into_iter()
        .chain(ONLY_APPLY)
        .filter(|phase| !NEEDED.contains(phase))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(minor: u64) -> Minor {
        Minor { major: 1, minor }
    }

    #[test]
    fn phases_can_be_left_out_since_1_32() {
        for (phase, at, verdict) in [
            ("addon/kube-proxy", 31, Err(PhaseTrouble::NoneCanBe)),
            ("addon/kube-proxy", 32, Ok(())),
            ("addon", 36, Ok(())),
            ("bootstrap-token", 35, Ok(())),
            ("upload-config/kubelet", 35, Ok(())),
            ("upload-config", 35, Err(PhaseTrouble::Needed)),
            ("control-plane", 35, Err(PhaseTrouble::Needed)),
            ("addons", 35, Err(PhaseTrouble::Unknown)),
            ("kube-proxy", 35, Err(PhaseTrouble::Unknown)),
        ] {
            assert_eq!(can_be_left_out(phase, minor(at)), verdict, "{phase} {at}");
        }
    }

    #[test]
    fn each_command_has_its_own() {
        for (phase, apply, node) in [
            ("addon/coredns", true, true),
            ("bootstrap-token", true, false),
            ("upload-config/kubelet", true, false),
            ("nothing", false, false),
        ] {
            assert_eq!(
                (has(Command::Apply, phase), has(Command::Node, phase)),
                (apply, node),
                "{phase}"
            );
        }
    }
}
