//! The hazards of the hop: the facts as evidence for `rules::hazards` (`evidence`), and what it finds as reasons and notes.
//!
//! A blocking hazard is a reason, an advisory one a note, and what could not be checked counts like the hazard. An accepted
//! risk turns a reason into a note, for its hop and until its day.

mod evidence;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::evidence::evidence;
use super::reason::Reason;
use super::view::View;
use crate::cluster::facts::Facts;
use crate::cluster::model::HostName;
use crate::documents::settings::Upgrade;
use crate::rules::hazards::accept::{self, Acceptance, Verdict};
use crate::rules::hazards::{Catalogue, Hazard, Severity, Sighting, What, find};
use crate::rules::version::{Minor, Version};

/// The code of several hazards that could not be looked for.
const UNCHECKED: &str = "hazards-unchecked";

/// How many hosts are named before they are counted.
const HOSTS_NAMED: usize = 5;

/// How many things one advisory hazard was seen by are told before they are counted.
const SIGHTINGS_TOLD: usize = 5;

/// A hazard that was seen somewhere, or could not be ruled out there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threat {
    /// The hazard's id.
    pub id: String,
    /// The minor on the way to which it threatens.
    pub hop: Minor,
    /// What was seen, and on which hosts.
    pub sighting: Sighting,
    /// What breaks.
    pub breaks: String,
    /// What helps.
    pub remedy: String,
    /// Where upstream says so.
    pub source: String,
    /// Why the risk is not accepted although the declaration names it.
    pub not_accepted: Option<String>,
}

impl Threat {
    fn new(hazard: &Hazard, hop: Minor, sighting: Sighting, not_accepted: Option<String>) -> Self {
        Self {
            id: hazard.id.clone(),
            hop,
            sighting,
            breaks: hazard.breaks.clone(),
            remedy: hazard.remedy.clone(),
            source: hazard.source.clone(),
            not_accepted,
        }
    }

    /// Several hazards that could not be looked for, in the same place and for the same reason.
    fn unchecked(threats: Vec<Self>) -> Option<Self> {
        let ids: Vec<&str> = threats.iter().map(|threat| threat.id.as_str()).collect();
        let ids = ids.join(", ");
        let several = threats.len() > 1;
        let first = threats.into_iter().next()?;
        Some(if several {
            let hop = first.hop;
            Self {
                id: UNCHECKED.to_owned(),
                breaks: format!("of the way to {hop}, these hazards cannot be ruled out: {ids}"),
                remedy: "mend that and run `refit inspect` again; or accept each of them by its id"
                    .to_owned(),
                source: "refit: what is not known is not fine".to_owned(),
                ..first
            }
        } else {
            first
        })
    }

    /// The hosts, or `cluster`.
    #[must_use]
    pub fn place(&self) -> String {
        if self.sighting.hosts.is_empty() {
            "cluster".to_owned()
        } else {
            hosts(&self.sighting.hosts)
        }
    }
}

impl fmt::Display for Threat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", seen_as(&self.sighting), self.breaks)?;
        match &self.not_accepted {
            Some(why) => write!(f, "; {why}"),
            None => Ok(()),
        }
    }
}

/// What was seen, and where.
fn seen_as(sighting: &Sighting) -> String {
    let on = match sighting.hosts.as_slice() {
        [] => String::new(),
        some => format!(" on {}", hosts(some)),
    };
    match &sighting.what {
        What::There(what) => format!("{what}{on}"),
        What::NotChecked(why) => format!("could not be checked{on} ({why})"),
    }
}

