//! How what goes wrong shows on a machine, in the words of the real tools.
//!
//! Sources of the words: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/{health,staticpods}.go`,
//! `cmd/kubeadm/app/util/apiclient/wait.go`, `cmd/kubeadm/app/preflight/checks.go`, kubernetes/kubernetes#122303 (the Job),
//! #126170 (an image), kubernetes/release#3818 (an expired key); apt-pkg `apt-pkg/deb/debsystem.cc` and dpkg `src/main/archives.c`.

use std::time::Duration;

use super::phase::Phase;
use super::{Event, Machine};
use crate::host::op::Mutation;
use crate::host::way_back::Change;
use crate::sim::effect::Effect;
use crate::sim::fault::{Moment, What};
use crate::sim::seam::{Turn, View};

/// How long someone else's lock is waited for: 48 times 5 seconds, where apt waits as well twice that (`scripts/apt.sh`).
const fn patience(phase: &Phase) -> Duration {
    Duration::from_secs(match phase {
        Phase::Download(_) | Phase::Unpack(_) | Phase::Configure(_) => 480,
        _ => 240,
    })
}

/// How a phase fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) status: i32,
    pub(super) words: String,
    /// Instead of the phase's own duration.
    pub(super) after: Option<Duration>,
}

impl Failing {
    pub(super) fn with(status: i32, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            after: None,
        }
    }
}

/// The verb of the step that a change belongs to.
pub(in crate::sim) const fn verb(mutation: &Mutation) -> &'static str {
    match mutation {
        Mutation::HoldPackages { .. } => "hold-packages",
        Mutation::ReleaseHolds { .. } => "release-holds",
        Mutation::SwitchRepository { .. } => "switch-repository",
        Mutation::PrefetchPackages { .. } => "prefetch-packages",
        Mutation::InstallPackages { .. } => "install-kubeadm",
        Mutation::InstallKubelet { .. } => "install-kubelet",
        Mutation::PullImages { .. } => "pull-images",
        Mutation::KubeadmApply { .. } => "kubeadm-apply",
        Mutation::KubeadmNode { .. } => "kubeadm-node",
        Mutation::Hook { .. } => "hook",
        Mutation::WayBack(Change::Restore { .. }) => "restore-member",
        Mutation::WayBack(Change::Stop { .. }) => "stop-control-plane",
        Mutation::WayBack(Change::Replace { .. }) => "replace-member",
        Mutation::WayBack(Change::Start { .. }) => "start-control-plane",
        Mutation::PutBack(_) => "put-back-manifests",
        Mutation::SaveSnapshot { .. }
        | Mutation::RemoveSnapshot { .. }
        | Mutation::RemoveLeftSnapshots { .. } => "snapshot-etcd",
    }
}

/// What is struck.
enum Struck {
    /// The machine, whatever it does.
    Machine,
    /// Only some phases.
    Phase(bool),
}

fn struck(what: What, phase: &Phase) -> Struck {
    match what {
        What::SshDrop(_)
        | What::HostGone
        | What::Reboot(_)
        | What::PowerCut(_)
        | What::NodeNotReady(_)
        | What::CniNotReady(_)
        | What::EtcdUnhealthy(_)
        | What::CertificateExpired(_)
        | What::MaxSessions(_)
        | What::ClockJump(_) => Struck::Machine,
        What::AptLock(_) | What::UnattendedUpgrades(_) => Struck::Phase(phase.of_packages()),
        What::DpkgInterrupted => {
            Struck::Phase(matches!(phase, Phase::Unpack(_) | Phase::Configure(_)))
        }
        What::HeldPackage => Struck::Phase(matches!(phase, Phase::Simulate(_))),
        What::KeyExpired => Struck::Phase(matches!(phase, Phase::Lists)),
        What::ImagePull => Struck::Phase(matches!(phase, Phase::Pull { .. })),
        What::StaticPodHash => Struck::Phase(matches!(phase, Phase::Move { .. })),
        What::CreateJob => Struck::Phase(matches!(phase, Phase::Preflight { .. })),
        What::KubeletDown => Struck::Phase(matches!(phase, Phase::Restart)),
        What::DiskFull(_) => Struck::Phase(phase.writes()),
        What::Api403(_)
        | What::Api429(_)
        | What::Api500(_)
        | What::ApiTimeout(_)
        | What::DiskFullHere(_)
        | What::WebhookDenial(_) => Struck::Phase(false),
    }
}

