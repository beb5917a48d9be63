//! A plan for people: what will happen, in which order and why; or every reason why not.
//!
//! Machines read the plan itself ([`Plan::to_json`]) and, when there is none, [`blocked_json`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::words;
use crate::host::op::PackageRevision;
use crate::plan::citations::cited;
use crate::plan::data::{Action, Plan, Step, StepId};
use crate::plan::reason::{Blocked, Reason};

/// How the parts of a report look. Colour never carries meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Headings.
    pub heading: Style,
    /// What may be skipped.
    pub faint: Style,
    /// What is wrong.
    pub wrong: Style,
}

impl Look {
    /// Text only.
    pub const PLAIN: Self = Self {
        heading: Style::new(),
        faint: Style::new(),
        wrong: Style::new(),
    };

    /// For a terminal.
    pub const TERMINAL: Self = Self {
        heading: Style::new().bold(),
        faint: Style::new().dimmed(),
        wrong: AnsiColor::Red.on_default().bold(),
    };
}

/// A part of a plan, as people think of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Preflight,
    Snapshot,
    Preparation,
    ControlPlanes,
    ControlPlaneKubelets,
    Wave(usize),
    End,
}

impl Part {
    fn title(&self) -> String {
        match self {
            Self::Preflight => "Look at everything; nothing changes".to_owned(),
            Self::Snapshot => "Save etcd".to_owned(),
            Self::Preparation => "Prepare hosts, each beside whatever else goes on".to_owned(),
            Self::ControlPlanes => "Control planes, one at a time, then the addons".to_owned(),
            Self::ControlPlaneKubelets => {
                "Kubelets of control planes, one at a time, beside the workers".to_owned()
            }
            Self::Wave(number) => format!("Workers, wave {number}"),
            Self::End => "Tidy up and look again".to_owned(),
        }
    }
}

/// Which hosts are control planes and in which wave each worker is, read off the plan itself.
struct Places<'p> {
    control_planes: BTreeSet<&'p str>,
    waves: BTreeMap<&'p str, usize>,
}

impl<'p> Places<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut places = Self {
            control_planes: BTreeSet::new(),
            waves: BTreeMap::new(),
        };
        for step in &plan.steps {
            if let Action::Verify { control_planes, .. } = &step.action {
                places.control_planes = control_planes.keys().map(|host| host.as_str()).collect();
            }
            if let Some(wave) = wave(&step.id) {
                let hosts = step.after.iter().map(|id| (place(id), wave));
                places.waves.extend(hosts);
            }
        }
        places
    }

    fn part(&self, step: &Step) -> Part {
        match &step.action {
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
                crate::cluster::model::Role::ControlPlane => Part::ControlPlanes,
                crate::cluster::model::Role::Worker => self.node(&step.id),
            },
            Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::AwaitNode { .. }
            | Action::Uncordon { .. } => self.node(&step.id),
            Action::ReleaseHolds { .. } | Action::Verify { .. } => Part::End,
            Action::Barrier { .. } => match (wave(&step.id), verb(&step.id)) {
                (Some(wave), _) => Part::Wave(wave),
                (None, "preflight") => Part::Preflight,
                (None, "holds") => Part::Preparation,
                (None, "control-planes") => Part::ControlPlanes,
                (None, _) => Part::End,
            },
        }
    }

    fn node(&self, id: &StepId) -> Part {
        let host = place(id);
        if self.control_planes.contains(host) {
            return Part::ControlPlaneKubelets;
        }
        Part::Wave(self.waves.get(host).copied().unwrap_or(0))
    }
}

fn place(id: &StepId) -> &str {
    id.as_str()
        .split_once('/')
        .map_or(id.as_str(), |(place, _)| place)
}

fn verb(id: &StepId) -> &str {
    let rest = id.as_str().split_once('/').map_or("", |(_, rest)| rest);
    rest.split_once('@').map_or(rest, |(verb, _)| verb)
}

fn wave(id: &StepId) -> Option<usize> {
    verb(id).strip_prefix("wave-")?.parse().ok()
}

