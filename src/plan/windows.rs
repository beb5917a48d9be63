//! When the cluster may be changed: windows that come again and again, in the time zone of the people who keep them.
//!
//! A step that changes something starts only while a window is open, and the first step of a node, or of a control plane's
//! instance, only while what is left of the window is enough for all of them: a node that was begun is finished. Which step
//! needs how much is part of the plan ([`Windows::room_s`]), so that whoever carries it out compares two numbers and decides
//! nothing. Knows no clock: every question names its time.

use std::collections::{BTreeMap, BTreeSet};

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::data::{Action, Plan, Step, StepId};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::documents::settings::Window;

/// Windows that open while another is open make it longer; after so many, one that never closes is long enough.
const JOINED: usize = 1000;
/// Openings that are tried for one step before it is said to fit into none.
const TRIED: usize = 60;

/// The windows of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// When they open, and for how long.
    pub declared: Vec<Window>,
    /// Seconds that must be left of a window when the step starts. Steps that are not named may always start: they change
    /// nothing, or finish what a step before them began.
    pub room_s: BTreeMap<StepId, u64>,
}

/// A window that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("window `{start}` ({timezone}) cannot be understood: {why}")]
pub struct BadWindow {
    start: String,
    timezone: String,
    why: String,
}

/// How things stand at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// A window is open.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// None is.
    Closed {
        /// When the next one opens; none where none ever does.
        opens: Option<Timestamp>,
    },
}

/// Windows, read.
#[derive(Debug)]
pub struct Calendar(Vec<Opening>);

#[derive(Debug)]
struct Opening {
    cron: Cron,
    zone: TimeZone,
    length: SignedDuration,
}

impl Opening {
    fn of(window: &Window) -> Result<Self, BadWindow> {
        let bad = |why: String| BadWindow {
            start: window.start.clone(),
            timezone: window.timezone.clone(),
            why,
        };
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&window.start)
            .map_err(|error| bad(error.to_string()))?;
        let zone = TimeZone::get(&window.timezone).map_err(|error| bad(error.to_string()))?;
        let length = i64::try_from(window.duration_s)
            .map(SignedDuration::from_secs)
            .map_err(|_| bad("it is too long".to_owned()))?;
        Ok(Self { cron, zone, length })
    }

    /// The end of the last one that began by then.
    fn end_of_last(&self, at: Timestamp) -> Option<Timestamp> {
        let began = self
            .cron
            .find_previous_occurrence(&at.to_zoned(self.zone.clone()), true)
            .ok()?;
        began.timestamp().checked_add(self.length).ok()
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self
            .cron
            .find_next_occurrence(&after.to_zoned(self.zone.clone()), false)
            .ok()?;
        Some(next.timestamp())
    }
}

impl Calendar {
    /// The declared windows, read.
    ///
    /// # Errors
    /// If one of them cannot be understood.
    pub fn of(windows: &[Window]) -> Result<Self, BadWindow> {
        windows
            .iter()
            .map(Opening::of)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How things stand. Windows that overlap, or follow each other without a gap, are one.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Now {
        let last_end = |at: Timestamp| self.0.iter().filter_map(|one| one.end_of_last(at)).max();
        let Some(mut until) = last_end(now).filter(|end| *end > now) else {
            return Now::Closed {
                opens: self.0.iter().filter_map(|one| one.next(now)).min(),
            };
        };
        for _ in 0..JOINED {
            match last_end(until) {
                Some(later) if later > until => until = later,
                _ => break,
            }
        }
        Now::Open { until }
    }

    /// Whether a step that needs so many seconds of a window may start.
    #[must_use]
    pub fn has_room(&self, now: Timestamp, seconds: u64) -> bool {
        match self.at(now) {
            Now::Open { until } => {
                until.duration_since(now).as_secs() >= seconds.try_into().unwrap_or(i64::MAX)
            }
            Now::Closed { .. } => false,
        }
    }
}

/// The windows of a plan with these steps.
#[must_use]
pub fn of(declared: &[Window], steps: &[Step]) -> Option<Windows> {
    let some = !declared.is_empty() && !steps.is_empty();
    some.then(|| Windows {
        declared: declared.to_vec(),
        room_s: room(steps),
    })
}

/// What a plan's windows say about starting its steps.
#[derive(Debug)]
pub struct Guard<'p> {
    windows: &'p Windows,
    calendar: Calendar,
}

