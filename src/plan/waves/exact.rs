//! The fewest waves, where nodes are few enough to look at every set of them.

use super::shares::Shares;

/// Every subset of every subset is looked at: 3¹² are half a million.
pub const NODES: usize = 12;

/// The fewest waves; none where there are too many nodes to tell.
pub fn fewest(shares: &Shares) -> Option<Vec<Vec<usize>>> {
    if shares.nodes > NODES || shares.nodes == 0 {
        return None;
    }
    let sets = 1_usize << shares.nodes;
    let fits = wave_sets(shares, sets);
    // For each set: the fewest waves that hold it, and one of them.
    let mut fewest = vec![usize::MAX; sets];
    let mut wave = vec![0_usize; sets];
    fewest[0] = 0;
    for set in 1..sets {
        let first = set & set.wrapping_neg();
        let rest = set ^ first;
        let mut beside = rest;
        loop {
            let with = beside | first;
            if fits[with] && fewest[set ^ with] < fewest[set].saturating_sub(1) {
                fewest[set] = fewest[set ^ with] + 1;
                wave[set] = with;
            }
            if beside == 0 {
                break;
            }
            beside = (beside - 1) & rest;
        }
    }
    let mut waves = Vec::new();
    let mut left = sets - 1;
    while left != 0 {
        waves.push(
            (0..shares.nodes)
                .filter(|node| wave[left] >> node & 1 == 1)
                .collect(),
        );
        left ^= wave[left];
    }
    Some(waves)
}

/// For each set of nodes whether it may be a wave.
fn wave_sets(shares: &Shares, sets: usize) -> Vec<bool> {
    let mut fits = vec![true; sets];
    for limit in &shares.limits {
        let mut of = vec![0_u64; shares.nodes];
        for &(node, share) in &limit.shares {
            of[node] = share;
        }
        let mut sum = vec![0_u64; sets];
        for set in 1..sets {
            let first = set.trailing_zeros() as usize;
            sum[set] = sum[set & (set - 1)] + of[first];
            fits[set] &= sum[set] <= limit.room;
        }
    }
    fits
}
