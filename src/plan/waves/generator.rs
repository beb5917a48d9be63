//! Instances to measure packing on, the same ones every time.
#![allow(clippy::unwrap_used)]

use super::{Amounts, Candidate, Instance, KINDS};

/// What an instance is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// 5 to 12 nodes, a few budgets.
    Small,
    /// 20 to 300 nodes, budgets of all sizes.
    Random,
    /// Three zones, budgets across them.
    Zones,
    /// Budgets that allow one, each between two nodes: graph colouring.
    Graph,
    /// Nodes from 40 % to 85 % full.
    Full,
    /// 1,000 to 5,000 nodes and as many budgets.
    Large,
}

pub const FAMILIES: [Family; 6] = [
    Family::Small,
    Family::Random,
    Family::Zones,
    Family::Graph,
    Family::Full,
    Family::Large,
];

/// How many of 1,000.
pub const fn part(family: Family) -> u64 {
    match family {
        Family::Small => 400,
        Family::Random | Family::Zones => 150,
        Family::Graph => 190,
        Family::Full => 100,
        Family::Large => 10,
    }
}

/// splitmix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + usize::try_from(self.next() % (most - least + 1) as u64).unwrap()
    }

    fn small(&mut self, least: usize, most: usize) -> u32 {
        u32::try_from(self.between(least, most)).unwrap()
    }
}

pub fn nodes(count: usize) -> Vec<Candidate> {
    (0..count)
        .map(|at| Candidate {
            name: format!("n{at:04}"),
            ..Candidate::default()
        })
        .collect()
}

/// Without any limit.
pub fn instance(count: usize) -> Instance {
    Instance {
        nodes: nodes(count),
        allowed: Vec::new(),
        at_most: count.max(1),
        spare: [0; KINDS],
    }
}

/// The instance of this family and number.
pub fn generate(family: Family, number: u64) -> Instance {
    let mut random = Random(number.wrapping_mul(1_000_003) ^ (family as u64) << 48);
    let random = &mut random;
    match family {
        Family::Small => {
            let count = random.between(5, 12);
            let mut made = instance(count);
            let budgets = random.between(2, count);
            scatter(&mut made, random, budgets, count.min(5));
            made.at_most = random.between(2, count);
            made
        }
        Family::Random => {
            let count = random.between(20, 300);
            let mut made = instance(count);
            let budgets = random.between(5, count);
            scatter(&mut made, random, budgets, 20);
            made.at_most = random.between(count / 10 + 1, count);
            made
        }
        Family::Zones => {
            let count = random.between(30, 300);
            let mut made = instance(count);
            let budgets = random.between(5, count);
            scatter(&mut made, random, budgets, 12);
            for node in &mut made.nodes {
                node.zone = Some(format!("zone-{}", random.between(0, 2)));
            }
            made.at_most = random.between(count / 10 + 1, count);
            made
        }
        Family::Graph => {
            let count = random.between(6, 60);
            let mut made = instance(count);
            let edges = count * random.between(1, 4);
            for _ in 0..edges {
                let (a, b) = (random.between(0, count - 1), random.between(0, count - 1));
                if a != b {
                    let budget = made.allowed.len();
                    made.allowed.push(1);
                    made.nodes[a].pods.push((budget, 1));
                    made.nodes[b].pods.push((budget, 1));
                }
            }
            made
        }
        Family::Full => {
            let count = random.between(4, 400);
            let mut made = instance(count);
            fill(&mut made, random);
            if random.next().is_multiple_of(2) {
                scatter(&mut made, random, count / 5 + 1, 8);
            }
            made
        }
        Family::Large => {
            let count = 1_000 * random.between(1, 5);
            let mut made = instance(count);
            scatter(&mut made, random, count, 60);
            fill(&mut made, random);
            made.at_most = count / 5;
            made
        }
    }
}

/// Budgets whose pods stand on up to `most` nodes each.
fn scatter(made: &mut Instance, random: &mut Random, budgets: usize, most: usize) {
    for _ in 0..budgets {
        let budget = made.allowed.len();
        let pods = random.between(2, most.max(2));
        made.allowed.push(match random.next() % 4 {
            0 => random.small(1, pods),
            1 => u32::try_from(pods.div_ceil(4)).unwrap(),
            _ => 1,
        });
        for _ in 0..pods {
            let node = random.between(0, made.nodes.len() - 1);
            let own = &mut made.nodes[node].pods;
            match own.iter_mut().find(|(of, _)| *of == budget) {
                Some((_, pods)) => *pods += 1,
                None => own.push((budget, 1)),
            }
        }
    }
}

fn fill(made: &mut Instance, random: &mut Random) {
    let equal = random.next().is_multiple_of(2);
    let (least, most) = if equal {
        let full = random.between(40, 85);
        (full, full)
    } else {
        (40, 85)
    };
    for node in &mut made.nodes {
        let size = if equal { 1 } else { 1 << random.between(0, 2) };
        let of = |whole: u64, percent: usize| {
            let needs = whole * size * percent as u64 / 100;
            (needs, whole * size - needs)
        };
        let kinds: [(u64, u64); KINDS] =
            [4_000, 16 << 20, 110].map(|whole| of(whole, random.between(least, most)));
        node.needs = kinds.map(|(needs, _)| needs) as Amounts;
        node.free = kinds.map(|(_, free)| free) as Amounts;
    }
}
