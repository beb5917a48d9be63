//! kubeadm's own verdict on an upgrade, as one function.
//!
//! Where kubeadm would refuse, the plan says so before anything is changed. refit never passes `--force`, so what kubeadm
//! lets one force is refused as well. kubeadm asks one API server only, ignores kubelets that are newer than the target,
//! lets a downgrade by one minor pass, and has no policy for `upgrade node`: `rules::skew` and the planner are stricter
//! there.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/policy.go`, `EnforceVersionPolicies`.

use std::fmt;

use crate::rules::version::{Minor, Version};

/// Minors that kubeadm lets kubelets lag behind the new control plane (`MaximumAllowedMinorVersionKubeletSkew`).
const KUBELET_LAG: i64 = 3;

/// What kubeadm is asked to judge.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What the API server that answers says.
    pub cluster: &'a Version,
    /// Every node's kubelet.
    pub kubelets: &'a [Version],
    /// kubeadm itself.
    pub kubeadm: &'a Version,
    /// The release to upgrade to.
    pub new: &'a Version,
    /// `--allow-experimental-upgrades`.
    pub allow_experimental: bool,
    /// `--allow-release-candidate-upgrades`.
    pub allow_rc: bool,
}

/// Why kubeadm objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// The new release is older than the oldest control plane that this kubeadm supports.
    BelowMinimum {
        /// The new release.
        new: Version,
        /// The oldest minor supported.
        minimum: Minor,
    },
    /// The new release is more than one minor ahead of the cluster.
    TooFarAhead {
        /// The new release.
        new: Version,
        /// The cluster's.
        cluster: Version,
    },
    /// The new release is more than one minor behind the cluster.
    TooFarBehind {
        /// The new release.
        new: Version,
        /// The cluster's.
        cluster: Version,
    },
    /// The new release's minor is ahead of kubeadm's.
    KubeadmTooOld {
        /// The new release.
        new: Version,
        /// kubeadm's.
        kubeadm: Version,
    },
    /// The new release's patch is ahead of kubeadm's.
    KubeadmPatchTooOld {
        /// The new release.
        new: Version,
        /// kubeadm's.
        kubeadm: Version,
    },
    /// kubeadm's minor is ahead of the new release's.
    KubeadmTooNew {
        /// The new release.
        new: Version,
        /// kubeadm's.
        kubeadm: Version,
    },
    /// A pre-release that no flag allows.
    Unstable {
        /// The new release.
        new: Version,
    },
    /// Kubelets that lag too far behind the new release.
    KubeletsTooOld {
        /// The new release.
        new: Version,
        /// Their releases, sorted.
        kubelets: Vec<Version>,
    },
}

/// What kubeadm says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Cannot be forced.
    pub mandatory: Vec<Objection>,
    /// `--force` would pass them.
    pub skippable: Vec<Objection>,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowMinimum { new, minimum } => write!(
                f,
                "{new} is older than {minimum}, the oldest control plane that this kubeadm manages"
            ),
            Self::TooFarAhead { new, cluster } => write!(
                f,
                "{new} is more than one minor ahead of the cluster's {cluster}"
            ),
            Self::TooFarBehind { new, cluster } => write!(
                f,
                "{new} is more than one minor behind the cluster's {cluster}"
            ),
            Self::KubeadmTooOld { new, kubeadm } => {
                write!(f, "{new} is of a newer minor than kubeadm {kubeadm}")
            }
            Self::KubeadmPatchTooOld { new, kubeadm } => {
                write!(f, "{new} is newer than kubeadm {kubeadm}")
            }
            Self::KubeadmTooNew { new, kubeadm } => {
                write!(f, "kubeadm {kubeadm} is of a newer minor than {new}")
            }
            Self::Unstable { new } => write!(f, "{new} is a pre-release"),
            Self::KubeletsTooOld { new, kubelets } => {
                let kubelets: Vec<String> = kubelets.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "kubelets at {} are more than {KUBELET_LAG} minors behind {new}",
                    kubelets.join(", ")
                )
            }
        }
    }
}

/// Whether `version` precedes `other`: numbers, then pre-release; build metadata does not count
/// (kubernetes/apimachinery `pkg/util/version`, `LessThan`).
fn precedes(version: &Version, other: &Version) -> bool {
    let key = |version: &Version| {
        let prerelease = semver::Prerelease::new(version.prerelease()).unwrap_or_default();
        (version.minor(), version.patch(), prerelease)
    };
    key(version) < key(other)
}

