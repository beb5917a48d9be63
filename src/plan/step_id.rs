//! The parts of a step's id: `w3/install-kubelet@1.35.4` is `place/verb@release`, and a barrier's release is a minor only.

use super::data::StepId;
use crate::rules::version::{Minor, Version};

impl StepId {
    /// What the step is about: a host, a node, `cluster` or `barrier`.
    #[must_use]
    pub fn place(&self) -> &str {
        let text = self.as_str();
        text.split_once('/').map_or(text, |(place, _)| place)
    }

    /// What it does.
    #[must_use]
    pub fn verb(&self) -> &str {
        let rest = self.as_str().split_once('/').map_or("", |(_, rest)| rest);
        rest.rsplit_once('@').map_or(rest, |(verb, _)| verb)
    }

    /// Place and verb: what stays the same when only the release is another one.
    #[must_use]
    pub fn stem(&self) -> &str {
        let text = self.as_str();
        text.rsplit_once('@').map_or(text, |(stem, _)| stem)
    }

    /// The release or minor that it ends with; empty where it has none.
    #[must_use]
    pub fn release(&self) -> &str {
        self.as_str().rsplit_once('@').map_or("", |(_, to)| to)
    }

    /// The minor of the hop that the step belongs to.
    #[must_use]
    pub fn minor(&self) -> Option<Minor> {
        let to = self.release();
        let whole = to.parse::<Version>().map(|version| version.minor()).ok();
        whole.or_else(|| to.parse().ok())
    }

    /// The number of the wave whose end the step is.
    #[must_use]
    pub fn wave(&self) -> Option<usize> {
        let barrier = self.place() == super::draft::BARRIER;
        let number = self.verb().strip_prefix("wave-").filter(|_| barrier);
        number?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_apart() {
        let id = StepId::new("w3/install-kubelet@1.35.4");
        assert_eq!(
            (id.place(), id.verb(), id.release(), id.wave()),
            ("w3", "install-kubelet", "1.35.4", None)
        );
        assert_eq!(id.stem(), "w3/install-kubelet");
        let barrier = StepId::new("barrier/wave-12@1.35");
        assert_eq!(barrier.wave(), Some(12));
        assert_eq!(barrier.minor(), id.minor());
        assert_eq!(StepId::new("w3/uncordon").minor(), None);
    }
}
