//! Requests for deprecated APIs, as an API server counts them.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::version::Minor;

/// What one API server was asked for. The count is the process's own and begins anew when it is restarted.
///
/// Source: kubernetes/enhancements `keps/sig-api-machinery/1693-warnings`; kubernetes/apiserver
/// `pkg/endpoints/metrics/metrics.go`, `deprecatedRequestGauge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiUse {
    /// When the process began to count.
    pub since: Timestamp,
    /// The APIs requested since then that some release removes.
    pub requested: BTreeSet<DeprecatedApi>,
}

/// A deprecated API that some release removes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeprecatedApi {
    /// Its group; empty for the core group.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its resource.
    pub resource: String,
    /// Its subresource; mostly empty.
    pub subresource: String,
    /// The first minor without it.
    pub removed_in: Minor,
}

impl fmt::Display for DeprecatedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        f.write_str(" of ")?;
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{} (removed in {})", self.version, self.removed_in)
    }
}