fn duration(seconds: u64) -> String {
    words::duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// What a step does, in one line.
#[must_use]
pub fn what(action: &Action) -> String {
    match action {
        Action::CheckHost { node, .. } => {
            format!("checks that it is node {node}, idle and with room")
        }
        Action::CheckCluster { nodes, .. } => {
            format!("checks API, etcd and {} node(s)", nodes.len())
        }
        Action::SnapshotEtcd {
            host,
            directory,
            trial_restore,
            ..
        } => {
            let trial = if *trial_restore {
                ", restores it for trial"
            } else {
                ""
            };
            format!("saves etcd on {host}{trial}, copies it to {directory}")
        }
        Action::HoldPackages { packages, .. } => format!("holds {}", packages.join(", ")),
        Action::SwitchRepository { minor, .. } => {
            format!("switches to the repository of {minor}")
        }
        Action::PrefetchPackages { packages, .. } => format!("downloads {}", revisions(packages)),
        Action::InstallKubeadm { packages, .. } => format!("installs {}", revisions(packages)),
        Action::PullImages {
            version,
            image_repository,
            ..
        } => format!("pulls images of {version} from {image_repository}"),
        Action::KubeadmApply { version, .. } => format!("kubeadm upgrade apply {}", version.tag()),
        Action::KubeadmNode { .. } => "kubeadm upgrade node".to_owned(),
        Action::AwaitControlPlane { .. } => {
            "waits for its API server, etcd and the balancer".to_owned()
        }
        Action::AwaitAddons { kube_proxy } => match kube_proxy {
            Some(version) => format!("waits for CoreDNS and kube-proxy {version} everywhere"),
            None => "waits for CoreDNS".to_owned(),
        },
        Action::Cordon { .. } => "marks it unschedulable".to_owned(),
        Action::Drain {
            grace_period_s,
            evict_unmanaged_pods,
            ..
        } => {
            let unmanaged = if *evict_unmanaged_pods {
                ", those without a controller too"
            } else {
                ""
            };
            let grace = match grace_period_s {
                Some(seconds) => format!(", {} for each to end", duration(*seconds)),
                None => String::new(),
            };
            format!("evicts its pods within their budgets{unmanaged}{grace}")
        }
        Action::InstallKubelet { packages, .. } => {
            format!("installs {}, restarts it", revisions(packages))
        }
        Action::AwaitNode { version, .. } => format!("waits until it is ready at {version}"),
        Action::Uncordon { .. } => "makes it schedulable again".to_owned(),
        Action::ReleaseHolds { packages, .. } => format!("releases {}", packages.join(", ")),
        Action::Verify { nodes, .. } => {
            format!("checks every component of {} node(s)", nodes.len())
        }
        Action::Barrier { holds } => holds.clone(),
    }
}

fn revisions(packages: &[PackageRevision]) -> String {
    let same = packages
        .windows(2)
        .all(|pair| pair[0].revision == pair[1].revision);
    match packages {
        [first, ..] if same => {
            let names: Vec<&str> = packages
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            format!("{} {}", names.join(", "), first.revision)
        }
        _ => packages
            .iter()
            .map(|package| format!("{} {}", package.name, package.revision))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// How many steps before are named; the rest is counted.
const AFTER_NAMED: usize = 2;

/// The steps before, without the release that all ids end with.
fn after(step: &Step) -> String {
    let short = |id: &StepId| {
        id.as_str()
            .split_once('@')
            .map_or(id.as_str(), |(short, _)| short)
            .to_owned()
    };
    let mut named: Vec<String> = step.after.iter().take(AFTER_NAMED).map(short).collect();
    if step.after.len() > AFTER_NAMED {
        named.push(format!("{} more", step.after.len() - AFTER_NAMED));
    }
    named.join(", ")
}

/// The plan as a table, `width` columns wide.
#[must_use]
pub fn table(plan: &Plan, width: u16, look: &Look) -> String {
    let mut text = summary(plan, look);
    let places = Places::of(plan);
    let mut parts: BTreeMap<Part, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        parts.entry(places.part(step)).or_default().push(step);
    }
    let ids = plan.steps.iter().map(|step| step.id.as_str().len()).max();
    let ids = u16::try_from(ids.unwrap_or(0)).unwrap_or(u16::MAX);
    let mut told = BTreeSet::new();
    for (part, steps) in &parts {
        let heading = look.heading;
        let _ = writeln!(text, "\n{heading}{}{heading:#}", part.title());
        text.push_str(&rows(steps, ids, width));
        reasons(&mut text, steps, &mut told, width, look);
    }
    rules(&mut text, plan, width, look);
    text
}

/// The rules that the reasons cite.
fn rules(text: &mut String, plan: &Plan, width: u16, look: &Look) {
    let cited = cited(plan);
    if cited.is_empty() {
        return;
    }
    let Look { heading, faint, .. } = look;
    let _ = writeln!(text, "\n{heading}Rules{heading:#}");
    for rule in cited {
        let line = format!("rule {}: {}", rule.number, rule.text);
        for line in wrapped(&line, usize::from(width), 2) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "    {faint}{}{faint:#}", rule.source);
    }
}

/// From where to where, how many steps, how long, what else to know.
#[must_use]
pub fn summary(plan: &Plan, look: &Look) -> String {
    let heading = look.heading;
    if plan.is_empty() {
        return format!(
            "{heading}{}: nothing to do{heading:#}, everything is at {}\n",
            plan.upgrade, plan.target
        );
    }
    let hosts = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::CheckHost { .. }))
        .count();
    let mut text = format!(
        "{heading}{} to {}{heading:#}: {} steps on {hosts} host(s), about {}\n",
        plan.upgrade,
        plan.target,
        plan.steps.len(),
        duration(plan.expected_s())
    );
    for note in &plan.notes {
        let _ = writeln!(text, "  - {note}");
    }
    text
}

