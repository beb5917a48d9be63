//! A change from its beginning to its end: its phases, one event each.

use std::collections::VecDeque;

use super::fail::{Failing, verb};
use super::phase::Phase;
use super::{Event, Machine};
use crate::cluster::model::Role;
use crate::host::op::{Mutation, OpRef, OpState, PackageRevision};
use crate::ports::Failure;
use crate::sim::effect::Effect;
use crate::sim::fault::What;
use crate::sim::seam::{Turn, View};

impl Turn {
    /// And what comes of something else, after it.
    pub(super) fn add(&mut self, other: Self) {
        self.effects.extend(other.effects);
        self.later.extend(other.later);
    }
}

impl Machine {
    /// Starts a mutation in the machine's one unit. The same one under way goes on, one that has ended is not done again, and
    /// one that was lost is started anew, as `scripts/unit.sh` does.
    ///
    /// # Errors
    /// [`Failure::Refused`] when another one is under way.
    pub fn begin(
        &mut self,
        view: &View<'_>,
        op: &OpRef,
        mutation: &Mutation,
    ) -> Result<Turn, Failure> {
        match self.unit.state(op) {
            OpState::Running | OpState::Ended(_) => return Ok(Turn::default()),
            OpState::Absent | OpState::Lost => {}
        }
        let before = self.seen.operation.known().and_then(Option::as_deref);
        let other = self
            .unit
            .other(op)
            .map(|other| format!("{} {}", other.run, other.op));
        if let Some(other) = other.or_else(|| before.map(str::to_owned)) {
            return Err(Failure::Refused(format!(
                "{}: another operation of refit is under way there: {other}",
                self.host
            )));
        }
        let mut turn = Turn::default();
        if let Some(earlier) = self.repeated(op, mutation) {
            turn.effects.push(Effect::Violation(format!(
                "`{}` is done again as `{}` though it ended well",
                earlier.op, op.op
            )));
        }
        let phases = self.phases(mutation);
        self.unit.start(op, mutation, phases, view.now);
        turn.add(self.next_phase(view));
        Ok(turn)
    }

    /// An earlier operation of the run that has done this already, where doing it again is never right.
    fn repeated(&self, op: &OpRef, mutation: &Mutation) -> Option<&OpRef> {
        match mutation {
            Mutation::KubeadmApply { .. }
            | Mutation::KubeadmNode { .. }
            | Mutation::InstallPackages { .. }
            | Mutation::InstallKubelet { .. } => self.unit.succeeded(&op.run, mutation),
            Mutation::HoldPackages { .. }
            | Mutation::ReleaseHolds { .. }
            | Mutation::SwitchRepository { .. }
            | Mutation::PrefetchPackages { .. }
            | Mutation::PullImages { .. }
            | Mutation::Hook { .. }
            | Mutation::SaveSnapshot { .. }
            | Mutation::RemoveSnapshot { .. }
            | Mutation::RemoveLeftSnapshots { .. }
            | Mutation::WayBack(_)
            | Mutation::PutBack(_) => None,
        }
    }

    fn phases(&self, mutation: &Mutation) -> VecDeque<Phase> {
        match mutation {
            Mutation::HoldPackages { packages, .. } => [Phase::Hold(packages.clone())].into(),
            Mutation::ReleaseHolds { packages, .. } => [Phase::Release(packages.clone())].into(),
            Mutation::SwitchRepository {
                manager: _,
                minor: _,
                file,
                content,
                key_file,
                key: _,
                key_sha256,
            } => [
                Phase::Key {
                    file: file.clone(),
                    content: content.clone(),
                    key_file: key_file.clone(),
                    key_sha256: key_sha256.clone(),
                },
                Phase::Lists,
            ]
            .into(),
            Mutation::PrefetchPackages { packages, .. } => {
                let mut phases = self.mend();
                if !packages.iter().all(|package| self.listed(package)) {
                    phases.push_back(Phase::Lists);
                }
                phases.push_back(Phase::Simulate(packages.clone()));
                phases.push_back(Phase::Download(packages.clone()));
                phases
            }
            Mutation::InstallPackages { packages, .. } => self.install(packages),
            Mutation::InstallKubelet { packages, .. } => {
                let mut phases = self.install(packages);
                phases.push_back(Phase::Restart);
                phases
            }
            Mutation::PullImages {
                version,
                image_repository,
            } => [Phase::Pull {
                images: self.missing_images(version, image_repository),
                kubeadm: false,
            }]
            .into(),
            Mutation::KubeadmApply { version, options } => {
                self.kubeadm_phases(version, options, true, true)
            }
            Mutation::KubeadmNode {
                role,
                version,
                options,
            } => {
                let control_plane = match role {
                    Role::ControlPlane => true,
                    Role::Worker => false,
                };
                self.kubeadm_phases(version, options, false, control_plane)
            }
            Mutation::Hook { .. } => [Phase::Hook].into(),
            Mutation::SaveSnapshot {
                file,
                trial_restore,
            } => {
                let mut phases: VecDeque<Phase> =
                    [Phase::Save { file: file.clone() }, Phase::Check].into();
                if *trial_restore {
                    phases.push_back(Phase::TrialRestore);
                }
                phases
            }
            Mutation::WayBack(change) => [Phase::WayBack(change.clone())].into(),
            Mutation::PutBack(back) => [Phase::PutBack(back.clone())].into(),
            Mutation::RemoveSnapshot { file } => [Phase::Remove(vec![file.clone()])].into(),
            Mutation::RemoveLeftSnapshots { directory, files } => {
                let paths = files.iter().map(|file| format!("{directory}/{file}"));
                [Phase::Remove(paths.collect())].into()
            }
        }
    }