/// One line for all that one hazard was seen by: what follows from it is the same for each.
fn all_seen<'a>(sightings: impl IntoIterator<Item = &'a Sighting>) -> Option<String> {
    let all: Vec<&Sighting> = sightings.into_iter().collect();
    let mut told: Vec<String> = all
        .iter()
        .take(SIGHTINGS_TOLD)
        .map(|sighting| seen_as(sighting))
        .collect();
    if all.len() > SIGHTINGS_TOLD {
        told.push(format!("and {} more", all.len() - SIGHTINGS_TOLD));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

fn hosts(hosts: &[HostName]) -> String {
    let mut named: Vec<String> = hosts
        .iter()
        .take(HOSTS_NAMED)
        .map(ToString::to_string)
        .collect();
    if hosts.len() > HOSTS_NAMED {
        named.push(format!("and {} more", hosts.len() - HOSTS_NAMED));
    }
    named.join(", ")
}

/// What the hazards of the hop mean for the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Why there is none.
    pub reasons: Vec<Reason>,
    /// What its reader should know.
    pub notes: Vec<String>,
}

/// Looks for every hazard on the way to a release, on the cluster and on the hosts that are touched. `before`: the minor
/// that the hop before it has come to; none for the first, which begins where the oldest of what it touches is.
#[must_use]
pub fn judge(
    view: &View<'_>,
    touched: &BTreeSet<&HostName>,
    upgrade: &Upgrade,
    (before, release): (Option<Minor>, &Version),
    facts: &Facts,
) -> Judged {
    let catalogue = match catalogue(upgrade) {
        Ok(catalogue) => catalogue,
        Err(error) => {
            return Judged {
                reasons: vec![Reason::Catalogue(error)],
                notes: Vec::new(),
            };
        }
    };
    let mut evidence = evidence(view, touched, upgrade, facts);
    evidence.told.later_hop = before.is_some();
    let found = find(
        &catalogue,
        before.unwrap_or_else(|| oldest(view, touched, release)),
        release,
        &evidence,
    );
    let hop = release.minor();
    let accepted = &upgrade.accepted_risks;
    let mut judged = Judged::default();
    // Hazards that could not be looked for, by why and where: one reason, or one note, for all of them.
    let mut open: BTreeMap<(Vec<HostName>, String), Vec<Threat>> = BTreeMap::new();
    let mut unchecked: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for finding in &found {
        let hazard = finding.hazard;
        let verdict = accept::judge(hazard, hop, facts.observed_at, accepted);
        let not_accepted = match verdict {
            Verdict::Open | Verdict::Accepted(_) => None,
            Verdict::Ended(risk) => Some(format!(
                "the risk was accepted until {}, which has passed",
                risk.until
            )),
            Verdict::NotAcceptable(_) => {
                Some("this risk cannot be accepted, for the upgrade would fail".to_owned())
            }
        };
        if let Verdict::Accepted(risk) = verdict {
            let seen = all_seen(&finding.sightings).map(|seen| {
                format!(
                    "hazard {} is accepted until {} ({}): {seen}: {}",
                    hazard.id, risk.until, risk.reason, hazard.breaks
                )
            });
            judged.notes.extend(seen);
            continue;
        }
        if hazard.severity == Severity::Advisory {
            let there = finding
                .sightings
                .iter()
                .filter(|sighting| match sighting.what {
                    What::There(_) => true,
                    What::NotChecked(_) => false,
                });
            let ended = not_accepted.iter().map(|why| format!("; {why}"));
            let ended: String = ended.collect();
            judged.notes.extend(all_seen(there).map(|seen| {
                format!(
                    "hazard {}: {seen}: {}{ended}; {} ({})",
                    hazard.id, hazard.breaks, hazard.remedy, hazard.source
                )
            }));
        }
        for sighting in &finding.sightings {
            let threat = Threat::new(hazard, hop, sighting.clone(), not_accepted.clone());
            match hazard.severity {
                Severity::Blocking => match &threat.sighting.what {
                    What::NotChecked(why) if threat.not_accepted.is_none() => {
                        let place = (threat.sighting.hosts.clone(), why.clone());
                        open.entry(place).or_default().push(threat);
                    }
                    What::NotChecked(_) | What::There(_) => {
                        judged.reasons.push(Reason::Hazard(Box::new(threat)));
                    }
                },
                Severity::Advisory => match &threat.sighting.what {
                    What::There(_) => {}
                    What::NotChecked(why) => unchecked
                        .entry((threat.place(), why.clone()))
                        .or_default()
                        .push(&hazard.id),
                },
            }
        }
    }
    let open = open.into_values().filter_map(Threat::unchecked);
    judged
        .reasons
        .extend(open.map(|threat| Reason::Hazard(Box::new(threat))));
    for ((place, why), ids) in unchecked {
        judged.notes.push(format!(
            "on {place} these hazards could not be looked for ({why}): {}",
            ids.join(", ")
        ));
    }
    let hazards: Vec<&Hazard> = found.iter().map(|finding| finding.hazard).collect();
    for risk in accept::idle(&hazards, hop, accepted).filter(|risk| risk.hop == hop) {
        judged
            .notes
            .push(idle(risk, &catalogue, "the facts do not show it", facts));
    }
    judged
}

/// The hazards that come with refit, and the team's own.
fn catalogue(upgrade: &Upgrade) -> Result<Catalogue, String> {
    let mut catalogue = Catalogue::built_in().map_err(|error| error.to_string())?;
    for hazard in &upgrade.own_hazards {
        catalogue
            .insert(hazard.clone())
            .map_err(|problem| format!("hazard `{}`: {problem}", hazard.id))?;
    }
    Ok(catalogue)
}

/// Accepted risks of hops that the plan does not make.
#[must_use]
pub fn not_on_the_way(upgrade: &Upgrade, hops: &[Version], facts: &Facts) -> Vec<String> {
    // Where it cannot be read there is no plan.
    let Ok(catalogue) = catalogue(upgrade) else {
        return Vec::new();
    };
    let minors: Vec<String> = hops.iter().map(|hop| hop.minor().to_string()).collect();
    let why = format!("this is the way to {}", minors.join(" and "));
    let risks = upgrade.accepted_risks.iter();
    risks
        .filter(|risk| hops.iter().all(|hop| hop.minor() != risk.hop))
        .map(|risk| idle(risk, &catalogue, &why, facts))
        .collect()
}

fn idle(risk: &Acceptance, catalogue: &Catalogue, why: &str, facts: &Facts) -> String {
    let why = match catalogue.get(&risk.id) {
        None => "no hazard has that id",
        Some(_) => why,
    };
    let ended = if risk.ended(facts.observed_at) {
        format!(", and it was accepted until {} only", risk.until)
    } else {
        String::new()
    };
    format!(
        "the accepted risk {} on the way to {} does not apply: {why}{ended}",
        risk.id, risk.hop
    )
}

/// The oldest minor of what the hop touches: where it begins.
fn oldest(view: &View<'_>, touched: &BTreeSet<&HostName>, target: &Version) -> Minor {
    let servers = view
        .control_planes()
        .flat_map(|(_, instance)| [&instance.running, &instance.manifests.api_server]);
    let kubelets = view
        .hosts
        .iter()
        .filter(|host| touched.contains(host.name()))
        .map(|host| &host.kubelet);
    servers
        .chain(kubelets)
        .map(Version::minor)
        .min()
        .unwrap_or_else(|| target.minor())
}