/// kubeadm's verdict.
#[must_use]
pub fn judge(request: &Request<'_>) -> Verdict {
    let Request {
        cluster,
        kubelets,
        kubeadm,
        new,
        ..
    } = *request;
    let mut verdict = Verdict::default();
    let released = new.prerelease().is_empty();

    let minimum = Minor {
        major: kubeadm.minor().major,
        minor: kubeadm.minor().minor.saturating_sub(1),
    };
    if precedes(new, &Version::new(minimum.major, minimum.minor, 0)) {
        verdict.mandatory.push(Objection::BelowMinimum {
            new: new.clone(),
            minimum,
        });
    }
    // A pre-release may jump when forced; a release may not.
    let ahead = new.minor().ahead_of(cluster.minor());
    let mut strict = |objection| {
        if released {
            verdict.mandatory.push(objection);
        } else {
            verdict.skippable.push(objection);
        }
    };
    if ahead > 1 {
        strict(Objection::TooFarAhead {
            new: new.clone(),
            cluster: cluster.clone(),
        });
    }
    if ahead < -1 {
        strict(Objection::TooFarBehind {
            new: new.clone(),
            cluster: cluster.clone(),
        });
    }
    if precedes(kubeadm, new) {
        if new.minor() > kubeadm.minor() {
            strict(Objection::KubeadmTooOld {
                new: new.clone(),
                kubeadm: kubeadm.clone(),
            });
        } else {
            verdict.skippable.push(Objection::KubeadmPatchTooOld {
                new: new.clone(),
                kubeadm: kubeadm.clone(),
            });
        }
    }
    if kubeadm.minor() > new.minor() {
        verdict.skippable.push(Objection::KubeadmTooNew {
            new: new.clone(),
            kubeadm: kubeadm.clone(),
        });
    }
    let allowed = released
        || request.allow_experimental
        || (request.allow_rc && new.prerelease().starts_with("rc"));
    if !allowed {
        verdict
            .skippable
            .push(Objection::Unstable { new: new.clone() });
    }
    let mut old: Vec<Version> = kubelets
        .iter()
        .filter(|kubelet| new.minor().ahead_of(kubelet.minor()) > KUBELET_LAG)
        .cloned()
        .collect();
    old.sort();
    old.dedup();
    if !old.is_empty() {
        verdict.skippable.push(Objection::KubeletsTooOld {
            new: new.clone(),
            kubelets: old,
        });
    }
    verdict
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// cluster, kubelet, kubeadm, new, flag, mandatory, skippable: the cases of upstream's
    /// `cmd/kubeadm/app/phases/upgrade/policy_test.go`, `TestEnforceVersionPolicies`.
    const TABLE: [(&str, &str, &str, &str, &str, usize, usize); 20] = [
        ("1.3.3", "1.3.3", "1.3.5", "1.3.5", "", 0, 0),
        ("1.3.3", "1.3.2", "1.4.1", "1.4.0", "", 0, 0),
        ("1.3.3", "1.3.0", "1.3.3", "1.3.2", "", 0, 0),
        ("1.3.3", "1.3.3", "1.3.3", "1.3.3", "", 0, 0),
        // Upstream expects 1 mandatory: its unit tests pin the minimum control plane at 1.0. A real kubeadm 1.12 has the
        // minimum 1.11 and objects twice.
        ("1.12.3", "1.12.3", "1.12.3", "1.10.10", "", 2, 1),
        ("1.11.3", "1.11.3", "1.13.0", "1.13.0", "", 1, 0),
        ("1.14.3", "1.12.3", "1.15.0", "1.15.0", "", 0, 0),
        ("1.14.3", "1.11.3", "1.15.0", "1.15.0", "", 0, 1),
        ("1.6.0", "1.6.0", "1.4.0", "1.4.0", "", 1, 0),
        ("1.3.3", "1.3.3", "1.3.3", "1.3.5", "", 0, 1),
        ("1.3.3", "1.3.3", "1.3.3", "1.4.0", "", 1, 0),
        ("1.13.0", "1.10.8", "1.13.0", "1.13.0", "", 0, 0),
        ("1.14.0", "1.10.8", "1.14.0", "1.14.0", "", 0, 1),
        (
            "1.3.3",
            "1.3.3",
            "1.4.0-beta.1",
            "1.4.0-beta.1",
            "experimental",
            0,
            0,
        ),
        ("1.3.3", "1.3.3", "1.4.0-rc.1", "1.4.0-rc.1", "rc", 0, 0),
        (
            "1.3.3",
            "1.3.3",
            "1.4.0-rc.1",
            "1.4.0-rc.1",
            "experimental",
            0,
            0,
        ),
        ("1.3.3", "1.3.3", "1.4.0-beta.1", "1.4.0-beta.1", "rc", 0, 1),
        ("1.3.3", "1.3.3", "1.4.0-rc.1", "1.4.0-rc.1", "", 0, 1),
        ("1.3.3", "1.3.3", "1.4.0", "1.3.6", "", 0, 1),
        ("1.3.0", "1.3.0", "1.3.0+build", "1.3.0+build", "", 0, 0),
    ];

    #[test]
    fn agrees_with_kubeadm_case_by_case() {
        for (index, (cluster, kubelet, kubeadm, new, flag, mandatory, skippable)) in
            TABLE.iter().enumerate()
        {
            let verdict = judge(&Request {
                cluster: &cluster.parse().unwrap(),
                kubelets: &[kubelet.parse().unwrap()],
                kubeadm: &kubeadm.parse().unwrap(),
                new: &new.parse().unwrap(),
                allow_experimental: *flag == "experimental",
                allow_rc: *flag == "rc",
            });
            assert_eq!(
                (verdict.mandatory.len(), verdict.skippable.len()),
                (*mandatory, *skippable),
                "K{}: {verdict:?}",
                index + 1
            );
        }
    }
}
