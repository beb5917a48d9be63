//! A world from facts, with what will go wrong in it.

use std::collections::BTreeMap;

use super::World;
use super::api::Options;
use super::fault::{Fault, Place};
use super::machine::{Durations, Machine, machines};
use crate::cluster::facts::Facts;
use crate::cluster::model::{HostName, NodeName};

/// Where faults of the API are.
pub const CLUSTER: &str = "cluster";

/// Where faults of the machine that runs refit are.
pub const HERE: &str = "here";

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
        let mut elsewhere = Vec::new();
        for fault in setup.faults {
            match placed(hosts.values_mut(), fault)? {
                Placed::Expected => {}
                Placed::Elsewhere(fault) => elsewhere.push(fault),
            }
        }
        let mut world = Self::of(setup.facts, hosts, setup.options);
        world.expect(elsewhere);
        Ok(world)
    }

    /// Something goes wrong from now on: at once, where it needs no operation that it strikes.
    ///
    /// # Errors
    /// If it befalls nobody.
    pub fn strike(&mut self, fault: Fault) -> Result<(), Misplaced> {
        match placed(self.machines_mut(), fault.clone())? {
            Placed::Expected => self.struck(&fault.at),
            Placed::Elsewhere(fault) => self.expect(vec![fault]),
        }
        Ok(())
    }
}

enum Placed {
    /// A machine expects it.
    Expected,
    /// It is no machine's.
    Elsewhere(Fault),
}

/// Finds whom a fault befalls.
fn placed<'m>(
    mut hosts: impl Iterator<Item = &'m mut Machine>,
    fault: Fault,
) -> Result<Placed, Misplaced> {
    let named = |name: &str| name == fault.at;
    let why = match fault.what.place() {
        Place::Api if named(CLUSTER) => return Ok(Placed::Elsewhere(fault)),
        Place::Here if named(HERE) => return Ok(Placed::Elsewhere(fault)),
        Place::Api => format!("it is of the API, which is called `{CLUSTER}`"),
        Place::Here => format!("it is of the machine that runs refit, which is called `{HERE}`"),
        Place::Host => {
            let found =
                hosts.find(|machine| named(machine.host.as_str()) || named(machine.node.as_str()));
            if let Some(machine) = found {
                machine.expect(fault);
                return Ok(Placed::Expected);
            }
            "no host and no node is called so".to_owned()
        }
    };
    let fault = fault.to_string();
    Err(Misplaced { fault, why })
}
