//! A world from facts, with what will go wrong in it.

use std::collections::BTreeMap;

use super::World;
use super::api::Options;
use super::fault::Fault;
use super::machine::{Durations, machines};
use crate::cluster::facts::Facts;
use crate::cluster::model::{HostName, NodeName};

/// Where faults of the API are.
pub const CLUSTER: &str = "cluster";

/// What a world is made from.
#[derive(Debug)]
pub struct Setup<'f> {
    /// What was observed.
    pub facts: &'f Facts,
    /// Which node each host is.
    pub nodes: BTreeMap<HostName, NodeName>,
    /// How long things take on machines.
    pub durations: Durations,
    /// What the facts do not say of the cluster.
    pub options: Options,
    /// What will go wrong.
    pub faults: Vec<Fault>,
}

/// A fault that can befall nobody here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{fault}` befalls nobody: {why}")]
pub struct Misplaced {
    fault: String,
    why: String,
}

impl World {
    /// A world at the moment when the facts were taken.
    ///
    /// # Errors
    /// If a fault befalls nobody in it.
    pub fn set_up(setup: Setup<'_>) -> Result<Self, Misplaced> {
        let mut hosts = machines(setup.facts, &setup.nodes, setup.durations);
        let mut of_the_api = Vec::new();
        for fault in setup.faults {
            let why = if fault.what.of_the_api() {
                if fault.at == CLUSTER {
                    of_the_api.push(fault);
                    continue;
                }
                format!("it is of the API, which is called `{CLUSTER}`")
            } else {
                let named = |name: &str| name == fault.at;
                let found = hosts
                    .values_mut()
                    .find(|machine| named(machine.host.as_str()) || named(machine.node.as_str()));
                if let Some(machine) = found {
                    machine.expect(fault);
                    continue;
                }
                "no host and no node is called so".to_owned()
            };
            let fault = fault.to_string();
            return Err(Misplaced { fault, why });
        }
        let mut world = Self::of(setup.facts, hosts, setup.options);
        world.expect(of_the_api);
        Ok(world)
    }
}
