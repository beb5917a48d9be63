//! The plan as a file: JSON, sealed with its own digest.
//!
//! The file is `{"sha256": …, "plan": …}`. What is applied must be what was reviewed, so a plan that was edited by hand is
//! refused, as is one of another format, one whose basis does not match its fingerprint, and one whose steps are out of
//! order.

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
    #[error(
        "the plan's format is `{0}`, and this refit reads `{FORMAT}`; make the plan again with `refit plan`"
    )]
    Format(String),
    /// Changed since it was written.
    #[error(
        "the plan was changed after it was made: its digest is {found}, and it says {said}; make it again with `refit plan`"
    )]
    Digest {
        /// What the plan's digest is.
        found: String,
        /// What the file says it is.
        said: String,
    },
    /// The fingerprint is not that of the basis.
    #[error(
        "the plan's basis does not match its fingerprint; make the plan again with `refit plan`"
    )]
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

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
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
        let Unsealed { sha256: said, plan } = serde_json::from_str(text)?;
        let found = plan.sha256()?;
        if found != said {
            return Err(PlanError::Digest { found, said });
        }
        if drift::fingerprint(&plan.basis) != plan.facts_fingerprint {
            return Err(PlanError::Fingerprint);
        }
        plan.graph()?;
        Ok(plan)
    }
}
