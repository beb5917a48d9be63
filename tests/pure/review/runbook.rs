//! The runbook: its commands are the executor's, to the letter.

use std::path::Path;
use std::process::{Command, Stdio};

use refit::host::op::Mutation;
use refit::plan::data::Action;
use refit::report::runbook::{Logins, runbook};

use super::fixture::{at, golden, planned, shop, two_hops};
use crate::build::World;

#[test]
fn a_small_plan() {
    let plan = planned(&World::new(1, 1, "1.34.4", "1.35.4"));
    golden("runbook.md", &runbook(&plan, &Logins::new(), at()));
}

/// The blocks of shell, each with the line before it that is not empty.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut before = String::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(done), "```") => {
                found.push((before.clone(), std::mem::take(done)));
                block = None;
            }
            (Some(open), line) => {
                open.push_str(line);
                open.push('\n');
            }
            (None, "") => {}
            (None, line) => line.clone_into(&mut before),
        }
    }
    assert!(block.is_none(), "every block is closed");
    found
}

fn sh(directory: &Path, script: &str) -> Vec<u8> {
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    output.stdout
}

/// The words of a line as a shell takes them.
fn words(directory: &Path, line: &str) -> Vec<String> {
    let out = sh(directory, &format!("printf '%s\\0' {line}"));
    String::from_utf8(out)
        .unwrap()
        .split_terminator('\0')
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_block_is_sound_shell() {
    let text = runbook(&planned(&shop()), &Logins::new(), at());
    let directory = tempfile::tempdir().unwrap();
    let all: Vec<(String, String)> = blocks(&text);
    assert!(all.len() > 100, "{}", all.len());
    for (number, (before, block)) in all.iter().enumerate() {
        let file = directory.path().join(format!("{number}.sh"));
        std::fs::write(&file, block).unwrap();
        let checked = Command::new("sh").arg("-n").arg(&file).output().unwrap();
        assert!(checked.status.success(), "{before}: {block}");
    }
}

#[test]
fn the_commands_of_a_host_are_those_of_the_executor() {
    let plan = planned(&shop());
    let text = runbook(&plan, &Logins::new(), at());
    let directory = tempfile::tempdir().unwrap();
    let all = blocks(&text);
    let scripts = all
        .iter()
        .find(|(before, _)| before.contains("write the scripts"))
        .unwrap();
    sh(directory.path(), &scripts.1);
    let mut held = 0;
    for step in &plan.steps {
        let (host, mutation) = match step.action.operation() {
            Some((host, mutation)) => (host, mutation),
            None => match &step.action {
                Action::SnapshotEtcd {
                    host,
                    file,
                    trial_restore,
                    ..
                } => (
                    host,
                    Mutation::SaveSnapshot {
                        file: file.replace("{run}", "by-hand"),
                        trial_restore: *trial_restore,
                    },
                ),
                _ => continue,
            },
        };
        let heading = format!("### `{}`", step.id);
        let chapter = &text[text.find(&heading).unwrap()..];
        let (before, block) =
            &blocks(&chapter[..chapter[1..].find("\n### ").unwrap_or(chapter.len() - 1) + 1])[0];
        assert_eq!(before, &format!("On `{host}`:"));
        let argv = mutation.command().argv;
        let shown = words(directory.path(), block.trim_end());
        if argv[0] == "sh" {
            assert_eq!(shown[0], "sh");
            let name = shown[1].strip_prefix("/root/refit-runbook/").unwrap();
            assert_eq!(name, argv[3]);
            let script = std::fs::read_to_string(directory.path().join("refit-runbook").join(name));
            assert_eq!(script.unwrap().trim_end(), argv[2].trim_end(), "{name}");
            assert_eq!(shown[2..], argv[4..], "{}", step.id);
        } else {
            assert_eq!(shown, argv, "{}", step.id);
        }
        held += 1;
    }
    assert!(held > 40, "{held}");
}

/// A hook is done by hand as the executor does it, on its host or here, with its check before and after it.
#[test]
fn hooks_are_told_word_by_word() {
    use refit::documents::settings::{Hook, HookPlace, HookPoint, Rerun};
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let patch = Hook {
        name: "patch".to_owned(),
        at: HookPoint::Drained,
        on: HookPlace::EachWorker,
        run: words(&["sh", "-c", "patch \"$1\"", "../x", "a b"]),
        check: Some(words(&["patched", "{node}"])),
        env: std::collections::BTreeMap::new(),
        directory: "the plans".to_owned(),
        timeout_s: 600,
        expected_s: None,
        reboots: true,
        rerun: Rerun::Check,
    };
    let tell = Hook {
        name: "tell".to_owned(),
        on: HookPlace::ThisMachine,
        run: words(&["./tell.sh", "{node}", "it's"]),
        check: None,
        env: [("TO".to_owned(), "{minor}".to_owned())].into(),
        reboots: false,
        rerun: Rerun::Never,
        ..patch.clone()
    };
    world.upgrade.hooks = vec![patch, tell];
    let plan = planned(&world);
    let text = runbook(&plan, &Logins::new(), at());
    let chapter = |id: &str| {
        let from = text.find(&format!("### `{id}`")).unwrap();
        let rest = &text[from..];
        rest[..rest[1..].find("\n### ").unwrap() + 1].to_owned()
    };
    let patch = chapter("w1/hook/patch@1.35.4");
    let told = [
        "On `w1`:\n\n```sh\npatched w1\n```\n",
        "leave out the rest of this step",
        "On `w1`:\n\n```sh\nsh -c 'patch \"$1\"' ../x 'a b'\n```\n",
        "wait until it answers again",
        "On `w1`:\n\n```sh\npatched w1\n```\n",
        "exit status 0",
    ];
    let mut rest = patch.as_str();
    for words in told {
        let at = rest
            .find(words)
            .unwrap_or_else(|| panic!("{words}: {patch}"));
        rest = &rest[at + words.len()..];
    }
    let tell = chapter("cp1/hook/tell@1.35.4");
    let line = "(cd 'the plans' && env -- TO=1.35 ./tell.sh cp1 'it'\\''s')";
    assert!(
        tell.contains(&format!("Here:\n\n```sh\n{line}\n```\n")),
        "{tell}"
    );
    assert!(!text.contains("refit-runbook/../x"));
}

/// Whoever goes through the document from top to bottom never does a step before one that it waits for.
#[test]
fn the_document_is_in_an_order_that_the_plan_allows() {
    for plan in [planned(&shop()), two_hops()] {
        let text = runbook(&plan, &Logins::new(), at());
        let place = |id: &str| {
            text.find(&format!("### `{id}`"))
                .or_else(|| text.find(&format!("- [ ] `{id}`")))
                .unwrap_or_else(|| panic!("{id} is missing"))
        };
        for step in &plan.steps {
            for before in &step.after {
                assert!(
                    place(before.as_str()) < place(step.id.as_str()),
                    "{before} {}",
                    step.id
                );
            }
        }
        assert!(
            text.contains("## The way back") && text.contains("kubelet=1.3"),
            "{text}"
        );
    }
}
