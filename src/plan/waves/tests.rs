//! Packing by known rows, against an exhaustive search and a definition of its own, and on generated instances.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use proptest::prelude::*;

use super::generator::{FAMILIES, Family, Random, generate, instance, part};
use super::*;

/// With more nodes no search is tried: it would not end.
const SEARCHED: usize = 60;

/// Whether a set of nodes is a wave, as the rule reads.
fn is_wave(of: &Instance, set: &[usize]) -> bool {
    let nodes = || set.iter().map(|&at| &of.nodes[at]);
    let zones: std::collections::BTreeSet<_> = nodes().map(|node| &node.zone).collect();
    let mut under: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    for &(budget, pods) in nodes().flat_map(|node| &node.pods) {
        let (all, having) = under.entry(budget).or_default();
        *all += pods;
        *having += u32::from(pods > 0);
    }
    let fits = |kind: usize| {
        let having = nodes().filter(|node| node.needs[kind] + node.free[kind] > 0);
        let needs: u64 = nodes().map(|node| node.needs[kind]).sum();
        let inside: u64 = nodes().map(|node| node.free[kind]).sum();
        let all: u64 = of.nodes.iter().map(|node| node.free[kind]).sum();
        having.count() <= 1 || needs == 0 || needs <= all - inside + of.spare[kind]
    };
    zones.len() == 1
        && set.len() <= of.at_most.max(1)
        && under
            .iter()
            .all(|(&budget, &(all, having))| having <= 1 || all <= of.allowed[budget])
        && (0..KINDS).all(fits)
}

/// Every node once, every wave a wave, no fewer than the bound.
fn sound(of: &Instance, packing: &Packing) -> Result<(), String> {
    let mut all: Vec<usize> = packing.waves().flatten().copied().collect();
    all.sort_unstable();
    if all != (0..of.nodes.len()).collect::<Vec<_>>() {
        return Err(format!("not every node once: {all:?}"));
    }
    if let Some(wave) = packing.waves().find(|wave| !is_wave(of, wave)) {
        return Err(format!("no wave: {wave:?}"));
    }
    if packing.count() < packing.bound() {
        return Err(format!(
            "{} waves below the bound {}",
            packing.count(),
            packing.bound()
        ));
    }
    Ok(())
}

/// Tries every way to put one node after another into waves.
struct Search<'i> {
    of: &'i Instance,
    /// Nodes with the most pods first, so that what cannot be is seen early.
    nodes: Vec<usize>,
    waves: Vec<Vec<usize>>,
    tries: u32,
}

impl Search<'_> {
    /// Whether the nodes from `at` on fit into `most` waves in all; none when the tries are used up.
    fn enough(&mut self, at: usize, most: usize) -> Option<bool> {
        let Some(&node) = self.nodes.get(at) else {
            return Some(true);
        };
        for wave in 0..=self.waves.len().min(most - 1) {
            self.tries = self.tries.checked_sub(1)?;
            if wave == self.waves.len() {
                self.waves.push(Vec::new());
            }
            self.waves[wave].push(node);
            if is_wave(self.of, &self.waves[wave]) && self.enough(at + 1, most)? {
                return Some(true);
            }
            self.waves[wave].pop();
            if self.waves[wave].is_empty() {
                self.waves.pop();
            }
        }
        Some(false)
    }
}

/// The fewest waves, if that can be told: at the bound, or because one fewer was tried in vain.
fn fewest(of: &Instance, packing: &Packing, tries: u32) -> Option<usize> {
    let (mut count, bound) = (packing.count(), packing.bound());
    let mut nodes: Vec<usize> = (0..of.nodes.len()).collect();
    nodes.sort_by_key(|&node| std::cmp::Reverse(of.nodes[node].pods.len()));
    while count > bound {
        if nodes.len() > SEARCHED {
            return None;
        }
        let mut search = Search {
            of,
            nodes: nodes.clone(),
            waves: Vec::new(),
            tries,
        };
        if !search.enough(0, count - 1)? {
            break;
        }
        count -= 1;
    }
    Some(count)
}

/// A row of `pods` and what it should give.
fn row(allowed: &[u32], pods: &[&[(usize, u32)]]) -> Instance {
    let mut made = instance(pods.len());
    made.allowed = allowed.to_vec();
    for (node, pods) in made.nodes.iter_mut().zip(pods) {
        node.pods = pods.to_vec();
    }
    made
}

fn sixty_percent_full(count: usize) -> Instance {
    let mut made = instance(count);
    for node in &mut made.nodes {
        node.needs = [6, 0, 0];
        node.free = [4, 0, 0];
    }
    made
}

