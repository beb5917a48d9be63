//! What `kubeadm upgrade` does to the kubelet's own files on a node, by kubeadm's minor.
//!
//! Owns which flags each minor's kubeadm takes out of `/var/lib/kubelet/kubeadm-flags.env` and which minors write
//! `instance-config.yaml`. A worker that skips minors must be taken through every kubeadm on the way for just this.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/postupgrade.go`.

use crate::rules::version::Minor;

/// Flags with the first and the last minor whose kubeadm removes each: kubernetes/kubernetes#131981, and #133778, which
/// #135807 took out again for 1.36.
const REMOVED: [(u64, u64, &str); 2] = [
    (34, u64::MAX, "--container-runtime-endpoint"),
    (35, 35, "--pod-infra-container-image"),
];

/// Flags and the first minor whose kubelet does not start with them: kubernetes/kubernetes#133779.
const REFUSED: [(u64, &str); 1] = [(35, "--pod-infra-container-image")];

/// The first minor whose kubeadm writes `instance-config.yaml` (kubernetes/kubernetes#131981).
const INSTANCE_CONFIG: u64 = 34;

fn name(flag: &str) -> &str {
    flag.split_once('=').map_or(flag, |(name, _)| name)
}

/// Whether `kubeadm upgrade` of this minor takes the flag out of the flags file.
#[must_use]
pub fn removes(kubeadm: Minor, flag: &str) -> bool {
    let within = |first: u64, last: u64| (first..=last).contains(&kubeadm.minor);
    REMOVED
        .iter()
        .any(|(first, last, removed)| within(*first, *last) && *removed == name(flag))
}

/// Whether a kubelet of this minor refuses to start with the flag, which kubeadm itself once wrote.
#[must_use]
pub fn refused(kubelet: Minor, flag: &str) -> bool {
    REFUSED
        .iter()
        .any(|(first, refused)| *first <= kubelet.minor && *refused == name(flag))
}

/// Whether `kubeadm upgrade` of this minor writes `instance-config.yaml`.
#[must_use]
pub const fn writes_instance_config(kubeadm: Minor) -> bool {
    kubeadm.minor >= INSTANCE_CONFIG
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(minor: u64) -> Minor {
        Minor { major: 1, minor }
    }

    #[test]
    fn each_flag_is_removed_by_certain_kubeadms_only() {
        let pause = "--pod-infra-container-image=registry.k8s.io/pause:3.10";
        for (kubeadm, flag, removed) in [
            (34, pause, false),
            (35, pause, true),
            (36, pause, false),
            (
                34,
                "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
                true,
            ),
            (
                33,
                "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
                false,
            ),
            (
                36,
                "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
                true,
            ),
            (35, "--node-ip=10.0.0.1", false),
        ] {
            assert_eq!(removes(minor(kubeadm), flag), removed, "{kubeadm} {flag}");
        }
        assert!(!refused(minor(34), pause));
        assert!(refused(minor(35), pause) && refused(minor(36), pause));
    }

    #[test]
    fn the_instance_config_comes_with_1_34() {
        assert!(!writes_instance_config(minor(33)));
        assert!(writes_instance_config(minor(34)));
    }
}
