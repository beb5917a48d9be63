//! The one transient unit of a machine, and what its outcome files say.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::phase::Phase;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState};

/// How much of what an operation printed is told with its end (`scripts/unit.sh`: `tail -c 16384`).
const TOLD: usize = 16_384;

/// What is under way, and what began before.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    records: BTreeMap<OpRef, Record>,
    pub(super) running: Option<Running>,
    /// Counts phases, so that an event of a phase that a power cut ended is told from one of the next.
    serial: u64,
}

/// An operation that began.
#[derive(Debug, Clone)]
struct Record {
    mutation: Mutation,
    began: Duration,
    end: Option<OpEnd>,
}

/// The operation that is under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) op: OpRef,
    pub(super) mutation: Mutation,
    /// Its phases; the first one is under way.
    pub(super) phases: VecDeque<Phase>,
    pub(super) began: Duration,
    pub(super) output: String,
    /// The event that ends the phase under way.
    pub(super) serial: u64,
    /// How the phase under way will fail.
    pub(super) fails: Option<super::fail::Failing>,
}

impl Unit {
    pub(super) fn state(&self, op: &OpRef) -> OpState {
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.op == *op)
        {
            return OpState::Running;
        }
        match self.records.get(op) {
            None => OpState::Absent,
            Some(Record { end: None, .. }) => OpState::Lost,
            Some(Record { end: Some(end), .. }) => OpState::Ended(end.clone()),
        }
    }

    /// What is under way that is not this.
    pub(super) fn other(&self, op: &OpRef) -> Option<&OpRef> {
        self.running
            .as_ref()
            .map(|running| &running.op)
            .filter(|under_way| *under_way != op)
    }

    /// The operation of this kind that began last, and its exit status; none of one that runs, or was cut off.
    pub(super) fn last(&self, is: impl Fn(&Mutation) -> bool) -> Option<(&OpRef, Option<i32>)> {
        let of_kind = self
            .records
            .iter()
            .filter(|(_, record)| is(&record.mutation));
        let (op, record) = of_kind.max_by_key(|(_, record)| record.began)?;
        Some((op, record.end.as_ref().map(|end| end.status)))
    }

    /// Whether a run has made this very change here before, to its good end.
    pub(super) fn succeeded(&self, run: &str, mutation: &Mutation) -> Option<&OpRef> {
        let mut all = self.records.iter();
        let same = all.find(|(op, record)| {
            let well = record.end.as_ref().is_some_and(|end| end.status == 0);
            op.run == run && well && record.mutation == *mutation
        });
        same.map(|(op, _)| op)
    }

    pub(super) fn start(
        &mut self,
        op: &OpRef,
        mutation: &Mutation,
        phases: VecDeque<Phase>,
        now: Duration,
    ) {
        let record = Record {
            mutation: mutation.clone(),
            began: now,
            end: None,
        };
        self.records.insert(op.clone(), record);
        self.running = Some(Running {
            op: op.clone(),
            mutation: mutation.clone(),
            phases,
            began: now,
            output: String::new(),
            serial: 0,
            fails: None,
        });
    }

    pub(super) const fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The operation under way ends, and its outcome is written.
    pub(super) fn end(&mut self, status: i32, now: Duration) {
        let Some(running) = self.running.take() else {
            return;
        };
        let took = now.saturating_sub(running.began).as_millis();
        let mut from = running.output.len().saturating_sub(TOLD);
        while !running.output.is_char_boundary(from) {
            from += 1;
        }
        let end = OpEnd {
            status,
            output: running
                .output
                .get(from..)
                .unwrap_or_default()
                .trim()
                .to_owned(),
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        };
        if let Some(record) = self.records.get_mut(&running.op) {
            record.end = Some(end);
        }
    }

    /// What is under way ends without an outcome.
    pub(super) fn lose(&mut self) {
        self.running = None;
    }
}
