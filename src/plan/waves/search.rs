//! One wave fewer, by trying, where nodes are too many to look at every set and few enough to try for a while.
//!
//! The node with the fewest waves open to it is put into each of them in turn; a node with none ends the way. The effort is
//! counted, not timed, so that the same cluster gives the same waves on every machine.

use super::shares::Shares;

/// With more nodes the first ways down alone would use up the effort.
const NODES: usize = 300;
/// Looks at whether a wave takes a node: some hundredths of a second.
const LOOKS: u64 = 2_000_000;

/// What trying came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Waves, as many as were asked for at most.
    Waves(Vec<Vec<usize>>),
    /// There are none.
    None,
    /// It cannot be told with reasonable effort.
    GaveUp,
}

/// Whether `most` waves are enough.
pub fn with(shares: &Shares, most: usize) -> Found {
    if shares.nodes > NODES || most == 0 {
        return Found::GaveUp;
    }
    let mut search = Search {
        shares,
        used: vec![vec![0; most]; shares.limits.len()],
        wave: vec![None; shares.nodes],
        begun: 0,
        most,
        looks: LOOKS,
    };
    match search.go_on() {
        None => Found::GaveUp,
        Some(false) => Found::None,
        Some(true) => {
            let mut waves = vec![Vec::new(); search.begun];
            for (node, wave) in search.wave.iter().enumerate() {
                if let Some(wave) = wave {
                    waves[*wave].push(node);
                }
            }
            Found::Waves(waves)
        }
    }
}

struct Search<'s> {
    shares: &'s Shares,
    /// By limit and wave.
    used: Vec<Vec<u64>>,
    /// Each node's wave.
    wave: Vec<Option<usize>>,
    /// Waves that hold a node.
    begun: usize,
    most: usize,
    looks: u64,
}

impl Search<'_> {
    fn takes(&self, wave: usize, node: usize) -> bool {
        self.shares.of[node]
            .iter()
            .all(|&(limit, share)| self.used[limit][wave] + share <= self.shares.limits[limit].room)
    }

    /// Whether the nodes without a wave can be given one; none when the effort is used up.
    fn go_on(&mut self) -> Option<bool> {
        let mut tightest: Option<(usize, usize, usize)> = None;
        for node in 0..self.shares.nodes {
            if self.wave[node].is_some() {
                continue;
            }
            self.looks = self.looks.checked_sub(self.begun as u64 + 1)?;
            let open = (0..self.begun)
                .filter(|&wave| self.takes(wave, node))
                .count();
            let open = open + usize::from(self.begun < self.most);
            let limits = self.shares.of[node].len();
            // With the fewest open; among them the one under the most limits, then the first by name.
            if tightest
                .is_none_or(|(least, most, _)| open < least || (open == least && limits > most))
            {
                tightest = Some((open, limits, node));
            }
        }
        let Some((_, _, node)) = tightest else {
            return Some(true);
        };
        // Waves that hold nothing are all alike: one of them is tried.
        for wave in 0..self.most.min(self.begun + 1) {
            if !self.takes(wave, node) {
                continue;
            }
            let begun = self.begun;
            self.begun = begun.max(wave + 1);
            self.wave[node] = Some(wave);
            for &(limit, share) in &self.shares.of[node] {
                self.used[limit][wave] += share;
            }
            if self.go_on()? {
                return Some(true);
            }
            for &(limit, share) in &self.shares.of[node] {
                self.used[limit][wave] -= share;
            }
            self.wave[node] = None;
            self.begun = begun;
        }
        Some(false)
    }
}
