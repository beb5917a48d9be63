//! What is wrong with a plan: typed, with the steps that make it so, the invariant, and where upstream demands it.

mod invariant;

pub use self::invariant::{Invariant, Needed};

use std::fmt;

use serde::Serialize;

use crate::cluster::model::NodeName;
use crate::plan::data::StepId;
use crate::rules::skew::{self, Component};
use crate::rules::version::Version;

/// Something that a plan gets wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two steps have this id.
    SameId(StepId),
    /// A step waits for one that is not there.
    UnknownStep {
        /// The step.
        step: StepId,
        /// What it names.
        unknown: StepId,
    },
    /// These steps wait for each other.
    Cycle(Vec<StepId>),
    /// The facts do not say.
    Unknown {
        /// What.
        what: String,
        /// Why not.
        error: String,
    },
    /// The plan was made from other facts.
    OtherFacts {
        /// What differs, line by line.
        differences: Vec<String>,
    },
    /// The nodes that the plan leaves out are not those that no host is.
    LeftOut {
        /// What the plan says.
        plan: Vec<NodeName>,
        /// What the facts say.
        facts: Vec<NodeName>,
    },
    /// An argument is not what the facts say.
    Argument {
        /// The step; none for the plan's own head.
        step: Option<StepId>,
        /// The argument's name.
        argument: &'static str,
        /// What it is.
        is: String,
        /// What it should be.
        should: String,
    },
    /// A rule of version skew is broken at some instant.
    Skew {
        /// Who and whom.
        violation: Box<skew::Violation>,
        /// The steps that bring it about: those that bring either release, and those that would take one away in time, were
        /// they ordered before.
        steps: Vec<StepId>,
    },
    /// A step may begin before another has ended, and must not.
    Unordered {
        /// What is broken.
        invariant: Invariant,
        /// What must end first.
        first: StepId,
        /// What may begin.
        then: StepId,
    },
    /// A step is not there.
    Missing {
        /// What is broken.
        invariant: Invariant,
        /// Which.
        needed: Needed,
        /// On which host or node, or `cluster`.
        place: String,
        /// The steps that need it.
        steps: Vec<StepId>,
    },
    /// A step is there that must not be: done before, or not this plan's to do.
    Needless {
        /// What is broken.
        invariant: Invariant,
        /// The step.
        step: StepId,
        /// Why it must not be there.
        why: String,
    },
    /// More are out of service at once than allowed.
    TooManyOut {
        /// The nodes that can be out together.
        nodes: Vec<NodeName>,
        /// The steps that take them out.
        steps: Vec<StepId>,
        /// How many may be.
        allowed: usize,
    },
    /// Nodes that can be out together have more pods of a budget than it allows to be away.
    BudgetExceeded {
        /// `namespace/name`.
        budget: String,
        /// Pods that may be away at once.
        allowed: u64,
        /// The nodes.
        nodes: Vec<NodeName>,
        /// Their drains.
        steps: Vec<StepId>,
    },
    /// Workers of two domains can be out together.
    TwoDomains {
        /// The label that tells domains apart.
        key: String,
        /// A node of each.
        nodes: Vec<NodeName>,
        /// The steps that take them out.
        steps: Vec<StepId>,
    },
    /// A component does not end at the target.
    NotAtTarget {
        /// Which; none for kubeadm-config.
        component: Option<Component>,
        /// Where.
        place: String,
        /// What it ends at.
        ends: Version,
        /// The target.
        target: Version,
    },
}

