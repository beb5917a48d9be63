//! From what the cluster is and what it should become to the steps between, or to the reasons why not.
//!
//! Pure: the same inputs give the same bytes. [`plan`] reads as the policy does, top to bottom; the parts are
//! `plan::view` (nothing unknown), `plan::path` (the hops, forwards), `plan::preconditions` and `plan::hazards` (fit to
//! begin), `plan::packages` (what is installed from where), then each hop's steps (`plan::hop`), and `plan::forecast`, which
//! judges every state on the way. Each hop is planned from what the hops before it leave behind.

use std::collections::BTreeSet;

use super::data::{FORMAT, Plan, Step};
use super::drains::{Drains, Seen};
use super::earlier;
use super::forecast;
use super::graph;
use super::hazards::{self, Judged};
use super::hooks;
use super::hop::{Held, HopSteps};
use super::host_steps::Touched;
use super::nodes;
use super::notes;
use super::outdated;
use super::packages;
use super::patches;
use super::path;
use super::preconditions;
use super::reason::{Blocked, Reason};
use super::view::{HostView, View};
use super::windows::{self, Trouble};
use super::work::{self, Hop, Work};
use crate::cluster::drift;
use crate::cluster::facts::{Facts, Observed};
use crate::cluster::model::{HostName, NodeName};
use crate::documents::settings::{Inventory, Upgrade};
use crate::rules::kubeadm_files;
use crate::rules::skew::kubelet_step;
use crate::rules::version::Version;

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The hosts.
    pub inventory: &'a Inventory,
    /// The declaration.
    pub upgrade: &'a Upgrade,
    /// SHA-256 of both documents' texts.
    pub declaration_sha256: &'a str,
    /// The cluster.
    pub facts: &'a Facts,
    /// The signing key's text, where `packages.key` is a file.
    pub key_text: Option<String>,
}

/// The plan, empty when nothing is to be done.
///
/// # Errors
/// Every reason why there is none.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, Blocked> {
    let Inputs {
        inventory,
        upgrade,
        facts,
        ..
    } = *inputs;
    let target = &upgrade.target;
    let view = View::of(inventory, facts).map_err(blocked)?;

    let mut reasons = path::supported(&view, target);
    reasons.extend(path::backwards(&view, target));
    let hops = path::hops(&view, upgrade).unwrap_or_else(|more| {
        reasons.extend(more);
        Vec::new()
    });
    if !reasons.is_empty() {
        // Versions along the way are not worth judging; what else keeps it from beginning can be told at once.
        let hop = Hop {
            release: target,
            last: true,
        };
        let unfit = Stage::of(&view, inputs, hop, None, false);
        reasons.extend(unfit.map_or(Vec::new(), |stage| stage.judged.reasons));
        return Err(blocked(reasons));
    }

    let mut at = view.clone();
    let mut steps: Vec<Step> = Vec::new();
    let mut notes = Vec::new();
    let mut held: Vec<Held> = Vec::new();
    for (index, release) in hops.iter().enumerate() {
        let hop = Hop {
            release,
            last: index + 1 == hops.len(),
        };
        let before = index.checked_sub(1).and_then(|before| hops.get(before));
        let Some(stage) = Stage::of(&at, inputs, hop, before, hops.len() > 1) else {
            return Err(blocked(vec![Reason::NoControlPlane]));
        };
        if stage.is_nothing() {
            continue;
        }
        reasons.extend(path::kubeadm(&at, release));
        reasons.extend(path::phases(upgrade, release.minor()));
        reasons.extend(stage.judged.reasons.iter().cloned());
        let touched = match stage.touched(inputs) {
            Ok(touched) => touched,
            Err(more) => {
                reasons.extend(more);
                return Err(blocked(reasons));
            }
        };
        reasons.extend(skipping(&touched, hop, upgrade));
        if steps.is_empty() {
            notes.extend(notes::of(&at, &touched, upgrade, &hops));
        }
        let waves = nodes::waves(&at, &stage.drains, &touched, upgrade);
        for note in waves.notes.iter().chain(&stage.judged.notes) {
            // What holds on every hop is told once.
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        let part = HopSteps {
            view: &at,
            touched: &touched,
            waves: &waves,
            first: stage.first,
            apply: stage.apply,
            upgrade,
            hop,
            start: steps.last().map(|step: &Step| step.id.clone()),
        };
        let more = part.steps(&mut held);
        at.follow(&more, preconditions::rolls_kube_proxy(upgrade));
        steps.extend(more);
    }
    if let Some(durations) = &facts.durations {
        earlier::expect(&mut steps, durations);
    }
    let steps = match graph::sorted(patches::told_to_checks(steps)) {
        Ok(steps) => steps,
        Err(error) => return Err(blocked(vec![Reason::Fault(error.to_string())])),
    };
    reasons.extend(forecast::violations(&view, &steps, upgrade));
    if !reasons.is_empty() {
        return Err(blocked(reasons));
    }
    if steps.is_empty() {
        notes = notes::nothing(target);
    } else {
        notes.extend(hazards::not_on_the_way(upgrade, &hops, facts));
        notes.extend(facts.durations.as_ref().map(earlier::note));
        notes.extend(hooks::guessed(upgrade, &steps, facts.durations.as_ref()));
    }
    let plan = sealed(inputs, &view, notes, steps);
    // From when the facts were seen, so that the answer does not depend on when it is asked for.
    match windows::fits(&plan, facts.observed_at) {
        Ok(()) => Ok(plan),
        Err(Trouble::NoRoom(room)) => {
            let stretch = windows::stretch(&plan.steps, &room.step);
            let learned = facts.durations.as_ref().map_or_else(Vec::new, |durations| {
                earlier::longest_learned(&stretch, durations, LEARNED_NAMED)
            });
            Err(blocked(vec![Reason::NoWindow { room, learned }]))
        }
        Err(Trouble::Window(bad)) => Err(blocked(vec![Reason::Fault(bad.to_string())])),
        Err(Trouble::Steps(bad)) => Err(blocked(vec![Reason::Fault(bad.to_string())])),
    }
}

