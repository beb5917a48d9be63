//! The parts of a plan as people think of them, read off the plan itself: its hops, and in each the preflight, the
//! snapshot, the preparations, the control planes, the waves of workers, the end.
//!
//! This is the one place of the reports that knows how the planner names its steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::model::Role;
use crate::host::way_back::Change;
use crate::plan::data::{Action, Gate, GatePoint, HookPoint, Plan, Step, StepId};
use crate::plan::purpose::Purpose;
use crate::plan::way_back;
use crate::rules::version::Minor;

/// A part of one hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everything is looked at.
    Preflight,
    /// The way back is made.
    Snapshot,
    /// Hosts are made ready.
    Preparation,
    /// The static pods of control planes, and the addons.
    ControlPlanes,
    /// Their kubelets.
    ControlPlaneKubelets,
    /// kubeadm on workers whose kubelets skip the minor.
    Passing,
    /// A wave of workers, counted from 1.
    Wave(usize),
    /// Control planes stop, their members are replaced, they start.
    Outage,
    /// Tidying up and the last look.
    End,
}

impl Part {
    /// For headings.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::Preflight => "Look at everything; nothing changes".to_owned(),
            Self::Snapshot => "Save etcd".to_owned(),
            Self::Preparation => "Prepare hosts, each beside whatever else goes on".to_owned(),
            Self::ControlPlanes => "Control planes, one at a time, then the addons".to_owned(),
            Self::ControlPlaneKubelets => {
                "Kubelets of control planes, one at a time, before the workers".to_owned()
            }
            Self::Passing => "Workers that skip this minor: kubeadm only, no drain".to_owned(),
            Self::Wave(number) => format!("Workers, wave {number}"),
            Self::Outage => {
                "Stop every control plane, replace every member, start again; no API answers"
                    .to_owned()
            }
            Self::End => "Tidy up and look again".to_owned(),
        }
    }

    /// For charts.
    #[must_use]
    pub fn short(self) -> String {
        match self {
            Self::Preflight => "preflight".to_owned(),
            Self::Snapshot => "etcd snapshot".to_owned(),
            Self::Preparation => "preparation".to_owned(),
            Self::ControlPlanes => "control planes".to_owned(),
            Self::ControlPlaneKubelets => "their kubelets".to_owned(),
            Self::Passing => "workers passing".to_owned(),
            Self::Wave(number) => format!("wave {number}"),
            Self::Outage => "no API".to_owned(),
            Self::End => "end".to_owned(),
        }
    }
}

/// A part with its steps, in the plan's order.
#[derive(Debug, Clone)]
pub struct Section<'p> {
    /// Which.
    pub part: Part,
    /// Never empty.
    pub steps: Vec<&'p Step>,
}

impl Section<'_> {
    /// The hosts and nodes that the steps name, in the order in which they are met first.
    #[must_use]
    pub fn places(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.steps
            .iter()
            .map(|step| step.id.place())
            .filter(|place| {
                !matches!(*place, "cluster" | "barrier" | "gate" | "hook") && seen.insert(*place)
            })
            .collect()
    }
}

/// The way from one release to the next.
#[derive(Debug, Clone)]
pub struct Hop<'p> {
    /// The release that the hop leads to, as its steps name it.
    pub to: String,
    /// In order; never empty.
    pub sections: Vec<Section<'p>>,
}

impl Hop<'_> {
    /// The waves of workers in it.
    #[must_use]
    pub fn waves(&self) -> usize {
        self.sections
            .iter()
            .filter(|section| matches!(section.part, Part::Wave(_)))
            .count()
    }

    /// How many steps it has.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.sections
            .iter()
            .map(|section| section.steps.len())
            .sum()
    }
}

/// A plan's hops, in order.
#[must_use]
pub fn hops(plan: &Plan) -> Vec<Hop<'_>> {
    #[derive(Default)]
    struct Gathered<'p> {
        to: String,
        parts: BTreeMap<Part, Vec<&'p Step>>,
    }
    let places = Places::of(plan);
    let mut found: BTreeMap<Option<Minor>, Gathered<'_>> = BTreeMap::new();
    for step in &plan.steps {
        let hop = found.entry(step.id.minor()).or_default();
        let release = step.id.release();
        // barriers name the minor only
        if hop.to.len() < release.len() {
            release.clone_into(&mut hop.to);
        }
        hop.parts.entry(places.part(step)).or_default().push(step);
    }
    found
        .into_values()
        .map(|Gathered { to, parts }| Hop {
            to,
            sections: parts
                .into_iter()
                .map(|(part, steps)| Section { part, steps })
                .collect(),
        })
        .collect()
}

/// Which hosts are control planes, and in which wave each worker is in each hop.
struct Places<'p> {
    control_planes: BTreeSet<&'p str>,
    waves: BTreeMap<(Option<Minor>, &'p str), usize>,
    /// A snapshot is restored.
    way_back: bool,
    /// The wave that each gate and hook after one stands behind.
    behind: BTreeMap<&'p StepId, usize>,
}

/// Whether this is a gate or hook after a wave.
const fn after_wave(action: &Action) -> bool {
    matches!(
        action,
        Action::Gate {
            gate: Gate {
                at: GatePoint::AfterEachWave,
                ..
            }
        } | Action::Hook {
            at: HookPoint::AfterEachWave,
            ..
        }
    )
}