impl Machine {
    /// Faults that strike in this phase, each once less often from now on.
    pub(super) fn strikes(&mut self, view: &View<'_>, verb: &str, phase: &Phase) -> Vec<What> {
        let mut found = Vec::new();
        for fault in &mut self.faults {
            let suits = match struck(fault.what, phase) {
                Struck::Machine => true,
                Struck::Phase(suits) => suits,
            };
            let now = match &fault.when {
                Moment::First => true,
                Moment::Step(step) => step == verb,
                Moment::Phase(step, name) => step == verb && name == phase.name(),
                Moment::After(after) => *after <= view.now,
            };
            if fault.times > 0 && suits && now {
                fault.times -= 1;
                found.push(fault.what);
            }
        }
        found
    }

    /// Faults of the machine that wait for a moment without an operation, or for one that the API sees (`drain`).
    pub fn noticed(&mut self, view: &View<'_>, verb: Option<&str>) -> Turn {
        let mut due = Vec::new();
        for fault in &mut self.faults {
            let now = match (&fault.when, verb) {
                (Moment::After(after), None) => *after <= view.now,
                (Moment::Step(step), Some(verb)) => step == verb,
                (Moment::After(_) | Moment::First | Moment::Phase(..), _)
                | (Moment::Step(_), None) => false,
            };
            let of_the_machine = match struck(fault.what, &Phase::Hook) {
                Struck::Machine => true,
                Struck::Phase(_) => false,
            };
            if fault.times > 0 && now && of_the_machine {
                fault.times -= 1;
                due.push(fault.what);
            }
        }
        self.suffer_all(view, due)
    }

    /// What strikes whatever the machine does strikes now.
    pub(in crate::sim) fn struck_now(&mut self, view: &View<'_>) -> Turn {
        let mut due = Vec::new();
        for fault in &mut self.faults {
            let of_the_machine = match struck(fault.what, &Phase::Hook) {
                Struck::Machine => true,
                Struck::Phase(_) => false,
            };
            // these last, and need no phase to begin
            let lasting = matches!(
                fault.what,
                What::DiskFull(_) | What::AptLock(_) | What::UnattendedUpgrades(_)
            );
            if fault.times > 0 && (of_the_machine || lasting) && fault.when == Moment::First {
                fault.times -= 1;
                due.push(fault.what);
            }
        }
        self.suffer_all(view, due)
    }

    /// When faults are due that wait for a time.
    pub fn awaited(&self) -> Vec<(Duration, Event)> {
        let times = self.faults.iter().filter_map(|fault| match fault.when {
            Moment::After(after) => Some((after, Event::Faults)),
            Moment::First | Moment::Step(_) | Moment::Phase(..) => None,
        });
        times.collect()
    }

    /// Faults that have not struck (so often as they should).
    pub fn pending_faults(&self) -> impl Iterator<Item = &crate::sim::fault::Fault> {
        self.faults.iter().filter(|fault| fault.times > 0)
    }

    fn suffer_all(&mut self, view: &View<'_>, due: Vec<What>) -> Turn {
        let mut turn = Turn::default();
        for what in due {
            turn.add(self.suffer(view, what));
        }
        turn
    }

    /// What befalls the machine as a whole, now.
    pub(super) fn suffer(&mut self, view: &View<'_>, what: What) -> Turn {
        match what {
            What::SshDrop(lasts) => {
                self.cut_until = Some(view.now + lasts);
                Turn::default()
            }
            What::HostGone => self.power_off(None),
            What::Reboot(lasts) | What::PowerCut(lasts) => self.power_off(Some(lasts)),
            What::MaxSessions(lasts) => {
                self.crowded_until = Some(view.now + lasts);
                Turn::default()
            }
            What::CertificateExpired(lasts) => {
                self.expired_until = Some(view.now + lasts);
                // the API server goes on, and nobody trusts it any more
                until(Effect::ApiServerDown, lasts, Event::Renewed(self.boots))
            }
            What::CniNotReady(lasts) => {
                self.no_network_until = Some(view.now + lasts);
                until(Effect::NetworkDown, lasts, Event::NetworkBack(self.boots))
            }
            What::NodeNotReady(lasts) => {
                self.kubelet = None;
                until(
                    Effect::KubeletStopped,
                    lasts,
                    Event::KubeletBack(self.boots),
                )
            }
            What::EtcdUnhealthy(lasts) => {
                self.etcd_sick_until = Some(view.now + lasts);
                until(Effect::EtcdDown, lasts, Event::EtcdBack(self.boots))
            }
            What::ClockJump(by) => {
                if let crate::cluster::facts::Observed::Known(offset) =
                    &mut self.seen.clock_offset_s
                {
                    *offset += i64::try_from(by.as_secs()).unwrap_or(0);
                }
                Turn::default()
            }
            What::DiskFull(lasts) => {
                self.full_until = Some(view.now + lasts);
                Turn::default()
            }
            What::AptLock(lasts) => self.locked(view, lasts, "apt-get"),
            What::UnattendedUpgrades(lasts) => self.locked(view, lasts, "unattended-upgr"),
            What::DpkgInterrupted
            | What::HeldPackage
            | What::KeyExpired
            | What::ImagePull
            | What::StaticPodHash
            | What::CreateJob
            | What::KubeletDown
            | What::Api403(_)
            | What::Api429(_)
            | What::Api500(_)
            | What::ApiTimeout(_)
            | What::DiskFullHere(_)
            | What::WebhookDenial(_) => Turn::default(),
        }
    }