impl<'p> Guard<'p> {
    /// The plan's; none where it may be carried out at any time.
    ///
    /// # Errors
    /// If a window cannot be understood.
    pub fn of(plan: &'p Plan) -> Result<Option<Self>, BadWindow> {
        let Some(windows) = &plan.windows else {
            return Ok(None);
        };
        let calendar = Calendar::of(&windows.declared)?;
        Ok(Some(Self { windows, calendar }))
    }

    /// Whether the step may start.
    #[must_use]
    pub fn allows(&self, step: &StepId, now: Timestamp) -> bool {
        let needs_s = self.windows.room_s.get(step);
        needs_s.is_none_or(|seconds| self.calendar.has_room(now, *seconds))
    }

    /// When the next window after the one that is open, or after now, opens.
    #[must_use]
    pub fn opens_next(&self, now: Timestamp) -> Option<Timestamp> {
        let after = match self.calendar.at(now) {
            Now::Open { until } => until,
            Now::Closed { .. } => now,
        };
        match self.calendar.at(after) {
            Now::Open { .. } => None,
            Now::Closed { opens } => opens,
        }
    }
}

/// What must be left of a window for each step of a plan that may only start within one.
fn room(steps: &[Step]) -> BTreeMap<StepId, u64> {
    let hosts: BTreeMap<&NodeName, &HostName> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::CheckHost { host, node, .. } => Some((node, host)),
            _ => None,
        })
        .collect();
    let mut room = BTreeMap::new();
    let mut bound: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        match part(&step.action) {
            Part::Always => {}
            Part::Alone => {
                room.insert(step.id.clone(), step.expected_s);
            }
            Part::OfInstance(host) => bound.entry(host.as_str()).or_default().push(step),
            Part::OfNode(node) => {
                let place = hosts.get(node).map_or(node.as_str(), |host| host.as_str());
                bound.entry(place).or_default().push(step);
            }
        }
    }
    for steps in bound.values() {
        let mut first = None;
        for (at, step) in steps.iter().enumerate() {
            let opener: &mut (&StepId, u64) = first.get_or_insert((&step.id, 0));
            opener.1 += step.expected_s;
            if ends(step, steps.get(at + 1).copied())
                && let Some((id, seconds)) = first.take()
            {
                room.insert(id.clone(), seconds);
            }
        }
        if let Some((id, seconds)) = first {
            room.insert(id.clone(), seconds);
        }
    }
    room
}

/// How a step is bound to others in time.
enum Part<'a> {
    /// It changes nothing.
    Always,
    /// It leaves nothing half done.
    Alone,
    /// A control plane's instance is being replaced.
    OfInstance(&'a HostName),
    /// A node is being taken out of service, changed and brought back; steps of a host that carries it are named by it.
    OfNode(&'a NodeName),
}

fn part(action: &Action) -> Part<'_> {
    match action {
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::AwaitAddons { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Barrier { .. } => Part::Always,
        Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::ReleaseHolds { .. } => Part::Alone,
        Action::KubeadmApply { host, .. }
        | Action::KubeadmNode { host, .. }
        | Action::AwaitControlPlane { host, .. }
        | Action::AwaitStaticPods { host, .. }
        | Action::InstallKubelet { host, .. } => Part::OfInstance(host),
        Action::Cordon { node }
        | Action::Drain { node, .. }
        | Action::AwaitNode { node, .. }
        | Action::Uncordon { node } => Part::OfNode(node),
    }
}

/// Whether nothing is half done after this step of a host, `next` being the one that follows.
fn ends(step: &Step, next: Option<&Step>) -> bool {
    let next = next.map(|next| &next.action);
    match &step.action {
        Action::AwaitControlPlane { .. } | Action::Uncordon { .. } => true,
        Action::AwaitNode { .. } | Action::AwaitStaticPods { .. } => !matches!(
            next,
            Some(Action::AwaitStaticPods { .. } | Action::Uncordon { .. })
        ),
        // Where the kubelet does not follow, only its configuration was written.
        Action::KubeadmNode {
            role: Role::Worker, ..
        } => !matches!(
            next,
            Some(Action::Cordon { .. } | Action::Drain { .. } | Action::InstallKubelet { .. })
        ),
        _ => false,
    }
}

/// What one opening of the windows should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sitting {
    /// When the first step starts.
    pub from: Timestamp,
    /// When the window closes.
    pub closes: Timestamp,
    /// When the last step that was started should end.
    pub done: Timestamp,
    /// The steps, in the order in which they start.
    pub steps: Vec<StepId>,
}