fn list<T: fmt::Display>(names: &[T]) -> String {
    names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Violation {
    /// The steps involved.
    #[must_use]
    pub fn steps(&self) -> Vec<&StepId> {
        match self {
            Self::SameId(step) => vec![step],
            Self::UnknownStep { step, unknown } => vec![step, unknown],
            Self::Unordered { first, then, .. } => vec![first, then],
            Self::Needless { step, .. } => vec![step],
            Self::Argument { step, .. } => step.iter().collect(),
            Self::Cycle(steps)
            | Self::Skew { steps, .. }
            | Self::Missing { steps, .. }
            | Self::TooManyOut { steps, .. }
            | Self::BudgetExceeded { steps, .. }
            | Self::TwoDomains { steps, .. } => steps.iter().collect(),
            Self::Unknown { .. }
            | Self::OtherFacts { .. }
            | Self::LeftOut { .. }
            | Self::NotAtTarget { .. } => Vec::new(),
        }
    }

    /// What is broken.
    #[must_use]
    pub fn invariant(&self) -> Invariant {
        match self {
            Self::SameId(_) | Self::UnknownStep { .. } | Self::Cycle(_) => Invariant::Graph,
            Self::Unknown { .. } | Self::OtherFacts { .. } | Self::LeftOut { .. } => {
                Invariant::Facts
            }
            Self::Argument { .. } => Invariant::Arguments,
            Self::Skew { violation, .. } => Invariant::Skew(violation.rule),
            Self::Unordered { invariant, .. }
            | Self::Missing { invariant, .. }
            | Self::Needless { invariant, .. } => *invariant,
            Self::TooManyOut { .. } | Self::TwoDomains { .. } => Invariant::OutOfService,
            Self::BudgetExceeded { .. } => Invariant::Budgets,
            Self::NotAtTarget { .. } => Invariant::Target,
        }
    }

    /// A word for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SameId(_) => "same-id",
            Self::UnknownStep { .. } => "unknown-step",
            Self::Cycle(_) => "cycle",
            Self::Unknown { .. } => "unknown",
            Self::OtherFacts { .. } => "other-facts",
            Self::LeftOut { .. } => "left-out",
            Self::Argument { .. } => "argument",
            Self::Skew { .. } => "skew",
            Self::Unordered { .. } => "unordered",
            Self::Missing { .. } => "missing",
            Self::Needless { .. } => "needless",
            Self::TooManyOut { .. } => "too-many-out",
            Self::BudgetExceeded { .. } => "budget-exceeded",
            Self::TwoDomains { .. } => "two-domains",
            Self::NotAtTarget { .. } => "not-at-target",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameId(step) => write!(f, "step {step} is there twice"),
            Self::UnknownStep { step, unknown } => {
                write!(f, "{step} comes after {unknown}, which is not in the plan")
            }
            Self::Cycle(steps) => write!(f, "steps wait for each other: {}", list(steps)),
            Self::Unknown { what, error } => write!(f, "the facts do not say {what}: {error}"),
            Self::OtherFacts { differences } => write!(
                f,
                "the plan was made from other facts; {} difference(s): {}",
                differences.len(),
                differences
                    .iter()
                    .take(5)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
            Self::LeftOut { plan, facts } => write!(
                f,
                "the plan leaves out [{}], and of the nodes of the facts no host that was seen is [{}]",
                list(plan),
                list(facts)
            ),
            Self::Argument {
                step,
                argument,
                is,
                should,
            } => match step {
                Some(step) => write!(f, "{step}: {argument} is {is} and should be {should}"),
                None => write!(f, "the plan's {argument} is {is} and should be {should}"),
            },
            Self::Skew { violation, steps } if steps.is_empty() => write!(f, "now, {violation}"),
            Self::Skew { violation, steps } => {
                write!(f, "{violation} in some order of {}", list(steps))
            }
            Self::Unordered { first, then, .. } => {
                write!(f, "{then} may begin before {first} has ended")
            }
            Self::Missing {
                needed,
                place,
                steps,
                ..
            } => {
                write!(f, "{place} has no {needed}")?;
                if steps.is_empty() {
                    Ok(())
                } else {
                    write!(f, " where {} needs it", list(steps))
                }
            }
            Self::Needless { step, why, .. } => write!(f, "{step} must not be there: {why}"),
            Self::TooManyOut { nodes, allowed, .. } => write!(
                f,
                "{} nodes can be out of service at once, and {allowed} may be: {}",
                nodes.len(),
                list(nodes)
            ),
            Self::BudgetExceeded {
                budget,
                allowed,
                nodes,
                ..
            } => write!(
                f,
                "budget {budget} allows {allowed} of its pods to be away at once, and these nodes with more of them can be out together: {}",
                list(nodes)
            ),
            Self::TwoDomains { key, nodes, .. } => write!(
                f,
                "nodes with two values of {key} can be out of service together: {}",
                list(nodes)
            ),
            Self::NotAtTarget {
                component,
                place,
                ends,
                target,
            } => match component {
                Some(component) => {
                    write!(f, "{component} on {place} ends at {ends}, not at {target}")
                }
                None => write!(f, "{place} ends at {ends}, not at {target}"),
            },
        }
    }
}

/// A violation as machines read it.
#[derive(Debug, Serialize)]
pub struct Told {
    code: &'static str,
    text: String,
    steps: Vec<StepId>,
    rule: String,
    source: Option<&'static str>,
}

impl From<&Violation> for Told {
    fn from(violation: &Violation) -> Self {
        Self {
            code: violation.code(),
            text: violation.to_string(),
            steps: violation.steps().into_iter().cloned().collect(),
            rule: violation.invariant().to_string(),
            source: violation.invariant().source(),
        }
    }
}