fn rows(steps: &[&Step], ids: u16, width: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["  STEP", "TAKES", "WHAT", "AFTER"]);
    for step in steps {
        table.add_row([
            format!("  {}", step.id),
            duration(step.expected_s),
            what(&step.action),
            after(step),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        // Ids are pointed at and searched for: never broken, and aligned throughout.
        column.set_padding((0, 1));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(
            ids.saturating_add(3),
        )));
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(12)));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// How long a step may take and how often it is tried again; none for barriers, which do nothing.
fn limits(step: &Step) -> Option<String> {
    if let Action::Barrier { .. } = step.action {
        return None;
    }
    let again = match step.retries {
        0 => "not tried again".to_owned(),
        1 => "tried again once".to_owned(),
        2 => "tried again twice".to_owned(),
        many => format!("tried again {many} times"),
    };
    Some(format!("within {}, {again}", duration(step.timeout_s)))
}

/// Each reason where it is met first, by what it is a reason for, with the step's limits.
fn reasons<'p>(
    text: &mut String,
    steps: &[&'p Step],
    told: &mut BTreeSet<(&'p str, &'p str, Option<String>)>,
    width: u16,
    look: &Look,
) {
    let faint = look.faint;
    for step in steps {
        let verb = verb(&step.id);
        // Waves differ in their number only.
        let verb = if wave(&step.id).is_some() {
            "wave"
        } else {
            verb
        };
        let limits = limits(step);
        let reason = match &limits {
            Some(limits) => format!("{verb}: {}; {limits}", step.because),
            None => format!("{verb}: {}", step.because),
        };
        if told.insert((verb, step.because.as_str(), limits)) {
            for line in wrapped(&reason, usize::from(width), 4) {
                let _ = writeln!(text, "{faint}{line}{faint:#}");
            }
        }
    }
}

/// Text in lines of at most `width`, indented, the lines after the first by two more.
fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent + 2)));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// Places that share a reason; the rest is counted.
const PLACES_NAMED: usize = 20;

