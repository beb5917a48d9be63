//! `refit rehearse`: a plan on the simulation of its own facts.

use std::path::PathBuf;

use refit::run::journal::read;

use crate::desk::{AT, Desk};

fn planned() -> Desk {
    let desk = Desk::new();
    let args = [
        "plan",
        "upgrade.yaml",
        "--facts",
        "facts.json",
        "--at",
        AT,
        "--out",
        "plan.json",
    ];
    desk.refit(&args).ends(0, &[]);
    desk
}

/// Renewed with `REFIT_BLESS=1`, and read before it is committed.
fn golden(name: &str, found: &str) {
    let file = PathBuf::from("tests/cli/golden").join(name);
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::create_dir_all("tests/cli/golden").unwrap();
        std::fs::write(&file, found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected, "{}", file.display());
}

#[test]
fn a_good_rehearsal_tells_how_long_it_takes() {
    let desk = planned();
    let rehearse = ["rehearse", "plan.json", "--facts", "facts.json"];
    let ran = desk.refit(&rehearse).ends(0, &["finished"]);
    golden("rehearsal.txt", &format!("{}{}", ran.err, ran.out));
    // the same again, to the letter
    let again = desk.refit(&rehearse);
    assert_eq!((&again.out, &again.err), (&ran.out, &ran.err));
    let told = |args: &[&str]| -> serde_json::Value {
        let args = [&rehearse[..], &["-o", "json"], args].concat();
        serde_json::from_str(&desk.refit(&args).ends(0, &[]).out).unwrap()
    };
    let plain = told(&[]);
    assert_eq!(plain["end"], "finished");
    assert_eq!(plain["violations"], serde_json::json!([]));
    // a seed makes it another one, and always the same
    let seven = told(&["--seed", "7"]);
    assert_eq!(seven, told(&["--seed", "7"]));
    assert_ne!(seven["took_s"], plain["took_s"]);
    assert_ne!(seven["took_s"], told(&["--seed", "8"])["took_s"]);
    // nothing is left of it but what was asked for
    assert!(!desk.path(".refit").exists());
    desk.refit(&[&rehearse[..], &["--journal", "rehearsal.jsonl"]].concat());
    let journal = read(&std::fs::read(desk.path("rehearsal.jsonl")).unwrap()).unwrap();
    assert!(journal.state.finished);
    assert_eq!(
        journal.state.steps.len(),
        usize::try_from(plain["steps"].as_u64().unwrap()).unwrap()
    );
}

#[test]
fn faults_are_met_or_halt_the_rehearsal() {
    let desk = planned();
    let with = |faults: &[&str]| {
        let mut args = vec!["rehearse", "plan.json", "--facts", "facts.json"];
        for fault in faults {
            args.extend(["--fault", fault]);
        }
        desk.refit(&args)
    };
    with(&[
        "ssh-drop:w1@drain",
        "ssh-drop=3m:cp2@kubeadm-node/kube-apiserver",
    ])
    .ends(0, &["finished"]);
    with(&[
        "reboot:cp2@kubeadm-node/kube-apiserver",
        "power-cut:w2@install-kubelet/unpack",
    ])
    .ends(0, &["finished"]);
    with(&["api-403:cluster@uncordon", "api-429=1m:cluster@drain"]).ends(0, &["finished"]);
    with(&[
        "apt-lock=90s:w1@install-kubelet",
        "key-expired:w1@switch-repository",
    ])
    .ends(0, &["finished"]);
    let ran = with(&["static-pod-hash:cp2@kubeadm-node/kube-apiserver*9"]).ends(
        4,
        &[
            "halted: a step failed",
            "static Pod hash for component kube-apiserver on Node cp2 did not change after 5m0s",
        ],
    );
    golden(
        "rehearsal-with-a-fault.txt",
        &format!("{}{}", ran.err, ran.out),
    );
    with(&["create-job:cp1*5"]).ends(4, &["[ERROR CreateJob]", "did not complete in 15s"]);
    with(&["host-gone:w2@install-kubelet"]).ends(
        4,
        &["w2 port 22 cannot be reached over SSH: no route to host"],
    );
    with(&["image-pull:w1"]).ends(0, &["did not strike: image-pull:w1"]);
    // what cannot be
    with(&["ssh-drop:w9"]).ends(64, &["no host and no node is called so"]);
    with(&["api-403:w1"]).ends(64, &["which is called `cluster`"]);
    with(&["ssh-drip:w1"]).ends(64, &["nothing is called `ssh-drip`"]);
}
