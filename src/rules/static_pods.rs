//! What a new kubelet does to the static pods of its control plane, and how long that is felt.
//!
//! A static pod's UID is a hash of the pod as its kubelet decodes it (kubernetes/kubernetes `pkg/kubelet/config/common.go`,
//! `applyDefaults`). A minor whose Pod has a new field gives another hash for the same file: its kubelet reports ready, finds
//! pods that it does not know, and replaces all of them within seconds (kubernetes/kubernetes#116080). Where
//! kube-controller-manager's leader goes with them, nobody leads until its lease has run out: endpoints still list what is
//! being evicted, and budgets stand still.

/// How long a control plane must have been healthy without a break after its kubelet was replaced, in seconds.
///
/// A leader that dies may look alive for [`RENEWED_WITHIN_S`]; the rest is for the kubelet to begin.
pub const SETTLED_S: u64 = 20;

/// How old the last renewal of a leader's lease may be, in seconds: a leader that cannot renew for so long gives up. It
/// renews every 2 s, and others take the lease over 15 s after the last renewal.
///
/// Source: kubernetes/component-base `config/v1alpha1/defaults.go`, `RecommendedDefaultLeaderElectionConfiguration`.
pub const RENEWED_WITHIN_S: u64 = 10;

/// The lease that kube-controller-manager's leader renews, as `namespace/name`, by its flags; none where it elects none.
///
/// Source: kubernetes/component-base `config/options/leaderelectionconfig.go`; kubernetes/kubernetes
/// `pkg/controller/apis/config/v1alpha1/defaults.go`.
#[must_use]
pub fn leader_lease(controller_manager: &[String]) -> Option<String> {
    let value = |name: &str| {
        let flags = controller_manager.iter();
        flags
            .rev()
            .find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='))
    };
    if value("--leader-elect").is_some_and(|elect| !is_true(elect)) {
        return None;
    }
    let namespace = value("--leader-elect-resource-namespace").unwrap_or("kube-system");
    let name = value("--leader-elect-resource-name").unwrap_or("kube-controller-manager");
    Some(format!("{namespace}/{name}"))
}

/// As Go's `strconv.ParseBool`, which reads such flags.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_what_the_flags_say() {
        let lease = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            leader_lease(&flags)
        };
        let usual = Some("kube-system/kube-controller-manager".to_owned());
        assert_eq!(lease(&[]), usual);
        assert_eq!(lease(&["--leader-elect=true", "--v=2"]), usual);
        assert_eq!(lease(&["--leader-elect"]), usual);
        assert_eq!(lease(&["--leader-elect=false"]), None);
        assert_eq!(lease(&["--leader-elect=0"]), None);
        let last = ["--leader-elect=false", "--leader-elect=true"];
        assert_eq!(lease(&last), usual, "the last one counts");
        let other = [
            "--leader-elect-resource-name=kcm",
            "--leader-elect-resource-namespace=control",
        ];
        assert_eq!(lease(&other), Some("control/kcm".to_owned()));
    }
}