/// The part of a step that brings a snapshot back.
fn of_way_back(step: &Step) -> Part {
    match (&step.action, step.id.verb()) {
        (
            Action::WayBack {
                part: way_back::Part::Check(_),
                ..
            }
            | Action::CheckHost { .. },
            _,
        )
        | (Action::Barrier { .. }, "preflight") => Part::Preflight,
        (
            Action::WayBack {
                part: way_back::Part::Send(_) | way_back::Part::Change(Change::Restore { .. }),
                ..
            },
            _,
        )
        | (Action::Barrier { .. }, "restored") => Part::Preparation,
        (Action::WayBack { .. } | Action::Barrier { .. }, _) => Part::Outage,
        (_, _) => Part::End,
    }
}

/// The wave that a gate or hook after one stands behind, from its id: `NAME/wave-2`, of a hook on a host with that behind it.
fn wave_before(id: &StepId) -> usize {
    let (_, wave) = id.verb().rsplit_once("/wave-").unwrap_or_default();
    let (wave, _) = wave.split_once('/').unwrap_or((wave, ""));
    wave.parse().unwrap_or(0)
}

impl<'p> Places<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut places = Self {
            control_planes: BTreeSet::new(),
            waves: BTreeMap::new(),
            way_back: plan.purpose() != Purpose::Upgrade,
            behind: BTreeMap::new(),
        };
        for step in &plan.steps {
            if after_wave(&step.action) {
                places.behind.insert(&step.id, wave_before(&step.id));
            }
            if let Action::Verify { control_planes, .. } = &step.action {
                places
                    .control_planes
                    .extend(control_planes.keys().map(|host| host.as_str()));
            }
            if let Some(wave) = step.id.wave() {
                let hop = step.id.minor();
                let hosts = step.after.iter().map(|id| ((hop, id.place()), wave));
                places.waves.extend(hosts);
            }
        }
        places
    }

    fn part(&self, step: &Step) -> Part {
        if self.way_back {
            return of_way_back(step);
        }
        match &step.action {
            Action::WayBack { .. } => of_way_back(step),
            Action::CheckHost { .. } | Action::CheckCluster { .. } => Part::Preflight,
            Action::SnapshotEtcd { .. } => Part::Snapshot,
            Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::InstallKubeadm { .. }
            | Action::PullImages { .. } => Part::Preparation,
            Action::KubeadmApply { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. } => Part::ControlPlanes,
            Action::KubeadmNode { role, .. } => match role {
                Role::ControlPlane => Part::ControlPlanes,
                Role::Worker if self.wave(&step.id).is_none() => Part::Passing,
                Role::Worker => self.node(&step.id),
            },
            Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. } => self.node(&step.id),
            Action::ReleaseHolds { .. } | Action::Verify { .. } => Part::End,
            Action::TaintOutdated { .. } => self.first_workers(&step.id),
            Action::Soak { .. } => match (step.id.place(), step.id.verb()) {
                ("cluster", _) => {
                    let wave = step.after.iter().find_map(|id| self.wave_ended_by(id));
                    wave.map_or_else(|| self.first_workers(&step.id), Part::Wave)
                }
                (_, "pause-kubelet") => Part::ControlPlaneKubelets,
                (_, _) => Part::ControlPlanes,
            },
            Action::Gate { gate } => match gate.at {
                GatePoint::BeforeHop => Part::Preflight,
                GatePoint::AfterControlPlane => Part::ControlPlanes,
                GatePoint::BeforeWorkers => self.first_workers(&step.id),
                GatePoint::AfterEachWave => Part::Wave(wave_before(&step.id)),
                GatePoint::AfterHop => Part::End,
            },
            Action::Hook { at, .. } => match at {
                HookPoint::BeforeHop => Part::Preparation,
                HookPoint::AfterControlPlane => Part::ControlPlanes,
                HookPoint::BeforeWorkers => self.first_workers(&step.id),
                HookPoint::Drained | HookPoint::BeforeUncordon => self.node(&step.id),
                HookPoint::AfterEachWave => Part::Wave(wave_before(&step.id)),
                HookPoint::AfterHop => Part::End,
            },
            Action::Barrier { .. } => match (step.id.wave(), step.id.verb()) {
                (Some(wave), _) => Part::Wave(wave),
                (None, "preflight") => Part::Preflight,
                (None, "holds") => Part::Preparation,
                (None, "control-planes") => Part::ControlPlanes,
                (None, _) => Part::End,
            },
        }
    }

    fn node(&self, id: &StepId) -> Part {
        let host = id.place();
        if self.control_planes.contains(host) {
            return Part::ControlPlaneKubelets;
        }
        Part::Wave(self.wave(id).unwrap_or(0))
    }

    /// Where the first of a hop's workers are.
    fn first_workers(&self, id: &StepId) -> Part {
        let of_hop = |(minor, _): &(Option<Minor>, &str)| *minor == id.minor();
        match self.waves.keys().any(of_hop) {
            true => Part::Wave(1),
            false => Part::Passing,
        }
    }

    /// The wave that is over with a step: where its workers meet, or a gate or hook behind that.
    fn wave_ended_by(&self, id: &StepId) -> Option<usize> {
        id.wave().or_else(|| self.behind.get(id).copied())
    }

    fn wave(&self, id: &StepId) -> Option<usize> {
        self.waves.get(&(id.minor(), id.place())).copied()
    }
}