/// A step that no window is long enough for, or that none is left for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// The step.
    pub step: StepId,
    /// The seconds it needs.
    pub needs_s: u64,
    /// The longest window seen, in seconds.
    pub longest_s: u64,
}

/// Which steps should fall into which window, when the plan is begun at `at` or in the next window after it, every step
/// takes as long as expected, and whatever may run side by side does. None for a plan without windows.
///
/// # Errors
/// The first step that fits into none of the windows to come, or the window that cannot be understood.
pub fn schedule(plan: &Plan, at: Timestamp) -> Result<Option<Vec<Sitting>>, Trouble> {
    let Some(windows) = &plan.windows else {
        return Ok(None);
    };
    let calendar = Calendar::of(&windows.declared)?;
    Schedule::new(&plan.steps, &windows.room_s, &calendar)
        .run(at)
        .map(Some)
}

/// Why steps cannot be laid into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A window cannot be understood.
    Window(BadWindow),
    /// A step fits into none.
    NoRoom(NoRoom),
}

impl From<BadWindow> for Trouble {
    fn from(bad: BadWindow) -> Self {
        Self::Window(bad)
    }
}

/// The plan, carried out in thought.
struct Schedule<'p> {
    steps: &'p [Step],
    room_s: &'p BTreeMap<StepId, u64>,
    calendar: &'p Calendar,
    missing: Vec<usize>,
    followers: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

impl<'p> Schedule<'p> {
    fn new(steps: &'p [Step], room_s: &'p BTreeMap<StepId, u64>, calendar: &'p Calendar) -> Self {
        let places: BTreeMap<&StepId, usize> = steps
            .iter()
            .enumerate()
            .map(|(place, step)| (&step.id, place))
            .collect();
        let mut followers = vec![Vec::new(); steps.len()];
        let mut missing = vec![0; steps.len()];
        for (place, step) in steps.iter().enumerate() {
            for before in step.after.iter().filter_map(|id| places.get(id)) {
                followers[*before].push(place);
                missing[place] += 1;
            }
        }
        let ready = (0..steps.len())
            .filter(|place| missing[*place] == 0)
            .collect();
        Self {
            steps,
            room_s,
            calendar,
            missing,
            followers,
            ready,
        }
    }

    fn run(mut self, at: Timestamp) -> Result<Vec<Sitting>, Trouble> {
        let mut sittings: Vec<Sitting> = Vec::new();
        let mut now = at;
        let mut longest_s = 0;
        let mut in_vain = 0;
        while !self.ready.is_empty() {
            let (from, closes) = match self.calendar.at(now) {
                Now::Open { until } => (now, until),
                Now::Closed { opens: Some(opens) } => {
                    now = opens;
                    continue;
                }
                Now::Closed { opens: None } => return Err(self.no_room(longest_s)),
            };
            longest_s = longest_s.max(seconds_between(from, closes));
            let sitting = self.sit(from, closes);
            if sitting.steps.is_empty() {
                in_vain += 1;
                if in_vain > TRIED {
                    return Err(self.no_room(longest_s));
                }
            } else {
                in_vain = 0;
            }
            // What was begun may end after the window, and even in the next one.
            now = sitting.done.max(closes);
            if !sitting.steps.is_empty() {
                sittings.push(sitting);
            }
        }
        Ok(sittings)
    }

    fn no_room(&self, longest_s: u64) -> Trouble {
        let step = self.ready.first().map(|place| &self.steps[*place].id);
        Trouble::NoRoom(NoRoom {
            step: step.cloned().unwrap_or_else(|| StepId::new("")),
            needs_s: step
                .and_then(|id| self.room_s.get(id))
                .copied()
                .unwrap_or(0),
            longest_s,
        })
    }

