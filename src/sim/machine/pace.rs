//! How long things take on a machine.
//!
//! Defaults by which a step of an upgrade takes as long as it was measured to on true clusters of 3 control planes and 2
//! workers, 1.34 to 1.35 (kubeadm 165 s and 170 s, kubelet 11 s, kubeadm's package 7 s, images 20 s), so that a rehearsal's time
//! can be held against a plan's. Within kubeadm the shares are those of a control plane's journal.

use std::time::Duration;

/// How long each phase of an operation takes, and what surrounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    /// A question over SSH, its answer included.
    pub question: Duration,
    /// A mark in the package database.
    pub mark: Duration,
    /// A key is fetched and written beside its repository's file.
    pub key: Duration,
    /// The lists of a repository are fetched.
    pub lists: Duration,
    /// apt or dnf works out what an installation would do.
    pub simulate: Duration,
    /// Packages are downloaded.
    pub download: Duration,
    /// Packages are unpacked.
    pub unpack: Duration,
    /// Packages are configured.
    pub configure: Duration,
    /// What an interrupted dpkg left is ended.
    pub mend: Duration,
    /// The kubelet is restarted, and stays up.
    pub restart_kubelet: Duration,
    /// A kubelet that was started reports its node as ready.
    pub node_ready: Duration,
    /// One image is pulled.
    pub pull: Duration,
    /// kubeadm's checks before it changes anything, its Job included.
    pub preflight: Duration,
    /// kubeadm waits so long for that Job: 15 s, since 1.36 1 minute (kubernetes/kubernetes#136273).
    pub create_job: Duration,
    /// kubeadm copies etcd's data directory.
    pub backup: Duration,
    /// The kubelet ends the old etcd; meanwhile requests to this API server hang.
    pub stop_etcd: Duration,
    /// The kubelet ends another old static pod.
    pub stop_static_pod: Duration,
    /// The kubelet starts the new one.
    pub start_static_pod: Duration,
    /// kubeadm sees the mirror pod's hash change, and the component answer.
    pub settle_static_pod: Duration,
    /// kubeadm waits so long for that hash (kubernetes/kubernetes `cmd/kubeadm/app/constants/constants.go`, `UpgradeManifests`).
    pub static_pod_hash: Duration,
    /// A started static pod is ready.
    pub static_pod_ready: Duration,
    /// kubeadm writes its configuration to the API.
    pub upload_config: Duration,
    /// kubeadm writes the kubelet's configuration on the host.
    pub kubelet_config: Duration,
    /// kubeadm applies the addons, or finds that it is not their turn.
    pub addons: Duration,
    /// A kubelet of another minor finds static pods that it does not know (kubernetes/kubernetes#116080).
    pub replace_static_pods: Duration,
    /// etcd gives a snapshot.
    pub save_snapshot: Duration,
    /// etcdutl looks at a snapshot.
    pub check_snapshot: Duration,
    /// etcdutl restores it for trial.
    pub trial_restore: Duration,
    /// A file is copied to this machine.
    pub copy: Duration,
    /// A file is removed.
    pub remove: Duration,
    /// A command of the user's own.
    pub hook: Duration,
    /// A machine that was started again answers.
    pub boot: Duration,
    /// How much longer or shorter, in hundredths, a phase may take; which it is, the seed decides.
    pub spread: u64,
    /// Decides what [`Self::spread`] leaves open.
    pub seed: u64,
}

impl Default for Durations {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            question: Duration::from_millis(40),
            mark: s(1),
            key: s(1),
            lists: s(2),
            simulate: s(1),
            download: s(4),
            unpack: s(3),
            configure: s(2),
            mend: s(3),
            restart_kubelet: s(4),
            node_ready: s(4),
            pull: s(3),
            preflight: s(20),
            create_job: s(15),
            backup: s(2),
            stop_etcd: s(34),
            stop_static_pod: s(8),
            start_static_pod: s(4),
            settle_static_pod: s(16),
            static_pod_hash: s(300),
            static_pod_ready: s(10),
            upload_config: s(3),
            kubelet_config: s(1),
            addons: s(2),
            replace_static_pods: s(5),
            save_snapshot: s(1),
            check_snapshot: s(1),
            trial_restore: s(1),
            copy: s(1),
            remove: Duration::from_millis(200),
            hook: s(10),
            boot: s(60),
            spread: 0,
            seed: 0,
        }
    }
}

impl Durations {
    /// How long a phase takes this time: `salt` tells the times apart.
    #[must_use]
    pub fn vary(&self, duration: Duration, salt: &str) -> Duration {
        if self.spread == 0 {
            return duration;
        }
        let digest = crate::host::judge::sha256(format!("{}/{salt}", self.seed).as_bytes());
        let drawn = u64::from_str_radix(digest.get(..8).unwrap_or("0"), 16).unwrap_or(0);
        let spread = self.spread.min(90);
        let percent = 100 - spread + drawn % (2 * spread + 1);
        duration.saturating_mul(u32::try_from(percent).unwrap_or(100)) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_within_the_spread_and_without_one_nothing_varies() {
        let minute = Duration::from_secs(60);
        let plain = Durations::default();
        assert_eq!(plain.vary(minute, "a"), minute);
        let varied = |seed| Durations {
            spread: 20,
            seed,
            ..plain
        };
        let drawn: Vec<Duration> = (0..50)
            .map(|n| varied(7).vary(minute, &n.to_string()))
            .collect();
        let again: Vec<Duration> = (0..50)
            .map(|n| varied(7).vary(minute, &n.to_string()))
            .collect();
        assert_eq!(drawn, again);
        assert_ne!(drawn[0], varied(8).vary(minute, "0"));
        assert!(
            drawn.iter().all(|d| (48..=72).contains(&d.as_secs())),
            "{drawn:?}"
        );
        assert!(drawn.iter().any(|d| *d < minute) && drawn.iter().any(|d| *d > minute));
    }
}
