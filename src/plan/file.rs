//! The plan as a file: JSON, sealed with its own digest.
//!
//! The file is `{"sha256": …, "plan": …}`. What is applied must be what was reviewed, so a plan that was edited by hand is
//! refused, as is one of another format, one whose basis does not match its fingerprint, and one whose steps are out of
//! order.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::data::{FORMAT, Plan};
use super::graph::GraphError;
use crate::cluster::drift;

/// Why a plan could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not JSON, or not a plan.
    #[error("this is not a plan of refit: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by another version of refit.
    #[error("the plan's format is `{0}`{age}, and this refit knows `{FORMAT}`", age = age(.0))]
    Format(String),
    /// Of this format by name, and its fields are others: written by another build of refit.
    #[error(
        "the plan says that its format is `{FORMAT}`, which this refit knows, and its fields are not those of this refit: {0}. \
         Another build of refit made it"
    )]
    Fields(serde_json::Error),
    /// Changed since it was written.
    #[error("the plan was changed after it was made: its digest is {found}, and it says {said}")]
    Digest {
        /// What the plan's digest is.
        found: String,
        /// What the file says it is.
        said: String,
    },
    /// The fingerprint is not that of the basis.
    #[error("the plan's basis does not match its fingerprint")]
    Fingerprint,
    /// Its steps do not make a plan.
    #[error("the plan's steps make no order: {0}")]
    Graph(#[from] GraphError),
}

#[derive(Serialize)]
struct Sealed<'a> {
    sha256: String,
    plan: &'a Plan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsealed {
    sha256: String,
    plan: Plan,
}

/// Only the format, read first, so that another format gets a clear word rather than a list of unknown fields.
#[derive(Deserialize)]
struct Peek {
    plan: PeekPlan,
}

#[derive(Deserialize)]
struct PeekPlan {
    format: String,
}

/// What can be told of a plan whatever refit wrote it: whom it is for, where that stands where it always stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// The inventory's `metadata.name`.
    pub inventory: Option<String>,
    /// UID of the cluster's `kube-system`.
    pub cluster_uid: Option<String>,
}

/// Whether another format comes before or after this one, where its name tells.
fn age(format: &str) -> &'static str {
    let number = |format: &str| {
        let (name, number) = format.rsplit_once("/v")?;
        Some((name.to_owned(), number.parse::<u32>().ok()?))
    };
    match (number(format), number(FORMAT)) {
        (Some((name, theirs)), Some((ours_name, ours))) if name == ours_name => {
            match theirs.cmp(&ours) {
                Ordering::Less => ", an older one",
                Ordering::Greater => ", a newer one",
                Ordering::Equal => "",
            }
        }
        (Some(_) | None, Some(_) | None) => "",
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Label {
    /// From a plan file's text; empty where it does not tell.
    #[must_use]
    pub fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct Outer {
            plan: Label,
        }
        serde_json::from_str(text).map_or_else(|_| Self::default(), |outer: Outer| outer.plan)
    }
}

impl Plan {
    /// The plan's digest: SHA-256 of its compact JSON.
    ///
    /// # Errors
    /// Never in practice: a plan has string keys only.
    pub fn sha256(&self) -> Result<String, PlanError> {
        Ok(sha256(&serde_json::to_vec(self)?))
    }

    /// The text of a plan file.
    ///
    /// # Errors
    /// Never in practice: a plan has string keys only.
    pub fn to_json(&self) -> Result<String, PlanError> {
        let mut text = serde_json::to_string_pretty(&Sealed {
            sha256: self.sha256()?,
            plan: self,
        })?;
        text.push('\n');
        Ok(text)
    }

    /// A plan from its file's text.
    ///
    /// # Errors
    /// If it is no plan, of another format, changed since it was written, or its steps make no order.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let format = serde_json::from_str::<Peek>(text)?.plan.format;
        if format != FORMAT {
            return Err(PlanError::Format(format));
        }
        let Unsealed { sha256: said, plan } =
            serde_json::from_str(text).map_err(PlanError::Fields)?;
        let found = plan.sha256()?;
        if found != said {
            return Err(PlanError::Digest { found, said });
        }
        if drift::fingerprint(&plan.basis) != plan.facts_fingerprint {
            return Err(PlanError::Fingerprint);
        }
        plan.in_order()?;
        Ok(plan)
    }
}