/// The cases by id: the waves, the bound and what binds it.
#[test]
fn known_rows() {
    let edge = |a: usize, b: usize| [(a, 1), (b, 1)];
    let (e40, e01, e12, e23, e34) = (edge(4, 0), edge(0, 1), edge(1, 2), edge(2, 3), edge(3, 4));
    let (t20, t01, t12) = (edge(2, 0), edge(0, 1), edge(1, 2));
    let one: &[(usize, u32)] = &[(0, 1)];
    let sizes: Vec<[(usize, u32); 1]> = [6, 5, 5, 4, 3, 3, 2, 2].map(|pods| [(0, pods)]).into();
    let sizes: Vec<&[(usize, u32)]> = sizes.iter().map(<[_; 1]>::as_slice).collect();
    let rows: [(&str, Instance, usize, usize, Binds); 7] = [
        ("W1", row(&[1], &[one; 3]), 3, 3, Binds::Budget(0)),
        ("W2", row(&[2], &[one; 4]), 2, 2, Binds::Budget(0)),
        (
            "W3",
            row(&[1; 5], &[&e40, &e01, &e12, &e23, &e34]),
            3,
            2,
            Binds::Budget(0),
        ),
        (
            "W4",
            row(&[1; 3], &[&t20, &t01, &t12]),
            3,
            3,
            Binds::Apart(vec![0, 1, 2]),
        ),
        ("W5", row(&[10], &sizes), 3, 3, Binds::Budget(0)),
        ("W6 of 4", sixty_percent_full(4), 4, 4, Binds::Room(0)),
        ("W6 of 10", sixty_percent_full(10), 3, 3, Binds::Room(0)),
    ];
    for (id, of, waves, bound, binds) in rows {
        let packing = pack(&of);
        sound(&of, &packing).unwrap();
        assert_eq!(packing.count(), waves, "{id}");
        assert_eq!(packing.bound(), bound, "{id}");
        assert!(
            packing.zones[0].bound.binds.contains(&binds),
            "{id}: {packing:?}"
        );
        assert!(packing.is_proven(), "{id}");
    }
}

#[test]
fn the_most_for_one_wave_binds() {
    let mut of = instance(7);
    of.at_most = 3;
    let packing = pack(&of);
    assert_eq!(
        packing.zones[0].waves,
        [vec![0, 1, 2], vec![3, 4, 5], vec![6]]
    );
    assert_eq!(packing.zones[0].bound.binds, [Binds::AtMost]);
    of.at_most = 0;
    assert_eq!(pack(&of).count(), 7);
}

#[test]
fn zones_never_share_a_wave() {
    let mut of = instance(5);
    for (node, zone) in of.nodes.iter_mut().zip(["b", "a", "b", "a", "b"]) {
        node.zone = Some(zone.to_owned());
    }
    let packing = pack(&of);
    assert_eq!(
        packing.waves().collect::<Vec<_>>(),
        [&vec![1, 3], &vec![0, 2, 4]]
    );
    assert_eq!(packing.bound(), 2);
    of.nodes[0].zone = None;
    assert_eq!(pack(&of).count(), 3);
}

/// More pods than the budget ever allows go alone, and so does what fits nowhere.
#[test]
fn what_exceeds_a_limit_alone_goes_alone() {
    let of = row(
        &[2, 0],
        &[&[(0, 5)], &[(0, 1)], &[(0, 1)], &[(1, 1)], &[(1, 1)]],
    );
    assert_eq!(
        pack(&of).waves().collect::<Vec<_>>(),
        [&vec![0, 3], &vec![1, 2, 4]]
    );
    let mut of = sixty_percent_full(2);
    of.nodes[0].needs = [100, 0, 0];
    assert_eq!(pack(&of).count(), 2);
    of.spare = [200, 0, 0];
    assert_eq!(pack(&of).count(), 1);
    // Beside a node that is too large, one that has nothing and needs nothing takes nothing away.
    let mut of = sixty_percent_full(2);
    of.nodes[0].needs = [100, 0, 0];
    (of.nodes[1].needs, of.nodes[1].free) = ([0; KINDS], [0; KINDS]);
    assert_eq!(pack(&of).count(), 1);
    sound(&of, &pack(&of)).unwrap();
}

#[test]
fn nothing_to_pack_makes_no_wave() {
    let packing = pack(&instance(0));
    assert_eq!((packing.count(), packing.bound()), (0, 0));
}

