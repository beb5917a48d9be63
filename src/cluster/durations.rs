//! How long steps took in earlier runs, as facts.
//!
//! They are not seen on the cluster but kept by whoever ran its upgrades, so that nothing rests on them: they only tell what to
//! expect. Which kinds of steps there are is the plan's to say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::NodeName;

/// How long steps took in the newest runs of this cluster that have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Durations {
    /// How many runs these are.
    pub runs: usize,
    /// When the newest of them ended.
    pub newest: Timestamp,
    /// The longest time, in seconds, that a step of each kind took on any node.
    pub kinds: BTreeMap<String, u64>,
    /// The longest time, in seconds, that the drain of each node took.
    pub drains: BTreeMap<NodeName, u64>,
    /// The longest time, in seconds, that each hook took on any host, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, u64>,
    /// Which runs that was.
    #[serde(default, skip_serializing_if = "Origins::is_empty")]
    pub origins: Origins,
}

/// The ids of the runs in which the longest times were seen, under the same keys as the times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origins {
    /// By kind of step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, String>,
    /// By node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drains: BTreeMap<NodeName, String>,
    /// By hook.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, String>,
}

impl Origins {
    fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.drains.is_empty() && self.hooks.is_empty()
    }
}