/// A hop as it is looked at before its steps are made.
struct Stage<'v, 'a> {
    view: &'v View<'a>,
    hop: Hop<'v>,
    /// Hosts that the hop touches, and what is left to do there.
    works: Vec<(&'v HostView<'a>, Work)>,
    /// All packages of these hosts are held from here on: another hop follows or came before.
    several: bool,
    first: &'v HostView<'a>,
    apply: bool,
    drains: Drains<'a>,
    judged: Judged,
}

impl<'v, 'a> Stage<'v, 'a> {
    /// None where there is no control plane.
    fn of(
        view: &'v View<'a>,
        inputs: &Inputs<'_>,
        hop: Hop<'v>,
        before: Option<&Version>,
        several: bool,
    ) -> Option<Self> {
        let upgrade = inputs.upgrade;
        let first = work::first_control_plane(view, hop, upgrade)?;
        let works: Vec<(&HostView<'_>, Work)> = view
            .hosts
            .iter()
            .map(|host| (host, work::on(host, hop, upgrade)))
            // A plan of several hops holds packages everywhere, and looks first wherever it will change something.
            .filter(|(host, work)| {
                let asked = host.name() == first.name() || hooks::touches(upgrade, host, first);
                several || !work.is_none() || asked
            })
            .collect();
        let touched: BTreeSet<&HostName> = works.iter().map(|(host, _)| host.name()).collect();
        let mut judged = Judged {
            reasons: preconditions::fitness(view, &touched),
            notes: Vec::new(),
        };
        let way = (before.map(Version::minor), hop.release);
        let found = hazards::judge(view, &touched, upgrade, way, inputs.facts);
        judged.reasons.extend(found.reasons);
        judged.notes.extend(found.notes);
        let drained: Vec<&NodeName> = works
            .iter()
            .filter(|(host, work)| work.kubelet && preconditions::drains(host.host.role, upgrade))
            .map(|(host, _)| &host.node.name)
            .collect();
        let drains = Drains::of(Seen::of(view), &drained, &preconditions::policy(upgrade));
        judged.reasons.extend(drains.reasons.iter().cloned());
        judged.reasons.extend(packages::differing_keys(&view.hosts));
        Some(Self {
            view,
            hop,
            apply: work::apply_is_left(view, hop, upgrade),
            works,
            several,
            first,
            drains,
            judged,
        })
    }

    fn is_nothing(&self) -> bool {
        !self.apply && self.works.iter().all(|(_, work)| work.is_none())
    }

    /// The hosts with their packages.
    ///
    /// # Errors
    /// Everything that keeps packages from being obtainable.
    fn touched(&self, inputs: &Inputs<'_>) -> Result<Vec<Touched<'v, 'a>>, Vec<Reason>> {
        let mut touched = Vec::new();
        let mut reasons = Vec::new();
        let tainted = outdated::nodes(&self.works, &self.drains, inputs.upgrade);
        for &(host, work) in &self.works {
            let key = inputs.key_text.as_deref();
            let packages = if work.packages() {
                match packages::resolve(host, work, self.hop.release, inputs.upgrade, key) {
                    Ok(packages) => Some(packages),
                    Err(more) => {
                        reasons.extend(more);
                        continue;
                    }
                }
            } else {
                None
            };
            let hold = if self.several || packages.is_some() {
                packages::to_hold(host)
            } else {
                Vec::new()
            };
            touched.push(Touched {
                host,
                work,
                packages,
                hold,
                drain: self.drains.forecasts.get(&host.node.name).cloned(),
                room: preconditions::room(self.view, host),
                tainted: tainted.contains(&host.node.name),
            });
        }
        if reasons.is_empty() {
            Ok(touched)
        } else {
            Err(reasons)
        }
    }
}

/// Kubelets that are to skip minors, and would not start after that as far as the facts show. kubeadm of the hop cleans the
/// file once more before the kubelet moves.
fn skipping(touched: &[Touched<'_, '_>], hop: Hop<'_>, upgrade: &Upgrade) -> Vec<Reason> {
    let minor = hop.release.minor();
    touched
        .iter()
        .filter(|on| on.work.kubelet && path::skips(on.host.host.role, upgrade))
        .filter(|on| !kubelet_step(&on.host.kubelet, hop.release, false))
        .filter_map(|on| {
            let why = match &on.host.kubelet_flags {
                Observed::Unknown(error) => {
                    format!("what its flags file holds is not known ({error})")
                }
                Observed::Known(flags) => {
                    let flag = flags.iter().find(|flag| {
                        kubeadm_files::refused(minor, flag) && !kubeadm_files::removes(minor, flag)
                    })?;
                    format!(
                        "its flags file has `{flag}`, with which no kubelet of {minor} starts, and the kubeadm that removes it is not on the way"
                    )
                }
            };
            Some(Reason::SkipLevel {
                node: on.host.node.name.clone(),
                why,
            })
        })
        .collect()
}

/// So many of the durations that keep a step from its window are named with the runs that showed them.
const LEARNED_NAMED: usize = 3;

fn blocked(reasons: Vec<Reason>) -> Blocked {
    let mut unique: Vec<Reason> = Vec::with_capacity(reasons.len());
    for reason in reasons {
        if !unique.contains(&reason) {
            unique.push(reason);
        }
    }
    Blocked { reasons: unique }
}

fn sealed(inputs: &Inputs<'_>, view: &View<'_>, notes: Vec<String>, steps: Vec<Step>) -> Plan {
    let basis = drift::basis(inputs.facts);
    Plan {
        format: FORMAT.to_owned(),
        upgrade: inputs.upgrade.name.clone(),
        inventory: inputs.inventory.name.clone(),
        cluster_uid: view.uid.to_owned(),
        target: inputs.upgrade.target.clone(),
        declaration_sha256: inputs.declaration_sha256.to_owned(),
        limits: nodes::limits(view, inputs.upgrade),
        windows: windows::of(&inputs.upgrade.windows, &steps),
        facts_at: inputs.facts.observed_at,
        facts_fingerprint: drift::fingerprint(&basis),
        basis,
        notes,
        steps,
    }
}
