//! Where the world and its machines meet.
//!
//! The world calls a [`Machine`] with a [`View`] of everything else, and gets a [`Turn`]: what the cluster sees of it at
//! once, and what will happen on that machine later. A machine never reaches into the world, and has no clock of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::api::Api;
use super::effect::Effect;
use super::machine::{self, Machine};
use crate::cluster::model::HostName;

/// What a machine may know of the rest of the world at the moment it is called.
#[derive(Debug, Clone, Copy)]
pub struct View<'w> {
    /// Since the world's beginning.
    pub now: Duration,
    /// The true wall clock; a machine's own may be off.
    pub wall: Timestamp,
    /// The cluster's objects, and which API servers answer.
    pub api: &'w Api,
    /// All machines but the one that is called.
    pub others: &'w BTreeMap<HostName, Machine>,
}

/// What comes of a call.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// What the cluster sees of it now, in this order.
    pub effects: Vec<Effect>,
    /// What will happen on this machine, and how long from now.
    pub later: Vec<(Duration, machine::Event)>,
}