    fn locked(&mut self, view: &View<'_>, lasts: Duration, by: &'static str) -> Turn {
        self.locked_until = Some(view.now + lasts);
        self.locked_by = by;
        Turn::default()
    }

    /// Whoever looks after the machine takes away what is wrong with it.
    pub(in crate::sim) fn mended(&mut self, view: &View<'_>) -> Turn {
        self.faults.clear();
        self.kubelet_broken = false;
        self.locked_until = None;
        self.full_until = None;
        self.cut_until = None;
        self.crowded_until = None;
        let mut turn = Turn::default();
        if let crate::cluster::facts::Observed::Known(offset) = &mut self.seen.clock_offset_s {
            *offset = 0;
        }
        if self.silent.is_none() && self.off {
            turn.add(self.boot(view, self.boots + 1));
        }
        if self.expired_until.take().is_some() {
            turn.add(self.renewed());
        }
        if self.no_network_until.take().is_some() {
            turn.effects.push(Effect::NetworkUp);
        }
        if self.etcd_sick_until.take().is_some() {
            turn.effects.push(Effect::EtcdUp);
        }
        if !self.off && self.kubelet.is_none() && self.silent.is_none() {
            turn.effects.extend(self.start_kubelet());
        }
        turn
    }

    /// The certificates are good again.
    pub(super) fn renewed(&mut self) -> Turn {
        let version = self.seen.control_plane.as_ref();
        let version = version.and_then(|own| own.api_server.known().cloned());
        let runs = !self.off && !self.stopped.contains("kube-apiserver");
        let up = version
            .filter(|_| runs)
            .map(|version| Effect::ApiServerUp { version });
        Turn {
            effects: up.into_iter().collect(),
            later: Vec::new(),
        }
    }

    /// How a phase fails that is struck, if that is how it shows.
    pub(super) fn failing(&self, what: What, phase: &Phase) -> Option<Failing> {
        let node = &self.node;
        match (what, phase) {
            (What::DpkgInterrupted, _) => Some(Failing::with(
                70,
                "E: Sub-process /usr/bin/dpkg exited unexpectedly\nrefit: apt did not install the packages",
            )),
            (What::HeldPackage, _) => Some(Failing::with(
                70,
                "refit: apt would also do this, which the plan does not say: Inst kubernetes-cni [1.6.0-1.1] (1.7.1-1.1 \
                 isv:kubernetes:core:stable [amd64])",
            )),
            (What::KeyExpired, _) => {
                let url = self.repository_url();
                Some(Failing::with(
                    70,
                    format!(
                        "W: GPG error: {url} InRelease: The following signatures were invalid: EXPKEYSIG 234654DA9A296436 \
                         isv:kubernetes OBS Project <isv:kubernetes@build.opensuse.org>\n\
                         E: The repository '{url} InRelease' is not signed.\nrefit: the lists of the repository cannot be fetched"
                    ),
                ))
            }
            (
                What::ImagePull,
                Phase::Pull {
                    images, kubeadm, ..
                },
            ) => {
                let image = images.first().map_or("", String::as_str);
                let said = format!(
                    "failed to pull image {image}: rpc error: code = Unavailable desc = failed to pull and unpack image \
                     \"{image}\": failed to resolve reference \"{image}\": dial tcp: i/o timeout"
                );
                Some(if *kubeadm {
                    Failing::with(2, preflight_errors(&format!("ImagePull]: {said}")))
                } else {
                    Failing::with(
                        1,
                        format!(
                            "{said}\nTo see the stack trace of this error execute with --v=5 or higher"
                        ),
                    )
                })
            }
            (What::StaticPodHash, Phase::Move { component, .. }) => {
                let cause = format!(
                    "couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors \
                     faced: static Pod hash for component {component} on Node {node} did not change after 5m0s: client rate \
                     limiter Wait returned an error: context deadline exceeded"
                );
                let words = if component == "etcd" {
                    format!(
                        "[upgrade/etcd] Failed to upgrade etcd: {cause}\n\
                         [upgrade/etcd] Waiting for previous etcd to become available\n\
                         [upgrade/etcd] Etcd was rolled back and is now available\n\
                         error: error execution phase control-plane: fatal error when trying to upgrade the etcd cluster, \
                         rolled the state back to pre-upgrade state: {cause}"
                    )
                } else {
                    format!("error: error execution phase control-plane: {cause}")
                };
                Some(Failing {
                    after: Some(self.durations.static_pod_hash),
                    ..Failing::with(1, words)
                })
            }
            (What::CreateJob, Phase::Preflight { version, .. }) => {
                let (lasts, told) = if version.minor().minor >= 36 {
                    (Duration::from_secs(60), "1m0s")
                } else {
                    (self.durations.create_job, "15s")
                };
                Some(Failing {
                    after: Some(lasts),
                    ..Failing::with(
                        2,
                        preflight_errors(&format!(
                            "CreateJob]: Job \"upgrade-health-check-1768464778717\" in the namespace \"kube-system\" did not \
                             complete in {told}: no condition of type Complete"
                        )),
                    )
                })
            }
            _ => None,
        }
    }

