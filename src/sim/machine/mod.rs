//! A host of the simulation: what is installed there, what runs, what its files say.

use crate::cluster::model::{HostName, NodeName, Role};
use crate::host::op::{Mutation, OpRef, OpState, Output, Query};
use crate::ports::Failure;
use crate::sim::seam::{Turn, View};

/// One host.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name in the inventory.
    pub host: HostName,
    /// Its node's name.
    pub node: NodeName,
    /// What its node is for.
    pub role: Role,
}

/// Something that will happen on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The next phase of an operation.
    Phase(OpRef),
}

impl Machine {
    /// What a question's script prints.
    #[must_use]
    pub fn answer(&self, _view: &View<'_>, _query: &Query) -> Output {
        Output {
            status: 127,
            ..Output::default()
        }
    }

    /// What is known of an operation.
    #[must_use]
    pub fn operation(&self, _op: &OpRef) -> OpState {
        OpState::Absent
    }

    /// Starts a mutation in the machine's one unit; one that began before goes on.
    ///
    /// # Errors
    /// [`Failure::Refused`] when another one is under way.
    pub fn begin(
        &mut self,
        _view: &View<'_>,
        op: &OpRef,
        _mutation: &Mutation,
    ) -> Result<Turn, Failure> {
        Err(Failure::Refused(format!(
            "{}: cannot do {}",
            self.host, op.op
        )))
    }

    /// Lets an event happen.
    pub fn happen(&mut self, _view: &View<'_>, _event: &Event) -> Turn {
        Turn::default()
    }
}
