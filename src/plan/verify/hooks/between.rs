//! Which steps come after some and before others, of many at once.

use std::collections::BTreeSet;

use crate::plan::verify::order::Order;

/// So many pairs are asked one by one; more are walked for together.
const FEW: usize = 256;

/// Of these steps those that come after all of `before` and before all of `then`.
pub(super) fn between(
    order: &Order<'_>,
    before: &[usize],
    steps: &[usize],
    then: &[usize],
) -> BTreeSet<usize> {
    let pairs = |first: &[usize], then: &[usize]| -> Vec<(usize, usize)> {
        let all = first.iter();
        all.flat_map(|&first| then.iter().map(move |&then| (first, then)))
            .collect()
    };
    let mut fitting: BTreeSet<usize> = steps.iter().copied().collect();
    if before.len() * steps.len() <= FEW {
        for (_, early) in order.unordered(&pairs(before, steps)) {
            fitting.remove(&early);
        }
    } else {
        for firsts in before.chunks(64) {
            let (whole, masks) = masks(order, firsts);
            fitting.retain(|&at| masks[at] == whole && !firsts.contains(&at));
        }
    }
    if steps.len() * then.len() <= FEW {
        for (late, _) in order.unordered(&pairs(steps, then)) {
            fitting.remove(&late);
        }
    } else {
        for firsts in steps.chunks(64) {
            let (whole, masks) = masks(order, firsts);
            let reached = then.iter().fold(whole, |left, &at| left & masks[at]);
            for (index, at) in firsts.iter().enumerate() {
                if reached >> index & 1 == 0 || then.contains(at) {
                    fitting.remove(at);
                }
            }
        }
    }
    fitting
}

/// For each step which of at most 64 others come at or before it; and all of them.
fn masks(order: &Order<'_>, firsts: &[usize]) -> (u64, Vec<u64>) {
    let mut masks = vec![0_u64; order.len()];
    let mut whole = 0;
    for (index, &first) in firsts.iter().enumerate() {
        masks[first] |= 1 << index;
        whole |= 1 << index;
    }
    for at in 0..order.len() {
        if masks[at] != 0 {
            for &follower in order.followers(at) {
                masks[follower] |= masks[at];
            }
        }
    }
    (whole, masks)
}