    /// How long a phase of the package manager waits for somebody else's lock, and how it fails if that is too long.
    pub(super) fn lock(&self, now: Duration, phase: &Phase) -> Option<(Duration, Option<Failing>)> {
        let patience = patience(phase);
        let left = self
            .locked_until?
            .checked_sub(now)
            .filter(|left| !left.is_zero())?;
        let fails = (left > patience).then(|| {
            Failing::with(
                70,
                format!(
                    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2117 ({})\n\
                     E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n\
                     refit: apt did not install the packages",
                    self.locked_by
                ),
            )
        });
        Some((left.min(patience), fails))
    }

    /// How a phase fails that writes where there is no room.
    pub(super) fn no_space(&self, phase: &Phase, now: Duration) -> Option<Failing> {
        if self.full_until.is_none_or(|until| until <= now) {
            return None;
        }
        match phase {
            Phase::Download(_) => Some(Failing::with(
                100,
                "E: You don't have enough free space in /var/cache/apt/archives/.",
            )),
            Phase::Unpack(packages) => {
                let name = packages.first().map_or("", |package| package.name.as_str());
                Some(Failing::with(
                    70,
                    format!(
                        "dpkg: error processing archive /var/cache/apt/archives/{name}.deb (--unpack):\n \
                         cannot copy extracted data for './usr/bin/{name}' to '/usr/bin/{name}.dpkg-new': failed to write (No \
                         space left on device)\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n\
                         refit: apt did not install the packages"
                    ),
                ))
            }
            Phase::Pull { images, .. } => {
                let image = images.first().map_or("", String::as_str);
                Some(Failing::with(
                    1,
                    format!(
                        "failed to pull image {image}: rpc error: code = Unknown desc = failed to pull and unpack image \
                         \"{image}\": write /var/lib/containerd/io.containerd.content.v1.content/ingest: no space left on device"
                    ),
                ))
            }
            Phase::Backup => Some(Failing::with(
                1,
                "error: error execution phase control-plane: fatal error when trying to upgrade the etcd cluster: failed to back \
                 up etcd data: write /etc/kubernetes/tmp/kubeadm-backup-etcd: no space left on device",
            )),
            Phase::Save { .. } => Some(Failing::with(
                70,
                "Error: could not write snapshot: write /var/lib/etcd: no space left on device\n\
                 refit: etcd did not give a snapshot",
            )),
            _ => None,
        }
    }

    fn repository_url(&self) -> String {
        let packages = self.seen.packages.known();
        let file = packages.and_then(|packages| packages.repositories.last());
        file.map_or_else(String::new, |file| file.url.clone())
    }
}

/// kubeadm's words for a check that failed before it changed anything.
pub(super) fn preflight_errors(error: &str) -> String {
    format!(
        "error: error execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR {error}\n\
         [preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\n\
         To see the stack trace of this error execute with --v=5 or higher"
    )
}

/// Something now, and its end after a while.
fn until(effect: Effect, lasts: Duration, end: Event) -> Turn {
    Turn {
        effects: vec![effect],
        later: vec![(lasts, end)],
    }
}