/// Every reason why there is no plan: what, where, by which rule, what to do.
#[must_use]
pub fn blocked(blocked: &Blocked, width: u16, look: &Look) -> String {
    let Look {
        wrong,
        heading,
        faint,
    } = look;
    let count = blocked.reasons.len();
    let reasons = if count == 1 { "reason" } else { "reasons" };
    let mut text = format!("{wrong}blocked{wrong:#}: {count} {reasons}; nothing was changed\n");
    let width = usize::from(width);
    for (places, lines, code) in told_once(&blocked.reasons) {
        let mut place = places.join(", ");
        if places.len() > PLACES_NAMED {
            let named = places[..PLACES_NAMED].join(", ");
            place = format!("{named} and {} more", places.len() - PLACES_NAMED);
        }
        let _ = writeln!(
            text,
            "\n{heading}{place}{heading:#} {faint}[{code}]{faint:#}"
        );
        for line in lines.iter().flat_map(|line| wrapped(line, width, 2)) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// The reasons with the places that share each, in the order in which they are met first.
fn told_once(reasons: &[Reason]) -> Vec<(Vec<String>, [String; 3], &str)> {
    let mut told: Vec<(Vec<String>, [String; 3], &str)> = Vec::new();
    let mut index = BTreeMap::new();
    for reason in reasons {
        let lines = [
            reason.to_string(),
            format!("next: {}", reason.next()),
            format!("source: {}", reason.source()),
        ];
        let at = *index
            .entry((reason.code(), lines.clone()))
            .or_insert(told.len());
        match told.get_mut(at) {
            Some((places, ..)) => places.push(reason.place()),
            None => told.push((vec![reason.place()], lines, reason.code())),
        }
    }
    told
}

/// The reasons for machines.
///
/// # Errors
/// Never in practice: reasons are plain text.
pub fn blocked_json(blocked: &Blocked) -> Result<String, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        format: &'static str,
        blocked: &'a [Reason],
    }
    let mut text = serde_json::to_string_pretty(&Document {
        format: "refit.blocked/v1",
        blocked: &blocked.reasons,
    })?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_apart() {
        let id = StepId::new("w3/install-kubelet@1.35.4");
        assert_eq!(
            (place(&id), verb(&id), wave(&id)),
            ("w3", "install-kubelet", None)
        );
        assert_eq!(wave(&StepId::new("barrier/wave-12@1.35")), Some(12));
    }

    #[test]
    fn a_reason_that_many_places_share_is_told_once() {
        let unknown = |place: &str, what: &str| Reason::Unknown {
            place: place.to_owned(),
            what: what.to_owned(),
            error: "no route to host".to_owned(),
        };
        let mut reasons = vec![unknown("w1", "its clock"), unknown("w1", "the host")];
        reasons.extend((2..=22).map(|at| unknown(&format!("w{at}"), "the host")));
        let text = blocked(&Blocked { reasons }, 200, &Look::PLAIN);
        let headings: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with("[unknown]"))
            .collect();
        assert_eq!(headings[0], "w1 [unknown]");
        assert!(headings[1].starts_with("w1, w2, w3,"), "{text}");
        assert!(headings[1].ends_with("w20 and 2 more [unknown]"), "{text}");
        assert_eq!(headings.len(), 2);
        assert!(text.starts_with("blocked: 23 reasons"), "{text}");
    }

    #[test]
    fn limits_are_told_for_what_does_something() {
        let step = |action, timeout_s, retries| Step {
            id: StepId::new("w1/drain@1.35.4"),
            action,
            after: Vec::new(),
            timeout_s,
            retries,
            because: String::new(),
            expected_s: 1,
        };
        let cordon = || Action::Cordon {
            node: crate::cluster::model::NodeName::new("w1"),
        };
        let barrier = Action::Barrier {
            holds: String::new(),
        };
        for (step, told) in [
            (
                step(cordon(), 900, 0),
                Some("within 15 min, not tried again"),
            ),
            (
                step(cordon(), 90, 1),
                Some("within 1 min 30 s, tried again once"),
            ),
            (
                step(cordon(), 7200, 3),
                Some("within 2 h 0 min, tried again 3 times"),
            ),
            (step(barrier, 10, 0), None),
        ] {
            assert_eq!(limits(&step).as_deref(), told);
        }
    }

    #[test]
    fn long_lines_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 10, 2), ["  one two", "    three"]);
    }
}