/// Nodes may be listed in any order: the waves are the same.
#[test]
fn the_order_of_listing_changes_nothing() {
    for number in 0..10 {
        let of = generate(Family::Random, number);
        let names = |of: &Instance| -> Vec<Vec<String>> {
            let packing = pack(of);
            let name = |&at: &usize| of.nodes[at].name.clone();
            packing
                .waves()
                .map(|wave| wave.iter().map(name).collect())
                .collect()
        };
        let mut shuffled = of.clone();
        let mut random = Random(number);
        for at in (1..shuffled.nodes.len()).rev() {
            shuffled.nodes.swap(at, random.between(0, at));
        }
        assert_eq!(names(&of), names(&shuffled));
    }
}

/// What was measured on instances of one family.
#[derive(Default)]
struct Measured {
    instances: usize,
    known: usize,
    at_fewest: usize,
    waves: usize,
    fewest: usize,
    worst: f64,
    ratios: Vec<f64>,
}

impl Measured {
    fn over_fewest(&self) -> f64 {
        if self.known == 0 {
            return 0.0;
        }
        100.0 * (self.waves as f64 / self.fewest as f64 - 1.0)
    }
}

fn measure(family: Family, numbers: u64, tries: u32) -> Measured {
    let mut measured = Measured::default();
    for number in 0..numbers {
        let of = generate(family, number);
        let packing = pack(&of);
        sound(&of, &packing).unwrap_or_else(|error| panic!("{family:?} {number}: {error}"));
        measured.instances += 1;
        measured
            .ratios
            .push(packing.count() as f64 / packing.bound() as f64);
        if let Some(fewest) = fewest(&of, &packing, tries) {
            measured.known += 1;
            measured.at_fewest += usize::from(packing.count() == fewest);
            measured.waves += packing.count();
            measured.fewest += fewest;
            measured.worst = measured.worst.max(packing.count() as f64 / fewest as f64);
        }
    }
    measured
}

fn table(share: u64, tries: u32) {
    println!(
        "family  instances  optimum known  reached  over it  worst  to the bound: mean  worst"
    );
    let mut all = Measured::default();
    for family in FAMILIES {
        let measured = measure(family, part(family).div_ceil(share), tries);
        let mean = measured.ratios.iter().sum::<f64>() / measured.instances as f64;
        let worst = measured.ratios.iter().copied().fold(1.0, f64::max);
        println!(
            "{:7} {:9}  {:13}  {:7}  {:5.2} %  {:5.2}  {mean:18.3}  {worst:5.2}",
            format!("{family:?}"),
            measured.instances,
            measured.known,
            measured.at_fewest,
            measured.over_fewest(),
            measured.worst,
        );
        assert!(
            measured.over_fewest() <= 2.0,
            "{family:?} is {:.2} % over the fewest",
            measured.over_fewest()
        );
        all.instances += measured.instances;
        all.known += measured.known;
        all.at_fewest += measured.at_fewest;
        all.waves += measured.waves;
        all.fewest += measured.fewest;
    }
    println!(
        "in all  {:9}  {:13}  {:7}  {:5.2} %",
        all.instances,
        all.known,
        all.at_fewest,
        all.over_fewest()
    );
}

/// A part of the instances; all of them with `cargo test --lib plan::waves -- --ignored --nocapture`.
#[test]
fn waves_are_near_the_fewest() {
    table(40, 5_000);
}

#[test]
#[ignore = "a thousand instances of up to 5,000 nodes"]
fn waves_are_near_the_fewest_on_a_thousand_instances() {
    table(1, 200_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the instance: every node once, and no wave that is none. On few nodes, no packing has fewer waves.
    #[test]
    fn packing_is_sound_and_exact_for_few(
        nodes in prop::collection::vec(
            (
                prop::collection::btree_map(0..4_usize, 0..6_u32, 0..4),
                0..3_u8,
                prop::array::uniform3(0..20_u64),
                prop::array::uniform3(0..20_u64),
            ),
            0..7,
        ),
        allowed in prop::array::uniform4(0..6_u32),
        at_most in 0..8_usize,
        spare in prop::array::uniform3(0..20_u64),
    ) {
        let mut of = instance(nodes.len());
        of.allowed = allowed.to_vec();
        of.at_most = at_most;
        of.spare = spare;
        for (node, (pods, zone, needs, free)) in of.nodes.iter_mut().zip(nodes) {
            node.pods = pods.into_iter().collect();
            node.zone = (zone > 0).then(|| zone.to_string());
            node.needs = needs;
            node.free = free;
        }
        let packing = pack(&of);
        sound(&of, &packing).unwrap();
        prop_assert_eq!(fewest(&of, &packing, 10_000_000), Some(packing.count()));
    }
}