    fn mend(&self) -> VecDeque<Phase> {
        let mend = self.half_installed.then_some(Phase::Mend);
        mend.into_iter().collect()
    }

    fn install(&self, packages: &[PackageRevision]) -> VecDeque<Phase> {
        let mut phases = self.mend();
        phases.push_back(Phase::Simulate(packages.to_vec()));
        let there =
            |package: &PackageRevision| self.cache.contains(package) || self.has_package(package);
        if !packages.iter().all(there) {
            phases.push_back(Phase::Download(packages.to_vec()));
        }
        phases.push_back(Phase::Unpack(packages.to_vec()));
        phases.push_back(Phase::Configure(packages.to_vec()));
        let names = packages.iter().map(|package| package.name.clone());
        phases.push_back(Phase::Hold(names.collect()));
        phases
    }

    /// The first of the phases that are left begins; without one, the operation has ended.
    fn next_phase(&mut self, view: &View<'_>) -> Turn {
        let Some((phase, mutation, salt)) = self.unit.running.as_ref().and_then(|running| {
            let phase = running.phases.front()?.clone();
            let salt = format!("{}/{}/{}", self.host, running.op.op, running.phases.len());
            Some((phase, running.mutation.clone(), salt))
        }) else {
            self.name_snapshot();
            self.unit.end(0, view.now);
            return Turn::default();
        };
        let serial = self.unit.next_serial();
        let mut lasts = self.durations.vary(self.lasts(&phase), &salt);
        let mut turn = Turn::default();
        let mut fails = None;
        for what in self.strikes(view, verb(&mutation), &phase) {
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
                | What::ClockJump(_) => turn.later.push((lasts / 2, Event::Strike(serial, what))),
                What::KubeletDown => self.kubelet_broken = true,
                What::DiskFull(_) | What::AptLock(_) | What::UnattendedUpgrades(_) => {
                    turn.add(self.suffer(view, what));
                }
                What::DpkgInterrupted => {
                    self.half_installed = true;
                    fails = self.failing(what, &phase);
                }
                What::HeldPackage
                | What::KeyExpired
                | What::ImagePull
                | What::StaticPodHash
                | What::CreateJob
                | What::Api403(_)
                | What::Api429(_)
                | What::Api500(_)
                | What::ApiTimeout(_)
                | What::DiskFullHere(_)
                | What::WebhookDenial(_) => fails = fails.or_else(|| self.failing(what, &phase)),
            }
        }
        fails = fails.or_else(|| self.no_space(&phase, view.now));
        if phase.of_packages()
            && let Some((wait, gives_up)) = self.lock(view.now, &phase)
        {
            lasts += wait;
            fails = fails.or(gives_up);
        }
        if let Some(after) = fails.as_ref().and_then(|failing| failing.after) {
            lasts = after;
        }
        // The manifest is there, and the kubelet does nothing about it.
        let stuck = fails.is_some() && matches!(phase, Phase::Move { .. });
        if !stuck {
            turn.effects.extend(self.enter(&phase));
        }
        turn.later.push((lasts, Event::Phase(serial)));
        if let Some(running) = &mut self.unit.running {
            running.serial = serial;
            running.fails = fails;
        }
        turn
    }

    /// Lets an event happen.
    pub fn happen(&mut self, view: &View<'_>, event: &Event) -> Turn {
        let here = |boot: u32| boot == self.boots && !self.off;
        match event {
            Event::Phase(serial) => self.end_phase(view, *serial),
            Event::Strike(serial, what) => {
                let running = self.unit.running.as_ref();
                if running.is_some_and(|running| running.serial == *serial) {
                    self.suffer(view, *what)
                } else {
                    Turn::default()
                }
            }
            Event::Boot(boot) => self.boot(view, *boot),
            Event::KubeletBack(boot) if here(*boot) && self.kubelet.is_none() => {
                Turn::of(self.start_kubelet())
            }
            Event::StaticPodsReplaced(boot) if here(*boot) => {
                let mut turn = Turn::of(self.stop_static_pods());
                let back = self.durations.stop_static_pod + self.durations.start_static_pod;
                turn.later.push((back, Event::StaticPodsBack(*boot)));
                turn
            }
            Event::StaticPodsBack(boot) if here(*boot) => Turn::of(self.start_static_pods(view)),
            Event::EtcdBack(boot) if here(*boot) => {
                let sick = self.etcd_sick_until.is_some_and(|until| until > view.now);
                Turn::of(if sick {
                    Vec::new()
                } else {
                    vec![Effect::EtcdUp]
                })
            }
            Event::Renewed(boot) if here(*boot) => {
                if self.expired_until.is_some_and(|until| until <= view.now) {
                    self.expired_until = None;
                    self.renewed()
                } else {
                    Turn::default()
                }
            }
            Event::NetworkBack(boot) if here(*boot) => {
                if self.no_network_until.is_some_and(|until| until <= view.now) {
                    self.no_network_until = None;
                    Turn::of(vec![Effect::NetworkUp])
                } else {
                    Turn::default()
                }
            }
            Event::Renewed(_)
            | Event::NetworkBack(_)
            | Event::KubeletBack(_)
            | Event::StaticPodsReplaced(_)
            | Event::StaticPodsBack(_)
            | Event::EtcdBack(_) => Turn::default(),
            Event::Faults => self.noticed(view, None),
        }
    }

    fn end_phase(&mut self, view: &View<'_>, serial: u64) -> Turn {
        let ended = self
            .unit
            .running
            .as_mut()
            .filter(|running| running.serial == serial);
        let Some((phase, fails)) =
            ended.and_then(|running| Some((running.phases.pop_front()?, running.fails.take())))
        else {
            return Turn::default();
        };
        let left = match fails {
            Some(failing) => Err(failing),
            None => self.leave(view, &phase),
        };
        match left {
            Ok((mut turn, said)) => {
                self.say(&said);
                turn.add(self.next_phase(view));
                turn
            }
            Err(Failing { status, words, .. }) => {
                self.say(&words);
                let turn = self.give_up(view, &phase);
                self.unit.end(status, view.now);
                turn
            }
        }
    }

    /// What a failed operation does before it ends.
    fn give_up(&mut self, view: &View<'_>, failed: &Phase) -> Turn {
        self.new_snapshot = None;
        let component = match failed {
            Phase::Move { component, .. } | Phase::Start(component) | Phase::Settle(component) => {
                component
            }
            _ => return Turn::default(),
        };
        let moved: Vec<String> = self.backups.keys().cloned().collect();
        self.move_back(component);
        let mut effects = Vec::new();
        for name in moved
            .iter()
            .filter(|name| *name != "etcd" || component == "etcd")
        {
            // What the kubelet had not touched runs on; what it had replaced, it replaces again.
            if name != component || self.stopped.contains(name) {
                effects.extend(self.stop_static_pod(name));
                effects.extend(self.start_static_pod(view, name));
            }
        }
        Turn::of(effects)
    }

    /// It gets its name only once it has passed every check (`scripts/save-snapshot.sh`).
    fn name_snapshot(&mut self) {
        if let Some((file, snapshot)) = self.new_snapshot.take() {
            self.snapshots.insert(file, snapshot);
        }
    }

    fn say(&mut self, words: &str) {
        if let Some(running) = &mut self.unit.running
            && !words.is_empty()
        {
            running.output.push_str(words.trim_end());
            running.output.push('\n');
        }
    }
}

impl Turn {
    fn of(effects: Vec<Effect>) -> Self {
        Self {
            effects,
            later: Vec::new(),
        }
    }
}
