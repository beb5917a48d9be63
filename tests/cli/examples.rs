//! `examples/`: the documents are valid, the facts are the fixture's, and the lines of the jobs do what they say, as far as
//! that goes without the services: what would post a comment is a stand-in.
//!
//! `REFIT_BLESS=1 cargo test --test cli examples` rewrites the facts.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::build;

fn facts() -> String {
    let mut facts = build::World::new(3, 6, "1.34.4", "1.35.4").facts;
    facts.inventory = "shop".to_owned();
    serde_json::to_string_pretty(&facts).unwrap() + "\n"
}

#[test]
fn the_facts_are_those_of_the_tests_clusters() {
    let path = Path::new("examples/facts/shop.facts.json");
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::write(path, facts()).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == facts(),
        "{} is out of date: REFIT_BLESS=1 cargo test --test cli examples",
        path.display()
    );
}

/// A clone as a job finds it: the base branch as `origin/main`, and a commit on top of it.
struct Checkout(tempfile::TempDir);

const STAMP: &str = "2026-11-21T11:00:00Z";

impl Checkout {
    fn new() -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        let repository = checkout.repository();
        for folder in ["inventories", "plans", "facts"] {
            std::fs::create_dir_all(repository.join(folder)).unwrap();
            for file in std::fs::read_dir(Path::new("examples").join(folder)).unwrap() {
                let file = file.unwrap();
                let to = repository.join(folder).join(file.file_name());
                std::fs::copy(file.path(), to).unwrap();
            }
        }
        std::fs::write(repository.join("facts/shop.facts.json"), facts()).unwrap();
        checkout.stand_in("gh");
        checkout.stand_in("curl");
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_refit"),
            checkout.0.path().join("bin/refit"),
        )
        .unwrap();
        checkout.git("git init -q -b main . && git add -A && git commit -qm base && git update-ref refs/remotes/origin/main HEAD");
        checkout
    }

    fn repository(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    /// Logs how it is called, and the comment that it is given; knows no comment yet.
    fn stand_in(&self, name: &str) {
        let bin = self.0.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let file = bin.join(name);
        std::fs::write(
            &file,
            "#!/bin/sh\nprintf '%s ' \"$(basename \"$0\")\" \"$@\" >> \"$CALLS\"; echo >> \"$CALLS\"\necho '[]'\n",
        )
        .unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, script: &str) {
        let output = self.bash(script, &[]);
        assert!(output.status.success(), "{script}: {output:?}");
    }

    fn commit(&self, upgrade: impl Fn(&str) -> String) {
        let file = self.repository().join("plans/to-1.35.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, upgrade(&text)).unwrap();
        self.git("git commit -qam change");
    }

    fn bash(&self, script: &str, environment: &[(String, String)]) -> Output {
        let path = format!(
            "{}:{}",
            self.0.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", script])
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.0.path())
            .env("CALLS", self.0.path().join("calls"))
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "ops")
            .env("GIT_AUTHOR_EMAIL", "ops@example.org")
            .env("GIT_COMMITTER_NAME", "ops")
            .env("GIT_COMMITTER_EMAIL", "ops@example.org")
            .env("GIT_AUTHOR_DATE", STAMP)
            .env("GIT_COMMITTER_DATE", STAMP)
            .envs(environment.iter().cloned())
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
    }
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn variables(value: &Value) -> Vec<(String, String)> {
    let Some(map) = value.as_object() else {
        return Vec::new();
    };
    map.iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        // what the service would fill in is given by the test
        .filter(|(_, value)| !value.contains("${{"))
        .collect()
}

/// Runs the job's `run:` steps in order; how the first that fails ended, and everything that was said.
fn github(checkout: &Checkout) -> (i32, String) {
    let job = yaml("examples/github-actions.yaml");
    let file = checkout.0.path().join("github-env");
    std::fs::write(&file, "").unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut said = String::new();
    let mut ran = 0;
    for step in job["jobs"]["plan"]["steps"].as_array().unwrap() {
        let Some(script) = step["run"].as_str() else {
            continue;
        };
        let mut environment = variables(&job["env"]);
        environment.extend(variables(&step["env"]));
        environment.extend([
            pair("GITHUB_ENV", &file.to_string_lossy()),
            pair(
                "GITHUB_STEP_SUMMARY",
                &checkout.0.path().join("summary").to_string_lossy(),
            ),
            pair("GITHUB_BASE_REF", "main"),
            pair("GITHUB_REPOSITORY", "org/shop"),
            pair("NUMBER", "7"),
            pair("GH_TOKEN", "none"),
        ]);
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            environment.push(pair(name, value));
        }
        let output = checkout.bash(script, &environment);
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        ran += 1;
        if !output.status.success() {
            return (output.status.code().unwrap(), said);
        }
    }
    assert_eq!(ran, 6, "steps with a script");
    (0, said)
}

/// Runs the job's `script:` in one shell, as a runner does.
fn gitlab(checkout: &Checkout) -> (i32, String) {
    let job = &yaml("examples/gitlab-ci.yaml")["refit"];
    let lines: Vec<&str> = job["script"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(lines.len() > 10);
    let mut environment = variables(&job["variables"]);
    for (name, value) in [
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "origin/main"),
        ("CI_API_V4_URL", "https://gitlab.example.org/api/v4"),
        ("CI_PROJECT_ID", "12"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("REFIT_TOKEN", "none"),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let output = checkout.bash(&lines.join("\n"), &environment);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn a_change_is_planned_compared_and_commented() {
    for (job, post) in [
        (
            github as fn(&Checkout) -> (i32, String),
            "gh api -X POST repos/org/shop/issues/7/comments",
        ),
        (gitlab, "curl -fsS -X POST"),
    ] {
        let checkout = Checkout::new();
        checkout.commit(|text| text.replace("maxUnavailable: 2", "maxUnavailable: 3"));
        let (status, said) = job(&checkout);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("workers_out_of_service: 2 -> 3"), "{said}");
        let comment = checkout.read("repository/comment.md");
        assert!(
            comment.contains("#### Against the earlier plan"),
            "{comment}"
        );
        let calls = checkout.read("calls");
        assert!(calls.contains(post), "{calls}");
    }
}

#[test]
fn a_change_that_blocks_is_commented_and_fails_the_job() {
    for job in [github as fn(&Checkout) -> (i32, String), gitlab] {
        let checkout = Checkout::new();
        checkout.commit(|text| text.replace("target: 1.35.4", "target: 1.35.9"));
        let (status, said) = job(&checkout);
        assert_eq!(status, 3, "{said}");
        let comment = checkout.read("repository/comment.md");
        assert!(
            comment.contains("offers") && comment.contains("blocked for"),
            "{comment}"
        );
        assert!(checkout.read("calls").contains("POST"));
    }
}

#[test]
fn a_change_that_is_no_document_fails_before_anything_else() {
    for job in [github as fn(&Checkout) -> (i32, String), gitlab] {
        let checkout = Checkout::new();
        checkout.commit(|text| text.replace("target:", "tarrget:"));
        let (status, said) = job(&checkout);
        assert_eq!(status, 1, "{said}");
        assert!(
            said.contains("tarrget") && checkout.read("calls").is_empty(),
            "{said}"
        );
    }
}