    /// One window: whatever is ready and fits is started, until nothing is left that does.
    fn sit(&mut self, from: Timestamp, closes: Timestamp) -> Sitting {
        let mut sitting = Sitting {
            from,
            closes,
            done: from,
            steps: Vec::new(),
        };
        let length_s = seconds_between(from, closes);
        let mut now_s = 0;
        let mut running: BTreeSet<(u64, usize)> = BTreeSet::new();
        let mut kept_back = BTreeSet::new();
        loop {
            while let Some(place) = self.ready.pop_first() {
                let step = &self.steps[place];
                let fits = self
                    .room_s
                    .get(&step.id)
                    .is_none_or(|needs| now_s + needs <= length_s);
                if fits {
                    sitting.steps.push(step.id.clone());
                    running.insert((now_s + step.expected_s, place));
                } else {
                    kept_back.insert(place);
                }
            }
            let Some((end_s, place)) = running.pop_first() else {
                break;
            };
            now_s = end_s;
            for follower in std::mem::take(&mut self.followers[place]) {
                self.missing[follower] -= 1;
                if self.missing[follower] == 0 {
                    self.ready.insert(follower);
                }
            }
        }
        self.ready = kept_back;
        let took = SignedDuration::from_secs(now_s.try_into().unwrap_or(i64::MAX));
        sitting.done = from.saturating_add(took).unwrap_or(closes);
        sitting
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_secs().try_into().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn window(start: &str, duration_s: u64, timezone: &str) -> Window {
        Window {
            start: start.into(),
            duration_s,
            timezone: timezone.into(),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn open_until(calendar: &Calendar, at: &str) -> Option<String> {
        match calendar.at(time(at)) {
            Now::Open { until } => Some(until.to_string()),
            Now::Closed { .. } => None,
        }
    }

    fn opens(calendar: &Calendar, at: &str) -> Option<String> {
        match calendar.at(time(at)) {
            Now::Open { .. } => None,
            Now::Closed { opens } => opens.map(|opens| opens.to_string()),
        }
    }

    #[test]
    fn a_window_is_open_from_its_start_until_its_end() {
        let sundays = Calendar::of(&[window("0 2 * * SUN", 4 * 3600, "Europe/Berlin")]).unwrap();
        // Sunday, 22 November 2026; Berlin is an hour ahead of UTC.
        assert_eq!(
            opens(&sundays, "2026-11-22T00:59:59Z").unwrap(),
            "2026-11-22T01:00:00Z"
        );
        assert_eq!(
            open_until(&sundays, "2026-11-22T01:00:00Z").unwrap(),
            "2026-11-22T05:00:00Z"
        );
        assert_eq!(
            open_until(&sundays, "2026-11-22T04:59:59Z").unwrap(),
            "2026-11-22T05:00:00Z"
        );
        assert_eq!(
            opens(&sundays, "2026-11-22T05:00:00Z").unwrap(),
            "2026-11-29T01:00:00Z"
        );
        assert!(sundays.has_room(time("2026-11-22T04:00:00Z"), 3600));
        assert!(!sundays.has_room(time("2026-11-22T04:00:01Z"), 3600));
        assert!(!sundays.has_room(time("2026-11-22T00:00:00Z"), 0));
    }

    #[test]
    fn clocks_that_are_put_forward_or_back_neither_lose_nor_double_a_window() {
        let nights = Calendar::of(&[window("30 2 * * *", 3600, "Europe/Berlin")]).unwrap();
        // On 29 March 2026 there is no 02:30 in Berlin: it opens at 03:00, which is 01:00 UTC, and stays open for an hour.
        assert_eq!(
            opens(&nights, "2026-03-29T00:00:00Z").unwrap(),
            "2026-03-29T01:00:00Z"
        );
        assert_eq!(
            open_until(&nights, "2026-03-29T01:30:00Z").unwrap(),
            "2026-03-29T02:00:00Z"
        );
        assert_eq!(
            opens(&nights, "2026-03-29T02:00:00Z").unwrap(),
            "2026-03-30T00:30:00Z"
        );
        // On 25 October 2026 there are two: the first counts.
        assert_eq!(
            opens(&nights, "2026-10-24T22:00:00Z").unwrap(),
            "2026-10-25T00:30:00Z"
        );
        assert_eq!(
            opens(&nights, "2026-10-25T01:30:00Z").unwrap(),
            "2026-10-26T01:30:00Z"
        );
    }

    #[test]
    fn windows_that_touch_are_one() {
        let both = Calendar::of(&[
            window("0 1 * * *", 3600, "UTC"),
            window("0 2 * * *", 7200, "UTC"),
            window("0 9 * * *", 60, "UTC"),
        ])
        .unwrap();
        assert_eq!(
            open_until(&both, "2026-11-22T01:30:00Z").unwrap(),
            "2026-11-22T04:00:00Z"
        );
        assert_eq!(
            opens(&both, "2026-11-22T04:00:00Z").unwrap(),
            "2026-11-22T09:00:00Z"
        );
        let always = Calendar::of(&[window("* * * * *", 120, "UTC")]).unwrap();
        assert!(always.has_room(time("2026-11-22T01:30:00Z"), 10 * 3600));
        let never = Calendar::of(&[]).unwrap();
        assert_eq!(
            never.at(time("2026-11-22T01:30:00Z")),
            Now::Closed { opens: None }
        );
    }

    fn step(id: &str, after: &[&str], expected_s: u64, action: Action) -> Step {
        Step {
            id: StepId::new(id),
            action,
            after: after.iter().map(|id| StepId::new(*id)).collect(),
            timeout_s: 60,
            retries: 0,
            because: String::new(),
            expected_s,
        }
    }

    /// A check, then workers one after another, each with its configuration, its kubelet and its service.
    fn workers(count: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut before = String::new();
        for n in 1..=count {
            let (host, node) = (
                HostName::new(format!("h{n}")),
                NodeName::new(format!("w{n}")),
            );
            let check = Action::CheckHost {
                host: host.clone(),
                node: node.clone(),
                machine_id: String::new(),
                disk_free: BTreeMap::new(),
                patches: None,
            };
            steps.push(step(&format!("h{n}/check"), &[], 1, check));
            let configure = Action::KubeadmNode {
                host: host.clone(),
                role: Role::Worker,
                version: "1.35.4".parse().unwrap(),
                options: crate::host::op::KubeadmOptions::default(),
            };
            let install = Action::InstallKubelet {
                host: host.clone(),
                manager: crate::cluster::facts::PackageManager::Apt,
                packages: Vec::new(),
            };
            let mut last = before.clone();
            for (verb, seconds, action) in [
                ("kubeadm", 10, configure),
                ("cordon", 1, Action::Cordon { node: node.clone() }),
                ("install", 100, install),
                ("uncordon", 1, Action::Uncordon { node: node.clone() }),
            ] {
                let id = format!("h{n}/{verb}");
                let after: Vec<&str> = [last.as_str()]
                    .into_iter()
                    .filter(|id| !id.is_empty())
                    .collect();
                steps.push(step(&id, &after, seconds, action));
                last = id;
            }
            before = last;
        }
        steps
    }

    #[test]
    fn the_first_step_of_a_node_needs_room_for_all_of_them() {
        let room = room(&workers(2));
        let told: Vec<(&str, u64)> = room
            .iter()
            .map(|(id, seconds)| (id.as_str(), *seconds))
            .collect();
        assert_eq!(told, [("h1/kubeadm", 112), ("h2/kubeadm", 112)]);
    }

    fn sittings(count: usize, windows: &[Window], at: &str) -> Result<Vec<Sitting>, Trouble> {
        let steps = workers(count);
        let calendar = Calendar::of(windows).unwrap();
        Schedule::new(&steps, &room(&steps), &calendar).run(time(at))
    }

    #[test]
    fn a_node_is_only_begun_where_it_fits() {
        // 250 s hold two nodes of 112 s, so five nodes take three nights.
        let nights = [window("0 2 * * *", 250, "UTC")];
        let sittings = sittings(5, &nights, "2026-11-22T12:00:00Z").unwrap();
        let told: Vec<(String, usize)> = sittings
            .iter()
            .map(|sitting| (sitting.from.to_string(), sitting.steps.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("2026-11-23T02:00:00Z".to_owned(), 5 + 8),
                ("2026-11-24T02:00:00Z".to_owned(), 8),
                ("2026-11-25T02:00:00Z".to_owned(), 4),
            ]
        );
        assert_eq!(sittings[0].done.to_string(), "2026-11-23T02:03:44Z");
        // What is open already is used as far as it goes.
        let sittings = super::tests::sittings(1, &nights, "2026-11-23T02:03:00Z").unwrap();
        assert_eq!(sittings.len(), 2);
        assert_eq!(sittings[0].steps, [StepId::new("h1/check")]);
        assert_eq!(sittings[1].from.to_string(), "2026-11-24T02:00:00Z");
    }

    #[test]
    fn what_fits_into_no_window_is_told_with_its_needs() {
        let short = [window("0 2 * * *", 111, "UTC")];
        let Err(Trouble::NoRoom(told)) = sittings(1, &short, "2026-11-22T12:00:00Z") else {
            unreachable!("a node of 112 s does not fit into 111 s");
        };
        assert_eq!(
            (told.step.as_str(), told.needs_s, told.longest_s),
            ("h1/kubeadm", 112, 111)
        );
    }
}
