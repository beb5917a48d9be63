//! What is said when something is wrong, and what comes next.

use crate::desk::{Desk, RUN, cut_off};

#[test]
fn reading_commands_take_the_same_output_option() {
    let desk = Desk::new();
    // not a file of that name
    desk.refit(&["inspect", "upgrade.yaml", "-o", "yaml"])
        .ends(64, &["[possible values: json, text]"]);
    assert!(!desk.path("yaml").exists());

    let ran = desk
        .refit(&["validate", "upgrade.yaml", "inventory.yaml", "-o", "json"])
        .ends(0, &[]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["valid"].as_array().unwrap().len(), 2);
    assert_eq!(json["errors"], serde_json::json!([]));

    desk.write(
        "wrong.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: inventory.yaml\ntraget: 1.35.4\n",
    );
    let ran = desk
        .refit(&["validate", "wrong.yaml", "-o", "json"])
        .ends(1, &[]);
    assert_eq!(ran.err, "");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let unknown = &json["errors"][0];
    assert_eq!(unknown["file"], "wrong.yaml");
    assert_eq!(unknown["problem"], "missing-key");
    let unknown = &json["errors"][1];
    assert_eq!(unknown["problem"], "unknown-key");
    assert_eq!(
        (&unknown["line"], &unknown["column"]),
        (&5.into(), &1.into())
    );
    assert_eq!(unknown["expected"], "did you mean `target`?");
}

#[test]
fn a_file_that_is_not_there_is_told_with_the_nearest_name() {
    let desk = Desk::new();
    for command in ["validate", "plan", "apply", "inspect"] {
        desk.refit(&[command, "upgarde.yaml"])
            .ends(1, &["upgarde.yaml", "did you mean `upgrade.yaml`?"]);
    }
    desk.write(
        "other.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: ./inventroy.yaml\ntarget: 1.35.4\n",
    );
    desk.refit(&["validate", "other.yaml"]).ends(
        1,
        &[
            "inventroy.yaml cannot be read",
            "did you mean `inventory.yaml`?",
        ],
    );
    desk.write(
        "far.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: ./nowhere/x.yaml\ntarget: 1.35.4\n",
    );
    let ran = desk
        .refit(&["validate", "far.yaml"])
        .ends(1, &["nowhere/x.yaml"]);
    assert!(!ran.err.contains("did you mean"), "{}", ran.err);
}

#[test]
fn errors_of_documents_say_what_was_done_and_what_comes_next() {
    let desk = Desk::new();
    desk.write("upgrade.yaml", "kind: Upgrade\n");
    for command in ["plan", "apply", "inspect"] {
        desk.refit(&[command, "upgrade.yaml"]).ends(
            1,
            &[
                "state: nothing was changed",
                "next:  correct what it says; `refit validate upgrade.yaml` checks it",
            ],
        );
    }
}

/// What comes next must work as it stands, whatever state directory was named.
#[test]
fn the_next_command_names_the_state_directory() {
    let desk = Desk::new();
    desk.record(cut_off);
    std::fs::rename(desk.path(".refit"), desk.path("there")).unwrap();
    let resume = format!("`refit --state-dir there resume {RUN}`");
    desk.refit(&["status", "--state-dir", "there"])
        .ends(0, &[&resume]);
    let json = desk
        .refit(&["status", "--state-dir", "there", "-o", "json"])
        .ends(0, &[])
        .out;
    assert!(json.contains(&resume), "{json}");
    desk.refit(&["apply", "upgrade.yaml", "--state-dir", "there"])
        .ends(
            1,
            &[
                &resume,
                "`refit --state-dir there apply upgrade.yaml --new-run`",
            ],
        );
    let ran = desk.refit(&["status", "r9", "--state-dir", "there"]);
    ran.ends(
        1,
        &["next:  `refit --state-dir there status` shows the newest"],
    );
}

#[test]
fn no_output_of_a_validation_holds_credentials() {
    let desk = Desk::new();
    desk.write(
        "upgrade.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: inventory.yaml\ntarget: 1.35.4\n\
         packages: {repository: \"https://ops:hunter2@packages.example.org/\"}\n",
    );
    for format in ["text", "json"] {
        let ran = desk.refit(&["validate", "upgrade.yaml", "-o", format]);
        let ran = ran.ends(1, &["packages.repository"]);
        assert!(
            !format!("{}{}", ran.out, ran.err).contains("hunter2"),
            "{ran:?}"
        );
    }
}

/// Every API server has a release of its own, and a summary that told only of the one that answered would hide a mixture.
#[test]
fn a_summary_of_facts_names_every_api_server() {
    let mut world = crate::build::World::new(2, 1, "1.34.4", "1.35.4");
    world.upgrade_instance("cp2", &crate::build::v("1.35.4"));
    world.etcd().members[0].db_size = Some(5 << 20);
    let summary = refit::report::facts::summary(&world.facts);
    let summary = anstream::adapter::strip_str(&summary).to_string();
    for line in [
        "cp1  API server 1.34.4, kubelet 1.34.4-1.1",
        "cp2  API server 1.35.4, kubelet 1.34.4-1.1",
        "w1   kubelet 1.34.4-1.1",
        "2 of 2 members healthy, no alarms, largest database",
    ] {
        assert!(summary.contains(line), "`{line}`: {summary}");
    }
}
