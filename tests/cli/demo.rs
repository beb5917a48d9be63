//! `refit demo`: an upgrade on a cluster in memory, killed and resumed.

use crate::desk::Desk;

#[test]
fn it_ends_well_after_all_that_goes_wrong() {
    let desk = Desk::new();
    let before = files(&desk);
    let demo = ["demo", "--speed", "0"];
    let ran = desk.refit(&demo).ends(0, &[]);
    assert_eq!(ran.err, "");
    // in this order
    let mut rest = ran.out.as_str();
    for told in [
        "$ refit inspect plans/to-1.35.yaml",
        "3 budgets",
        "$ refit plan plans/to-1.35.yaml",
        "Workers, wave 1",
        "$ refit apply plans/to-1.35.yaml",
        "start cp2/kubeadm-node@1.35.4",
        "# kill -9",
        "$ refit status",
        "cut off: its process is gone",
        "cp2   ",
        "outcome unknown: cp2/kubeadm-node@1.35.4",
        "$ refit resume",
        "done  cp2/kubeadm-node@1.35.4, had been done; its end was found",
        "budget payments/ledger: needs 1 healthy pod, has 1",
        "put off w2/drain@1.35.4",
        "lets its ledger go",
        "`w4/install-kubelet@1.35.4` was cut off and left no outcome, as when the host reboots",
        "done  w4/install-kubelet@1.35.4",
        "done  w2/drain@1.35.4",
        "$ refit status",
        "finished",
        "demonstration of `shop-to-1.35` for `shop`: finished",
        "it took 2 sittings",
    ] {
        let at = rest.find(told);
        rest = at.map_or_else(|| panic!("`{told}` is not in:\n{rest}"), |at| &rest[at..]);
    }
    // every step once, those of the worker that was put off included
    let steps = |line: &str| -> Option<(String, String)> {
        let (done, rest) = line.split_once(" of ")?;
        let (all, _) = rest.split_once(" steps were done")?;
        Some((done.to_owned(), all.to_owned()))
    };
    let (done, all) = ran.out.lines().find_map(steps).unwrap();
    assert_eq!(done, all);
    // nothing is written, and as fast as it can it is always the same
    assert_eq!(files(&desk), before);
    assert_eq!(desk.refit(&demo).out, ran.out);
}

fn files(desk: &Desk) -> Vec<String> {
    let entries = std::fs::read_dir(desk.path(".")).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
